//! What is logged, and that nobody who sends packets decides how much.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::Path,
    process::Command,
    time::Instant,
};

use ruroco_common::{command::CommandHash, verdict::Verdict};
use ruroco_lab::{
    daemon::Daemon,
    files::{DEFAULT_COMMAND, KEY},
    knock::{forge, under_unknown_key},
    lab::Lab,
    many,
    mount::Mount,
    network::{CLIENT, Family, PORT},
    process::Process,
    wait,
};

use crate::start::all_programs;

/// How many packets are judged.
const MANY: u64 = 1_000_000;

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_million_junk_packets_make_a_few_lines_and_nothing_grows() {
    // With a key that the kernel cannot check, so that some of the junk reaches the server, too.
    let mut lab = Lab::without_floors(&Default::default());
    lab.files.add_upstream_key("old");
    assert!(lab.server_command(&["init"]).output().unwrap().status.success());
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    lab.expect_next_knock_to_run(Family::V4);

    let knock = lab.good_knock(Family::V4);
    let seen = lab.seal(&knock);
    lab.send(Family::V4, &seen);
    lab.expect_one_run();
    let sealed = lab.seal(&lab.good_knock(Family::V4));
    let unchecked = forge(lab.good_knock(Family::V4).seal(&lab.files.key("old")));
    let junk: [&[u8]; 5] = [b"junk", &under_unknown_key(sealed), &forge(sealed), &seen, &unchecked];

    let start = Instant::now();
    // Each kind once, so that whatever is made when it is first met is there.
    flood(&lab, &junk, 5_000);
    lab.server().wait_for(&["refused", "reason=forged"]);
    lab.gate().wait_for(&["packets refused", "forged:"]);
    let before = state(&mut lab);

    let judged = flood(&lab, &junk, MANY);
    for verdict in [
        Verdict::WrongLength,
        Verdict::UnknownKey,
        Verdict::Forged,
        Verdict::Replayed,
        Verdict::Throttled,
    ] {
        assert!(judged[verdict.name()] > 10_000, "{judged:?}");
    }

    let after = state(&mut lab);
    let (disk, _, _) = &after;
    assert_eq!(disk, &before.0, "files have grown");
    for ((program, more), less) in after.1.iter().zip(before.1.values()) {
        let grown = more.saturating_sub(*less);
        assert!(grown <= 256, "{program} has {grown} KiB more than before, {less} KiB");
    }
    // One line a minute, and of one kind of refusal one in five seconds.
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    let most = BTreeMap::from([
        ("ruroco-gate", 1 + seconds / 60),
        ("ruroco-server", 1 + seconds / 5),
        ("ruroco-commander", 0),
    ]);
    for ((program, more), less) in after.2.iter().zip(before.2.values()) {
        assert!(more - less <= most[program], "{program}: {} lines", more - less);
    }
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

/// Sends junk of all kinds in turn until so many packets have been judged, and says how many of
/// which verdict.
fn flood(lab: &Lab, junk: &[&[u8]], many: u64) -> BTreeMap<&'static str, u64> {
    let before = lab.verdicts();
    wait::until("the junk to be judged", || {
        lab.network.client.enter(|| {
            let mut sender = many::Sender::new(PORT);
            for payload in junk {
                let mut sent = 0;
                while sent < many / 20 {
                    sent += u64::try_from(sender.send(payload)).unwrap();
                }
            }
        });
        let judged = lab.verdicts().since(&before);
        (judged.values().sum::<u64>() >= many).then_some(judged)
    })
}

/// Sizes of files, memory in KiB and lines of each program.
type State = (BTreeMap<String, u64>, BTreeMap<&'static str, u64>, BTreeMap<&'static str, usize>);

fn state(lab: &mut Lab) -> State {
    let mut sizes = BTreeMap::new();
    for directory in [lab.files.floors_dir(), lab.files.audit(), lab.files.sockets()] {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let size = entry.metadata().unwrap().len();
            sizes.insert(entry.path().display().to_string(), size);
        }
    }
    let daemons = [
        ("ruroco-gate", lab.gate().pid(), lab.gate().lines().len()),
        ("ruroco-server", lab.server().pid(), lab.server().lines().len()),
        ("ruroco-commander", lab.commander().pid(), lab.commander().lines().len()),
    ];
    let memory = |pid| {
        let status = Process(pid).status();
        status["RssAnon"].trim_end_matches(" kB").parse().unwrap()
    };
    let memories = daemons.iter().map(|(name, pid, _)| (*name, memory(*pid))).collect();
    (sizes, memories, daemons.iter().map(|(name, _, lines)| (*name, *lines)).collect())
}

/// What systemd does for its services: tells what it has connected standard error to.
const AS_SERVICE: &str = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$0\" \"$@\"";

/// A journal that keeps what it is sent.
struct Journal {
    socket: UnixDatagram,
    _run: Mount,
}

impl Journal {
    /// To be made on the lab's thread: only that one sees it, and what it starts.
    fn listen() -> Self {
        let run = Mount::memory(Path::new("/run"), 1 << 20);
        fs::create_dir_all("/run/systemd/journal").unwrap();
        let path = "/run/systemd/journal/socket";
        let socket = UnixDatagram::bind(path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
        socket.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        Self { socket, _run: run }
    }

    /// The next line with this event.
    fn next(&self, event: &str) -> BTreeMap<String, String> {
        loop {
            let mut datagram = vec![0; 1 << 18];
            let length = self.socket.recv(&mut datagram).unwrap_or_else(|e| panic!("{event}: {e}"));
            let fields = parse(&datagram[..length]);
            if fields["RUROCO_EVENT"] == event {
                return fields;
            }
        }
    }
}

/// Reads fields in the form for any content: name, line end, 8 bytes of length, value, line end.
fn parse(mut rest: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let length = u64::from_le_bytes(rest[end + 1..end + 9].try_into().unwrap());
        let (start, length) = (end + 9, usize::try_from(length).unwrap());
        fields.insert(text(&rest[..end]), text(&rest[start..start + length]));
        rest = &rest[start + length + 1..];
    }
    fields
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn services_log_to_the_journal_with_fields() {
    let mut lab = Lab::new(&Default::default());
    let journal = Journal::listen();
    let ready = ["gate is attached", "ready", "listening"];
    let daemons: Vec<_> = all_programs(&lab)
        .into_iter()
        .zip(ready)
        .map(|((name, command), ready)| {
            let mut service = Command::new("/bin/sh");
            service.args(["-c", AS_SERVICE]).arg(command.get_program()).args(command.get_args());
            let daemon = Daemon::start(name, &mut service);
            assert_eq!(journal.next(ready)["SYSLOG_IDENTIFIER"], name);
            daemon
        })
        .collect();

    lab.knock(Family::V4, &[]);
    assert_eq!(lab.expect_one_run().ip, CLIENT.of(Family::V4));
    let ip = CLIENT.of(Family::V4).to_string();
    let mut events: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    // Server and commander log side by side.
    while !(events.contains_key("accepted") && events.contains_key("ended")) {
        let mut datagram = vec![0; 1 << 18];
        let length = journal.socket.recv(&mut datagram).unwrap();
        let fields = parse(&datagram[..length]);
        events.insert(fields["RUROCO_EVENT"].clone(), fields);
    }
    let (accepted, ended) = (&events["accepted"], &events["ended"]);
    for fields in [accepted, &events["running"], ended] {
        assert_eq!((&*fields["RUROCO_KEY"], &fields["RUROCO_IP"]), (KEY, &ip));
        assert_eq!(fields["RUROCO_COUNTER"], accepted["RUROCO_COUNTER"]);
        assert_eq!(fields["PRIORITY"], "6");
    }
    let hash = CommandHash::of(DEFAULT_COMMAND).to_string();
    assert_eq!(accepted["RUROCO_COMMAND_HASH"], hash);
    assert!(accepted["MESSAGE"].starts_with("accepted key=laptop"), "{accepted:?}");
    assert_eq!(ended["RUROCO_COMMAND"], DEFAULT_COMMAND);
    assert_eq!(ended["RUROCO_RESULT"], "exit:0");
    assert_eq!(events["output"]["RUROCO_LINE"], format!("the door is open for {ip}"));

    for daemon in daemons {
        assert_eq!(daemon.lines(), [""; 0], "it goes to the journal once");
    }
    lab.expect_silence();
}
