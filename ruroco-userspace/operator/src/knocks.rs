//! The last knocks that were carried out, from the commander's audit trail.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, Read, Seek, SeekFrom},
    net::IpAddr,
    path::Path,
};

use anyhow::Context;
use ruroco_files::secure_file::open_regular;
use ruroco_ipc::{
    audit::{DOOR, ENDED, FILE, MAX_SIZE, OLD_FILE, REFUSED, RUNNING},
    door_event::Happened,
    lease::Answer,
};
use serde::{Deserialize, Serialize};

use super::refused::Refused;

/// A knock that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Knock {
    /// When its command was started.
    pub time: String,
    /// The key's name.
    pub key: String,
    /// The command's name.
    pub command: String,
    /// The address that the command ran for.
    pub ip: String,
    /// The knock's counter.
    pub counter: String,
    /// How the run has ended, if it has.
    pub result: Option<String>,
    /// How long it took, then.
    pub duration_ms: Option<u64>,
}

/// The facts from the audit trail that are shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// The last knocks, the latest first.
    pub knocks: Vec<Knock>,
    /// What the commander has refused since the earliest of them, the latest first.
    pub refused: Vec<Refused>,
    /// The number of knocks by result since the start of the commander, up to the last result.
    pub totals: BTreeMap<String, u64>,
}

/// A line of the trail; what else it has is not for us.
#[derive(Deserialize)]
struct Line {
    event: String,
    #[serde(default)]
    time: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    command: String,
    #[serde(default)]
    ip: String,
    #[serde(default)]
    door: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    counter: String,
    result: Option<String>,
    duration_ms: Option<u64>,
    totals: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    detail: String,
}

/// Reads the last `count` knocks from the trail in a directory. A trail that has not begun yet is empty.
///
/// # Errors
/// If it cannot be read.
pub fn read(dir: &Path, count: usize) -> anyhow::Result<Trail> {
    let mut reader = Reader { trail: Trail::default(), ends: HashMap::new(), count };
    for name in [FILE, OLD_FILE] {
        let path = dir.join(name);
        let text =
            read_file(&path).with_context(|| format!("could not read {}", path.display()))?;
        if reader.take(&text) {
            break;
        }
    }
    Ok(reader.trail)
}

/// Whether a line about a door shows that its key had a lease. The line of the knock may be gone, because connections write
/// lines, too.
fn shows_a_lease(action: &str) -> bool {
    let by_request = [Answer::Opened, Answer::Renewed].map(Answer::name);
    let by_itself = [Happened::Connected { new: 1 }, Happened::Expired].map(Happened::name);
    by_request.into_iter().chain(by_itself).any(|name| name == action)
}

/// The doors that a key has opened, and for which addresses, as far as the trail in a directory goes back.
///
/// # Errors
/// If it cannot be read.
pub fn opened_by(dir: &Path, key: &str) -> anyhow::Result<BTreeSet<(String, IpAddr)>> {
    let mut opened = BTreeSet::new();
    for name in [OLD_FILE, FILE] {
        let path = dir.join(name);
        let text =
            read_file(&path).with_context(|| format!("could not read {}", path.display()))?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let is_its =
            |line: &Line| line.event == DOOR && line.key == key && shows_a_lease(&line.action);
        // Of a lease for a network, the address of the network.
        let address = |text: &str| text.split('/').next()?.parse().ok();
        opened
            .extend(lines.filter(is_its).filter_map(|line| Some((line.door, address(&line.ip)?))));
    }
    Ok(opened)
}

/// Reads from the end.
struct Reader {
    trail: Trail,
    /// The ends met so far, by key and counter: each comes after its beginning.
    ends: HashMap<(String, String), Line>,
    count: usize,
}

impl Reader {
    /// Takes all lines that are needed; whether no more are.
    fn take(&mut self, text: &str) -> bool {
        for line in text.lines().rev() {
            if self.trail.knocks.len() >= self.count && !self.trail.totals.is_empty() {
                return true;
            }
            // A line may be on its way to the disk.
            let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
            if line.event == RUNNING {
                self.begins(line);
            } else if line.event == ENDED {
                self.ends(line);
            } else if line.event == REFUSED && self.trail.refused.len() < self.count {
                let Line { time, reason, detail, .. } = line;
                self.trail.refused.push(Refused::by_commander(time, reason, detail));
            }
        }
        false
    }

    fn begins(&mut self, line: Line) {
        if self.trail.knocks.len() >= self.count {
            return;
        }
        let Line { time, key, command, ip, counter, .. } = line;
        let name = (key, counter);
        let end = self.ends.remove(&name);
        let (key, counter) = name;
        let duration_ms = end.as_ref().and_then(|end| end.duration_ms);
        let result = end.and_then(|end| end.result);
        self.trail.knocks.push(Knock { time, key, command, ip, counter, result, duration_ms });
    }

    fn ends(&mut self, mut line: Line) {
        if self.trail.totals.is_empty() {
            self.trail.totals = line.totals.take().unwrap_or_default();
        }
        self.ends.insert((line.key.clone(), line.counter.clone()), line);
    }
}

/// The end of a file, which is the whole of it if the commander has kept to its size.
fn read_file(path: &Path) -> io::Result<String> {
    let mut file = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        opened => opened?,
    };
    file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(MAX_SIZE)))?;
    let mut bytes = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn running(counter: u32) -> String {
        format!(
            "{{\"time\":\"T\",\"event\":\"running\",\"key\":\"laptop\",\"command\":\"open\",\
             \"ip\":\"::1\",\"counter\":\"{counter}\"}}\n"
        )
    }

    fn ended(counter: u32, succeeded: u64) -> String {
        format!(
            "{{\"time\":\"T\",\"event\":\"ended\",\"key\":\"laptop\",\"command\":\"open\",\
             \"ip\":\"::1\",\"counter\":\"{counter}\",\"result\":\"exit:0\",\"duration_ms\":{counter},\
             \"totals\":{{\"succeeded\":{succeeded}}}}}\n"
        )
    }

    fn counters(trail: &Trail) -> Vec<&str> {
        trail.knocks.iter().map(|knock| knock.counter.as_str()).collect()
    }

    #[test]
    fn the_latest_knocks_come_first_each_with_its_own_end() {
        let dir = tempfile::tempdir().unwrap();
        let refused =
            "{\"time\":\"T\",\"event\":\"refused\",\"reason\":\"unknown_key\",\"detail\":\"D\"}\n";
        let old = [running(1), ended(1, 1), running(2)].concat();
        let new = [&ended(2, 2), refused, &running(3), &running(4), &ended(4, 3), "{\"ev"].concat();
        fs::write(dir.path().join(OLD_FILE), old).unwrap();
        fs::write(dir.path().join(FILE), new).unwrap();
        let trail = read(dir.path(), 3).unwrap();
        assert_eq!(counters(&trail), ["4", "3", "2"]);
        let results: Vec<_> = trail.knocks.iter().map(|knock| knock.duration_ms).collect();
        assert_eq!(results, [Some(4), None, Some(2)]);
        assert_eq!(trail.totals["succeeded"], 3);
        let by_commander = Refused::by_commander("T".into(), "unknown_key".into(), "D".into());
        assert_eq!(trail.refused, [by_commander]);
        assert_eq!(counters(&read(dir.path(), 100).unwrap()), ["4", "3", "2", "1"]);
        assert_eq!(read(dir.path(), 0).unwrap().totals["succeeded"], 3);
    }

    #[test]
    fn the_doors_that_a_key_has_opened_are_found_in_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let door = |key: &str, ip: &str, action: &str| {
            format!(
                "{{\"time\":\"T\",\"event\":\"door\",\"key\":\"{key}\",\"ip\":\"{ip}\",\"door\":\"ssh\",\
                 \"action\":\"{action}\"}}\n"
            )
        };
        let old = door("laptop", "192.0.2.1", "opened");
        let new = [
            door("laptop", "192.0.2.1", "renewed"),
            door("laptop", "2001:db8::1", "renewed"),
            door("laptop", "192.0.2.2", "not_opened"),
            door("laptop", "192.0.2.3", "closed"),
            door("laptop", "2001:db8:1::/64", "connected"),
            door("phone", "192.0.2.4", "opened"),
            running(1),
        ];
        fs::write(dir.path().join(OLD_FILE), old).unwrap();
        fs::write(dir.path().join(FILE), new.concat()).unwrap();
        let opened = opened_by(dir.path(), "laptop").unwrap();
        let opened: Vec<_> = opened.iter().map(|(door, ip)| format!("{door} {ip}")).collect();
        assert_eq!(opened, ["ssh 192.0.2.1", "ssh 2001:db8::1", "ssh 2001:db8:1::"]);
    }

    #[test]
    fn of_a_file_that_is_too_long_the_end_counts() {
        let dir = tempfile::tempdir().unwrap();
        let old = running(1).repeat(usize::try_from(MAX_SIZE).unwrap() / running(1).len() + 1);
        fs::write(dir.path().join(FILE), [old, running(2), running(3)].concat()).unwrap();
        assert_eq!(counters(&read(dir.path(), 2).unwrap()), ["3", "2"]);
    }

    #[test]
    fn no_trail_is_an_empty_one_and_an_unreadable_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&dir.path().join("none"), 5).unwrap(), Trail::default());
        fs::create_dir(dir.path().join(FILE)).unwrap();
        assert!(read(dir.path(), 5).is_err());
    }
}
