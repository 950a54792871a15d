//! The leases of all clients in one folder, in `leases.json`. With it `ruroco-client proxy` and `open` learn that
//! an earlier knock still opens the port, and need not knock again.
//!
//! Nothing depends on the file: what it does not say costs one knock. So it is not locked, a damaged file is empty,
//! and an error while writing is ignored. Clients trust it as little as a promise: they knock if the connection
//! that a lease should admit does not succeed.

use std::{
    fs,
    net::SocketAddr,
    num::NonZero,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ruroco_files::durable;
use serde::{Deserialize, Serialize};

use super::Lease;
use crate::{attempt::Observation, profiles::Host};

/// Longest file in bytes that is read.
const MAX_SIZE: u64 = 1 << 20;

/// The file.
#[derive(Clone, Debug)]
pub struct LeaseFile(PathBuf);

/// A lease that opened a TCP port.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    host: String,
    /// The address in `client.toml`, so that a changed entry has no leases.
    address: String,
    door: String,
    /// The port that was open.
    at: SocketAddr,
    /// Its end, in seconds since the epoch.
    until: u64,
}

impl LeaseFile {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self(folder.join("leases.json"))
    }

    /// The leases after a knock for this command of a host of `client.toml` that was sent at this time. Saves those
    /// that a further connection can use, and forgets what the command closes.
    pub fn note(
        &self,
        name: &str,
        host: &Host,
        command: &str,
        sent: SystemTime,
        observation: &Observation,
    ) -> Vec<Lease> {
        let leases = Lease::of(host, command, sent, observation);
        let closed: Vec<String> =
            host.closed_by(command).map(|(door, _)| door.to_string()).collect();
        if leases.is_empty() && closed.is_empty() {
            return leases;
        }
        let new = leases.iter().filter_map(|lease| {
            let Observation::Opened { at, .. } = observation else { return None };
            lease.port.tcp()?;
            let (host, address, door) =
                (name.to_owned(), host.address.to_string(), lease.door.to_string());
            Some(Entry { host, address, door, at: *at, until: seconds(lease.until) })
        });
        let new: Vec<Entry> = new.collect();
        let mut entries = self.read();
        let now = seconds(sent);
        entries.retain(|old| {
            let is_same = |entry: &Entry| entry.host == old.host && entry.door == old.door;
            let is_closed = old.host == name && closed.contains(&old.door);
            old.until > now && !is_closed && !new.iter().any(is_same)
        });
        entries.extend(new);
        let _ = serde_json::to_vec(&entries).map(|text| durable::replace(&self.0, &text));
        leases
    }

    /// A lease that admits a new connection to this port, and where it was seen open.
    pub fn usable(
        &self,
        name: &str,
        host: &Host,
        command: &str,
        port: NonZero<u16>,
        now: SystemTime,
    ) -> Option<(SocketAddr, Lease)> {
        // Then the command runs for another address than this computer's.
        if host.ip.is_some() {
            return None;
        }
        let address = host.address.to_string();
        let entries = self.read().into_iter();
        let entries = entries.filter(|entry| {
            entry.host == name && entry.address == address && entry.at.port() == port.get()
        });
        let lease = |entry: Entry| {
            let mut doors = host.opened_by(command);
            let (name, door) = doors.find(|(name, _)| name.to_string() == entry.door)?;
            let until = UNIX_EPOCH.checked_add(Duration::from_secs(entry.until))?;
            let (door, port, duration) = (*name, door.port, door.duration);
            let lease = Lease { door, port, duration, until, is_seen: true };
            lease.is_enough(now).then_some((entry.at, lease))
        };
        entries.filter_map(lease).next()
    }

    fn read(&self) -> Vec<Entry> {
        let is_small = fs::metadata(&self.0).is_ok_and(|file| file.len() <= MAX_SIZE);
        let text = is_small.then(|| fs::read(&self.0).ok()).flatten();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }
}

/// Whole seconds since the epoch, rounded down: no lease ends later than the host's.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::tests::host;
    use std::net::{TcpListener, TcpStream};

    const SSH: NonZero<u16> = NonZero::new(22).unwrap();

    fn opened(at: SocketAddr) -> Observation {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Observation::Opened { at, after: Duration::ZERO, was_open: false, connection }
    }

    #[test]
    fn a_lease_is_usable_until_shortly_before_its_end_and_only_for_what_it_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = LeaseFile::in_folder(folder.path());
        let (host, sent) = (host(), SystemTime::now());
        let at: SocketAddr = "203.0.113.5:22".parse().unwrap();
        let usable = |name, host: &Host, command, port, after| {
            let now = sent + Duration::from_secs(after);
            file.usable(name, host, command, port, now).map(|(at, _)| at)
        };
        assert_eq!(usable("home", &host, "open", SSH, 0), None);
        file.note("home", &host, "open", sent, &opened(at));
        assert_eq!(usable("home", &host, "open", SSH, 20), Some(at));
        assert_eq!(usable("home", &host, "open", SSH, 26), None);
        assert_eq!(usable("office", &host, "open", SSH, 0), None);
        assert_eq!(usable("home", &host, "close", SSH, 0), None);
        assert_eq!(usable("home", &host, "open", NonZero::new(23).unwrap(), 0), None);
        let moved = Host { address: "203.0.113.6".parse().unwrap(), ..host.clone() };
        assert_eq!(usable("home", &moved, "open", SSH, 0), None);
        let for_another = Host { ip: Some([192, 0, 2, 1].into()), ..host.clone() };
        assert_eq!(usable("home", &for_another, "open", SSH, 0), None);
        // Another host's knock leaves it; a renewal extends it; the closing command ends it.
        file.note("office", &host, "close", sent, &Observation::NotChecked);
        file.note("home", &host, "open", sent + Duration::from_secs(20), &opened(at));
        assert_eq!(usable("home", &host, "open", SSH, 40), Some(at));
        assert_eq!(file.read().len(), 1);
        file.note("home", &host, "close", sent, &Observation::NotChecked);
        assert_eq!(usable("home", &host, "open", SSH, 20), None);
    }

    #[test]
    fn a_damaged_file_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = LeaseFile::in_folder(folder.path());
        fs::write(folder.path().join("leases.json"), "[{\"host\": 5}").unwrap();
        let at: SocketAddr = "203.0.113.5:22".parse().unwrap();
        file.note("home", &host(), "open", SystemTime::now(), &opened(at));
        assert_eq!(file.read().len(), 1);
    }
}
