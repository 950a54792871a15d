//! What keeps a program from starting: it says what and where, touches nothing, and what runs
//! already goes on.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use ruroco_lab::{daemon::Daemon, files::Options, lab::Lab, network::Family, programs};
use ruroco_seal::generate_key;
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    thread::{Uid, set_thread_uid},
};

/// Starts a program, which must end by itself with a message that has these parts.
#[track_caller]
pub(crate) fn expect_no_start(name: &str, mut command: Command, message: &[&str]) {
    let mut daemon = Daemon::start(name, &mut command);
    assert!(!daemon.wait_for_end().success(), "{name} says that it succeeded");
    daemon.wait_for(message);
}

#[track_caller]
fn expect_gate_not_to_start(lab: &Lab, message: &[&str]) {
    expect_no_start("ruroco-gate", lab.gate_command(), message);
}

/// All three programs, each as its own user.
pub(crate) fn all_programs(lab: &Lab) -> [(&'static str, Command); 3] {
    let mut commander = lab.network.server.command();
    programs::add_launcher(&mut commander, None);
    commander.arg(programs::path("ruroco-commander"));
    commander.arg("--config").arg(lab.files.config());
    commander.arg("--commands").arg(lab.files.commands());
    [
        ("ruroco-gate", lab.gate_command()),
        ("ruroco-server", lab.server_command(&[])),
        ("ruroco-commander", commander),
    ]
}

/// Those of them that read the keys: either the gate does, for the server, too, or the server does.
pub(crate) fn programs_that_read_keys(
    lab: &Lab,
    source: &str,
) -> impl Iterator<Item = (&'static str, Command)> {
    let does_not = if source == "xdp" { "ruroco-server" } else { "ruroco-gate" };
    all_programs(lab).into_iter().filter(move |(name, _)| *name != does_not)
}

/// With either source; then all programs start, and a knock runs.
fn with_either_source(test: impl Fn(&Lab, &str)) {
    for source in ["xdp", "udp"] {
        let mut lab = Lab::new(&Options { source, ..Options::default() });
        test(&lab, source);
        lab.start_commander();
        if source == "xdp" {
            lab.start_gate();
        }
        lab.start_server();
        lab.expect_next_knock_to_run(Family::V4);
        lab.expect_silence();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_second_gate_with_the_same_pins_is_refused() {
    let mut lab = Lab::running(&Default::default());
    let sockets = lab.files.path("other-run");
    let config = lab.files.path("etc/other.toml");
    let text = fs::read_to_string(lab.files.config()).unwrap();
    let old = format!("socket_dir = {:?}", lab.files.sockets());
    let changed = text.replace(&old, &format!("socket_dir = {sockets:?}"));
    assert_ne!(changed, text);
    fs::write(&config, changed).unwrap();
    let second = |lab: &Lab| {
        let mut command = lab.network.server.command();
        programs::add_launcher(&mut command, None);
        command.arg(programs::path("ruroco-gate")).arg("--config").arg(&config);
        command
    };
    for _ in 0..2 {
        expect_no_start("the second ruroco-gate", second(&lab), &["another process holds"]);
    }
    let status = lab.status();
    assert_eq!(status["attached"], true, "{status:#}");
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();

    // When the first one has died, the second one takes its place.
    lab.gate().crash();
    let second = Daemon::start("the second ruroco-gate", &mut second(&lab));
    second.wait_for(&["gate is attached"]);
    lab.send(Family::V4, b"anybody there?");
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn pins_that_others_could_exchange_are_refused() {
    let mut lab = Lab::new(&Default::default());
    let pins = lab.files.path("bpf/ruroco");
    fs::create_dir(&pins).unwrap();
    let set_mode = |mode| fs::set_permissions(&pins, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o700, 0o755] {
        set_mode(mode);
        lab.files.give_to_user(&pins);
        expect_gate_not_to_start(&lab, &[path(&pins)]);
        assert!(fs::read_dir(&pins).unwrap().next().is_none(), "something was pinned");
    }
    chown(&pins, Some(0), Some(0)).unwrap();
    for mode in [0o777, 0o775, 0o1777] {
        set_mode(mode);
        expect_gate_not_to_start(&lab, &[path(&pins)]);
        assert!(fs::read_dir(&pins).unwrap().next().is_none(), "something was pinned");
    }
    set_mode(0o700);
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

/// Who has no business on the host.
const STRANGER: u32 = 64_999;

/// Each program ends, and names the directory, whose it is and what to run.
#[track_caller]
fn expect_all_to_name(lab: &Lab, directory: &Path, whose: &str) {
    let shown = path(directory);
    // Further up it may be somebody's home.
    let remedy = match directory == lab.files.path("etc") {
        true => format!("if only ruroco uses it, run: chown root {shown} && chmod go-w {shown}"),
        false => format!("move {}/", path(&lab.files.path("etc"))),
    };
    for (name, command) in all_programs(lab) {
        expect_no_start(name, command, &[&format!("{shown}: "), whose, &remedy]);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_program_starts_from_a_directory_of_somebody_else_and_each_says_whose_it_is() {
    with_either_source(|lab, _| {
        let etc = lab.files.path("etc");
        let server = lab.files.user();
        let stranger = format!("belongs to uid {STRANGER} and has mode 0755");
        // Upstream's layout; the server could write what root goes by.
        let servers = format!("belongs to user {} (uid {}) and has", server.name, server.uid);
        for (owner, whose, directories) in [
            (STRANGER, stranger, &[etc.parent().unwrap(), &etc][..]),
            (server.uid.as_raw(), servers, &[&etc]),
        ] {
            for directory in directories {
                chown(directory, Some(owner), None).unwrap();
                expect_all_to_name(lab, directory, &whose);
                let check = lab.tool_command(&["check"]).output().unwrap();
                let told = String::from_utf8(check.stdout).unwrap();
                assert!(!check.status.success(), "{told}");
                assert!(told.contains(&format!("{}: {whose}", path(directory))), "{told}");
                chown(directory, Some(0), Some(0)).unwrap();
            }
        }
        for mode in [0o775, 0o757] {
            fs::set_permissions(&etc, fs::Permissions::from_mode(mode)).unwrap();
            expect_all_to_name(lab, &etc, &format!("has mode {mode:04o}"));
        }
        fs::set_permissions(&etc, fs::Permissions::from_mode(0o755)).unwrap();
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn files_that_somebody_else_has_put_in_the_place_of_roots_are_not_read() {
    with_either_source(|lab, source| {
        let commander = || all_programs(lab).into_iter().last().unwrap().1;
        let commands = lab.files.commands();
        let kept = lab.files.path("etc/kept");
        fs::rename(&commands, &kept).unwrap();
        // To a file of root's with content of somebody else's.
        symlink("/proc/self/cmdline", &commands).unwrap();
        expect_no_start("ruroco-commander", commander(), &["/cmdline", "(proc)"]);
        fs::remove_file(&commands).unwrap();
        // By way of a directory of somebody else's.
        let theirs = lab.files.path("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::copy(&kept, theirs.join("commands.toml")).unwrap();
        chown(&theirs, Some(STRANGER), None).unwrap();
        symlink(theirs.join("commands.toml"), &commands).unwrap();
        let told = format!("chown root {}", path(&theirs));
        let whose = format!("belongs to uid {STRANGER}");
        expect_no_start("ruroco-commander", commander(), &[path(&theirs), &whose, &told]);
        fs::remove_file(&commands).unwrap();
        fs::rename(&kept, &commands).unwrap();

        let fifo = lab.files.server_key("x");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for (name, command) in programs_that_read_keys(lab, source) {
            expect_no_start(name, command, &[path(&fifo), "not a regular file"]);
        }
        fs::remove_file(fifo).unwrap();
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_reload_from_a_directory_of_somebody_else_changes_nothing() {
    let mut lab = Lab::running(&Default::default());
    let etc = lab.files.path("etc");
    chown(&etc, Some(STRANGER), None).unwrap();
    let told = [path(&etc).to_owned(), format!("chown root {}", path(&etc))];
    let told = ["not reloaded", &told[0], &told[1]];
    for daemon in 0..3 {
        let daemon = match daemon {
            0 => lab.gate(),
            1 => lab.server(),
            _ => lab.commander(),
        };
        daemon.signal(Signal::SIGHUP);
        daemon.wait_for(&told);
    }
    lab.expect_next_knock_to_run(Family::V4);
    chown(&etc, Some(0), Some(0)).unwrap();
    lab.reload_gate();
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_starts_whatever_another_user_has_locked() {
    let mut lab = Lab::running(&Default::default());
    let directories = [lab.files.pins(), lab.files.sockets()];
    let mut paths = directories.to_vec();
    for directory in &directories {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        paths.extend(fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()));
    }
    fs::set_permissions(lab.files.path("bpf"), fs::Permissions::from_mode(0o755)).unwrap();
    lab.gate().crash();
    let nobody = Uid::from_raw(lab.files.user().uid.as_raw());
    let lock = || {
        set_thread_uid(nobody).unwrap(); // of this thread alone, which ends with it
        let opened = paths.iter().filter_map(|path| fs::File::open(path).ok());
        opened.filter(|file| file.try_lock().is_ok()).collect::<Vec<_>>()
    };
    let locked = std::thread::scope(|scope| scope.spawn(lock).join().unwrap());
    assert!(locked.len() >= directories.len(), "{locked:?}");
    lab.start_gate();
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn rules_for_a_key_that_is_not_there_stop_every_program_that_reads_the_keys() {
    with_either_source(|lab, source| {
        let text = lab.files.change_config(|text| format!("{text}\n[keys.latop]\ncommands = []\n"));
        let line = text.lines().count() + 2;
        let place = format!("{}:{line}", path(&lab.files.config()));
        for (name, command) in programs_that_read_keys(lab, source) {
            expect_no_start(name, command, &[&place, "did you mean `laptop`?"]);
        }
        fs::write(lab.files.config(), text).unwrap();
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_server_that_gets_keys_that_its_configuration_does_not_go_with_ends() {
    let mut lab = Lab::new(&Default::default());
    lab.start_gate();
    let text = lab.files.change_config(|text| format!("{text}\n[keys.latop]\ncommands = []\n"));
    let place = format!("{}:{}", path(&lab.files.config()), text.lines().count() + 2);
    let message = [&place[..], "did you mean `laptop`?"];
    expect_no_start("ruroco-server", lab.server_command(&[]), &message);
    fs::write(lab.files.config(), text).unwrap();
    lab.start_commander();
    lab.start_server();
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn every_program_tells_all_that_is_wrong_and_not_only_the_first() {
    for source in ["xdp", "udp"] {
        let lab = Lab::new(&Options { source, ..Options::default() });
        lab.files.change_config(|text| {
            let text = text.replacen("port = ", "prot = 1\nport = ", 1);
            format!("{}\n[keys.latop]\ncommands = []\n", text.replace("192.0.2.1\"", "::\""))
        });
        let bad_key = lab.files.server_key("bad");
        fs::write(&bad_key, "nonsense").unwrap();
        lab.files.make_private(&bad_key);
        let commands = "[commands.x]\nrun = [\"true\"]\ntimeout = 0\n";
        fs::write(lab.files.commands(), commands).unwrap();
        let [config, of_key, of_commands] = [
            path(&lab.files.config()).to_owned(),
            format!("{}:1: not a key", path(&bad_key)),
            format!("{}:3: `timeout = 0`", path(&lab.files.commands())),
        ];
        for (name, mut command) in all_programs(&lab) {
            let mut daemon = Daemon::start(name, &mut command);
            assert!(!daemon.wait_for_end().success(), "{name} says that it succeeded");
            daemon.wait_for(&[&format!("{config}:1: "), "is not the address of a host"]);
            daemon.wait_for(&[&format!("{config}:2: "), "did you mean `port`?"]);
            // Where there is a gate, the server has no keys before that hands them over.
            let has_keys = name != "ruroco-server" || source == "udp";
            for (told, tells) in [
                ("did you mean `laptop`?", has_keys),
                (&of_key, has_keys),
                (&of_commands, name == "ruroco-commander"),
            ] {
                let tells_it = !daemon.lines_with(&[told]).is_empty();
                assert_eq!(tells_it, tells, "{name}, {source}: {told}");
            }
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn addresses_that_are_no_hosts_stop_every_program() {
    let lab = Lab::new(&Default::default());
    for ip in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
        let text = lab.files.change_config(|text| {
            let (_, rest) = text.split_once('\n').unwrap();
            format!("addresses = [\n  \"192.0.2.1\",\n  \"{ip}\",\n]\n{rest}")
        });
        assert!(text.starts_with("addresses = "), "{text}");
        let place = format!("{}:3", path(&lab.files.config()));
        for (name, command) in all_programs(&lab) {
            expect_no_start(name, command, &[&place, ip]);
        }
        fs::write(lab.files.config(), text).unwrap();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_huge_key_file_is_refused_and_not_read() {
    with_either_source(|lab, source| {
        let huge = lab.files.server_key("huge");
        fs::write(&huge, vec![b'A'; 64 << 20]).unwrap();
        lab.files.make_private(&huge);
        for (name, command) in programs_that_read_keys(lab, source) {
            let started = Instant::now();
            expect_no_start(name, command, &[path(&huge), "longer than"]);
            let took = started.elapsed();
            assert!(took < Duration::from_secs(2), "{name} took {took:?}");
        }
        fs::remove_file(huge).unwrap();
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_that_the_server_could_rewrite_is_refused_unless_it_reads_them_itself() {
    with_either_source(|lab, source| {
        let key = lab.files.server_key("laptop");
        match source {
            "xdp" => lab.files.give_to_user(&key),
            // Root's it cannot read.
            _ => chown(&key, Some(0), Some(0)).unwrap(),
        }
        for (name, command) in programs_that_read_keys(lab, source) {
            if (source, name) != ("udp", "ruroco-commander") {
                expect_no_start(name, command, &[path(&key)]);
            }
        }
        match source {
            "xdp" => chown(&key, Some(0), Some(0)).unwrap(),
            _ => lab.files.give_to_user(&key),
        }
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_status_tells_of_very_many_keys() {
    const MANY: usize = 20_000;
    let mut lab = Lab::without_floors(&Default::default());
    for number in 0..MANY {
        let file = lab.files.server_key(&format!("key-{number:05}"));
        fs::write(&file, generate_key().unwrap().to_text().as_bytes()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    lab.start_gate();
    for _ in 0..3 {
        let status = lab.status();
        let keys = status["keys"].as_array().unwrap();
        assert_eq!(keys.len(), MANY + 1);
        assert_eq!(keys[MANY - 1]["name"], format!("key-{:05}", MANY - 1));
        assert_eq!(keys[MANY]["name"], "laptop");
    }
    let text = lab.tool_command(&["status"]).output().unwrap();
    // There is a gate, and nothing else that a knock needs.
    assert_eq!(text.status.code(), Some(4), "{}", String::from_utf8_lossy(&text.stderr));
    let lines = String::from_utf8(text.stdout).unwrap();
    assert_eq!(lines.lines().filter(|line| line.starts_with("key ")).count(), MANY + 1);
    lab.expect_silence();
}
