//! The client where its disk or its life ends: no counter is used twice, and what cannot be sent is
//! told in one sentence. What needs neither root nor a disk of its own is in
//! `ruroco-userspace/tests/client`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    net::UdpSocket,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use nix::mount::{MsFlags, mount};
use ruroco_common::{datagram::Datagram, plaintext::Plaintext};
use ruroco_keys::key::Key;
use ruroco_lab::{
    directory::Directory, knock::now, lab::require_tool, mount, mount::Mount, namespace::Namespace,
    programs,
};
use ruroco_seal::Aead;
use zerocopy::FromBytes;

/// A person's folder on a disk of its own, and a socket that takes the knocks.
struct Laptop {
    // In the order in which they are to be dropped.
    disk: Option<Mount>,
    place: Directory,
    host: UdpSocket,
    key: Key,
}

impl Laptop {
    fn on_disk(bytes: usize) -> Self {
        mount::keep_to_this_thread();
        let place = Directory::new();
        let disk = Mount::memory(&place.path().join("disk"), bytes);
        Self::in_place(place, Some(disk))
    }

    fn in_place(place: Directory, disk: Option<Mount>) -> Self {
        let host = UdpSocket::bind("127.0.0.1:0").unwrap();
        host.set_nonblocking(true).unwrap();
        let path = place.path().join("laptop.key");
        let made = Command::new(programs::path("ruroco-client"))
            .args(["gen", "--out"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        let key = Key::read(&path).unwrap();
        let laptop = Self { disk, place, host, key };
        fs::create_dir_all(laptop.folder()).unwrap();
        laptop
    }

    fn folder(&self) -> PathBuf {
        match &self.disk {
            Some(_) => self.place.path().join("disk"),
            None => self.place.path().join("folder"),
        }
    }

    fn command(&self, launcher: &[&str]) -> Command {
        let client = programs::path("ruroco-client");
        let mut words = launcher.iter().map(Path::new).chain([client.as_path()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args([
            "knock",
            "--address",
            &self.host.local_addr().unwrap().to_string(),
        ]);
        command.arg("--key").arg(self.place.path().join("laptop.key"));
        command.env("RUROCO_CONF_DIR", self.folder());
        command
    }

    fn send(&self) -> Output {
        self.command(&[]).output().unwrap()
    }

    /// The counters of what has come since this was last asked. Loopback delivers at once.
    fn counters(&self) -> Vec<u128> {
        let mut counters = Vec::new();
        let mut buffer = [0; 2048];
        while let Ok(size) = self.host.recv(&mut buffer) {
            let datagram = Datagram::read_from_bytes(&buffer[..size]).unwrap();
            let content = Aead::new(&self.key).open(&datagram).expect("made with the key");
            counters.push(Plaintext::decode(&content).expect("of our version").counter);
        }
        counters
    }

    #[track_caller]
    fn expect_knock(&self) -> u128 {
        let sent = self.send();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        let counters = self.counters();
        assert_eq!(counters.len(), 1);
        counters[0]
    }

    /// Makes sure that a knock fails with one line that has these parts, and that nothing is sent.
    #[track_caller]
    fn expect_refusal(&self, parts: &[&str]) {
        let sent = self.send();
        let said = String::from_utf8_lossy(&sent.stderr);
        assert_eq!(sent.status.code(), Some(1), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} are not in {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(self.counters(), []);
    }
}

/// Leaves no room on a disk for even one more byte.
fn fill(disk: &Path) -> PathBuf {
    let filler = disk.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    filler
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn on_a_full_disk_a_counter_that_is_there_goes_on_and_without_one_nothing_is_sent() {
    let laptop = Laptop::on_disk(64 << 10);
    let filler = fill(&laptop.folder());
    for _ in 0..3 {
        laptop.expect_refusal(&["cannot write the counter", "nothing was sent", "Free some space"]);
        assert!(!laptop.folder().join("counter").exists());
    }
    fs::remove_file(filler).unwrap();
    let mut last = laptop.expect_knock();
    fill(&laptop.folder());
    for _ in 0..3 {
        let next = laptop.expect_knock();
        assert!(next > last);
        last = next;
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn in_a_folder_that_cannot_be_written_to_nothing_is_sent() {
    let laptop = Laptop::on_disk(64 << 10);
    let none: Option<&str> = None;
    let remount = |flags: MsFlags| {
        mount(none, &laptop.folder(), none, MsFlags::MS_REMOUNT | flags, none).unwrap();
    };
    // Before there is a counter, and with one.
    remount(MsFlags::MS_RDONLY);
    laptop.expect_refusal(&["Read-only file system", "nothing was sent", "RUROCO_CONF_DIR"]);
    remount(MsFlags::empty());
    let last = laptop.expect_knock();
    remount(MsFlags::MS_RDONLY);
    laptop.expect_refusal(&["Read-only file system", "nothing was sent", "RUROCO_CONF_DIR"]);
    remount(MsFlags::empty());
    assert!(laptop.expect_knock() > last);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_name_server_that_does_not_answer_is_not_waited_for_beyond_the_limit() {
    mount::keep_to_this_thread();
    let laptop = Laptop::in_place(Directory::new(), None);
    let host = Namespace::new();
    // It takes every question.
    let _silent = host.enter(|| UdpSocket::bind("127.0.0.1:53")).unwrap();
    let names = laptop.place.path().join("resolv.conf");
    fs::write(&names, "nameserver 127.0.0.1\noptions timeout:30\n").unwrap();
    let _names = Mount::file(&names, Path::new("/etc/resolv.conf"));
    let mut client = host.command();
    client.arg(programs::path("ruroco-client")).args(["knock", "--address", "gate.test"]);
    client.arg("--key").arg(laptop.place.path().join("laptop.key"));
    client.args(["--wait", "22", "--timeout", "0.3"]).env("RUROCO_CONF_DIR", laptop.folder());
    let sent = client.output().unwrap();
    let said = String::from_utf8_lossy(&sent.stderr);
    assert_eq!(sent.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot find the address of gate.test within 300ms"), "{said}");
}

/// Answers queries for IPv4 addresses, and drops all others, until there is an empty datagram.
fn answer_for_ipv4_only(name_server: &UdpSocket, address: [u8; 4]) {
    let mut query = [0; 512];
    while let Ok((length @ 1.., from)) = name_server.recv_from(&mut query) {
        let query = &query[..length];
        let name = query[12..].iter().position(|byte| *byte == 0).unwrap() + 12 + 1;
        // RFC 1035, section 4.1.2: behind the name stand type and class; type A is 1.
        if query[name..name + 2] != [0, 1] {
            continue;
        }
        // The same with one answer (section 4.1.3), whose name is the question's.
        let mut answer = query[..name + 4].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address);
        name_server.send_to(&answer, from).unwrap();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_name_server_that_drops_queries_for_ipv6_keeps_no_knock_back() {
    mount::keep_to_this_thread();
    let laptop = Laptop::in_place(Directory::new(), None);
    let host = Namespace::new();
    let name_server = host.enter(|| UdpSocket::bind("127.0.0.1:53")).unwrap();
    let port = host.enter(|| UdpSocket::bind("127.0.0.1:0")).unwrap();
    port.set_nonblocking(true).unwrap();
    let names = laptop.place.path().join("resolv.conf");
    fs::write(&names, "nameserver 127.0.0.1\noptions timeout:30\n").unwrap();
    let _names = Mount::file(&names, Path::new("/etc/resolv.conf"));
    std::thread::scope(|scope| {
        scope.spawn(|| answer_for_ipv4_only(&name_server, [127, 0, 0, 1]));
        for family in [&["-4"][..], &[]] {
            let mut client = host.command();
            let address = format!("gate.test:{}", port.local_addr().unwrap().port());
            client.arg(programs::path("ruroco-client")).args(["knock", "--address", &address]);
            client.arg("--key").arg(laptop.place.path().join("laptop.key"));
            client.args(family).env("RUROCO_CONF_DIR", laptop.folder());
            let sent = client.output().unwrap();
            assert!(sent.status.success(), "{family:?}: {}", String::from_utf8_lossy(&sent.stderr));
            assert_eq!(port.recv(&mut [0; 95]).unwrap(), 94, "{family:?}");
        }
        let done = host.enter(|| UdpSocket::bind("127.0.0.1:0")).unwrap();
        done.send_to(&[], "127.0.0.1:53").unwrap();
    });
}

/// One system call: its name, and how many of this name came before it and with it.
type Call = (String, usize);

fn calls(record: &Path) -> Vec<Call> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let text = fs::read_to_string(record).unwrap();
    let names = text.lines().filter_map(|line| Some(line.split_once('(')?.0));
    let names = names.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let calls = names.map(|name| {
        let count = seen.entry(name.to_owned()).or_default();
        *count += 1;
        (name.to_owned(), *count)
    });
    calls.collect()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_client_killed_at_any_moment_uses_no_counter_twice() {
    require_tool("strace");
    let laptop = Laptop::in_place(Directory::new(), None);
    let record = laptop.place.path().join("trace");
    let strace = ["strace", "--quiet=all", "--output", record.to_str().unwrap()];
    // Ahead of the clock, which would else hide it if a number was forgotten.
    let ahead = now() + Duration::from_secs(1800).as_nanos();
    fs::write(laptop.folder().join("counter"), ahead.to_be_bytes()).unwrap();
    let mut used = vec![laptop.expect_knock()];
    assert!(laptop.command(&strace).output().unwrap().status.success());
    used.extend(laptop.counters());
    let calls = calls(&record);
    for name in ["write", "fdatasync", "sendto"] {
        assert!(calls.iter().any(|(call, _)| call == name), "no {name} in {calls:?}");
    }
    let opened = calls.iter().position(|(name, _)| name == "execve").unwrap();
    let (mut killed, mut sent_by_killed) = (0, 0);
    for (name, count) in &calls[opened + 1..] {
        let kill = format!("inject={name}:signal=SIGKILL:when={count}");
        let status =
            laptop.command(&[&strace[..], &["-e", &kill]].concat()).output().unwrap().status;
        // Memory is laid out anew each time, so that there may be one call less for it.
        killed += usize::from(status.signal() == Some(libc::SIGKILL));
        let sent = laptop.counters();
        sent_by_killed += sent.len();
        used.extend(sent);
        used.push(laptop.expect_knock());
    }
    assert!(killed + 5 > calls.len() - opened, "{killed} of {} were killed", calls.len());
    // Some died before the knock and some behind it.
    assert!(0 < sent_by_killed && sent_by_killed < killed, "{sent_by_killed} of {killed}");
    assert!(used.is_sorted(), "{used:?}");
    assert_eq!(BTreeSet::from_iter(&used).len(), used.len(), "{used:?}");
}
