//! Rejected knocks of known keys, as server and commander have recorded them for their operator.
//!
//! The server's [file](ruroco_ipc::refusal_record) belongs to the server's user, and this program runs as
//! root: it neither follows a link nor waits for a pipe in its place, and reads only records.

use std::{
    cmp::Reverse,
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use ruroco_config::Config;
use ruroco_gate::status::KeyStatus;
use ruroco_ipc::refusal_record::{FILE, FILE_SIZE, Record, SIZE};
use serde::Serialize;

/// A refused knock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// When.
    pub time: String,
    /// Which of our programs refused it.
    pub by: &'static str,
    /// The key's name, or its id if the gate does not know it. The commander says it in `detail`.
    pub key: Option<String>,
    /// The name of the refusal.
    pub reason: String,
    /// Where the knock came from.
    pub ip: Option<String>,
    /// More about it.
    pub detail: Option<String>,
}

impl Refused {
    /// As the commander's audit trail has it.
    pub(super) fn by_commander(time: String, reason: String, detail: String) -> Self {
        let detail = Some(detail).filter(|detail| !detail.is_empty());
        Self { time, by: "commander", key: None, reason, ip: None, detail }
    }

    fn by_server(record: Record<String>, keys: &[KeyStatus], config: &Config) -> Self {
        let Record { time, key, reason, address, .. } = record;
        let id = key.to_string();
        let name = keys.iter().find(|known| known.id == id).map(|known| known.name.clone());
        let (key, ip) = (Some(name.unwrap_or(id)), Some(address.to_string()));
        let detail = limit(&reason, config);
        Self { time, by: "server", key, reason, ip, detail }
    }
}

/// The limit that a knock has exceeded, and what to do.
fn limit(reason: &str, config: &Config) -> Option<String> {
    match reason {
        "rate_limited" => Some(format!(
            "the key sent more than {} knocks in a second (`max_knocks_per_second_per_key`); knock again after a second",
            config.max_knocks_per_second_per_key
        )),
        "global_rate_limited" => Some(format!(
            "the key used its share of {} knocks in a second (`max_knocks_per_second`); knock again after a second",
            config.max_knocks_per_second
        )),
        "future_counter" => Some(format!(
            "the counter is more than {} s ahead of this host's clock (`max_clock_skew`); set the clocks, then run \
             `ruroco-client reseed` on the client",
            config.max_clock_skew.as_secs()
        )),
        _ => None,
    }
}

/// The last knocks that the server has refused, the latest first, with the names of these keys. A server
/// that has never run has refused none.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn by_server(
    config: &Config,
    keys: &[KeyStatus],
    count: usize,
) -> anyhow::Result<Vec<Refused>> {
    let path = config.state_dir.join(FILE);
    let bytes = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut records: Vec<_> = bytes.chunks_exact(SIZE).filter_map(Record::decode).collect();
    records.sort_by_key(|record| Reverse(record.sequence));
    records.truncate(count);
    Ok(records.into_iter().map(|record| Refused::by_server(record, keys, config)).collect())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    if !file.metadata()?.file_type().is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(u64::try_from(FILE_SIZE).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_common::datagram::KeyId;
    use ruroco_files::toml_file::Source as File;
    use std::{fs, os::unix::fs::symlink};

    fn config(dir: &Path) -> Config {
        let text = format!(
            "addresses = [\"192.0.2.1\"]\nstate_dir = {dir:?}\nmax_knocks_per_second_per_key = 3\n\
             [gate]\ninterfaces = [\"eth0\"]\n"
        );
        Config::check(File::new("/x/config.toml", text)).or_problems().unwrap()
    }

    fn line(sequence: u64, key: u8, reason: &str) -> Vec<u8> {
        let address = "2001:db8::9".parse().unwrap();
        let time = "2026-01-31T12:00:00.123456Z";
        Record { sequence, time, key: KeyId([key; 8]), reason, address }.encode().unwrap().to_vec()
    }

    #[test]
    fn the_latest_comes_first_with_the_name_of_its_key() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(by_server(&config(dir.path()), &[], 5).unwrap(), []);
        let keys = [crate::report::tests::key("laptop", &"01".repeat(8))];
        let garbage = vec![0x1b; SIZE];
        let lines =
            [line(7, 1, "old_counter"), garbage, line(9, 2, "wrong_source"), line(8, 1, "x")];
        fs::write(dir.path().join(FILE), lines.concat()).unwrap();
        let all = by_server(&config(dir.path()), &keys, 2).unwrap();
        let shown = all.iter().map(|one| (one.key.as_deref().unwrap(), one.reason.as_str()));
        let unknown = "02".repeat(8);
        assert_eq!(shown.collect::<Vec<_>>(), [(&*unknown, "wrong_source"), ("laptop", "x")]);
        assert_eq!((all[0].ip.as_deref(), all[0].by), (Some("2001:db8::9"), "server"));
    }

    #[test]
    fn a_limit_is_shown_with_its_value_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), line(1, 1, "rate_limited")).unwrap();
        let all = by_server(&config(dir.path()), &[], 5).unwrap();
        let detail = all[0].detail.as_deref().unwrap();
        assert!(
            detail.contains("more than 3 knocks") && detail.contains("knock again"),
            "{detail}"
        );
    }

    #[test]
    fn nothing_in_its_place_is_followed_or_read_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(dir.path().join("other"), line(1, 1, "secret")).unwrap();
        symlink(dir.path().join("other"), &path).unwrap();
        assert!(by_server(&config(dir.path()), &[], 5).is_err());
        fs::remove_file(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(3 << 30).unwrap();
        assert_eq!(by_server(&config(dir.path()), &[], 5).unwrap(), []);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(by_server(&config(dir.path()), &[], 5).is_err());
    }
}
