//! Importing from upstream ruroco's client: its window saves commands in `commands_list.toml`, one entry
//! for each button.
//!
//! ```toml
//! [[list]]
//! address = "203.0.113.5:80"
//! command = "open_ssh"
//! permissive = false
//! ip = "198.51.100.7"
//! ipv4 = false
//! ipv6 = false
//! ```
//!
//! An older format has a text for each entry: `list = ["send --address 203.0.113.5 --command
//! open_ssh"]`. The file contains no key. The client uses the `counter` file next to it in place, see
//! [`counter`](super::counter).

use std::{
    fmt, fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ruroco_files::{
    fields,
    toml_file::{
        Source,
        field::{Change::Reload, Default},
        table::Table,
        value::{self, Value},
    },
};
use ruroco_invite::destination::{DEFAULT_PORT, Destination, Family};
use ruroco_keys::{
    command_name::{self, DEFAULT_COMMAND},
    name::Name,
};
use ruroco_messages::problems::{Problem, Problems};

use super::{
    folder::Folder,
    key_store::KeyReference,
    profiles::{EditError, Host, Profiles},
};

/// Name of the file in the client's folder. Both clients use the same folder.
pub const FILE: &str = "commands_list.toml";

/// Longest file in bytes; an entry has about 200.
const MAX_SIZE: u64 = 4 << 20;

/// The entries of such a file, in its order.
#[derive(Debug)]
pub struct CommandsList {
    /// The entries that can be imported.
    pub entries: Vec<Entry>,
    /// The entries that cannot be imported.
    pub rejected: Vec<Rejected>,
}

/// A command, and the address and options to request it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    address: Destination,
    command: String,
    permissive: bool,
    ip: Option<IpAddr>,
    family: Family,
}

/// An entry that cannot be imported. The message does not repeat unknown fields, which may contain a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its position in the file, counted from 1.
    pub number: usize,
    /// The reason.
    pub why: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.number, self.why)
    }
}

/// The file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system reported an error.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// The file is too long.
    #[error("{0} is longer than {MAX_SIZE} bytes, so it is not a list of commands")]
    TooLong(PathBuf),
    /// The file is not such a list.
    #[error("{0}. Expected a list of commands in the format of upstream ruroco")]
    Content(Problem),
}

fields! {
    /// The fields of the file.
    file_fields;

    /// The entries.
    LIST: Vec<Listed> = "list", Default::Value(Vec::new), Reload;
}

fields! {
    /// The fields of an entry.
    entry_fields;

    /// The address that knocks are sent to.
    ADDRESS: String = "address", Default::Required, Reload;

    /// The command.
    COMMAND: String = "command", Default::Nothing("`default`"), Reload;

    /// Whether `ip` may differ from the address that the host sees.
    PERMISSIVE: bool = "permissive", Default::Value(|| false), Reload;

    /// The address that the command runs for; an empty text stands for no address.
    IP: String = "ip", Default::Nothing("the address that the knock comes from"), Reload;

    /// Whether only IPv4 is used.
    IPV4: bool = "ipv4", Default::Value(|| false), Reload;

    /// Whether only IPv6 is used.
    IPV6: bool = "ipv6", Default::Value(|| false), Reload;
}

/// What the list contains: an entry, or something that cannot be imported, and why.
struct Listed(Result<Entry, String>);

impl Value for Listed {
    fn kind() -> String {
        "entry".to_owned()
    }

    fn read(item: &value::Item<'_>, _problems: &mut Problems) -> Option<Self> {
        let raw = match (item.text(), item.table()) {
            (Some(line), _) => RawEntry::of_line(line),
            (None, Some(table)) => RawEntry::of_table(table),
            (None, None) => Err("not a table with an address and a command".to_owned()),
        };
        Some(Self(raw.and_then(Entry::of)))
    }

    fn show(&self) -> String {
        String::new()
    }
}

#[derive(Default)]
struct RawEntry {
    address: String,
    command: Option<String>,
    permissive: bool,
    ip: Option<String>,
    ipv4: bool,
    ipv6: bool,
}

impl CommandsList {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let failed = |error| ReadError::Unreadable(path.to_owned(), error);
        if fs::metadata(path).map_err(failed)?.len() > MAX_SIZE {
            return Err(ReadError::TooLong(path.to_owned()));
        }
        Self::parse(path, &fs::read_to_string(path).map_err(failed)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ReadError> {
        let (file, mut problems) = (Source::new(path, text), Problems::default());
        let listed = Table::of_file(&file, &mut problems).and_then(|mut top| {
            let listed = top.take_or_default(&LIST, &mut problems);
            top.reject_unknown(&file_fields(), &[], &mut problems);
            listed
        });
        if let Some(problem) = problems.into_iter().next() {
            return Err(ReadError::Content(problem));
        }
        let (mut entries, mut rejected) = (Vec::new(), Vec::new());
        let listed = listed.map(|list| list.value).unwrap_or_default();
        for (place, Listed(entry)) in listed.into_iter().enumerate() {
            match entry {
                Ok(entry) => entries.push(entry),
                Err(why) => rejected.push(Rejected { number: place.saturating_add(1), why }),
            }
        }
        Ok(Self { entries, rejected })
    }
}

impl Entry {
    fn of(raw: RawEntry) -> Result<Self, String> {
        let RawEntry { address, command, permissive, ip, ipv4, ipv6 } = raw;
        let ip = ip.filter(|ip| !ip.is_empty());
        let ip = ip.map(|ip| ip.parse().map_err(|_| format!("`ip`: {ip:?} is not an IP address")));
        Ok(Self {
            address: address.parse().map_err(|error| format!("`address`: {error}"))?,
            command: command_name::check(command.unwrap_or_else(|| DEFAULT_COMMAND.to_owned()))
                .map_err(|error| format!("`command`: {error}"))?,
            permissive,
            ip: ip.transpose()?,
            // In upstream ruroco, both flags together mean the same as neither.
            family: match (ipv4, ipv6) {
                (true, false) => Family::V4,
                (false, true) => Family::V6,
                _ => Family::Any,
            },
        })
    }

    /// Whether the host has the address and options of this entry.
    fn is_for(&self, host: &Host, key: &KeyReference) -> bool {
        let Self { address, command: _, permissive, ip, family } = self;
        (&host.address, host.permissive, host.ip, host.family, &host.key)
            == (address, *permissive, *ip, *family, key)
            && !host.all_addresses
    }
}

impl RawEntry {
    /// Reads the format of upstream's window. Reports the first of several mistakes.
    fn of_table(mut table: Table<'_>) -> Result<Self, String> {
        let mut problems = Problems::default();
        let [address, command, ip] =
            [&ADDRESS, &COMMAND, &IP].map(|field| table.take(field, &mut problems));
        let [permissive, ipv4, ipv6] = [&PERMISSIVE, &IPV4, &IPV6].map(|field| {
            table.take_or_default(field, &mut problems).is_some_and(|flag| flag.value)
        });
        table.reject_unknown(&entry_fields(), &[], &mut problems);
        if let Some(problem) = problems.iter().next() {
            return Err(problem.message().to_owned());
        }
        let [address, command, ip] =
            [address, command, ip].map(|text| text.ok().map(|text| text.value));
        let address = address.ok_or("`address` is missing")?;
        Ok(Self { address, command, permissive, ip, ipv4, ipv6 })
    }

    /// Parses the older format: the command line of upstream's `send`.
    fn of_line(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let mut raw = Self::default();
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().map(str::to_owned);
                value.ok_or_else(|| format!("`{word}` has no value"))
            };
            match word {
                "send" => {}
                "--address" => raw.address = value()?,
                "--command" => raw.command = Some(value()?),
                "--ip" => raw.ip = Some(value()?),
                "--permissive" => raw.permissive = true,
                "--ipv4" => raw.ipv4 = true,
                "--ipv6" => raw.ipv6 = true,
                // Not repeated, because it may be a key: an older version had an option for it.
                _ => return Err("contains an unknown option".to_owned()),
            }
        }
        if raw.address.is_empty() {
            return Err("`--address` is missing".to_owned());
        }
        Ok(raw)
    }
}

/// The result of an import.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Hosts that were added.
    pub added: Vec<Name>,
    /// Existing hosts to which commands were added.
    pub extended: Vec<Name>,
    /// The number of entries that had already been imported.
    pub unchanged: usize,
}

/// The import failed. Hosts that were already added stay; another import continues after them.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// `client.toml` is invalid.
    #[error("{0}")]
    Profiles(Problems),
    /// `client.toml` cannot be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// Adds hosts with this key. Entries with the same address and options become one host with all their
/// commands.
///
/// # Errors
/// [`ImportError`].
pub fn import(
    folder: &Folder,
    entries: &[Entry],
    key: &KeyReference,
) -> Result<Imported, ImportError> {
    let file = folder.profiles();
    let mut imported = Imported::default();
    for entry in entries {
        let mut problems = Problems::default();
        let profiles = problems.good_of(file.read());
        let Some(profiles) = profiles else { return Err(ImportError::Profiles(problems)) };
        let known = profiles.iter().find(|(_, host)| entry.is_for(host, key));
        match known {
            None => {
                let name = free_name(&entry.address, &profiles);
                let host = Host {
                    family: entry.family,
                    ip: entry.ip,
                    permissive: entry.permissive,
                    ..Host::new(entry.address.clone(), key.clone())
                        .with_commands([entry.command.clone()])
                };
                file.add(&name, &host)?;
                imported.added.push(name);
            }
            Some((_, host)) if host.all_commands().any(|known| known == entry.command) => {
                imported.unchanged = imported.unchanged.saturating_add(1);
            }
            Some((name, host)) => {
                let mut host = host.clone();
                host.commands.push(entry.command.clone());
                file.replace(name, &host)?;
                if !imported.added.contains(name) && !imported.extended.contains(name) {
                    imported.extended.push(name.clone());
                }
            }
        }
    }
    Ok(imported)
}

/// A name that contains the address and that no other host has.
fn free_name(address: &Destination, profiles: &Profiles) -> Name {
    let host = address.host();
    let port = match address.port() {
        DEFAULT_PORT => String::new(),
        port => format!("-{port}"),
    };
    let stem = Name::like(&format!("{host}{port}"), "host");
    let numbered = (2..).map(|number| stem.numbered(number));
    let mut names = std::iter::once(stem.clone()).chain(numbered);
    names.find(|name| profiles.namesake(name.as_str()).is_none()).unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> CommandsList {
        CommandsList::parse(Path::new("/commands_list.toml"), text).unwrap()
    }

    fn import_all(folder: &Folder, text: &str) -> Imported {
        import(folder, &list(text).entries, &"home".parse().unwrap()).unwrap()
    }

    /// As upstream's window writes it.
    const TABLES: &str = "\
        [[list]]\naddress = \"host.example:8080\"\ncommand = \"close\"\npermissive = false\n\
        ip = \"\"\nipv4 = false\nipv6 = false\n\n\
        [[list]]\naddress = \"[2001:db8::1]:80\"\ncommand = \"open\"\npermissive = true\n\
        ip = \"198.51.100.7\"\nipv4 = false\nipv6 = true\n\n\
        [[list]]\naddress = \"host.example:8080\"\ncommand = \"open\"\npermissive = false\n\
        ip = \"\"\nipv4 = false\nipv6 = false\n";

    #[test]
    fn entries_with_the_same_address_and_options_are_one_host() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path());
        let imported = import_all(&folder, TABLES);
        let names: Vec<&str> = imported.added.iter().map(Name::as_str).collect();
        assert_eq!(names, ["host.example-8080", "2001-db8--1"]);
        let profiles = folder.profiles().read().or_problems().unwrap();
        let host = profiles.get("host.example-8080").unwrap();
        assert_eq!(host.all_commands().collect::<Vec<_>>(), ["close", "open"]);
        assert_eq!((host.ip, host.permissive, host.family), (None, false, Family::Any));
        let other = profiles.get("2001-db8--1").unwrap();
        assert_eq!(other.ip, Some("198.51.100.7".parse().unwrap()));
        assert_eq!((other.permissive, other.family), (true, Family::V6));
        assert_eq!(import_all(&folder, TABLES), Imported { unchanged: 3, ..Imported::default() });
    }

    #[test]
    fn the_older_form_says_the_same() {
        let lines = "list = [\n  \"send --address host.example:8080 --command close\",\n  \
                     \"send --address [2001:db8::1]:80 --command open --ip 198.51.100.7 --ipv6 \
                     --permissive\",\n  \"send --address host.example:8080 --command open\",\n]\n";
        let (older, newer) = (list(lines), list(TABLES));
        assert_eq!(older.entries, newer.entries);
        assert!(older.rejected.is_empty() && newer.rejected.is_empty());
    }

    #[test]
    fn the_same_address_with_other_options_is_another_host() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path());
        let lines = "list = [\"send --address a\", \"send --address a --ipv4\", \
                     \"send --address a --command x\"]";
        let names = import_all(&folder, lines).added;
        assert_eq!(names.iter().map(Name::as_str).collect::<Vec<_>>(), ["a", "a-2"]);
        let more = import_all(&folder, "list = [\"send --address a --command y\"]");
        assert_eq!(more.extended.iter().map(Name::as_str).collect::<Vec<_>>(), ["a"]);
        let profiles = folder.profiles().read().or_problems().unwrap();
        let commands: Vec<_> = profiles.get("a").unwrap().all_commands().collect();
        assert_eq!(commands, ["default", "x", "y"]);
    }

    #[test]
    fn hosts_with_one_very_long_name_are_taken_over_with_names_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path());
        let host = "a".repeat(204);
        let lines = ["", " --ipv4", " --ipv6"]
            .map(|option| format!("\"send --address {host}{option}\""))
            .join(", ");
        assert_eq!(import_all(&folder, &format!("list = [{lines}]")).added.len(), 3);
    }

    #[test]
    fn what_cannot_be_taken_over_is_told_and_hides_nothing() {
        let secret = "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
        let lines = format!(
            "list = [\"send --address a --key {secret}\", \"send --command x\", \"send --address\", \
             \"send --address b\", 5, \"send --address a:0\", \"send --address a --ip x\", \
             \"send --address a --command \\u001b[2J\", \"send --address a\\u001b]0;x\", \
             {{ \"\\u001bx\" = 1 }}]"
        );
        let list = list(&lines);
        assert_eq!(list.entries.len(), 1);
        let numbers: Vec<_> = list.rejected.iter().map(|rejected| rejected.number).collect();
        assert_eq!(numbers, [1, 2, 3, 5, 6, 7, 8, 9, 10]);
        let rejected: Vec<String> = list.rejected.iter().map(ToString::to_string).collect();
        assert!(!rejected.concat().contains(secret), "{rejected:?}");
        assert!(!rejected.concat().contains(char::is_control), "{rejected:?}");
        let unlike = CommandsList::parse(Path::new("/c.toml"), "list = []\nlist2 = 1\n");
        assert!(unlike.unwrap_err().to_string().starts_with("/c.toml:2: "));
    }
}
