//! The server: whether it runs, is confined, and reads the candidates in the ring.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path, thread, time::Duration};

use ruroco_config::{Config, Source};
use ruroco_gate::status::{self, Status};

use super::SERVER;
use crate::{confinement::Confinement, doctor::Finding};

/// How long a server may take to read something out of the ring.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time between the two times that the ring is checked.
const PAUSE: Duration = Duration::from_millis(100);

/// The lock that a running server holds, in `state_dir`.
const LOCK: &str = "floors.lock";

const RESTART: &str =
    "run `systemctl restart ruroco-server`; the reason is in `journalctl -u ruroco-server`";

/// How the server is, by what the gate and the kernel say of it. Where there is no gate, or none that
/// answers, only the kernel does.
pub(super) fn finding(config: &Config, status: Option<&Status>) -> Finding {
    if let Some(status) = status.filter(|status| status.front.server_connected) {
        return connected(config, status);
    }
    let path = config.state_dir.join(LOCK);
    let holder = match Holder::of(&path) {
        Ok(holder) => holder,
        Err(error) => return Finding::unknown(SERVER, format!("{}: {error}", path.display())),
    };
    let runs = match holder {
        Holder::Process(pid) => format!("runs as process {pid}"),
        Holder::Nobody | Holder::OutOfSight => "runs".to_owned(),
    };
    match (status, holder != Holder::Nobody) {
        (Some(_), true) => Finding::problem(
            SERVER,
            format!(
                "ruroco-server {runs}, but is not connected to the gate: knocks wait in the ring for 30 \
                 seconds and are then lost"
            ),
            RESTART,
        ),
        (None, true) => Finding::ok(SERVER, runs),
        (_, false) => Finding::problem(
            SERVER,
            format!("ruroco-server is not running: {}", without_server(config.source)),
            "run `systemctl start ruroco-server`; the reason is in `journalctl -u ruroco-server`",
        ),
    }
}

/// What becomes of knocks that no server reads.
fn without_server(source: Source) -> &'static str {
    match source {
        Source::Xdp => "knocks wait for 30 seconds and are then lost",
        Source::Udp => "knocks are lost, and the host answers them with an ICMP error",
    }
}

fn connected(config: &Config, status: &Status) -> Finding {
    if let Some(pid) = status.front.server_pid
        && let Some(state) = process_state(pid)
        && !matches!(state, 'R' | 'S' | 'D' | 'I')
    {
        return Finding::problem(
            SERVER,
            format!(
                "process {pid} of ruroco-server is stopped (state {state}) and reads no knocks"
            ),
            format!("run `kill -CONT {pid}`, or {RESTART}"),
        );
    }
    if !reads(config, status) {
        return Finding::problem(
            SERVER,
            format!(
                "ruroco-server is connected but does not read: {} bytes wait in the ring",
                status.front.ring.waiting_bytes
            ),
            RESTART,
        );
    }
    match status.front.server_pid.and_then(Confinement::of) {
        Some(confinement) if !confinement.is_whole() => Finding::warning(
            SERVER,
            format!("connected, {confinement}"),
            "start ruroco-server with `systemctl start ruroco-server`; `journalctl -u ruroco-server` shows what its \
            sandbox lacks",
        ),
        Some(confinement) => Finding::ok(SERVER, format!("connected, {confinement}")),
        None => Finding::ok(SERVER, "connected"),
    }
}

/// Whether what waits in the ring is read: watched for a while, unless nothing waits.
fn reads(config: &Config, status: &Status) -> bool {
    let mut left = PATIENCE;
    let first = status.front.ring;
    let mut ring = first;
    loop {
        if ring.waiting_bytes == 0 || ring.read_up_to != first.read_up_to {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        left = left.saturating_sub(PAUSE);
        thread::sleep(PAUSE);
        match status::ask(&config.socket_dir) {
            Ok(now) => ring = now.front.ring,
            // That the gate has gone is another matter.
            Err(_) => return true,
        }
    }
}

/// The state of a process (proc_pid_stat(5)), if it can be seen.
fn process_state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in brackets, may contain anything.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Who holds the lock on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    Process(u32),
    /// A process of another namespace, which has no number here.
    OutOfSight,
}

impl Holder {
    /// Asked of the kernel and not by trying: that could take the lock from a server that is just
    /// starting.
    fn of(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(file) => Ok(Self::among(&fs::read_to_string("/proc/locks")?, file.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Nobody),
            Err(error) => Err(error),
        }
    }

    /// As `/proc/locks` has it (proc_locks(5)): `1: FLOCK ADVISORY WRITE 5433 08:01:7864448 0 EOF`.
    /// Devices are not compared, as some file systems show another one to stat(2).
    fn among(locks: &str, inode: u64) -> Self {
        let holder = locks.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, "FLOCK", _, "WRITE", pid, file, ..] = words[..] else { return None };
            let is_it = file.rsplit(':').next()?.parse() == Ok(inode);
            is_it.then(|| pid.parse().ok().filter(|pid| *pid > 0))
        });
        match holder {
            None => Self::Nobody,
            Some(Some(pid)) => Self::Process(pid),
            Some(None) => Self::OutOfSight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_as_the_kernel_tells_it() {
        let locks = "1: POSIX  ADVISORY  WRITE 10 08:01:7 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 11 08:01:8 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 12 08:01:9 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE -1 00:2a:10 0 EOF\n";
        for (inode, expected) in [
            (7, Holder::Nobody),
            (8, Holder::Process(11)),
            (9, Holder::Nobody),
            (10, Holder::OutOfSight),
        ] {
            assert_eq!(Holder::among(locks, inode), expected, "{inode}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        fs::write(&path, "").unwrap();
        assert_eq!(Holder::of(&path).unwrap(), Holder::Nobody);
        let _lock = ruroco_files::instance::Lock::try_take(&path).unwrap();
        assert_eq!(Holder::of(&path).unwrap(), Holder::Process(std::process::id()));
        assert_eq!(Holder::of(&dir.path().join("none")).unwrap(), Holder::Nobody);
    }

    #[test]
    fn only_with_a_ring_do_knocks_wait_for_a_server() {
        let dir = tempfile::tempdir().unwrap();
        for (source, waits) in [("xdp", true), ("udp", false)] {
            let text = format!(
                "addresses = [\"192.0.2.1\"]\nport = 34020\nsource = {source:?}\nstate_dir = {:?}\n{}",
                dir.path(),
                if waits { "gate.interfaces = [\"lo\"]\n" } else { "" }
            );
            let file = ruroco_files::toml_file::Source::new("/x/config.toml", text);
            let config = Config::check(file).or_problems().unwrap();
            let finding = finding(&config, None);
            assert_eq!(finding.detail().contains("wait"), waits, "{finding}");
            assert!(finding.detail().contains("not running"), "{finding}");
        }
    }

    #[test]
    fn this_process_is_not_stopped() {
        assert!(matches!(process_state(std::process::id()), Some('R' | 'S')));
        assert_eq!(process_state(u32::MAX), None);
    }
}
