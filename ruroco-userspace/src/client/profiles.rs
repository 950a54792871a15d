//! `client.toml`: the hosts that a person knocks at.
//!
//! ```toml
//! [hosts.home]
//! address = "203.0.113.5"
//! key = "home"
//! commands = ["open_ssh", "close_ssh"]
//! wait = 22
//! ```
//!
//! Programs change the file too (`file`): what they do not change stays as the person wrote it,
//! comments included.

mod confirm;
mod file;

use std::{collections::BTreeMap, net::IpAddr, num::NonZero, ops::Range};

use serde::Deserialize;
use toml::Spanned;

pub use self::file::{EditError, ProfilesFile};
use super::key_store::KeyReference;
use crate::{
    command_name::{self, DEFAULT_COMMAND},
    destination::{Destination, Family},
    name::Name,
    problems::{Checked, Problem, Problems},
    toml_file::{LeftOut, Parsed, Source, nearest},
};

/// All hosts, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profiles {
    hosts: BTreeMap<Name, Host>,
}

/// A host to knock at, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where datagrams go.
    pub address: Destination,
    /// Which of its addresses may be used.
    pub family: Family,
    /// Whether to knock at every one of them; the command runs once for each that is reached.
    pub all_addresses: bool,
    /// The key that the host knows.
    pub key: KeyReference,
    /// What is asked for where no command is named.
    pub command: String,
    /// What else the host is known to do; [`Host::that_does`] keeps [`Host::command`] out of it, and
    /// each in it once, so that hosts that do the same are equal.
    pub commands: Vec<String>,
    /// Those of all commands that a person confirms before they are sent.
    pub confirm: Vec<String>,
    /// The TCP port that opens, if one does.
    pub wait: Option<NonZero<u16>>,
    /// The address to act for, if it is not the one that packets come from.
    pub ip: Option<IpAddr>,
    /// Whether [`Host::ip`] may be another than the one that packets come from.
    pub permissive: bool,
}

impl Host {
    /// A host of which no more is known than where it is and which key it knows.
    pub fn new(address: Destination, key: KeyReference) -> Self {
        Self {
            address,
            family: Family::Any,
            all_addresses: false,
            key,
            command: DEFAULT_COMMAND.to_owned(),
            commands: Vec::new(),
            confirm: Vec::new(),
            wait: None,
            ip: None,
            permissive: false,
        }
    }

    /// The same host with these commands, the one that is asked for by default first; without any,
    /// that is [`DEFAULT_COMMAND`].
    pub fn that_does(self, commands: impl IntoIterator<Item = String>) -> Self {
        let mut commands = commands.into_iter();
        let command = commands.next().unwrap_or_else(|| DEFAULT_COMMAND.to_owned());
        let mut others: Vec<String> = Vec::new();
        for other in commands {
            if other != command && !others.contains(&other) {
                others.push(other);
            }
        }
        Self { command, commands: others, ..self }
    }

    /// All commands, the one that is asked for by default first.
    pub fn all_commands(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.command).chain(&self.commands).map(String::as_str)
    }
}

impl Profiles {
    /// All hosts, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Host)> {
        self.hosts.iter()
    }

    /// The host of this name.
    pub fn get(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|(known, _)| known.as_str() == name).map(|(_, host)| host)
    }

    /// The host of this name, which is to be there.
    ///
    /// # Errors
    /// [`UnknownHost`].
    pub fn known(&self, name: &str) -> Result<&Host, UnknownHost> {
        self.get(name).ok_or_else(|| {
            let names = self.hosts.keys().map(Name::as_str);
            UnknownHost {
                name: name.to_owned(),
                meant: nearest(name, names).map(str::to_owned),
                is_first: self.is_empty(),
            }
        })
    }

    /// The host of this name, or at this address: `ssh` knows it by either, and passes names in lower
    /// case.
    ///
    /// # Errors
    /// [`Ambiguous`]: which of several is meant, nobody can say.
    pub fn find(&self, name_or_address: &str) -> Result<Option<(&Name, &Host)>, Ambiguous> {
        let asked = name_or_address;
        let exact = self.hosts.iter().find(|(name, _)| name.as_str() == asked);
        let like = self.hosts.iter().filter(|(name, _)| name.as_str().eq_ignore_ascii_case(asked));
        let named: Vec<_> = exact.map_or_else(|| like.collect(), |exact| vec![exact]);
        if let [only] = named.as_slice()
            && only.1.address.is_of_host(asked)
        {
            return Ok(Some(*only));
        }
        let there = self.hosts.iter().filter(|(_, host)| host.address.is_of_host(asked));
        let candidates: BTreeMap<_, _> = named.into_iter().chain(there).collect();
        if candidates.len() > 1 {
            let names = candidates.into_keys().cloned().collect();
            return Err(Ambiguous { asked: asked.to_owned(), candidates: names });
        }
        Ok(candidates.into_iter().next())
    }

    /// The other host that would be taken for this one, because the name of one is the address of the
    /// other.
    fn mistaken_for(&self, name: &Name, host: &Host) -> Option<&Name> {
        // A host that is called what its own address is stands for that address.
        let takes = |name: &Name, host: &Host, other: &Host| {
            !host.address.is_of_host(name.as_str()) && other.address.is_of_host(name.as_str())
        };
        let mut others = self.hosts.iter().filter(|(other, _)| *other != name);
        let other = others
            .find(|(other_name, other)| takes(name, host, other) || takes(other_name, other, host));
        other.map(|(name, _)| name)
    }

    fn forget(&mut self, name: &Name) {
        self.hosts.remove(name);
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Checks a file that has been read.
    pub fn check(file: &Source) -> Checked<Self> {
        let mut problems = Problems::default();
        let Some(Parsed { raw, left_out }) = problems.good_of(file.parse::<Raw>()) else {
            return problems.of_nothing();
        };
        let mut checker = Checker { file, left_out, problems };
        let hosts = raw.hosts.into_iter().filter_map(|(name, raw)| checker.host(&name, raw));
        let hosts = hosts.collect();
        checker.problems.of(Self { hosts })
    }
}

/// Several hosts can be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{asked} can be any of several hosts: {}; say the name of one, or give them names and addresses \
     of their own; for ssh to pass the name as it was typed, write %n in place of %h",
    list(.candidates)
)]
pub struct Ambiguous {
    asked: String,
    candidates: Vec<Name>,
}

fn list(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// There is no host of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no host {name}{}", self.remedy())]
pub struct UnknownHost {
    name: String,
    meant: Option<String>,
    is_first: bool,
}

impl UnknownHost {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn remedy(&self) -> String {
        match &self.meant {
            Some(meant) => format!("; did you mean {meant}?"),
            None if self.is_first => {
                ", nor any other; add the first one with `ruroco-client invite`, which takes the \
                 line that the host has shown, or with `ruroco-client host add`"
                    .to_owned()
            }
            None => "; see which there are with: ruroco-client host list".to_owned(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    hosts: BTreeMap<Spanned<String>, RawHost>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, as in [hosts.home]")]
struct RawHost {
    address: Option<Spanned<String>>,
    family: Option<Family>,
    #[serde(default)]
    all_addresses: bool,
    key: Option<Spanned<String>>,
    command: Option<Spanned<String>>,
    #[serde(default)]
    commands: Vec<Spanned<String>>,
    #[serde(default)]
    confirm: Vec<Spanned<String>>,
    wait: Option<Spanned<u16>>,
    ip: Option<Spanned<String>>,
    #[serde(default)]
    permissive: bool,
}

/// The one table of the file.
const HOSTS: &str = "hosts";

struct Checker<'a> {
    file: &'a Source,
    left_out: LeftOut,
    problems: Problems,
}

impl Checker<'_> {
    fn host(&mut self, name: &Spanned<String>, raw: RawHost) -> Option<(Name, Host)> {
        let checked = name.get_ref().parse().map_err(|error| self.error(name.span(), error));
        let checked = self.problems.good(checked);
        let address = self.needed(name, "address", raw.address, "\"203.0.113.5:80\"");
        let key_at = raw.key.as_ref().map_or(name.span(), Spanned::span);
        let key = self.needed(name, "key", raw.key, "\"home\"");
        let key = key.and_then(|key| self.whole_path(key, key_at));
        let wait = raw.wait.map(|port| {
            let wait = NonZero::new(*port.get_ref());
            wait.ok_or_else(|| self.error(port.span(), "`wait` is a port; write 1 to 65535"))
        });
        let wait = wait.and_then(|wait| self.problems.good(wait));
        let ip = raw.ip.map(|ip| self.parse("ip", &ip));
        let ip = ip.and_then(|ip| self.problems.good(ip));
        // The first that is named is the one that is mostly meant.
        let commands = raw.command.into_iter().chain(raw.commands);
        let commands: Vec<_> = commands.map(|name| self.command(name)).collect();
        let commands: Option<Vec<String>> = commands.into_iter().collect();
        let host = Host {
            family: raw.family.unwrap_or(Family::Any),
            all_addresses: raw.all_addresses,
            wait,
            ip,
            permissive: raw.permissive,
            ..Host::new(address?, key?).that_does(commands?)
        };
        let confirm = self.confirm(raw.confirm, &host)?;
        Some((checked?, Host { confirm, ..host }))
    }

    fn needed<T: std::str::FromStr>(
        &mut self,
        host: &Spanned<String>,
        field: &str,
        value: Option<Spanned<String>>,
        example: &str,
    ) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let Some(value) = value else {
            if !self.left_out.has(&[HOSTS, host.get_ref(), field]) {
                let message = format!(
                    "`{}` has no `{field}`; write, for example, {field} = {example}",
                    host.get_ref()
                );
                self.problems.add(self.error(host.span(), message));
            }
            return None;
        };
        let parsed = self.parse(field, &value);
        self.problems.good(parsed)
    }

    fn command(&mut self, name: Spanned<String>) -> Option<String> {
        let at = name.span();
        let checked = command_name::check(name.into_inner());
        self.problems.good(checked.map_err(|error| self.error(at, error)))
    }

    /// A file is named by its whole path: where a program is started is nothing to depend on.
    fn whole_path(&mut self, key: KeyReference, at: Range<usize>) -> Option<KeyReference> {
        match &key {
            KeyReference::File(path) if !path.is_absolute() => {
                let message = format!(
                    "`key`: {} is a file, but not where it is; write its whole path, or take it over \
                     with `ruroco-client key import` and write the name",
                    path.display()
                );
                self.problems.add(self.error(at, message));
                None
            }
            KeyReference::File(_) | KeyReference::Named(_) => Some(key),
        }
    }

    fn parse<T: std::str::FromStr>(
        &self,
        field: &str,
        value: &Spanned<String>,
    ) -> Result<T, Problem>
    where
        T::Err: std::fmt::Display,
    {
        let refusal = |error| self.error(value.span(), format!("`{field}`: {error}"));
        value.get_ref().parse().map_err(refusal)
    }

    fn error(&self, span: Range<usize>, message: impl std::fmt::Display) -> Problem {
        self.file.error(span, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    fn check(text: &str) -> Result<Profiles, Problems> {
        Profiles::check(&Source::new("/client.toml", text)).or_problems()
    }

    #[test]
    fn a_host_needs_an_address_and_a_key() {
        let profiles = check("[hosts.home]\naddress = \"203.0.113.5\"\nkey = \"home\"\n").unwrap();
        let host = profiles.get("home").unwrap();
        assert_eq!(host.address.to_string(), "203.0.113.5:80");
        assert_eq!(host.all_commands().collect::<Vec<_>>(), ["default"]);
        let told = check("[hosts.a]\n[hosts.b]\naddress = \"x:0\"\nkey = 1\n").unwrap_err();
        let lines: Vec<_> = told.iter().filter_map(Problem::line).collect();
        assert_eq!(lines, [1, 1, 3, 4], "{told}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let host = "[hosts.h]\naddress = \"a\"\nkey = \"k\"\n";
        let relative = "[hosts.h]\naddress = \"a\"\n\nkey = \"keys/h.key\"\n";
        let told = check(relative).unwrap_err().to_string();
        assert!(told.starts_with("/client.toml:4: `key`: keys/h.key is a file"), "{told}");
        for wrong in [
            "wait = 0",
            "ip = \"10.0.0.0/8\"",
            "komands = []",
            "commands = [\"a\", \"b\\u001b[2J\"]",
            "command = \"\"",
            "family = \"ipv5\"",
        ] {
            let told = check(&format!("{host}{wrong}\n")).unwrap_err().to_string();
            assert!(told.starts_with("/client.toml:4: "), "{told}");
            assert!(!told.contains("[2J"), "{told}");
        }
    }

    #[test]
    fn the_first_command_is_the_default_one() {
        let text = "[hosts.h]\naddress = \"a\"\nkey = \"k\"\ncommands = [\"open\", \"close\"]\n";
        let profiles = check(text).unwrap();
        assert_eq!(profiles.get("h").unwrap().command, "open");
        let profiles = check(&format!("{text}command = \"close\"\n")).unwrap();
        let commands: Vec<_> = profiles.get("h").unwrap().all_commands().collect();
        assert_eq!(commands, ["close", "open"]);
    }

    #[test]
    fn a_key_in_the_place_of_its_name_is_not_repeated() {
        for key in
            ["chacha20poly1305:AAEC", "chacha20poly1305:AA/EC", &Key::generate().unwrap().to_text()]
        {
            let text = format!("[hosts.h]\naddress = \"a\"\nkey = \"{key}\"\n");
            let told = check(&text).unwrap_err().to_string();
            assert!(told.starts_with("/client.toml:3: `key`: this is a key itself"), "{told}");
            assert!(told.contains("key import") && !told.contains(key), "{told}");
        }
    }

    #[test]
    fn a_host_is_found_by_its_name_and_by_its_address() {
        let text = "[hosts.b]\naddress = \"host.example:81\"\nkey = \"k\"\n\
                    [hosts.c]\naddress = \"[2001:db8::1]:80\"\nkey = \"k\"\n";
        let profiles = check(text).unwrap();
        for (asked, name) in [
            ("b", "b"),
            ("host.example", "b"),
            ("HOST.example", "b"),
            ("2001:db8::1", "c"),
            ("2001:db8:0::1", "c"),
        ] {
            assert_eq!(found(&profiles, asked), name, "{asked}");
        }
        assert!(profiles.find("host").unwrap().is_none());
    }

    fn found(profiles: &Profiles, asked: &str) -> String {
        profiles.find(asked).unwrap().unwrap().0.to_string()
    }

    fn at(hosts: &[(&str, &str)]) -> Profiles {
        let host =
            |(name, address)| format!("[hosts.{name:?}]\naddress = {address:?}\nkey = \"k\"\n");
        check(&hosts.iter().copied().map(host).collect::<String>()).unwrap()
    }

    #[test]
    fn a_name_is_found_in_the_lower_case_of_ssh() {
        let profiles = at(&[("Home", "192.0.2.1"), ("Work", "192.0.2.2"), ("work", "192.0.2.3")]);
        assert_eq!(found(&profiles, "home"), "Home");
        assert_eq!(found(&profiles, "work"), "work");
        let several = profiles.find("WORK").unwrap_err().to_string();
        assert!(several.starts_with("WORK can be any of several hosts: Work, work;"), "{several}");
    }

    #[test]
    fn no_host_is_taken_for_another() {
        let profiles = at(&[
            ("203.0.113.5", "198.51.100.66"),
            ("home", "203.0.113.5"),
            ("a", "192.0.2.1:81"),
            ("b", "192.0.2.1"),
            ("host.example", "host.example"),
            ("host.example-81", "host.example:81"),
        ]);
        for (asked, candidates) in [("203.0.113.5", "203.0.113.5, home"), ("192.0.2.1", "a, b")] {
            let told = profiles.find(asked).unwrap_err().to_string();
            assert!(told.contains(&format!("several hosts: {candidates};")), "{told}");
        }
        for (asked, name) in [("home", "home"), ("a", "a"), ("host.example", "host.example")] {
            assert_eq!(found(&profiles, asked), name);
        }
    }

    #[test]
    fn who_asks_for_no_host_is_told_the_likely_one() {
        let text = "[hosts.home]\naddress = \"a\"\nkey = \"k\"\n";
        let profiles = check(text).unwrap();
        assert!(profiles.known("home").is_ok());
        let told = |profiles: &Profiles, name| profiles.known(name).unwrap_err().to_string();
        assert_eq!(told(&profiles, "hoem"), "there is no host hoem; did you mean home?");
        assert!(told(&profiles, "office").contains("host list"));
        assert!(told(&Profiles::default(), "office").contains("invite"));
    }
}
