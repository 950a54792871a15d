//! Reading and changing `client.toml`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ruroco_files::{durable, instance, toml_file::Source};
use ruroco_keys::name::Name;
use ruroco_messages::problems::{Checked, Problems};
use toml_edit::{DocumentMut, Item, Table};

use super::{Host, Profiles, UnknownHost, fields::HOSTS, writing::write_host};
use crate::{CHANGES_LOCK, private_folder};

/// `client.toml` of a client's folder.
#[derive(Clone, Debug)]
pub struct ProfilesFile {
    path: PathBuf,
    lock: PathBuf,
}

/// Why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file cannot be read, or the change would make it invalid.
    #[error("{0}")]
    Invalid(Problems),
    /// A host of this name already exists.
    #[error(
        "host {0} already exists. Choose another name, or first run `ruroco-client host remove {0}`"
    )]
    Exists(Name),
    /// The name of one host is the address of another.
    #[error(
        "host {name} was not saved: its name is the address of host {other}, or the reverse, so ssh could \
         reach the wrong host. Choose another name"
    )]
    Confusable {
        /// The host that was not written.
        name: Name,
        /// The host in the file.
        other: Name,
    },
    /// The host does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownHost),
    /// Another process holds the lock for too long, or the file cannot be locked.
    #[error(transparent)]
    Lock(#[from] instance::Error),
    /// The new file cannot be written. The old one was not changed.
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, io::Error),
}

/// The entry that a host is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    /// A new entry.
    New,
    /// The entry of this name.
    Of(&'a Name),
}

impl ProfilesFile {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("client.toml"), lock: folder.join(CHANGES_LOCK) }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the hosts. A missing file contains none.
    pub fn read(&self) -> Checked<Profiles> {
        let mut problems = Problems::default();
        match problems.good(self.source()) {
            Some(source) => Profiles::check(&source),
            None => problems.of_nothing(),
        }
    }

    /// Adds a host.
    ///
    /// # Errors
    /// [`EditError`]; the file was not changed.
    pub fn add(&self, name: &Name, host: &Host) -> Result<(), EditError> {
        self.add_in(&self.lock()?, name, host)
    }

    /// The same while the caller holds the lock.
    pub(crate) fn add_in(
        &self,
        lock: &instance::Lock,
        name: &Name,
        host: &Host,
    ) -> Result<(), EditError> {
        self.put(lock, name, host, Place::New)
    }

    /// Locks hosts and keys until the lock is dropped. Waits until no other process holds the lock.
    ///
    /// # Errors
    /// If the folder cannot be created, or [`EditError::Lock`].
    pub(crate) fn lock(&self) -> Result<instance::Lock, EditError> {
        if let Some(folder) = self.path.parent() {
            let failed = |error| EditError::Write(self.path.clone(), error);
            private_folder::make(folder).map_err(failed)?;
        }
        Ok(instance::Lock::take(&self.lock)?)
    }

    /// Changes a host.
    ///
    /// # Errors
    /// [`EditError`]; the file was not changed.
    pub fn replace(&self, name: &Name, host: &Host) -> Result<(), EditError> {
        self.rename(name, name, host)
    }

    /// The same while the caller holds the lock.
    pub(crate) fn replace_in(
        &self,
        lock: &instance::Lock,
        name: &Name,
        host: &Host,
    ) -> Result<(), EditError> {
        self.put(lock, name, host, Place::Of(name))
    }

    /// Changes a host and its name at once.
    ///
    /// # Errors
    /// [`EditError`]; the file was not changed.
    pub fn rename(&self, old: &Name, new: &Name, host: &Host) -> Result<(), EditError> {
        self.put(&self.lock()?, new, host, Place::Of(old))
    }

    /// Removes an entry. Neither the entry nor its name needs to be valid.
    ///
    /// # Errors
    /// [`EditError`]; the file was not changed.
    pub fn remove(&self, name: &str) -> Result<(), EditError> {
        self.edit(&self.lock()?, |profiles, document| {
            if !profiles.has_entry(name) {
                profiles.known(name)?;
            }
            if let Some(hosts) = document.get_mut(HOSTS).and_then(Item::as_table_like_mut) {
                hosts.remove(name);
            }
            Ok(())
        })
    }

    fn put(
        &self,
        lock: &instance::Lock,
        name: &Name,
        host: &Host,
        place: Place<'_>,
    ) -> Result<(), EditError> {
        self.edit(lock, |mut profiles, document| {
            if let Place::Of(old) = place {
                profiles.known(old.as_str())?;
                profiles.forget(old);
            }
            if let Some(namesake) = profiles.namesake(name.as_str()) {
                return Err(EditError::Exists(namesake));
            }
            if let Some(other) = profiles.confusable_with(name, host) {
                return Err(EditError::Confusable { name: name.clone(), other: other.clone() });
            }
            let hosts = document.entry(HOSTS).or_insert_with(|| {
                let mut hosts = Table::new();
                // [hosts.home] needs no line [hosts] above it.
                hosts.set_implicit(true);
                Item::Table(hosts)
            });
            let hosts = hosts.as_table_like_mut().ok_or_else(|| self.no_table(HOSTS))?;
            if let Place::Of(old) = place
                && old != name
                && let Some(table) = hosts.remove(old.as_str())
            {
                hosts.insert(name.as_str(), table);
            }
            let table = hosts.entry(name.as_str()).or_insert_with(|| Item::Table(Table::new()));
            let table = table.as_table_like_mut().ok_or_else(|| self.no_table(name.as_str()))?;
            write_host(table, host);
            Ok(())
        })
    }

    /// Reads the file, changes it and replaces it. Invalid entries are not changed, and a change that
    /// would add an error is not written.
    fn edit(
        &self,
        _lock: &instance::Lock,
        change: impl FnOnce(Profiles, &mut DocumentMut) -> Result<(), EditError>,
    ) -> Result<(), EditError> {
        let failed = |error| EditError::Write(self.path.clone(), error);
        let source =
            self.source().map_err(|problem| EditError::Invalid(Problems::from(problem)))?;
        let mut known = Problems::default();
        let profiles = known.good_of(Profiles::check(&source));
        let Some(profiles) = profiles else { return Err(EditError::Invalid(known.sorted())) };
        let unlike = |error| failed(io::Error::new(io::ErrorKind::InvalidData, error));
        let mut document: DocumentMut = source.text().parse().map_err(unlike)?;
        change(profiles, &mut document)?;
        let text = document.to_string();
        let mut left = Problems::default();
        let changed = left.good_of(Profiles::check(&Source::new(&self.path, text.as_str())));
        if changed.is_none() || left.len() > known.len() {
            return Err(EditError::Invalid(left.sorted()));
        }
        // If the path is a link, the file it points to is replaced, and the link stays.
        let place = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        durable::replace(&place, source.with_its_line_ends(&text).as_bytes()).map_err(failed)
    }

    fn no_table(&self, name: &str) -> EditError {
        let error = format!("`{name}` is not a table");
        EditError::Write(self.path.clone(), io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn source(&self) -> Result<Source, ruroco_messages::problems::Problem> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Source::new(&self.path, ""))
            }
            _ => Ok(Source::read_own(&self.path)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_invite::{
        destination::Family,
        door::{Door, Doors},
    };

    const COMMENTED: &str =
        "# mine\n[hosts.a] # first\naddress = \"192.0.2.1:80\" # the old one\nkey = \"k\"\n";

    fn file(text: &str) -> (tempfile::TempDir, ProfilesFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = ProfilesFile::in_folder(folder.path());
        if !text.is_empty() {
            fs::write(file.path(), text).unwrap();
        }
        (folder, file)
    }

    fn named(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn host() -> Host {
        Host::new("192.0.2.1:80".parse().unwrap(), "k".parse().unwrap())
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let (_folder, file) = file("");
        assert!(file.read().or_problems().unwrap().is_empty());
        let all = Host {
            family: Family::V6,
            all_addresses: true,
            wait: std::num::NonZero::new(22),
            doors: doors(),
            connect: Some("ssh 'my host'".to_owned()),
            ip: Some("2001:db8::1".parse().unwrap()),
            permissive: true,
            confirm: vec!["close \"x\"".to_owned()],
            ..host().with_commands(["open".to_owned(), "close \"x\"".to_owned()])
        };
        let one = Host { command: "open".to_owned(), ..host() };
        for (name, host) in [("all", &all), ("one", &one), ("least.of all", &host())] {
            let name = name.replace(' ', "-");
            file.add(&named(&name), host).unwrap();
            assert_eq!(file.read().or_problems().unwrap().get(&name), Some(host));
        }
        assert!(matches!(file.add(&named("one"), &one), Err(EditError::Exists(_))));
        file.replace(&named("one"), &all).unwrap();
        assert_eq!(file.read().or_problems().unwrap().get("one"), Some(&all));
        file.remove("all").unwrap();
        assert!(matches!(file.remove("all"), Err(EditError::Unknown(_))));
    }

    fn doors() -> Doors {
        let name = |name| ruroco_common::doors::DoorName::new(name).unwrap();
        let door = |port: &str, seconds| {
            Door::new(port.parse().unwrap(), std::time::Duration::from_secs(seconds))
        };
        let open = vec!["open".to_owned(), "close \"x\"".to_owned()];
        let ssh = Door { open, close: vec!["close \"x\"".to_owned()], ..door("tcp/22", 30) };
        Doors::from([(name("ssh"), ssh), (name("vpn"), door("udp/51820", 86_400))])
    }

    #[test]
    fn doors_are_written_as_tables_and_what_is_not_changed_of_them_stays() {
        let (_folder, file) = file("");
        file.add(&named("a"), &Host { doors: doors(), ..host() }).unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        let ssh = "\n[hosts.a.doors.ssh]\nport = \"tcp/22\"\nfor = \"30s\"\nopen = [\"open\", ";
        assert!(text.contains(ssh) && !text.contains("[hosts.a.doors]\n"), "{text}");
        fs::write(file.path(), text.replace("\"30s\"", "\"30s\" # short")).unwrap();
        let mut one = doors();
        one.retain(|name, _| name.to_string() == "ssh");
        file.replace(&named("a"), &Host { doors: one.clone(), ..host() }).unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("\"30s\" # short") && !text.contains("vpn"), "{text}");
        assert_eq!(file.read().or_problems().unwrap().get("a").unwrap().doors, one);
        file.replace(&named("a"), &host()).unwrap();
        assert!(!fs::read_to_string(file.path()).unwrap().contains("doors"));
    }

    #[test]
    fn what_is_not_changed_stays_as_it_was_written() {
        let (_folder, file) = file(COMMENTED);
        file.add(&named("b"), &host()).unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.starts_with(COMMENTED), "{text}");
        assert!(text.ends_with("\n[hosts.b]\naddress = \"192.0.2.1:80\"\nkey = \"k\"\n"), "{text}");
        file.replace(&named("a"), &Host { command: "x".to_owned(), ..host() }).unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("# the old one") && text.contains("command = \"x\""), "{text}");
    }

    #[test]
    fn lines_end_as_they_did() {
        let (_folder, file) = file(&COMMENTED.replace('\n', "\r\n"));
        file.add(&named("b"), &host()).unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("[hosts.b]\r\n"), "{text:?}");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "{text:?}");
        file.remove("b").unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), COMMENTED.replace('\n', "\r\n"));
    }

    #[test]
    fn a_host_by_another_name_stays_where_it_was() {
        let (_folder, file) = file(COMMENTED);
        file.add(&named("b"), &host()).unwrap();
        let changed = Host { wait: std::num::NonZero::new(22), ..host() };
        file.rename(&named("a"), &named("192.0.2.1"), &changed).unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.starts_with("# mine\n[hosts.\"192.0.2.1\"] # first\n"), "{text}");
        assert!(text.contains("# the old one\nkey = \"k\"\nwait = 22\n\n[hosts.b]"), "{text}");
        let taken = file.rename(&named("192.0.2.1"), &named("b"), &host());
        assert!(matches!(taken, Err(EditError::Exists(_))), "{taken:?}");
        let unknown = file.rename(&named("a"), &named("c"), &host());
        assert!(matches!(unknown, Err(EditError::Unknown(_))), "{unknown:?}");
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
    }

    #[test]
    fn no_name_is_the_address_of_another_host() {
        let (_folder, file) = file(COMMENTED);
        let at = |address: &str| Host::new(address.parse().unwrap(), "k".parse().unwrap());
        for (name, host) in [("192.0.2.1", at("192.0.2.66")), ("b", at("A")), ("b", at("a:81"))] {
            let added = file.add(&named(name), &host);
            assert!(matches!(added, Err(EditError::Confusable { .. })), "{name}: {added:?}");
        }
        assert_eq!(fs::read_to_string(file.path()).unwrap(), COMMENTED);
        file.add(&named("b"), &at("192.0.2.2")).unwrap();
        let changed = file.replace(&named("b"), &at("a"));
        assert!(matches!(changed, Err(EditError::Confusable { .. })), "{changed:?}");
        // A host whose name is its own address is not ambiguous.
        file.add(&named("192.0.2.1"), &at("192.0.2.1")).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_is_kept_somewhere_else_is_changed_there() {
        let (folder, file) = file("");
        let elsewhere = folder.path().join("dotfiles.toml");
        fs::write(&elsewhere, COMMENTED).unwrap();
        std::os::unix::fs::symlink(&elsewhere, file.path()).unwrap();
        file.add(&named("b"), &host()).unwrap();
        assert!(fs::symlink_metadata(file.path()).unwrap().is_symlink());
        assert!(fs::read_to_string(&elsewhere).unwrap().contains("[hosts.b]"));
    }

    #[test]
    fn an_entry_with_a_mistake_stays_as_it_is_while_others_change() {
        let bad = "[hosts.bad] # soon\naddress = \"192.0.2.9\"\nkomand = 'x' # ?\nwait = 0\n";
        let (_folder, file) = file(&format!("{COMMENTED}{bad}"));
        let text = || fs::read_to_string(file.path()).unwrap();
        file.add(&named("b"), &host()).unwrap();
        file.replace(&named("a"), &Host { command: "x".to_owned(), ..host() }).unwrap();
        file.rename(&named("a"), &named("c"), &host()).unwrap();
        assert!(text().contains(bad) && text().contains("[hosts.c] # first"), "{}", text());
        let before = text();
        let taken = file.add(&named("bad"), &host());
        assert!(matches!(taken, Err(EditError::Exists(_))), "{taken:?}");
        let replaced = file.replace(&named("bad"), &host()).unwrap_err().to_string();
        assert!(replaced.contains("host bad in client.toml is invalid"), "{replaced}");
        assert_eq!(text(), before);
        file.remove("bad").unwrap();
        assert!(!text().contains("bad") && file.read().or_problems().is_ok(), "{}", text());
    }

    #[test]
    fn a_file_that_is_no_toml_is_left_alone() {
        let text = format!("{COMMENTED}wait = \n");
        let (_folder, file) = file(&text);
        assert!(matches!(file.add(&named("b"), &host()), Err(EditError::Invalid(_))));
        assert!(matches!(file.remove("a"), Err(EditError::Invalid(_))));
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
    }

    #[test]
    fn nothing_is_added_where_no_host_can_be() {
        for text in ["hosts = 5\n", "[[hosts]]\na = 1\n"] {
            let (_folder, file) = file(text);
            assert!(file.add(&named("b"), &host()).is_err(), "{text}");
            assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
        }
    }
}
