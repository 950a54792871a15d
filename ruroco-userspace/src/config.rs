//! `config.toml`: what gate, server and commander have to agree on.
//!
//! All three read the same file and see the same [`Config`], each of them the part it needs.
//! Names are those of upstream ruroco where the meaning is the same. The file holds no secret.
//! [`Gate`] is what stands in `[gate]`.

mod fixed;
mod gate;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ruroco_common::{address::Address, guarded::MAX_ADDRESSES};
use serde::Deserialize;
use toml::Spanned;

use self::fixed::Places;
pub use self::{
    fixed::Fixed,
    gate::{Appearance, Gate, Mode},
};
use crate::toml_file::{Error, Source as File, nearest};

/// Where `config.toml` is unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/ruroco/config.toml";

/// The port where neither `port` nor `address` names one: the one that clients use by default.
pub const DEFAULT_PORT: u16 = 80;

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
    /// What the gate needs beside.
    pub gate: Gate,
    /// Restrictions by name of key; a key that is not here has none.
    keys: BTreeMap<Spanned<String>, KeyRules>,
    places: Places,
    file: File,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    ips: Spanned<Vec<Spanned<IpAddr>>>,
    port: Option<Spanned<u16>>,
    #[serde(default = "defaults::source")]
    source: Spanned<Source>,
    address: Option<Spanned<SocketAddr>>,
    #[serde(default = "defaults::config_dir")]
    config_dir: PathBuf,
    #[serde(default = "defaults::blocklist_dir")]
    blocklist_dir: Spanned<PathBuf>,
    #[serde(default = "defaults::socket_dir")]
    socket_dir: Spanned<PathBuf>,
    #[serde(default = "defaults::audit_dir")]
    audit_dir: Spanned<PathBuf>,
    #[serde(default = "defaults::socket_user")]
    socket_user: Spanned<String>,
    #[serde(default = "defaults::max_requests_per_second")]
    max_requests_per_second: Spanned<u32>,
    #[serde(default = "defaults::max_requests_per_second_global")]
    max_requests_per_second_global: Spanned<u32>,
    #[serde(default = "defaults::max_clock_skew_seconds")]
    max_clock_skew_seconds: Spanned<u64>,
    gate: Option<gate::Raw>,
    #[serde(default)]
    keys: BTreeMap<Spanned<String>, KeyRules>,
}

mod defaults {
    use super::{PathBuf, Source, Spanned};

    pub(super) fn source() -> Spanned<Source> {
        Spanned::new(0..0, Source::Xdp)
    }
    pub(super) fn config_dir() -> PathBuf {
        "/etc/ruroco".into()
    }
    pub(super) fn blocklist_dir() -> Spanned<PathBuf> {
        Spanned::new(0..0, "/var/lib/ruroco".into())
    }
    pub(super) fn socket_dir() -> Spanned<PathBuf> {
        Spanned::new(0..0, "/run/ruroco".into())
    }
    pub(super) fn audit_dir() -> Spanned<PathBuf> {
        Spanned::new(0..0, "/var/log/ruroco".into())
    }
    pub(super) fn socket_user() -> Spanned<String> {
        Spanned::new(0..0, "ruroco".into())
    }
    pub(super) fn max_requests_per_second() -> Spanned<u32> {
        Spanned::new(0..0, 2)
    }
    pub(super) fn max_requests_per_second_global() -> Spanned<u32> {
        Spanned::new(0..0, 100)
    }
    pub(super) fn max_clock_skew_seconds() -> Spanned<u64> {
        Spanned::new(0..0, 3600)
    }
}

/// A skew of more than a day is a clock that is wrong, not one that is off.
const MAX_CLOCK_SKEW_SECONDS: u64 = 86_400;

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`Error`] with file, line and what to write instead.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::check(File::read(path)?)
    }

    /// Reads and checks the same file again: it may have changed.
    ///
    /// # Errors
    /// As for [`Config::read`].
    pub fn read_again(&self) -> Result<Self, Error> {
        Self::read(self.file.path())
    }

    /// Checks a file that has been read.
    ///
    /// # Errors
    /// [`Error::Content`] with file, line and what to write instead.
    pub fn check(file: File) -> Result<Self, Error> {
        let raw: Raw = file.parse()?;
        let port = port(&file, &raw)?;
        let places = Places {
            source: raw.source.span(),
            socket_dir: raw.socket_dir.span(),
            blocklist_dir: raw.blocklist_dir.span(),
            audit_dir: raw.audit_dir.span(),
            socket_user: raw.socket_user.span(),
            address: raw.address.as_ref().map(Spanned::span),
            port: raw.port.as_ref().map(Spanned::span),
        };
        Ok(Self {
            ips: ips(&file, &raw.ips)?,
            port,
            source: *raw.source.get_ref(),
            address: raw
                .address
                .map_or_else(|| SocketAddr::from(([0_u16; 8], port)), Spanned::into_inner),
            config_dir: raw.config_dir,
            blocklist_dir: raw.blocklist_dir.into_inner(),
            socket_dir: raw.socket_dir.into_inner(),
            audit_dir: raw.audit_dir.into_inner(),
            socket_user: raw.socket_user.into_inner(),
            max_requests_per_second: positive(&file, &raw.max_requests_per_second)?,
            max_requests_per_second_global: positive(&file, &raw.max_requests_per_second_global)?,
            max_clock_skew: clock_skew(&file, &raw.max_clock_skew_seconds)?,
            gate: Gate::check(&file, raw.gate, &raw.source)?,
            keys: raw.keys,
            places,
            file,
        })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Makes sure that every key with rules is among `known`: the rules of a misspelt one would
    /// restrict nobody.
    ///
    /// # Errors
    /// [`Error`] with the line and the name that was likely meant.
    pub fn check_key_names(&self, known: &[&str]) -> Result<(), Error> {
        let mut names = self.keys.keys();
        let Some(name) = names.find(|name| !known.contains(&name.get_ref().as_str())) else {
            return Ok(());
        };
        let unknown = name.get_ref();
        let mut message = format!("there is no key file {unknown}.key in config_dir");
        if let Some(meant) = nearest(unknown, known.iter().copied()) {
            message = format!("{message}; did you mean `{meant}`?");
        }
        Err(self.file.error(name.span(), message))
    }

    /// Makes sure that the gate can look as it is to look; `unchecked` are the names of the keys of
    /// a cipher that the kernel does not know.
    ///
    /// # Errors
    /// [`Error`] with the line of the appearance and the name of a key that it cannot have.
    pub fn check_appearance<'a>(
        &self,
        unchecked: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        self.gate.check_appearance(&self.file, unchecked)
    }

    /// The rules of a key, if it has any.
    pub fn rules_of(&self, key: &str) -> Option<&KeyRules> {
        self.keys.iter().find(|(name, _)| name.get_ref() == key).map(|(_, rules)| rules)
    }
}

fn ips(file: &File, ips: &Spanned<Vec<Spanned<IpAddr>>>) -> Result<Vec<Address>, Error> {
    let (span, ips) = (ips.span(), ips.get_ref());
    if ips.is_empty() {
        let message = "`ips` is empty, so nothing would ever be for this host; \
                       write the addresses that clients send to, as in ips = [\"192.0.2.1\"]";
        return Err(file.error(span, message));
    }
    if ips.len() > MAX_ADDRESSES {
        return Err(file.error(span, format!("`ips` has more than {MAX_ADDRESSES} addresses")));
    }
    ips.iter()
        .map(|ip| match ip.get_ref().to_canonical() {
            address if is_a_hosts(address) => Ok(Address::from(address)),
            address => Err(file.error(
                ip.span(),
                format!("{address} is no host's address; write the ones that clients send to"),
            )),
        })
        .collect()
}

/// Whether a client can send to this address and mean one host.
fn is_a_hosts(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || is_broadcast)
}

/// `port`, or else the port of `address`, or else the default.
fn port(file: &File, raw: &Raw) -> Result<u16, Error> {
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
        (None, None) => Ok(DEFAULT_PORT),
    }
}

fn positive(file: &File, value: &Spanned<u32>) -> Result<u32, Error> {
    match *value.get_ref() {
        0 => Err(file.error(value.span(), "0 would refuse everything; write 1 or more")),
        value => Ok(value),
    }
}

fn clock_skew(file: &File, seconds: &Spanned<u64>) -> Result<Duration, Error> {
    match *seconds.get_ref() {
        value @ ..=MAX_CLOCK_SKEW_SECONDS => Ok(Duration::from_secs(value)),
        _ => Err(file.error(
            seconds.span(),
            format!("`max_clock_skew_seconds` is more than a day; write {MAX_CLOCK_SKEW_SECONDS} or less and set the clocks"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn check(text: &str) -> Result<Config, String> {
        Config::check(File::new("/config.toml", text)).map_err(|error| error.to_string())
    }

    #[test]
    fn two_lines_are_a_whole_configuration() {
        let config =
            check("ips = [\"192.0.2.1\", \"::ffff:192.0.2.2\"]\ngate.interfaces = [\"eth0\"]")
                .unwrap();
        assert_eq!(
            config.ips,
            [Address::from_ipv4([192, 0, 2, 1]), Address::from_ipv4([192, 0, 2, 2])]
        );
        assert_eq!((config.port, config.source), (80, Source::Xdp));
        assert_eq!(config.address, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 80)));
        assert_eq!(config.max_clock_skew, Duration::from_secs(3600));
        assert_eq!(config.gate.mode, Mode::Auto);
    }

    #[test]
    fn the_port_of_the_address_is_the_port() {
        let config = check("ips = [\"::1\"]\nsource = \"udp\"\naddress = \"[::]:34020\"").unwrap();
        assert_eq!(config.port, 34020);
    }

    #[test]
    fn every_mistake_names_its_line_and_the_remedy() {
        let good = "ips = [\"192.0.2.1\"]\nsource = \"udp\"\n";
        for (text, line, told) in [
            ("prot = 80\n", 3, "did you mean `port`?"),
            ("port = 0\n", 3, "between 1 and 65535"),
            ("address = \"[::]:0\"\n", 3, "between 1 and 65535"),
            ("port = 65536\n", 3, "65536"),
            ("port = \"80\"\n", 3, "expected u16"),
            ("port = 80\naddress = \"[::]:81\"\n", 3, "leave one of the two out"),
            ("max_requests_per_second = 0\n", 3, "write 1 or more"),
            ("max_requests_per_second = -1\n", 3, "expected u32"),
            ("max_clock_skew_seconds = 100000\n", 3, "86400 or less"),
            ("[gate]\ninterfaces = []\n", 4, "interfaces = [\"eth0\"]"),
            ("[gate]\ninterfaces = [\"a/b\"]\n", 4, "`a/b` cannot be the name"),
            ("[gate]\ninterfaces = [\"..\"]\n", 4, "cannot be the name"),
            ("[gate]\ninterfaces = [\"a\\u0000\"]\n", 4, "cannot be the name"),
            ("[gate]\ninterfaces = [\"a\", \"a\"]\n", 4, "named twice"),
            ("[gate]\ninterfaces = [\"a\"]\nmode = \"drv\"\n", 5, "native"),
            ("[gate]\ninterfaces = [\"a\"]\nmod = \"auto\"\n", 5, "did you mean `mode`?"),
            ("[gate]\ninterfaces = [\"a\"]\nappearance = \"open\"\n", 5, "`filtered`"),
            ("[gate]\ninterfaces = [\"a\"]\nmax_passed_per_second = 5\n", 5, "leave it out"),
            (
                "[gate]\ninterfaces = [\"a\"]\nappearance = \"closed\"\nmax_passed_per_second = 0\n",
                6,
                "write 1 or more",
            ),
            ("[keys.laptop]\ncommand = []\n", 4, "did you mean `commands`?"),
            ("ips = 1\n", 3, "duplicate key"),
            ("port =\n", 3, ""),
        ] {
            let error = check(&format!("{good}{text}")).unwrap_err();
            assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{text}: {error}");
            assert!(error.contains(told), "{text}: {error}");
        }
        for (text, line, told) in [
            ("", 1, "missing field `ips`"),
            ("ips = []\nsource = \"udp\"\n", 1, "`ips` is empty"),
            ("ips = [\n\"192.0.2.1\",\n\"192.0.2.0/24\"]\n", 3, "IP address"),
            ("ips = [\"192.0.2.1\"]\nsource = \"xdp\"\n", 2, "interfaces = [\"eth0\"]"),
            ("ips = [\"192.0.2.1\"]\nsource = \"upd\"\n", 2, "did you mean `udp`?"),
            ("ips = [\n\"0.0.0.0\"]\n", 2, "no host's address"),
            ("ips = [\"::\"]\n", 1, "no host's address"),
            ("ips = [\"::ffff:0.0.0.0\"]\n", 1, "no host's address"),
            ("ips = [\"224.0.0.1\"]\n", 1, "no host's address"),
            ("ips = [\"ff02::1\"]\n", 1, "no host's address"),
            ("ips = [\"255.255.255.255\"]\n", 1, "no host's address"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{text}: {error}");
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn rules_for_a_key_that_is_not_there_are_an_error() {
        let text = "ips = [\"192.0.2.1\"]\nsource = \"udp\"\n\n[keys.latop]\ncommands = []\n";
        let config = check(text).unwrap();
        assert!(config.check_key_names(&["latop"]).is_ok());
        let error = config.check_key_names(&["laptop", "phone"]).unwrap_err().to_string();
        assert!(error.contains("config.toml:4: "), "{error}");
        assert!(error.contains("did you mean `laptop`?"), "{error}");
    }
    #[test]
    fn a_gate_looks_filtered_unless_it_is_to_look_closed() {
        let of = |text: &str| {
            let fixed = "ips = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\n";
            check(&format!("{fixed}{text}")).unwrap().gate.appearance
        };
        assert_eq!(of(""), Appearance::Filtered);
        assert!(of("").pass_refused().is_never());
        assert_eq!(
            of("appearance = \"closed\""),
            Appearance::Closed { max_passed_per_second: 10_000 }
        );
        assert_eq!(
            of("appearance = \"closed\"\nmax_passed_per_second = 7").pass_refused(),
            ruroco_common::rate::Rate::per_second(7)
        );
    }

    #[test]
    fn what_the_kernel_cannot_check_cannot_look_closed() {
        let with = |appearance: &str| {
            let fixed = "ips = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\nappearance = ";
            check(&format!("{fixed}\"{appearance}\"")).unwrap()
        };
        assert!(with("filtered").check_appearance(["old"].into_iter()).is_ok());
        assert!(with("closed").check_appearance([].into_iter()).is_ok());
        let error = with("closed").check_appearance(["old"].into_iter()).unwrap_err().to_string();
        assert!(error.starts_with("/config.toml:4: "), "{error}");
        assert!(error.contains("old.key") && error.contains("ruroco-client gen"), "{error}");
    }
}
