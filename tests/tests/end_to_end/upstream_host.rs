//! Server and commander in the place of upstream ruroco's, on a host as upstream leaves it: its
//! `config.toml`, `commands.toml`, keys and `blocklist.msgpck`, byte for byte, at the places where they
//! are. The programs are started without an argument, and take it from there.
//!
//! Packets are one that upstream's own client has made, and others sealed under the same key.

mod host;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
    process::Command,
};

use ruroco_lab::{files::Options, knock::Knock, lab::Lab, network::Family, programs};

use super::start::expect_no_start;

use self::host::{
    ALLOW, CONFIG, COUNTER, Claim, Host, KEY, LIMITS, PUBLIC, blocklist, knock, packet, seal, write,
};

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_packet_of_upstreams_client_runs_its_command_once() {
    let mut host = Host::new(COUNTER - 1);
    host.configure(ALLOW);
    host.start();
    host.send(&packet());
    host.expect_run("default 127.0.0.1");
    host.send(&packet());
    host.expect_refusal("old_counter");
    host.stop_server();
    host.start_server();
    host.send(&packet());
    host.expect_refusal("old_counter");
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_has_run_under_upstream_does_not_run_again() {
    // The last is the one of the reference; with the first, upstream has accepted this very packet.
    for floor in [COUNTER, COUNTER + 1, 0x17f3_5985_0147_3c02] {
        for with_init in [false, true] {
            let mut host = Host::new(floor);
            host.configure(ALLOW);
            if with_init {
                let made = host.server_command().arg("init").output().unwrap();
                let said = String::from_utf8_lossy(&made.stdout).into_owned();
                assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
                assert!(said.contains("floors of upstream ruroco for 1 keys"), "{said}");
            }
            host.start();
            assert!(!host.blocklist().exists(), "upstream would go on from it");
            for _ in 0..2 {
                host.send(&packet());
                host.expect_refusal("old_counter");
                let mut last = knock("default").from(PUBLIC);
                last.plaintext.counter = floor;
                host.send(&seal(&last));
                host.stop_server();
                host.start_server();
            }
            host.expect_next_knock_to_run();
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_upstream_had_still_accepted_is_accepted() {
    let mut host = Host::new(COUNTER);
    host.start();
    for above in [1, 5] {
        let mut next = knock("default").from(PUBLIC);
        next.plaintext.counter = COUNTER + above;
        host.send(&seal(&next));
        host.expect_run(&format!("default {PUBLIC}"));
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_a_blocklist_a_key_that_is_new_begins_now() {
    let mut host = Host::without_blocklist();
    expect_no_start("ruroco-server", host.server_command(), &["ruroco-server init"]);
    assert!(host.server_command().arg("init").status().unwrap().success());
    host.start();
    host.send(&packet());
    host.expect_refusal("old_counter");
    host.expect_next_knock_to_run();

    // Nor does the blocklist of other keys let an old packet in.
    let mut host = Host::without_blocklist();
    let mut others = blocklist(1);
    others[3] = 0x7f;
    host.write_as_server(&host.blocklist(), &others, 0o644);
    host.start();
    host.send(&packet());
    host.expect_refusal("old_counter");
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn floors_that_a_line_of_ours_would_lose_stop_init_and_start() {
    let host = Host::without_blocklist();
    // Upstream's default for `blocklist_dir` is `config_dir`; ours is /var/lib/ruroco.
    let lines = CONFIG.lines().filter(|line| !line.starts_with("blocklist_dir"));
    let left_out: String = lines.map(|line| format!("{line}\n")).collect();
    host.write_config(&format!("{left_out}source = \"udp\"\n"));
    let left = "/etc/ruroco/blocklist.msgpck";
    host.write_as_server(left.as_ref(), &blocklist(COUNTER), 0o600);
    let told = [left, "run: mv /etc/ruroco/blocklist.msgpck /var/lib/ruroco/;"];
    expect_no_start("ruroco-server", host.server_command(), &told);
    let mut init = host.server_command();
    init.arg("init");
    expect_no_start("ruroco-server", init, &told);
    assert!(!Path::new("/var/lib/ruroco/floors").exists());
    assert_eq!(fs::read(left).unwrap(), blocklist(COUNTER));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn floors_only_rise_when_upstream_runs_again_in_between() {
    let mut host = Host::new(COUNTER - 1);
    host.configure(ALLOW);
    host.start();
    host.send(&packet());
    host.expect_run("default 127.0.0.1");
    host.stop_server();
    // Somebody has put an old copy back.
    host.write_as_server(&host.blocklist(), &blocklist(COUNTER - 1), 0o600);
    host.start_server();
    host.send(&packet());
    host.expect_refusal("old_counter");
    host.stop_server();
    // Upstream has accepted more.
    host.write_as_server(&host.blocklist(), &blocklist(COUNTER + 10), 0o600);
    host.start_server();
    let mut lower = knock("default").from(PUBLIC);
    lower.plaintext.counter = COUNTER + 10;
    host.send(&seal(&lower));
    host.expect_refusal("old_counter");
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_blocklist_that_is_not_whole_stops_the_start() {
    let mut host = Host::new(COUNTER);
    let whole = blocklist(COUNTER);
    let with_path = [&[0x92][..], &whole[1..], b"\xa4/tmp"].concat();
    for content in [&b""[..], &whole[..28], &[0; 29], &with_path] {
        host.write_as_server(&host.blocklist(), content, 0o600);
        let told = ["/var/lib/ruroco/blocklist.msgpck", "make new keys"];
        expect_no_start("ruroco-server", host.server_command(), &told);
        assert!(!host.server_command().arg("init").status().unwrap().success());
        assert_eq!(fs::read(host.blocklist()).unwrap(), content);
        assert!(!Path::new("/var/lib/ruroco/floors").exists());
    }
    host.write_as_server(&host.blocklist(), &whole, 0o600);
    host.start();
    host.send(&packet());
    host.expect_refusal("old_counter");
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_longer_datagram_is_refused_although_upstream_accepts_it() {
    for length in [95, 1094] {
        let mut host = Host::new(COUNTER - 1);
        host.configure(ALLOW);
        host.start();
        let mut longer = packet();
        longer.resize(length, 0);
        host.send(&longer);
        host.expect_refusal("wrong_length");
        host.send(&packet()[..93]);
        // Nothing was used up.
        host.send(&packet());
        host.expect_run("default 127.0.0.1");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn each_form_of_a_command_runs() {
    let mut host = Host::new(COUNTER);
    host.configure(LIMITS);
    host.start();
    for command in ["default", "open_port", "close_port"] {
        host.send(&seal(&knock(command).from("2606:4700::1111")));
        host.expect_run(&format!("{command} 2606:4700::1111"));
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn strict_knocks_are_for_where_they_come_from_and_permissive_ones_for_any_address() {
    let mut host = Host::new(COUNTER);
    host.configure(&format!("{LIMITS}\n{ALLOW}"));
    host.start();
    let strict = |ip| {
        let mut knock = knock("default").from(ip);
        knock.plaintext.strict = true;
        seal(&knock)
    };
    host.send(&strict(PUBLIC));
    host.expect_refusal("wrong_source");
    host.send(&strict("127.0.0.1"));
    host.expect_run("default 127.0.0.1");
    host.expect_next_knock_to_run();
    let elsewhere = Knock::to(PUBLIC.parse().unwrap(), "default");
    host.send(&seal(&elsewhere));
    host.expect_refusal("wrong_destination");
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn addresses_that_are_not_public_are_refused_unless_the_file_says_otherwise() {
    let within = [
        "0.1.2.3",
        "10.1.2.3",
        "100.64.1.2",
        "127.0.0.1",
        "169.254.1.2",
        "172.16.1.2",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.178.2",
        "198.18.1.2",
        "198.51.100.1",
        "203.0.113.1",
        "240.1.2.3",
        "::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "2001:db8::1",
    ];
    let knocks = || within.iter().map(|ip| (*ip, seal(&knock("default").from(ip))));
    for refusing in [String::new(), "\nallow_non_routable_ips = false".to_owned()] {
        let mut host = Host::new(COUNTER);
        host.configure(&format!("{LIMITS}{refusing}"));
        host.start();
        for (count, (ip, datagram)) in knocks().enumerate() {
            host.send(&datagram);
            // The server reports the first at once.
            if count == 0 {
                let reason = ["refused", "non_routable_address", ip];
                host.server.as_ref().unwrap().wait_for(&reason);
            }
        }
        host.expect_next_knock_to_run();
        assert_eq!(host.server.as_ref().unwrap().lines_with(&["accepted"]).len(), 1);
    }
    let mut host = Host::new(COUNTER);
    host.configure(&format!("{LIMITS}\n{ALLOW}"));
    host.start();
    for (ip, datagram) in knocks() {
        host.send(&datagram);
        host.expect_run(&format!("default {ip}"));
    }
    // Those that stand for everybody are refused all the same.
    for ip in ["255.255.255.255", "0.0.0.0", "224.0.0.1", "ff02::1"] {
        host.send(&seal(&knock("default").from(ip)));
    }
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_that_others_can_read_is_refused_by_its_name() {
    let mut host = Host::new(COUNTER);
    let key = Path::new("/etc/ruroco/laptop.key");
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(key, fs::Permissions::from_mode(mode)).unwrap();
        let told = ["/etc/ruroco/laptop.key", "chmod 600"];
        expect_no_start("ruroco-server", host.server_command(), &told);
        expect_no_start("ruroco-commander", host.commander_command(), &told);
    }
    fs::set_permissions(key, fs::Permissions::from_mode(0o400)).unwrap();
    host.start();
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn of_the_keys_directory_the_same_files_are_keys() {
    let mut host = Host::new(COUNTER);
    // What upstream does not look at: a name without a stem, another extension, a directory.
    for name in [".key", "laptop.KEY", "laptop.key.old", "notes"] {
        host.write_as_server(&Path::new("/etc/ruroco").join(name), b"nonsense", 0o644);
    }
    fs::create_dir("/etc/ruroco/old.key").unwrap();
    // White space around a key, and a link to its file, do no harm.
    fs::create_dir("/etc/keys").unwrap();
    fs::set_permissions("/etc/keys", fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file("/etc/ruroco/laptop.key").unwrap();
    let content = format!(" \n{KEY}\r\n\n");
    host.write_as_server("/etc/keys/laptop".as_ref(), content.as_bytes(), 0o600);
    symlink("/etc/keys/laptop", "/etc/ruroco/laptop.key").unwrap();
    host.start();
    host.expect_next_knock_to_run();

    // Two of one id, and one that is none, stop the start there, too.
    for (name, content, told) in [
        ("twice.key", KEY, "the same key id"),
        ("url.key", "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-Pw==", "not a key"),
        ("unpadded.key", KEY.trim_end_matches('='), "not a key"),
    ] {
        let host = Host::new(COUNTER);
        let path = Path::new("/etc/ruroco").join(name);
        host.write_as_server(&path, content.as_bytes(), 0o600);
        let told = [path.to_str().unwrap(), told];
        expect_no_start("ruroco-server", host.server_command(), &told);
        expect_no_start("ruroco-commander", host.commander_command(), &told);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_directory_of_the_servers_is_refused_until_it_is_roots() {
    let mut host = Host::new(COUNTER);
    // As upstream leaves it: the server could put other files in the place of root's.
    chown("/etc/ruroco", Some(host.user.uid.as_raw()), None).unwrap();
    let told = ["/etc/ruroco: ", "user ruroco (uid 64020)", "chown root /etc/ruroco && chmod go-w"];
    expect_no_start("ruroco-server", host.server_command(), &told);
    expect_no_start("ruroco-commander", host.commander_command(), &told);
    let mut init = host.server_command();
    init.arg("init");
    expect_no_start("ruroco-server", init, &told);
    assert!(host.blocklist().exists(), "nothing was taken over");
    let remedy = "chown root /etc/ruroco && chmod go-w /etc/ruroco";
    assert!(Command::new("sh").args(["-c", remedy]).status().unwrap().success());
    host.start();
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_a_file_leaves_out_means_what_it_means_there() {
    // No address, and floors where the keys are, which is a directory that the server can write.
    let mut host = Host::new(COUNTER);
    host.write_config("ips = [\"127.0.0.1\"]\n");
    let keys = Path::new("/etc/ruroco/blocklist.msgpck");
    fs::remove_file(host.blocklist()).unwrap();
    host.write_as_server(keys, &blocklist(COUNTER), 0o600);
    expect_no_start("ruroco-server", host.server_command(), &["/etc/ruroco"]);

    // They have a directory of their own when it is root's.
    host.write_config("ips = [\"127.0.0.1\"]\nblocklist_dir = \"/var/lib/ruroco\"\n");
    fs::remove_file(keys).unwrap();
    host.write_as_server(&host.blocklist(), &blocklist(COUNTER), 0o600);
    host.start();
    for daemon in [&host.server, &host.commander] {
        daemon.as_ref().unwrap().wait_for(&["no gate closes the port"]);
    }
    let mut lower = knock("default").from(PUBLIC);
    lower.plaintext.counter = COUNTER;
    host.send(&seal(&lower));
    host.expect_refusal("old_counter");
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn files_that_the_server_could_write_are_refused_by_the_commander_with_the_remedy() {
    let mut host = Host::new(COUNTER);
    for file in ["/etc/ruroco/config.toml", "/etc/ruroco/commands.toml"] {
        chown(file, Some(host.user.uid.as_raw()), None).unwrap();
        let told = [file, "chown 0"];
        expect_no_start("ruroco-commander", host.commander_command(), &told);
        chown(file, Some(0), None).unwrap();
    }
    host.start();
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_does_not_run_by_such_a_file_and_says_what_to_write() {
    let host = Host::new(COUNTER);
    let run = |program: &str, arguments: &[&str]| {
        let mut command = host.network.command();
        programs::add_launcher(&mut command, None);
        command.arg(programs::path(program)).args(arguments);
        command
    };
    expect_no_start("ruroco-gate", run("ruroco-gate", &[]), &["there is no gate to run"]);
    let told = run("ruroco", &["check"]).output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    for part in ["write [gate]", "allow_non_routable_ips = false", "the daemons would start"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let init = run("ruroco", &["init", "--no-start"]).output().unwrap();
    let [said, error] = [&init.stdout, &init.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(!init.status.success() && said.contains("write [gate]"), "{said}");
    assert!(error.contains("there is no gate to set up"), "{error}");
    assert!(host.blocklist().exists());

    // With a gate it is a file of ours, and `init` goes on from what upstream has left.
    host.configure("[gate]\ninterfaces = [\"lo\"]");
    chown("/etc/ruroco/laptop.key", Some(0), Some(0)).unwrap();
    for _ in 0..2 {
        let init = run("ruroco", &["init", "--no-start"]).output().unwrap();
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        assert!(Path::new("/var/lib/ruroco/floors").exists() && !host.blocklist().exists());
    }
    let config = fs::read_to_string("/etc/ruroco/config.toml").unwrap();
    assert!(config.starts_with(CONFIG), "{config}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn behind_a_gate_the_floors_of_upstream_hold_too() {
    const OLD: &str = "old-laptop";
    for family in Family::BOTH {
        let mut lab = Lab::without_floors(&Options::default());
        lab.files.add_upstream_key(OLD);
        let key = lab.files.key(OLD);
        let mut knock = lab.good_knock(family);
        let floor = knock.plaintext.counter;
        let mut content = blocklist(floor);
        content.splice(2..11, [0xc4, 8].into_iter().chain(key.id.0));
        let path = lab.files.floors_dir().join("blocklist.msgpck");
        write(&path, &content, 0o600);
        lab.files.give_to_user(&path);
        lab.start_commander();
        lab.start_gate();
        lab.start_server();
        lab.send(family, &knock.seal(&key));
        lab.expect_refusal("old_counter");
        knock.plaintext.counter = floor + 1;
        lab.send(family, &knock.seal(&key));
        assert_eq!(lab.expect_one_run().key, OLD);
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}
