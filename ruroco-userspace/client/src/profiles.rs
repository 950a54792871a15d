//! `client.toml`: the user's hosts.
//!
//! ```toml
//! [hosts.home]
//! address = "203.0.113.5"
//! key = "home"
//! commands = ["open_ssh", "close_ssh"]
//! wait = 22
//!
//! [hosts.home.doors.ssh]
//! port = "tcp/22"
//! for = "30s"
//! open = "open_ssh"
//! close = "close_ssh"
//! ```
//!
//! Programs change this file too (`file`). What they do not change stays as the user wrote it, including
//! comments.

mod confirm;
mod doors;
mod entry;
pub(crate) mod field_values;
pub mod fields;
mod file;
mod host;
mod unknown;
pub mod values;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use ruroco_files::toml_file::{Source, nearest, table::Table};
use ruroco_invite::destination::Destination;
use ruroco_keys::name::Name;
use ruroco_messages::problems::{Checked, Problems};

use self::unknown::Why;
pub use self::{
    file::{EditError, ProfilesFile},
    host::Host,
    unknown::{FindError, UnknownHost},
};

/// All hosts, by name. A host with an invalid entry is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profiles {
    hosts: BTreeMap<Name, Host>,
    /// The names of the invalid entries.
    invalid: BTreeSet<String>,
}

impl Profiles {
    /// All hosts, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Host)> {
        self.hosts.iter()
    }

    /// The host of this name, if it exists and is valid.
    pub fn get(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|(known, _)| known.as_str() == name).map(|(_, host)| host)
    }

    /// The host of this name.
    ///
    /// # Errors
    /// [`UnknownHost`].
    pub fn known(&self, name: &str) -> Result<&Host, UnknownHost> {
        self.get(name).ok_or_else(|| {
            let names = self.hosts.keys().map(Name::as_str);
            let why = match nearest(name, names) {
                _ if self.invalid.contains(name) => Why::Invalid,
                Some(meant) => Why::Misspelt(meant.to_owned()),
                None if self.is_empty() && self.invalid.is_empty() => Why::NoHosts,
                None => Why::OtherHosts,
            };
            UnknownHost::new(name, why)
        })
    }

    /// Whether an entry has this name, valid or not.
    pub fn has_entry(&self, name: &str) -> bool {
        self.get(name).is_some() || self.invalid.contains(name)
    }

    /// The entry with this name in any case. `ssh` passes names in lower case, so two such hosts could be
    /// confused.
    pub fn namesake(&self, name: &str) -> Option<Name> {
        let invalid = self.invalid.iter().filter_map(|invalid| invalid.parse().ok());
        let mut names = self.hosts.keys().cloned().chain(invalid);
        names.find(|other: &Name| other.as_str().eq_ignore_ascii_case(name))
    }

    /// The other hosts with the same address, with any port. An address that several hosts share does not
    /// identify one of them.
    pub fn sharing<'a>(
        &'a self,
        name: &'a Name,
        address: &'a Destination,
    ) -> impl Iterator<Item = &'a Name> {
        let others = self.hosts.iter().filter(move |(other, _)| *other != name);
        others.filter(|(_, host)| host.address.is_same_host(address)).map(|(other, _)| other)
    }

    /// The host of this name or address. `ssh` passes either, and names in lower case.
    ///
    /// # Errors
    /// If more than one host matches, or the entry is invalid.
    pub fn find(&self, name_or_address: &str) -> Result<Option<(&Name, &Host)>, FindError> {
        let asked = name_or_address;
        let exact = self.hosts.iter().find(|(name, _)| name.as_str() == asked);
        let invalid = self.invalid.iter().find(|name| name.eq_ignore_ascii_case(asked));
        if let (None, Some(invalid)) = (exact, invalid) {
            return Err(FindError::Invalid(UnknownHost::new(invalid, Why::Invalid)));
        }
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
            return Err(FindError::Ambiguous { asked: asked.to_owned(), candidates: names });
        }
        Ok(candidates.into_iter().next())
    }

    /// The other host that could be confused with this one, because the name of one is the address of the
    /// other.
    fn confusable_with(&self, name: &Name, host: &Host) -> Option<&Name> {
        // A host whose name is its own address is not ambiguous.
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

    /// Checks the content of a file.
    pub fn check(file: &Source) -> Checked<Self> {
        let mut problems = Problems::default();
        let Some(mut top) = Table::of_file(file, &mut problems) else {
            return problems.of_nothing();
        };
        let hosts = top.take_table(fields::HOSTS, &mut problems).ok();
        top.reject_unknown(&[], &[fields::HOSTS], &mut problems);
        let entries = hosts.map(|mut hosts| hosts.value.take_tables(&mut problems));
        let mut profiles = Self::default();
        for (name, table) in entries.unwrap_or_default() {
            let table = table.ok().map(|table| table.value);
            match table.and_then(|table| entry::read(&name, table, &mut problems)) {
                Some((name, host)) => _ = profiles.hosts.insert(name, host),
                None => _ = profiles.invalid.insert(name.value),
            }
        }
        problems.of(profiles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_messages::problems::Problem;
    use ruroco_seal::generate_key;

    fn check(text: &str) -> Result<Profiles, Problems> {
        Profiles::check(&Source::new("/client.toml", text)).or_problems()
    }

    #[test]
    fn a_host_needs_an_address_and_a_key() {
        let profiles = check("[hosts.home]\naddress = \"203.0.113.5\"\nkey = \"home\"\n").unwrap();
        let host = profiles.get("home").unwrap();
        assert_eq!(host.address.to_string(), "203.0.113.5:80");
        assert_eq!(host.all_commands().collect::<Vec<_>>(), ["default"]);
        let message = check("[hosts.a]\n[hosts.b]\naddress = \"x:0\"\nkey = 1\n").unwrap_err();
        let lines: Vec<_> = message.iter().filter_map(Problem::line).collect();
        assert_eq!(lines, [1, 1, 3, 4], "{message}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let host = "[hosts.h]\naddress = \"a\"\nkey = \"k\"\n";
        let relative = "[hosts.h]\naddress = \"a\"\n\nkey = \"keys/h.key\"\n";
        let message = check(relative).unwrap_err().to_string();
        assert!(
            message.starts_with("/client.toml:4: `key`: keys/h.key is a relative path"),
            "{message}"
        );
        for wrong in [
            "wait = 0",
            "ip = \"10.0.0.0/8\"",
            "komands = []",
            "commands = [\"a\", \"b\\u001b[2J\"]",
            "command = \"\"",
            "family = \"ipv5\"",
        ] {
            let message = check(&format!("{host}{wrong}\n")).unwrap_err().to_string();
            assert!(message.starts_with("/client.toml:4: "), "{message}");
            assert!(!message.contains("[2J"), "{message}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_what_to_write() {
        for (line, told) in [
            (
                "wait = \"22\"",
                "`wait = \"22\"` is not valid. Use a port number from 1 to 65535, without quotes: `wait = 22`",
            ),
            ("permissive = \"true\"", "without quotes: `permissive = true`"),
            ("family = \"ipv5\"", "Use \"any\", \"ipv4\" or \"ipv6\"; did you mean"),
            ("commands = \"open\"", "Use a list: `commands = [\"open\"]`"),
            ("command = 5", "Use a text in quotes: `command = \"5\"`"),
            ("all_adresses = true", "unknown field `all_adresses`; did you mean `all_addresses`?"),
            ("commands = [\"a\", 1]", "`1` in `commands` is not valid. Use a text in quotes"),
            ("ip = \"chacha20poly1305:AAEC\"", "the value of `ip` is not valid. Use an IP address"),
        ] {
            let text = format!("[hosts.h]\naddress = \"a\"\nkey = \"k\"\n{line}\n");
            let message = check(&text).unwrap_err().to_string();
            assert!(message.starts_with("/client.toml:4: "), "{message}");
            assert!(message.contains(told), "{message}");
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
    fn a_mistake_in_one_host_leaves_the_others_usable_and_is_not_worked_around() {
        let good = "[hosts.good]\naddress = \"192.0.2.1\"\nkey = \"k\"\n";
        let bad = "[hosts.bad]\naddress = \"192.0.2.2\"\nkey = \"k\"\n";
        for wrong in [
            "wait = 0",
            "wait = \"22\"",
            "ip = 5",
            "komand = \"x\"",
            "commands = [\"a\", 1]",
            "a.b = 1",
        ] {
            let text = format!("{bad}{wrong}\n{good}");
            let mut problems = Problems::default();
            let profiles = Profiles::check(&Source::new("/client.toml", text));
            let profiles = problems.good_of(profiles).unwrap();
            assert_eq!(problems.len(), 1, "{problems}");
            assert!(profiles.get("good").is_some() && profiles.get("bad").is_none(), "{wrong}");
            assert_eq!(profiles.namesake("BAD"), Some("bad".parse().unwrap()));
            for message in [
                profiles.known("bad").unwrap_err().to_string(),
                profiles.find("BAD").unwrap_err().to_string(),
            ] {
                assert!(
                    message.contains("the entry of host bad") && message.contains("is invalid"),
                    "{message}"
                );
            }
            assert_eq!(found(&profiles, "192.0.2.1"), "good");
        }
    }

    #[test]
    fn a_key_in_the_place_of_its_name_is_not_repeated() {
        for key in
            ["chacha20poly1305:AAEC", "chacha20poly1305:AA/EC", &generate_key().unwrap().to_text()]
        {
            let text = format!("[hosts.h]\naddress = \"a\"\nkey = \"{key}\"\n");
            let message = check(&text).unwrap_err().to_string();
            assert!(
                message.starts_with("/client.toml:3: `key`: this is a key, not the name of one"),
                "{message}"
            );
            assert!(message.contains("key import") && !message.contains(key), "{message}");
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
        assert!(several.starts_with("WORK matches more than one host: Work, work."), "{several}");
    }

    #[test]
    fn a_name_in_another_case_is_taken_and_a_mistake_beside_a_host_does_not_affect_it() {
        let profiles = at(&[("Web1", "192.0.2.1")]);
        assert_eq!(profiles.namesake("web1"), Some("Web1".parse().unwrap()));
        assert!(!profiles.has_entry("web1"));
        let text = "[hosts.home]\naddress = \"192.0.2.1\"\nkey = \"k\"\n[hosts.Home]\nkey = 1\n";
        let profiles = Profiles::check(&Source::new("/client.toml", text));
        let profiles = Problems::default().good_of(profiles).unwrap();
        assert_eq!(found(&profiles, "home"), "home");
        for invalid in ["Home", "HOME"] {
            assert!(matches!(profiles.find(invalid), Err(FindError::Invalid(_))), "{invalid}");
        }
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
            let message = profiles.find(asked).unwrap_err().to_string();
            assert!(message.contains(&format!("more than one host: {candidates}.")), "{message}");
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
        let message = |profiles: &Profiles, name| profiles.known(name).unwrap_err().to_string();
        assert_eq!(message(&profiles, "hoem"), "host hoem not found. Did you mean home?");
        assert!(message(&profiles, "office").contains("host list"));
        assert!(message(&Profiles::default(), "office").contains("ruroco-client join"));
    }
}
