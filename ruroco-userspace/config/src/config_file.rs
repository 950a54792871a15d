//! `config.toml`: what gate, server and commander have to agree on.
//!
//! All three read the same file and see the same [`Config`], each of them the part it needs.
//! Names are those of upstream ruroco where the meaning is the same, and a file that was written
//! for upstream is read as it is (`defaults`). The file holds no secret. [`Gate`] is what stands in
//! `[gate]`.

mod defaults;
mod fixed;
mod gate;
mod interface_name;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use ruroco_common::{address::Address, guarded::MAX_ADDRESSES};
use ruroco_files::toml_file::{LeftOut, Parsed, Source as File, nearest};
use ruroco_messages::problems::{Checked, Problem, Problems, shell_word};
use ruroco_trust::{
    trusted_file,
    trusted_path::{self, Found, Trust},
    users,
};
use serde::Deserialize;
use toml::Spanned;

use self::defaults::Defaults;
pub use self::{
    defaults::{AUDIT_DIR, FORMER_AUDIT_DIR, PORT as DEFAULT_PORT},
    fixed::Fixed,
    gate::{Appearance, Gate, Mode},
};

/// Where `config.toml` is unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/ruroco/config.toml";

/// Name of the file in `blocklist_dir` in which the server keeps its floors.
pub const FLOORS: &str = "floors";

/// Name of the file in `blocklist_dir` in which upstream ruroco keeps its floors.
pub const UPSTREAM_BLOCKLIST: &str = "blocklist.msgpck";

/// The checked content of `config.toml`.
#[derive(Debug)]
pub struct Config {
    /// Our addresses: packets to others are not ours, knocks for others are refused.
    pub ips: Vec<Address>,
    /// Our UDP port.
    pub port: u16,
    /// Where the server gets its candidates from.
    pub source: Source,
    /// The address to bind with `source = "udp"`.
    pub address: SocketAddr,
    /// Where the keys are, as `NAME.key`.
    pub config_dir: PathBuf,
    /// Where the server keeps its floors.
    pub blocklist_dir: PathBuf,
    /// Where gate and commander put their sockets.
    pub socket_dir: PathBuf,
    /// Where the commander keeps its audit trail.
    pub audit_dir: PathBuf,
    /// The user the server runs as, the only one who may talk to gate and commander.
    pub socket_user: String,
    /// Most knocks of one key that are accepted in a second.
    pub max_requests_per_second: u32,
    /// Most orders that the commander runs in a second, from all keys together.
    pub max_requests_per_second_global: u32,
    /// How far a knock's counter may be ahead of this host's clock.
    pub max_clock_skew: Duration,
    /// Whether commands run for addresses that are not of the public Internet.
    pub allow_non_routable_ips: bool,
    /// Whether the file is one for upstream ruroco: it has none of the fields that only we know, and
    /// what it leaves out means what it means there.
    pub is_upstreams: bool,
    /// What the gate needs beside.
    pub gate: Gate,
    /// Restrictions by name of key; a key that is not here has none.
    keys: BTreeMap<String, Ruled>,
    places: Places,
    /// What the file says of these is not known.
    left_out: LeftOut,
    file: File,
}

/// A field, to say something about it that depends on this host.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// `ips`, one of them.
    Ip(Address),
    /// `interfaces` in `[gate]`, one of them.
    Interface(&'a str),
    /// `commands` of this key.
    CommandsOf(&'a str),
    /// One that a running program cannot change.
    Fixed(Fixed),
}

/// Where fields stand in the file; at its beginning if they are not there.
#[derive(Debug)]
struct Places {
    ips: Vec<(Address, Range<usize>)>,
    source: Range<usize>,
    address: Option<Range<usize>>,
    port: Option<Range<usize>>,
    blocklist_dir: Range<usize>,
    socket_dir: Range<usize>,
    audit_dir: Range<usize>,
    socket_user: Range<usize>,
}

/// `source`: where the server gets its candidates from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The ring that the gate hands over.
    Xdp,
    /// An ordinary socket, for hosts where XDP is not to be had.
    Udp,
}

/// `[keys.NAME]`: what a key may do, seen from the server.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRules {
    /// Names of the only commands that knocks with this key may ask for.
    pub commands: Option<Vec<String>>,
}

/// Rules, and where the key's name stands in the file.
#[derive(Debug)]
struct Ruled {
    rules: KeyRules,
    place: Range<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    ips: Option<Spanned<Vec<Spanned<String>>>>,
    port: Option<Spanned<u16>>,
    source: Option<Spanned<Source>>,
    address: Option<Spanned<SocketAddr>>,
    #[serde(default = "defaults::config_dir")]
    config_dir: PathBuf,
    blocklist_dir: Option<Spanned<PathBuf>>,
    socket_dir: Option<Spanned<PathBuf>>,
    audit_dir: Option<Spanned<PathBuf>>,
    #[serde(default = "defaults::socket_user")]
    socket_user: Spanned<String>,
    /// Upstream's. Its socket let the group do nothing, and ours does not either.
    #[serde(rename = "socket_group")]
    _socket_group: Option<String>,
    #[serde(default = "defaults::max_requests_per_second")]
    max_requests_per_second: Spanned<u32>,
    #[serde(default = "defaults::max_requests_per_second_global")]
    max_requests_per_second_global: Spanned<u32>,
    #[serde(default = "defaults::max_clock_skew_seconds")]
    max_clock_skew_seconds: Spanned<u64>,
    allow_non_routable_ips: Option<bool>,
    gate: Option<Spanned<gate::Raw>>,
    keys: Option<BTreeMap<Spanned<String>, KeyRules>>,
}

/// A skew of more than a day is a clock that is wrong, not one that is off.
const MAX_CLOCK_SKEW_SECONDS: u64 = 86_400;

impl Config {
    /// Reads and checks the file: what is wrong is told with file, line and what to write instead.
    pub fn read(path: &Path) -> Checked<Self> {
        Self::of(path, trusted_file::read_toml(path))
    }

    /// Reads and checks the file for the server. Gate and commander go by it, too: where they are root's,
    /// a server that could write it would be as good as root.
    pub fn read_as_server(path: &Path) -> Checked<Self> {
        let file = trusted_file::read_toml(path).map_err(trusted_file::Error::of_server);
        Self::of(path, file).and(Self::check_place)
    }

    fn of(path: &Path, file: Result<File, trusted_file::Error>) -> Checked<Self> {
        let mut problems = Problems::default();
        let file = file.map_err(|error| match error.is_not_found() {
            true => Problem::error(
                path,
                "not found; run `ruroco init` to create it, or pass --config PATH",
            ),
            false => error.into(),
        });
        match problems.good(file) {
            Some(file) => Self::check(file),
            None => problems.of_nothing(),
        }
    }

    /// Makes sure that nobody but root can change what gate and commander go by, where they are root's: the
    /// sockets, through which they are reached, then lie in a directory of root's.
    fn check_place(&self) -> Problems {
        let mut problems = Problems::default();
        if trusted_path::find_directory(&self.socket_dir, Trust::root())
            .is_err_and(|fault| !fault.is_not_found())
        {
            return problems;
        }
        let trusted = match trusted_path::find(self.path(), Trust::root()) {
            Ok(Found::Leaf(leaf)) => leaf.check_content(Trust::root()),
            Ok(Found::Directory(_)) => Ok(()),
            Err(fault) => Err(fault),
        };
        problems.extend(trusted.err().map(Problem::from));
        problems
    }

    /// Reads and checks the same file again: it may have changed.
    pub fn read_again(&self) -> Checked<Self> {
        Self::read(self.file.path())
    }

    /// The same for the server.
    pub fn read_again_as_server(&self) -> Checked<Self> {
        Self::read_as_server(self.file.path())
    }

    /// Checks a file that has been read.
    pub fn check(file: File) -> Checked<Self> {
        let mut problems = Problems::default();
        let Some(Parsed { raw, mut left_out }) = problems.good_of(file.parse::<Raw>()) else {
            return problems.of_nothing();
        };
        let is_upstreams = defaults::is_upstreams(&raw, &left_out);
        let defaults = match is_upstreams {
            true => Defaults::upstreams(&raw.config_dir),
            false => Defaults::own(),
        };
        let port = problems.good(port(&file, &raw, defaults.port)).unwrap_or_else(|| {
            left_out.add("port");
            defaults.port
        });
        let ips = match &raw.ips {
            Some(ips) => self::ips(&file, ips, &mut problems),
            None if left_out.has(&["ips"]) => Vec::new(),
            None => {
                problems.add(file.missing(
                    "missing field `ips`; write the addresses that clients send to, as in ips = \
                     [\"192.0.2.1\"]",
                ));
                Vec::new()
            }
        };
        let left_to_default = defaults::left_to_default(&raw);
        let source = defaults::or(raw.source, defaults.source);
        let blocklist_dir = defaults::or(raw.blocklist_dir, defaults.blocklist_dir);
        let socket_dir = defaults::or(raw.socket_dir, defaults::socket_dir());
        let audit_dir = defaults::or(raw.audit_dir, defaults::audit_dir());
        let places = Places {
            ips: ips.clone(),
            source: source.span(),
            address: raw.address.as_ref().map(Spanned::span),
            port: raw.port.as_ref().map(Spanned::span),
            blocklist_dir: blocklist_dir.span(),
            socket_dir: socket_dir.span(),
            audit_dir: audit_dir.span(),
            socket_user: raw.socket_user.span(),
        };
        let mut at_least_one =
            |value| problems.good(positive(&file, value)).unwrap_or(*value.get_ref());
        let config = Self {
            port,
            source: *source.get_ref(),
            address: raw
                .address
                .map_or_else(|| SocketAddr::from(([0_u16; 8], port)), Spanned::into_inner),
            config_dir: raw.config_dir,
            blocklist_dir: blocklist_dir.into_inner(),
            ips: ips.into_iter().map(|(ip, _)| ip).collect(),
            socket_dir: socket_dir.into_inner(),
            audit_dir: audit_dir.into_inner(),
            max_requests_per_second: at_least_one(&raw.max_requests_per_second),
            max_requests_per_second_global: at_least_one(&raw.max_requests_per_second_global),
            socket_user: problems.good(socket_user(&file, &raw.socket_user)).unwrap_or_default(),
            max_clock_skew: problems
                .good(clock_skew(&file, &raw.max_clock_skew_seconds))
                .unwrap_or_default(),
            allow_non_routable_ips: raw
                .allow_non_routable_ips
                .unwrap_or(defaults.allow_non_routable_ips),
            is_upstreams,
            gate: Gate::check(&file, raw.gate, &source, &left_out, &mut problems),
            keys: raw.keys.into_iter().flatten().map(ruled).collect(),
            places,
            left_out,
            file,
        };
        // Where it is refused, what it would have meant is of no interest.
        if config.is_upstreams && problems.is_empty() {
            let message = defaults::read_as_upstreams(&config, &left_to_default);
            problems.add(config.file.missing(message).as_warning());
        }
        problems.of(config)
    }

    /// Looks up the user that the server runs as.
    ///
    /// # Errors
    /// If there is none, with the line.
    pub fn find_socket_user(&self) -> Result<nix::unistd::User, Problem> {
        users::find(&self.socket_user).map_err(|error| {
            self.problem(Field::Fixed(Fixed::SocketUser), format!("socket_user: {error:#}"))
        })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Makes sure that every key with rules is among `known`: the rules of a misspelt one would
    /// restrict nobody. A problem for each that is not, with the line and the name that was likely
    /// meant.
    pub fn check_key_names(&self, known: &[&str]) -> Problems {
        let is_known = known.iter().copied().collect::<BTreeSet<_>>();
        let unknown = self.keys.iter().filter(|(name, _)| !is_known.contains(name.as_str()));
        let mut problems = Problems::default();
        problems.extend(unknown.map(|(unknown, ruled)| {
            let mut message = format!(
                "there is no key file {unknown}.key in config_dir, which is {}",
                self.config_dir.display()
            );
            if let Some(meant) = nearest(unknown, known.iter().copied()) {
                message = format!("{message}; did you mean `{meant}`?");
            }
            self.file.error(ruled.place.clone(), message)
        }));
        problems
    }

    /// Makes sure that the gate can look as it is to look; `unchecked` are the names of the keys of
    /// a cipher that the kernel does not know. A problem for each that it cannot have, with the line
    /// of the appearance.
    pub fn check_appearance<'a>(&self, unchecked: impl Iterator<Item = &'a str>) -> Problems {
        self.gate.check_appearance(&self.file, unchecked)
    }

    /// A problem with what a field says, at its line.
    pub fn problem(&self, field: Field<'_>, message: impl std::fmt::Display) -> Problem {
        let span = match field {
            Field::Ip(ip) => {
                let mut ips = self.places.ips.iter();
                ips.find(|(at, _)| *at == ip).map(|(_, span)| span.clone())
            }
            Field::Interface(name) => self.gate.interface_at(name),
            Field::CommandsOf(key) => self.keys.get(key).map(|ruled| ruled.place.clone()),
            Field::Fixed(field) => Some(self.place_of(field).1),
        };
        self.file.error(span.unwrap_or(0..0), message)
    }

    /// Floors that are where upstream's default for `blocklist_dir` has them, while there are none where this
    /// configuration says: floors that are made new would let packets run again.
    pub fn check_floors_left_behind(&self) -> Option<Problem> {
        let find = |dir: &Path| {
            [FLOORS, UPSTREAM_BLOCKLIST]
                .iter()
                .map(|name| dir.join(name))
                .find(|path| path.exists())
        };
        if find(&self.blocklist_dir).is_some() {
            return None;
        }
        let left = find(&self.config_dir)?;
        let message = format!(
            "there are no floors in {here}, but {left} records which packets have already run. To keep it, \
             run: mv {from} {to}/; if all keys are new, so that it is no longer needed, remove it",
            here = self.blocklist_dir.display(),
            left = left.display(),
            from = shell_word(&left),
            to = shell_word(&self.blocklist_dir),
        );
        Some(self.problem(Field::Fixed(Fixed::BlocklistDir), message))
    }

    /// The rules of all keys that have any, by the keys' names.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &KeyRules)> {
        self.keys.iter().map(|(name, ruled)| (name.as_str(), &ruled.rules))
    }

    /// The rules of a key, if it has any.
    pub fn rules_of(&self, key: &str) -> Option<&KeyRules> {
        self.keys.get(key).map(|ruled| &ruled.rules)
    }
}

fn ruled((name, rules): (Spanned<String>, KeyRules)) -> (String, Ruled) {
    let place = name.span();
    (name.into_inner(), Ruled { rules, place })
}

/// Those of the addresses that are good, and where they stand.
fn ips(
    file: &File,
    ips: &Spanned<Vec<Spanned<String>>>,
    problems: &mut Problems,
) -> Vec<(Address, Range<usize>)> {
    let (span, ips) = (ips.span(), ips.get_ref());
    if ips.is_empty() {
        problems.add(file.error(
            span.clone(),
            "`ips` is empty, so nothing would ever be for this host; write the addresses that \
             clients send to, as in ips = [\"192.0.2.1\"]",
        ));
    }
    if ips.len() > MAX_ADDRESSES {
        problems.add(file.error(span, format!("`ips` has more than {MAX_ADDRESSES} addresses")));
    }
    let good = ips.iter().filter_map(|ip| Some((problems.good(self::ip(file, ip))?, ip.span())));
    good.collect()
}

fn ip(file: &File, ip: &Spanned<String>) -> Result<Address, Problem> {
    let (span, text) = (ip.span(), ip.get_ref());
    match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) if is_a_hosts(address) => Ok(Address::from(address)),
        Ok(address) => Err(file.error(
            span,
            format!("{address} is no host's address; write the ones that clients send to"),
        )),
        Err(_) => Err(file.error(
            span,
            format!(
                "`{text}` is no IP address; write single addresses and no networks or names, as in \
                 ips = [\"192.0.2.1\"]"
            ),
        )),
    }
}

/// Whether a client can send to this address and mean one host.
fn is_a_hosts(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || is_broadcast)
}

/// `port`, or else the port of `address`, or else the default.
fn port(file: &File, raw: &Raw, default: u16) -> Result<u16, Problem> {
    let port = raw.port.as_ref().map(|port| (*port.get_ref(), port.span()));
    let address = raw.address.as_ref().map(|address| (address.get_ref().port(), address.span()));
    match (port, address) {
        (Some((0, span)), _) | (None, Some((0, span))) => {
            Err(file.error(span, "the port is 0; write one between 1 and 65535"))
        }
        (Some((port, span)), Some((other, _))) if port != other => Err(file.error(
            span,
            format!("`port` is not the port {other} of `address`; leave one of the two out"),
        )),
        (Some((port, _)), _) | (None, Some((port, _))) => Ok(port),
        (None, None) => Ok(default),
    }
}

fn positive(file: &File, value: &Spanned<u32>) -> Result<u32, Problem> {
    match *value.get_ref() {
        0 => Err(file.error(value.span(), "0 would refuse everything; write 1 or more")),
        value => Ok(value),
    }
}

/// As upstream does, without the white space around it.
fn socket_user(file: &File, name: &Spanned<String>) -> Result<String, Problem> {
    match name.get_ref().trim() {
        "" => Err(file.error(
            name.span(),
            "`socket_user` is empty; name the user that the server runs as, as in socket_user = \
             \"ruroco\"",
        )),
        name => Ok(name.to_owned()),
    }
}

fn clock_skew(file: &File, seconds: &Spanned<u64>) -> Result<Duration, Problem> {
    match *seconds.get_ref() {
        value @ ..=MAX_CLOCK_SKEW_SECONDS => Ok(Duration::from_secs(value)),
        _ => Err(file.error(
            seconds.span(),
            format!("`max_clock_skew_seconds` is more than a day; write {MAX_CLOCK_SKEW_SECONDS} or less and set the clocks"),
        )),
    }
}
