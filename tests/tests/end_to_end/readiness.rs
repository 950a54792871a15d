//! Whether a knock would work now: `ruroco status` and `ruroco doctor` judge each part of the
//! way, agree about it, and end accordingly.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
    time::Duration,
};

use nix::sys::signal::Signal;
use ruroco_common::address::Address;
use ruroco_lab::{
    files::{KEY, Options},
    lab::{Lab, udp_socket},
    network::{CLIENT, Family, SERVER, SERVER_INTERFACE, THIRD, gate},
    programs, wait,
};
use serde_json::Value;

/// Exit codes of `status`.
const READY: i32 = 0;
const NO_ANSWER: i32 = 1;
const OPEN: i32 = 3;
const NOT_READY: i32 = 4;

fn run(mut command: Command) -> (Output, Value) {
    let output = command.output().expect("run ruroco");
    let said = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout).expect(&said);
    (output, json)
}

fn status(lab: &Lab) -> (Output, Value) {
    run(lab.tool_command(&["status", "--json"]))
}

fn doctor(lab: &Lab) -> (Output, Value) {
    let mut command = lab.tool_command(&["doctor", "--json"]);
    command.arg("--commands").arg(lab.files.commands());
    run(command)
}

/// The names of those that have a problem.
fn broken(parts: &Value) -> Vec<&str> {
    let parts = parts.as_array().unwrap().iter();
    let broken = parts.filter(|part| part["state"] == "problem");
    let mut names: Vec<_> = broken.map(|part| part["name"].as_str().unwrap()).collect();
    names.dedup();
    names
}

#[track_caller]
fn expect_ready(lab: &Lab) {
    let (output, json) = status(lab);
    assert_eq!(output.status.code(), Some(READY), "{json:#}");
    assert_eq!((&json["ready"], broken(&json["parts"])), (&true.into(), Vec::new()), "{json:#}");
    let (output, json) = doctor(lab);
    assert_eq!((output.status.code(), &json["ok"]), (Some(0), &true.into()), "{json:#}");
}

/// Makes sure that both name these parts and no others, `status` with this exit code and in its first line,
/// too.
#[track_caller]
fn expect_broken(lab: &Lab, names: &[&str], code: i32) {
    let (output, json) = status(lab);
    assert_eq!(output.status.code(), Some(code), "{json:#}");
    assert_eq!(
        (&json["ready"], broken(&json["parts"])),
        (&false.into(), names.to_vec()),
        "{json:#}"
    );

    let text = lab.tool_command(&["status"]).output().expect("run ruroco");
    assert_eq!(text.status.code(), Some(code));
    let text = String::from_utf8(text.stdout).unwrap();
    let first = text.lines().next().unwrap();
    let named = names.iter().all(|name| first.contains(name));
    assert!(first.starts_with("NOT READY ") && named, "{text}");

    let (output, report) = doctor(lab);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    let found = broken(&report["findings"]);
    assert!(names.iter().all(|name| found.contains(name)), "{names:?} are not in {report:#}");
    // The same part is found to be the same.
    for part in json["parts"].as_array().unwrap() {
        let mut findings = report["findings"].as_array().unwrap().iter();
        let same =
            |finding: &&Value| finding["name"] == part["name"] && finding["state"] == part["state"];
        assert!(findings.any(|finding| same(&finding)), "{part:#} is not in {report:#}");
    }
    for part in json["parts"].as_array().unwrap().iter().filter(|part| part["state"] == "problem") {
        let has_command = |remedy: &str| remedy.contains('`') || remedy.contains("run: ");
        assert!(part["remedy"].as_str().is_some_and(has_command), "{part:#}");
    }
}

fn set_mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn metric(lab: &Lab, name: &str) -> Option<String> {
    let output = lab.tool_command(&["status", "--prometheus"]).output().expect("run ruroco");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(str::to_owned)
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_commander_that_is_dead_or_hangs_is_named() {
    let mut lab = Lab::running(&Default::default());
    lab.expect_next_knock_to_run(Family::V4);
    expect_ready(&lab);
    for name in ["ruroco_ready", "ruroco_commander_up", "ruroco_server_up"] {
        assert_eq!(metric(&lab, name).as_deref(), Some("1"), "{name}");
    }

    lab.commander().signal(Signal::SIGSTOP);
    expect_broken(&lab, &["commander"], NOT_READY);
    lab.commander().signal(Signal::SIGCONT);
    expect_ready(&lab);

    lab.commander().crash();
    expect_broken(&lab, &["commander"], NOT_READY);
    for (name, value) in [
        ("ruroco_ready", "0"),
        ("ruroco_commander_up", "0"),
        ("ruroco_server_up", "1"),
        ("ruroco_gate_up", "1"),
        ("ruroco_part_ok{part=\"commander\"}", "0"),
    ] {
        assert_eq!(metric(&lab, name).as_deref(), Some(value), "{name}");
    }
    lab.start_commander();
    expect_ready(&lab);
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_server_that_is_dead_or_hangs_is_named() {
    let mut lab = Lab::running(&Default::default());
    expect_ready(&lab);
    lab.server().signal(Signal::SIGSTOP);
    expect_broken(&lab, &["server"], NOT_READY);
    lab.server().signal(Signal::SIGCONT);
    expect_ready(&lab);
    lab.server().crash();
    expect_broken(&lab, &["server"], NOT_READY);
    assert_eq!(metric(&lab, "ruroco_server_up").as_deref(), Some("0"));
    lab.start_server();
    expect_ready(&lab);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_is_dead_or_not_on_its_interface_is_named() {
    let mut lab = Lab::running(&Default::default());
    lab.network.disconnect_client();
    lab.gate().wait_for(&["gate is not attached to all of its interfaces"]);
    expect_broken(&lab, &["gate", "addresses"], OPEN);
    lab.network.connect_client();
    wait::until("the gate to be attached again", || {
        (lab.status()["attached"] == true).then_some(())
    });
    expect_ready(&lab);

    lab.gate().crash();
    // The server waits for another gate; that it runs, the kernel says.
    expect_broken(&lab, &["gate"], NO_ANSWER);
    lab.start_gate();
    lab.server().wait_for_nth(2, &["ready"]);
    expect_ready(&lab);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_address_that_is_gone_is_named() {
    let lab = Lab::running(&Default::default());
    lab.network.server.ip(&format!("addr del {}/24 dev {SERVER_INTERFACE}", SERVER.v4));
    expect_broken(&lab, &["addresses"], NOT_READY);
    lab.network.server.ip(&format!("addr add {}/24 dev {SERVER_INTERFACE}", SERVER.v4));
    lab.network.server.ip(&format!("addr del {}/64 dev {SERVER_INTERFACE}", SERVER.v6));
    expect_broken(&lab, &["addresses"], NOT_READY);
    lab.network.server.ip(&format!("addr add {}/64 dev {SERVER_INTERFACE} nodad", SERVER.v6));
    expect_ready(&lab);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn files_and_directories_that_a_part_cannot_use_are_named() {
    let lab = Lab::running(&Default::default());
    expect_ready(&lab);
    set_mode(&lab.files.floors_dir(), 0o500);
    expect_broken(&lab, &["floors"], NOT_READY);
    set_mode(&lab.files.floors_dir(), 0o700);

    set_mode(&lab.files.sockets(), 0o700);
    expect_broken(&lab, &["orders"], NOT_READY);
    set_mode(&lab.files.sockets(), 0o755);

    let commands = fs::read(lab.files.commands()).unwrap();
    fs::remove_file(lab.files.commands()).unwrap();
    expect_broken(&lab, &["commands"], NOT_READY);
    fs::write(lab.files.commands(), "[commands.x]\n").unwrap();
    expect_broken(&lab, &["commands"], NOT_READY);
    fs::write(lab.files.commands(), commands).unwrap();
    expect_ready(&lab);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn with_an_ordinary_socket_the_parts_behind_it_are_judged() {
    let mut lab = Lab::running(&Options { source: "udp", ..Options::default() });
    lab.expect_next_knock_to_run(Family::V4);
    let (output, json) = status(&lab);
    assert_eq!((output.status.code(), &json["ready"]), (Some(READY), &true.into()), "{json:#}");
    lab.server().crash();
    lab.commander().crash();
    let (output, json) = status(&lab);
    assert_eq!(output.status.code(), Some(NOT_READY), "{json:#}");
    assert_eq!(broken(&json["parts"]), ["server", "commander"], "{json:#}");
}

/// A second cable between client and server: the client reaches the server's address, which is that of
/// the first one, over it.
fn add_second_cable(lab: &Lab) {
    lab.network.server.ip(&format!(
        "link add second0 type veth peer name client1 netns {}\n\
         link set second0 up\n\
         addr add 203.0.113.1/24 dev second0\n\
         route add default via 203.0.113.2 dev second0 metric 500\n",
        lab.network.client.path().display()
    ));
    lab.network.client.ip(&format!(
        "link set client1 up\n\
         addr add 203.0.113.2/24 dev client1\n\
         route add {}/32 dev client1\n",
        SERVER.v4
    ));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_interface_that_leads_past_the_gate_is_named_as_soon_as_it_is_there() {
    let mut lab = Lab::running(&Default::default());
    expect_ready(&lab);
    add_second_cable(&lab);
    // The knock arrives, is lost, and is answered.
    let socket = udp_socket(&lab.network.client, Family::V4.unspecified());
    socket.connect(gate(Family::V4)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send(&lab.seal(&lab.good_knock(Family::V4))).unwrap();
    assert_eq!(socket.recv(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionRefused);

    expect_broken(&lab, &["unguarded"], OPEN);
    let (_, json) = status(&lab);
    let unguarded = json["unguarded"].as_array().unwrap();
    let named = unguarded.iter().find(|one| one["interface"] == "second0").unwrap();
    assert_eq!((&named["from"], &named["kind"]), (&"network".into(), &"veth".into()));
    let part = json["parts"].as_array().unwrap().iter().find(|part| part["name"] == "unguarded");
    let remedy = format!("`interfaces = [\"{SERVER_INTERFACE}\", \"second0\"]`");
    assert!(part.unwrap()["remedy"].as_str().unwrap().contains(&remedy), "{json:#}");
    let metrics = metric(&lab, "ruroco_unguarded_interfaces{from=\"network\"}");
    assert_eq!(metrics.as_deref(), Some("1"));
    let text = lab.tool_command(&["status"]).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("attached, but NOT ON ALL INTERFACES"), "{text}");
    assert!(text.contains("\ninterface   second0: NOT GUARDED\n"), "{text}");

    // Who sets a gate up is told, too. Whether there is a user for it on this host does not matter here.
    let mut init = lab.network.server.command();
    programs::add_launcher(&mut init, None);
    init.arg(programs::path("ruroco")).args(["init", "--no-start", "--port", "34020"]);
    init.args(["--interface", SERVER_INTERFACE, "--address", &SERVER.v4.to_string()]);
    init.arg("--config").arg(lab.files.path("new/config.toml"));
    let said = String::from_utf8(init.output().unwrap().stdout).unwrap();
    assert!(said.contains("second0 is up but will not be guarded"), "{said}");

    // The remedy helps.
    lab.files.change_config(|text| text.replace("[\"server0\"]", "[\"server0\", \"second0\"]"));
    lab.reload_gate();
    wait::until("the server to have the new ring", || {
        (status(&lab).0.status.code() == Some(READY)).then_some(())
    });
    expect_ready(&lab);
    lab.send(Family::V4, &lab.seal(&lab.good_knock(Family::V4)));
    assert_eq!(lab.expect_one_run().ip.to_string(), "203.0.113.2");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_interface_below_a_guarded_one_is_guarded_by_the_line_that_status_shows() {
    let options = Options { mode: "auto", interfaces: vec!["above0"], ..Options::default() };
    let mut lab = Lab::new(&options);
    lab.network.server.ip("link add link server0 name above0 type macvlan\nlink set above0 up\n");
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    expect_broken(&lab, &["unguarded"], OPEN);
    let (_, json) = status(&lab);
    let part = json["parts"].as_array().unwrap().iter().find(|part| part["name"] == "unguarded");
    let remedy = part.unwrap()["remedy"].as_str().unwrap();
    let line = remedy.split('`').nth(1).unwrap();
    assert_eq!(line, "interfaces = [\"server0\"]", "{remedy}");
    lab.files.change_config(|text| text.replace("interfaces = [\"above0\"]", line));
    lab.reload_gate();
    expect_ready(&lab);
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();

    let mut init = lab.network.server.command();
    programs::add_launcher(&mut init, None);
    init.arg(programs::path("ruroco")).args(["init", "--no-start", "--port", "34020"]);
    init.args(["--interface", "above0", "--address", &SERVER.v4.to_string()]);
    init.arg("--config").arg(lab.files.path("new/config.toml"));
    let said = String::from_utf8(init.output().unwrap().stdout).unwrap();
    assert!(said.contains("server0 is up but will not be guarded"), "{said}");
    assert!(said.contains("config.toml, in place of above0\n"), "{said}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_a_container_or_a_tunnel_could_use_is_a_warning() {
    let lab = Lab::running(&Default::default());
    // The third host's cable looks like that of a container.
    lab.network
        .server
        .ip("tuntap add mode tun name tun7\nlink set tun7 up\naddr add 10.9.9.1/24 dev tun7\n\
         link add br7 type bridge\nlink set br7 up\naddr add 10.9.8.1/24 dev br7\n");
    let (output, json) = status(&lab);
    assert_eq!(output.status.code(), Some(READY), "{json:#}");
    let unguarded: Vec<_> = json["unguarded"].as_array().unwrap().iter().collect();
    let names: Vec<_> = unguarded.iter().map(|one| one["interface"].as_str().unwrap()).collect();
    assert_eq!(names, ["third1"], "an empty bridge and a tunnel that nobody holds have no carrier");
    assert_eq!(unguarded[0]["from"], "this_host");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn status_shows_refused_knocks_of_known_keys_and_why() {
    let options = Options {
        default_command: "keys = [\"phone\"]".to_owned(),
        more_keys: vec!["phone"],
        ..Options::default()
    };
    let mut lab = Lab::running(&options);
    let mut elsewhere = lab.good_knock(Family::V4);
    elsewhere.plaintext.destination = Address::from(THIRD.of(Family::V4));
    lab.send(Family::V4, &lab.seal(&elsewhere));
    lab.expect_refusal("wrong_destination");
    // No knock of a known key.
    let mut forged = lab.seal(&lab.good_knock(Family::V4));
    forged[8] ^= 1;
    lab.send(Family::V4, &forged);
    lab.knock(Family::V4, &[]);
    lab.commander().wait_for(&["refused", "key_not_allowed"]);
    let refused = wait::until("both refusals", || {
        let (_, json) = status(&lab);
        Some(json["refused"].clone()).filter(|refused| refused.as_array().unwrap().len() == 2)
    });
    let (by_commander, by_server) = (&refused[0], &refused[1]);
    assert_eq!((&by_server["by"], &by_server["key"]), (&"server".into(), &KEY.into()));
    assert_eq!(by_server["reason"], "wrong_destination");
    assert_eq!(by_server["ip"], CLIENT.v4.to_string());
    assert_eq!(by_commander["reason"], "key_not_allowed");
    assert!(by_commander["detail"].as_str().unwrap().contains(KEY), "{refused:#}");
    let text = lab.tool_command(&["status"]).output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    let shown = format!(" wrong_destination {KEY} {} (by the server)\n", CLIENT.v4);
    assert!(text.contains(&shown), "{text}");

    // They outlast the server, and were never more than the file had room for from its beginning.
    let size = |lab: &Lab| fs::metadata(lab.files.floors_dir().join("refusals")).unwrap().len();
    let before = size(&lab);
    lab.server().crash();
    lab.start_server();
    let (_, json) = status(&lab);
    assert_eq!((&json["refused"], size(&lab)), (&refused, before));
    lab.expect_silence();
}
