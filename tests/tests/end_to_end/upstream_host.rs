//! Server and commander in the place of upstream ruroco's, on a host as upstream leaves it: its
//! `config.toml`, `commands.toml`, keys and `blocklist.msgpck`, byte for byte, at the places where they
//! are. `ruroco import` converts them, and then the programs are started without an argument.
//!
//! Packets are one that upstream's own client has made, and others sealed under the same key.

mod host;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
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
    host.import_and_start();
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
        let mut host = Host::new(floor);
        host.configure(ALLOW);
        let said = host.import();
        assert!(said.contains("blocklist.msgpck: 1\n"), "{said}");
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

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_upstream_had_still_accepted_is_accepted() {
    let mut host = Host::new(COUNTER);
    host.import_and_start();
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
    expect_no_start("ruroco", host.import_command(), &["it is not known which packets", "printf"]);
    assert_eq!(fs::read_to_string("/etc/ruroco/config.toml").unwrap(), CONFIG);
    // As the message says.
    write(&host.blocklist(), &[0x91, 0x80], 0o644);
    host.import_and_start();
    host.send(&packet());
    host.expect_refusal("old_counter");
    host.expect_next_knock_to_run();

    // Nor does the blocklist of other keys let an old packet in.
    let mut host = Host::without_blocklist();
    let mut others = blocklist(1);
    others[3] = 0x7f;
    host.write_as_server(&host.blocklist(), &others, 0o644);
    host.import_and_start();
    host.send(&packet());
    host.expect_refusal("old_counter");
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn floors_that_were_not_imported_stop_init_and_start() {
    let host = Host::without_blocklist();
    // Somebody has written a new file, and left upstream's floors where they were.
    host.write_config(
        "addresses = [\"127.0.0.1\"]\nsource = \"udp\"\nkeys_dir = \"/etc/ruroco\"\n",
    );
    let left = "/etc/ruroco/blocklist.msgpck";
    host.write_as_server(left.as_ref(), &blocklist(COUNTER), 0o600);
    let told = [left, "Run `ruroco import --floors /etc/ruroco/blocklist.msgpck`"];
    expect_no_start("ruroco-server", host.server_command(), &told);
    let mut init = host.server_command();
    init.arg("init");
    expect_no_start("ruroco-server", init, &told);
    assert!(!Path::new("/var/lib/ruroco/floors").exists());
    assert_eq!(fs::read(left).unwrap(), blocklist(COUNTER));
    let mut import = host.import_command();
    assert!(import.args(["--floors", left]).status().unwrap().success());
    assert!(Path::new("/var/lib/ruroco/floors").exists() && !Path::new(left).exists());
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn floors_only_rise_when_upstream_runs_again_in_between() {
    let mut host = Host::new(COUNTER - 1);
    host.configure(ALLOW);
    host.import_and_start();
    host.send(&packet());
    host.expect_run("default 127.0.0.1");
    for (upstreams, refused) in [
        (COUNTER - 1, packet()),
        (COUNTER + 10, {
            let mut lower = knock("default").from(PUBLIC);
            lower.plaintext.counter = COUNTER + 10;
            seal(&lower).to_vec()
        }),
    ] {
        host.stop_server();
        // An old copy of upstream's floors, or upstream has accepted more.
        host.write_as_server(&host.blocklist(), &blocklist(upstreams), 0o600);
        let _ = fs::remove_file("/var/lib/ruroco/blocklist.msgpck.before-import");
        let mut import = host.import_command();
        assert!(import.arg("--floors").arg(host.blocklist()).status().unwrap().success());
        host.start_server();
        host.send(&refused);
        host.expect_refusal("old_counter");
    }
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_blocklist_that_is_not_whole_stops_the_import() {
    let mut host = Host::new(COUNTER);
    let whole = blocklist(COUNTER);
    let with_path = [&[0x92][..], &whole[1..], b"\xa4/tmp"].concat();
    for content in [&b""[..], &whole[..28], &[0; 29], &with_path] {
        host.write_as_server(&host.blocklist(), content, 0o600);
        let told = ["/var/lib/ruroco/blocklist.msgpck", "make new keys"];
        expect_no_start("ruroco", host.import_command(), &told);
        assert_eq!(fs::read(host.blocklist()).unwrap(), content);
        assert_eq!(fs::read_to_string("/etc/ruroco/config.toml").unwrap(), CONFIG);
        assert!(Path::new("/etc/ruroco/laptop.key").exists());
        assert!(!Path::new("/var/lib/ruroco/floors").exists());
    }
    host.write_as_server(&host.blocklist(), &whole, 0o600);
    host.import_and_start();
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
        host.import_and_start();
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
    host.import_and_start();
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
    host.import_and_start();
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
        host.import_and_start();
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
    host.import_and_start();
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
fn a_key_that_others_could_read_is_named() {
    for mode in [0o644, 0o640, 0o604] {
        let mut host = Host::new(COUNTER);
        let key = Path::new("/etc/ruroco/laptop.key");
        fs::set_permissions(key, fs::Permissions::from_mode(mode)).unwrap();
        let said = host.import();
        let told =
            format!("laptop.key was readable by other users (mode {mode:04o}). Replace the key");
        assert!(said.contains(&told), "{said}");
        host.start();
        host.expect_next_knock_to_run();
    }
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
    host.import_and_start();
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
        let told = [name, told];
        host.import();
        expect_no_start("ruroco-server", host.server_command(), &told);
        expect_no_start("ruroco-commander", host.commander_command(), &told);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_directory_of_the_servers_becomes_roots() {
    let mut host = Host::new(COUNTER);
    // As upstream leaves it: the server could put other files in the place of root's.
    for path in ["/etc/ruroco", "/etc/ruroco/config.toml", "/etc/ruroco/commands.toml"] {
        chown(path, Some(host.user.uid.as_raw()), None).unwrap();
    }
    host.import_and_start();
    for path in
        ["/etc/ruroco", "/etc/ruroco/config.toml", "/etc/ruroco/commands.toml", "/etc/ruroco/keys"]
    {
        assert_eq!(fs::metadata(path).unwrap().uid(), 0, "{path}");
    }
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_a_file_leaves_out_means_what_it_means_there() {
    // No address, and floors where the keys are, which is a directory that the server could write.
    let mut host = Host::new(COUNTER);
    host.write_config("ips = [\"127.0.0.1\"]\n");
    let keys = Path::new("/etc/ruroco/blocklist.msgpck");
    fs::remove_file(host.blocklist()).unwrap();
    host.write_as_server(keys, &blocklist(COUNTER), 0o600);
    host.import_and_start();
    assert!(!keys.exists() && Path::new("/var/lib/ruroco/floors").exists());
    let mut lower = knock("default").from(PUBLIC);
    lower.plaintext.counter = COUNTER;
    host.send(&seal(&lower));
    host.expect_refusal("old_counter");
    host.expect_next_knock_to_run();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn nothing_runs_by_such_a_file_until_it_is_imported() {
    let host = Host::new(COUNTER);
    let told = ["/etc/ruroco/config.toml:1: ", "Run `ruroco import`"];
    let mut gate = host.network.command();
    programs::add_launcher(&mut gate, None);
    gate.arg(programs::path("ruroco-gate"));
    expect_no_start("ruroco-gate", gate, &told);
    expect_no_start("ruroco-server", host.server_command(), &told);
    expect_no_start("ruroco-commander", host.commander_command(), &told);
    for action in ["check", "init"] {
        let output = host.tool_command().arg(action).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!output.status.success() && said.contains(told[1]), "{action}: {said}");
    }
    assert!(host.blocklist().exists());

    // With a gate in the place of the socket, `init` goes on from what upstream has left.
    host.import();
    let config = fs::read_to_string("/etc/ruroco/config.toml").unwrap();
    let gate = config.replace("source = \"udp\"\n", "");
    host.write_config(&format!("{gate}[gate]\ninterfaces = [\"lo\"]\n"));
    let floors = fs::read("/var/lib/ruroco/floors").unwrap();
    let init = host.tool_command().args(["init", "--no-start"]).output().unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    assert_eq!(fs::read("/var/lib/ruroco/floors").unwrap(), floors);

    // And there is nothing left to import.
    let again = host.import();
    assert!(again.contains("There is nothing to convert"), "{again}");
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
        let path = lab.files.floors_dir().join("blocklist.msgpck");
        let mut content = blocklist(floor);
        content.splice(2..11, [0xc4, 8].into_iter().chain(key.id.0));
        write(&path, &content, 0o600);
        let import =
            lab.tool_command(&["import", "--yes"]).arg("--floors").arg(&path).output().unwrap();
        assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
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
