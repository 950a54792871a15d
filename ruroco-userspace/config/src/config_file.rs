//! `config.toml`: the settings that gate, server and commander share.
//!
//! All three read the same file into the same [`Config`], and each uses its part of it. [`fields`] lists the
//! fields. The file contains no secret.

mod doors;
mod earlier;
mod gate;
mod key_rules;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use ruroco_common::{
    address::Address, command::CommandHash, doors::DoorName, guarded::MAX_ADDRESSES,
};
use ruroco_files::toml_file::{
    Source as File,
    field::{Change, Daemon, Field},
    nearest,
    table::{Table, Taken},
    value::{Located, Value},
};
use ruroco_messages::problems::{Checked, Problem, Problems, shell_word};
use ruroco_trust::{
    trusted_file,
    trusted_path::{self, Found, Trust},
    users,
};

pub use self::{
    gate::{Appearance, Gate},
    key_rules::KeyRules,
};
use crate::{
    door::Door,
    fields::{self, OnStop, Source},
    key_policy::KeyPolicy,
};

/// Where `config.toml` is unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/ruroco/config.toml";

/// Name of the file in `state_dir` in which the server keeps its floors.
pub const FLOORS: &str = "floors";

/// Name of the file in which upstream ruroco keeps its floors.
pub const UPSTREAM_BLOCKLIST: &str = "blocklist.msgpck";

/// The checked content of `config.toml`.
#[derive(Debug)]
pub struct Config {
    /// Our addresses: packets to others are not ours, knocks for others are rejected.
    pub addresses: Vec<Address>,
    /// Our UDP port.
    pub port: u16,
    /// Where the server gets its candidates from.
    pub source: Source,
    /// The address to bind with `source = "udp"`.
    pub listen: SocketAddr,
    /// Where the keys are, as `NAME.key`.
    pub keys_dir: PathBuf,
    /// Where the server keeps its floors.
    pub state_dir: PathBuf,
    /// Where gate and commander put their sockets.
    pub socket_dir: PathBuf,
    /// Where the commander keeps its audit trail.
    pub audit_dir: PathBuf,
    /// The user the server runs as, the only one who may connect to gate and commander.
    pub server_user: String,
    /// Most knocks of one key that are accepted in a second.
    pub max_knocks_per_second_per_key: u32,
    /// Most orders that the commander runs in a second, from all keys together.
    pub max_knocks_per_second: u32,
    /// How far a knock's counter may be ahead of this host's clock.
    pub max_clock_skew: Duration,
    /// Whether commands run for addresses that are not of the public Internet.
    pub allow_non_public_addresses: bool,
    /// The settings for the gate only.
    pub gate: Gate,
    /// The doors, which the gate closes and the commander opens.
    pub doors: BTreeMap<DoorName, Door>,
    /// Restrictions by name of key; a key that is not here has none.
    keys: BTreeMap<String, Located<KeyRules>>,
    places: Places,
    file: File,
}

/// Something in the file that depends on this host.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// A field, by its name.
    Field(&'static str),
    /// One of `addresses`.
    Address(Address),
    /// One of `interfaces` in `[gate]`.
    Interface(&'a str),
    /// The rules of this key.
    Key(&'a str),
    /// The door of this name.
    Door(&'a str),
}

/// Where fields stand in the file, and what those hold that only a restart changes.
#[derive(Debug, Default)]
struct Places {
    addresses: Vec<Located<Address>>,
    fields: BTreeMap<&'static str, Range<usize>>,
    doors: BTreeMap<String, Range<usize>>,
    fixed: Vec<Fixed>,
}

/// A field that daemons read when they start, and never again.
#[derive(Debug)]
struct Fixed {
    field: &'static str,
    daemons: &'static [Daemon],
    /// As TOML; `None` if what the file says is wrong.
    value: Option<String>,
}

/// Takes fields from a table and notes where they stand.
struct Reader<'t, 'f> {
    table: Table<'f>,
    places: &'t mut Places,
    problems: &'t mut Problems,
}

impl Reader<'_, '_> {
    /// What a field with a default is.
    fn value<T: Value>(&mut self, field: &Field<T>) -> Option<T> {
        let is_there = self.table.has(field.name);
        let before = self.problems.len();
        let value = self.table.take_or_default(field, self.problems)?;
        let is_wrong = is_there && self.problems.len() != before;
        self.note(field, value.at, (!is_wrong).then(|| value.value.show()));
        Some(value.value)
    }

    /// What the file says of a field.
    fn take<T: Value>(&mut self, field: &Field<T>) -> Taken<T> {
        let taken = self.table.take(field, self.problems);
        if let Taken::Is(value) = &taken {
            self.note(field, value.at.clone(), Some(value.value.show()));
        }
        taken
    }

    fn note<T: Value>(&mut self, field: &Field<T>, at: Range<usize>, value: Option<String>) {
        self.places.fields.insert(field.name, at);
        if let Change::Restart(daemons) = field.change {
            self.places.fixed.push(Fixed { field: field.name, daemons, value });
        }
    }
}

impl Config {
    /// Reads and checks the file. Errors are reported with file, line and correction.
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

    /// Makes sure that only root can change the files of gate and commander that belong to root. Their
    /// sockets are then in a directory that belongs to root.
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
        match Self::of_file(&file, &mut problems) {
            Some(content) => problems.of(Self { file, ..content }),
            None => problems.of_nothing(),
        }
    }

    fn of_file(file: &File, problems: &mut Problems) -> Option<Self> {
        let table = Table::of_file(file, problems)?;
        if let Some(problem) = earlier::names(&table) {
            problems.add(problem);
            return None;
        }
        let mut places = Places::default();
        let mut reader = Reader { table, places: &mut places, problems };
        let addresses = addresses(&mut reader);
        let source = reader.value(&fields::SOURCE)?.0;
        let port = reader.value(&fields::PORT)?.0;
        let listen = reader.value(&fields::LISTEN)?;
        let keys_dir = reader.value(&fields::KEYS_DIR)?;
        let state_dir = reader.value(&fields::STATE_DIR)?;
        let socket_dir = reader.value(&fields::SOCKET_DIR)?;
        let audit_dir = reader.value(&fields::AUDIT_DIR_FIELD)?;
        let server_user = reader.value(&fields::SERVER_USER)?.0;
        let max_knocks_per_second_per_key = reader.value(&fields::MAX_KNOCKS_PER_SECOND_PER_KEY)?.0;
        let max_knocks_per_second = reader.value(&fields::MAX_KNOCKS_PER_SECOND)?.0;
        let max_clock_skew = reader.value(&fields::MAX_CLOCK_SKEW)?.0;
        let allow_non_public_addresses = reader.value(&fields::ALLOW_NON_PUBLIC_ADDRESSES)?;
        let keys = reader.table.take_table(KEYS, reader.problems);
        let gate = reader.table.take_table(GATE, reader.problems);
        let doors = reader.table.take_table(DOORS, reader.problems).ok();
        let Reader { table, .. } = reader;
        table.reject_unknown(&fields::top(), &[GATE, KEYS, DOORS], problems);
        places.addresses = addresses;
        let gate = Gate::check(file, gate, source, &mut places, problems)?;
        let rest = doors::Rest { port, source, appearance: gate.appearance };
        let doors = doors.map(|doors| doors::of(doors.value, &rest, &mut places, problems));
        Some(Self {
            addresses: places.addresses.iter().map(|address| address.value).collect(),
            port,
            source,
            listen: SocketAddr::from((listen, port)),
            keys_dir,
            state_dir,
            socket_dir,
            audit_dir,
            server_user,
            max_knocks_per_second_per_key,
            max_knocks_per_second,
            max_clock_skew,
            allow_non_public_addresses,
            gate,
            doors: doors.unwrap_or_default(),
            keys: keys.ok().map(|keys| key_rules::of(keys.value, problems)).unwrap_or_default(),
            places,
            file: File::new(file.path(), ""),
        })
    }

    /// Looks up the user that the server runs as.
    ///
    /// # Errors
    /// If there is no such user, with the line.
    pub fn find_server_user(&self) -> Result<nix::unistd::User, Problem> {
        let field = fields::SERVER_USER.name;
        users::find(&self.server_user)
            .map_err(|error| self.problem(Place::Field(field), format!("{field}: {error:#}")))
    }

    /// Whether this host has a gate: for the XDP program, or for doors of nftables.
    pub fn has_gate(&self) -> bool {
        self.source == Source::Xdp || !self.doors.is_empty()
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Makes sure that the fields which `daemon` reads only at its start are what they are in the configuration
    /// that it runs with. A problem for each that is not, with its line and its value in the running daemon.
    pub fn check_unchanged(&self, running: &Self, daemon: Daemon) -> Problems {
        let mut problems = Problems::default();
        let fixed = self.places.fixed.iter().filter(|fixed| fixed.daemons.contains(&daemon));
        for Fixed { field, value, .. } in fixed {
            let Some(has) = value else { continue };
            let was = running.places.fixed.iter().find(|fixed| fixed.field == *field);
            let was = was.and_then(|fixed| fixed.value.as_ref());
            problems
                .extend(was.filter(|was| *was != has).map(|was| self.fixed(field, was, daemon)));
        }
        problems
    }

    /// The same for the port, which is fixed while a server listens on it.
    pub fn check_same_port(&self, running: &Self) -> Option<Problem> {
        let was = running.port.to_string();
        (self.port != running.port).then(|| self.fixed(fields::PORT.name, &was, Daemon::Server))
    }

    fn fixed(&self, field: &'static str, was: &str, daemon: Daemon) -> Problem {
        let program = daemon.program();
        let message = format!(
            "`{field}` cannot change while {program} runs with {field} = {was}. Restart {program}, or set \
             {field} = {was}"
        );
        self.problem(Place::Field(field), message)
    }

    /// Makes sure that a socket which systemd has opened has our port: otherwise no knock would arrive.
    pub fn check_passed_socket(&self, port: u16) -> Option<Problem> {
        let own = self.port;
        let message = format!(
            "systemd has opened port {port}, and `port` is {own}. If clients send to {port}, set port = \
             {port}. Otherwise run `systemctl edit ruroco-udp.socket`, and write below [Socket] an empty \
             ListenDatagram= and then ListenDatagram=[::]:{own}"
        );
        (port != own).then(|| self.problem(Place::Field(fields::PORT.name), message))
    }

    /// Whether the XDP program stays attached when the gate stops, so that doors stay closed.
    pub fn keeps_doors_closed(&self) -> bool {
        !self.doors.is_empty() && self.gate.on_stop == OnStop::Closed
    }

    /// The attached mode of an interface cannot change to the configured mode.
    pub fn mode_is_fixed(&self, interface: &str, has: &str) -> Problem {
        let remedy = match self.keeps_doors_closed() {
            false => {
                "Restart ruroco-gate (packets are not filtered in between), or leave `mode` as it was"
            }
            true => {
                "A restart does not detach it, because doors stay closed. Leave `mode` as it was. Or put it back, set \
                 `on_stop = \"open\"` in [gate], and run `systemctl reload ruroco-gate`; then change `mode` and run \
                 `systemctl restart ruroco-gate` (doors are open to everyone, and packets are not filtered, in between)"
            }
        };
        let message = format!(
            "`mode` is {:?} now, and the XDP program is attached to {interface} in {has} mode, which cannot \
             change while it is attached. {remedy}",
            self.gate.mode.name(),
        );
        self.problem(Place::Field(fields::MODE.name), message)
    }

    /// Makes sure that every key with rules is among `known`: the rules of a misspelt one would
    /// restrict no key. A problem for each that is not, with the line and the name that was probably
    /// meant.
    pub fn check_key_names(&self, known: &[&str]) -> Problems {
        let is_known = known.iter().copied().collect::<BTreeSet<_>>();
        let unknown = self.keys.iter().filter(|(name, _)| !is_known.contains(name.as_str()));
        let mut problems = Problems::default();
        problems.extend(unknown.map(|(unknown, _)| {
            let dir = self.keys_dir.display();
            let mut message = format!("there is no key file {unknown}.key in `keys_dir`, {dir}");
            if let Some(meant) = nearest(unknown, known.iter().copied()) {
                message = format!("{message}; did you mean `{meant}`?");
            }
            self.problem(Place::Key(unknown), message)
        }));
        problems
    }

    /// Makes sure that the gate can look as it is to look; `unchecked` are the names of the keys of
    /// a cipher that the kernel does not know. A problem for each that it cannot have, with the line
    /// of the appearance.
    pub fn check_appearance<'a>(&self, unchecked: impl Iterator<Item = &'a str>) -> Problems {
        let mut problems = Problems::default();
        if let Appearance::Closed { .. } = self.gate.appearance {
            problems.extend(unchecked.map(|key| {
                let word = shell_word(Path::new(key));
                let message = format!(
                    "`appearance` cannot be \"closed\" with {key}.key, which is a key for AES-256-GCM-SIV: \
                     the kernel cannot detect forgeries of such packets, so they would go unanswered and \
                     reveal the gate. Replace it with `ruroco key revoke {word}` and `ruroco key add NAME`, \
                     or set appearance = \"filtered\""
                );
                self.problem(Place::Field(fields::APPEARANCE.name), message)
            }));
        }
        problems
    }

    /// A problem with what the file says at a place, with its line.
    pub fn problem(&self, place: Place<'_>, message: impl std::fmt::Display) -> Problem {
        let Places { addresses, fields, doors, .. } = &self.places;
        let span = match place {
            Place::Field(field) => fields.get(field).cloned(),
            Place::Address(ip) => {
                addresses.iter().find(|at| at.value == ip).map(|ip| ip.at.clone())
            }
            Place::Interface(name) => self.gate.interface_at(name),
            Place::Key(key) => self.keys.get(key).map(|rules| rules.at.clone()),
            Place::Door(door) => doors.get(door).cloned(),
        };
        self.file.error(span.unwrap_or(0..0), message)
    }

    /// Floors of upstream ruroco, or of an earlier release, that were not imported, while `state_dir` has no
    /// floors: with new floors, packets that have run could run again.
    pub fn check_floors_left_behind(&self) -> Option<Problem> {
        if self.state_dir.join(FLOORS).exists() {
            return None;
        }
        let here = self.state_dir.display();
        let left = [&self.state_dir, &self.keys_dir].map(|dir| dir.join(UPSTREAM_BLOCKLIST));
        let upstreams = left.into_iter().find(|file| file.exists());
        let own = Some(self.keys_dir.join(FLOORS)).filter(|file| file.exists());
        let (left, remedy) = match (upstreams, own) {
            (Some(file), _) => {
                let remedy = format!("Run `ruroco import --floors {}`", shell_word(&file));
                (file, remedy)
            }
            (None, Some(file)) => {
                let to = shell_word(&self.state_dir);
                let remedy = format!("Run `mv {} {to}/`", shell_word(&file));
                (file, remedy)
            }
            (None, None) => return None,
        };
        let message = format!(
            "there are no floors in {here}, but {} records which packets have already run. {remedy}. If all \
             keys are new, remove it",
            left.display(),
        );
        Some(self.problem(Place::Field(fields::STATE_DIR.name), message))
    }

    /// The names of all doors in the file. The value of a door with an error is not in [`doors`](Self::doors).
    pub fn door_names(&self) -> impl Iterator<Item = &str> {
        self.places.doors.keys().map(String::as_str)
    }

    /// The rules of all keys that have any, by the keys' names.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &KeyRules)> {
        self.keys.iter().map(|(name, rules)| (name.as_str(), &rules.value))
    }

    /// What a key may do; `hash` gives the hash of a command's name.
    pub fn policy_of(&self, key: &str, hash: impl Fn(&str) -> CommandHash) -> KeyPolicy {
        KeyPolicy::of(self.rules_of(key), hash)
    }

    /// The rules of a key, if it has any.
    pub fn rules_of(&self, key: &str) -> Option<&KeyRules> {
        self.keys.get(key).map(|rules| &rules.value)
    }
}

/// The tables at the top of the file.
const GATE: &str = "gate";
const KEYS: &str = "keys";
const DOORS: &str = "doors";

/// Those of the addresses that are good.
fn addresses(reader: &mut Reader<'_, '_>) -> Vec<Located<Address>> {
    let file = reader.table.file();
    let example = "Set it to the addresses that clients send to, as in addresses = [\"192.0.2.1\"]";
    let list = match reader.take(&fields::ADDRESSES) {
        Taken::Is(list) => list,
        Taken::Wrong => return Vec::new(),
        Taken::Absent => {
            reader.problems.add(file.missing(format_args!("missing field `addresses`. {example}")));
            return Vec::new();
        }
    };
    if list.value.0.len() > MAX_ADDRESSES {
        let message = format!("`addresses` has more than {MAX_ADDRESSES} addresses. Remove some");
        reader.problems.add(file.error(list.at, message));
    }
    list.value.0.into_iter().map(|at| Located { value: at.value.0, at: at.at }).collect()
}
