//! SIGHUP for the server: other rules without a restart, and nothing of what it knows is lost.

use std::{fs, os::unix::fs::PermissionsExt};

use nix::sys::signal::Signal;
use ruroco_lab::{
    daemon::Daemon,
    files::{KEY, OTHER_COMMAND, Options},
    knock::{Bytes, Knock},
    lab::Lab,
    network::{Family, SERVER},
};

const SOURCES: [&str; 2] = ["xdp", "udp"];

fn of_source(source: &'static str) -> Options {
    Options { source, ..Options::default() }
}

fn other_command(lab: &Lab) -> Bytes {
    lab.seal(&Knock::to(SERVER.of(Family::V4), OTHER_COMMAND))
}

fn write_config(lab: &Lab, text: &str) {
    fs::write(lab.files.config(), text).unwrap();
}

fn config(lab: &Lab) -> String {
    fs::read_to_string(lab.files.config()).unwrap()
}

#[track_caller]
fn reload(lab: &mut Lab, nth: usize, told: &[&str]) {
    lab.server().signal(Signal::SIGHUP);
    lab.server().wait_for_nth(nth, told);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn other_rules_are_in_force_and_nothing_is_forgotten() {
    for source in SOURCES {
        let mut lab = Lab::running(&of_source(source));
        let knock = lab.good_knock(Family::V4);
        lab.send(Family::V4, &lab.seal(&knock));
        lab.expect_one_run();
        lab.send(Family::V4, &other_command(&lab));
        lab.expect_one_run();

        let text = config(&lab);
        let rules = format!("\n[keys.{KEY}]\ncommands = [\"default\"]\n");
        write_config(&lab, &(text.clone() + &rules));
        reload(&mut lab, 1, &["reloaded", "keys=1"]);
        lab.send(Family::V4, &other_command(&lab));
        lab.expect_refusal("command_not_allowed");
        // What has run does not run again; sealed anew, so that only the server can tell.
        lab.send(Family::V4, &lab.seal(&knock));
        lab.expect_refusal("old_counter");
        lab.expect_next_knock_to_run(Family::V4);

        write_config(&lab, &text);
        reload(&mut lab, 2, &["reloaded"]);
        lab.send(Family::V4, &other_command(&lab));
        assert_eq!(lab.expect_one_run().command, OTHER_COMMAND);
        // The totals go on.
        write_config(&lab, &(text + &rules));
        reload(&mut lab, 3, &["reloaded"]);
        lab.send(Family::V4, &other_command(&lab));
        lab.server().wait_for(&["refused", "command_not_allowed", "total=2"]);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_bad_configuration_is_refused_with_its_line_and_all_stays() {
    for source in SOURCES {
        let mut lab = Lab::running(&of_source(source));
        let rules = format!("\n[keys.{KEY}]\ncommands = [\"default\"]\n");
        let text = config(&lab) + &rules;
        write_config(&lab, &text);
        reload(&mut lab, 1, &["reloaded"]);
        let line = |beginning: &str, text: &str| {
            1 + text.lines().position(|line| line.starts_with(beginning)).unwrap()
        };
        let changed = |field: &str| {
            let old = text.lines().find(|line| line.starts_with(field)).unwrap().to_owned();
            text.replace(&old, &format!("{field} = \"/nowhere\""))
        };
        let other_source = match source {
            "xdp" => text.replace("\"xdp\"", "\"udp\""),
            _ => text
                .replace("\"udp\"", "\"xdp\"")
                .replace("[gate]\n", "[gate]\ninterfaces = [\"server0\"]\n"),
        };
        let mut cases = vec![
            ("[keys.latop]", text.clone() + "\n[keys.latop]\n", "did you mean `laptop`?"),
            ("prot", format!("prot = 1\n{text}"), "did you mean `port`?"),
            ("socket_dir", changed("socket_dir"), "Restart ruroco-server"),
            ("state_dir", changed("state_dir"), "Restart ruroco-server"),
            ("source", other_source, "Restart ruroco-server"),
        ];
        if source == "udp" {
            let old = text.lines().find(|line| line.starts_with("port")).unwrap();
            cases.push(("port", text.replace(old, "port = 1"), "Restart ruroco-server"));
        }
        for (beginning, bad, told) in cases {
            assert_ne!(bad, text);
            write_config(&lab, &bad);
            let place = format!("{}:{}: ", lab.files.config().display(), line(beginning, &bad));
            reload(
                &mut lab,
                1,
                &["not reloaded, the earlier configuration stays in force", &place, told],
            );
            lab.send(Family::V4, &other_command(&lab));
            lab.expect_next_knock_to_run(Family::V4);
        }
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn all_that_is_wrong_is_told_with_a_line_for_each() {
    const REFUSED: &str = "not reloaded, the earlier configuration stays in force";
    for source in SOURCES {
        let mut lab = Lab::running(&of_source(source));
        let text = config(&lab);
        let floors = format!("state_dir = {:?}", lab.files.floors_dir());
        let bad = text.replace(&floors, "state_dir = \"/nowhere\"");
        write_config(&lab, &format!("prot = 1\n{bad}\n[keys.latop]\ncommands = []\n"));
        let told = ["did you mean `port`?", "`state_dir` cannot", "did you mean `laptop`?"];
        reload(&mut lab, 1, &[REFUSED, told[0]]);
        for told in told {
            lab.server().wait_for(&[REFUSED, told]);
        }
        write_config(&lab, &text);
        reload(&mut lab, 1, &["reloaded", "keys=1"]);
        assert_eq!(lab.server().lines_with(&[REFUSED]).len(), told.len(), "{source}");
        lab.expect_next_knock_to_run(Family::V4);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_server_that_waits_for_its_gate_takes_other_rules_with_it() {
    let mut lab = Lab::new(&Default::default());
    let mut command = lab.server_command(&[]);
    lab.start_server_until(&mut command, &["waiting for the gate"]);
    let text = config(&lab) + &format!("\n[keys.{KEY}]\ncommands = [\"default\"]\n");
    write_config(&lab, &text);
    reload(&mut lab, 1, &["reloaded", "keys=0"]);
    lab.start_commander();
    lab.start_gate();
    lab.server().wait_for(&["ready", "keys=1"]);
    lab.send(Family::V4, &other_command(&lab));
    lab.expect_refusal("command_not_allowed");
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_a_gate_the_keys_are_read_anew_too() {
    let mut lab = Lab::new(&of_source("udp"));
    lab.start_server();
    lab.files.add_key("phone");
    reload(&mut lab, 1, &["reloaded", "keys=2"]);
    lab.start_commander();
    let phone = lab.good_knock(Family::V4).seal(&lab.files.key("phone"));
    lab.send(Family::V4, &phone);
    assert_eq!(lab.expect_one_run().key, "phone");

    // A bad one is no reason to lose the good ones.
    let bad = lab.files.server_key("bad");
    fs::write(&bad, "nonsense").unwrap();
    lab.files.make_private(&bad);
    reload(&mut lab, 1, &["not reloaded", bad.to_str().unwrap(), "not a key"]);
    let phone = lab.good_knock(Family::V4).seal(&lab.files.key("phone"));
    lab.send(Family::V4, &phone);
    lab.expect_one_run();

    fs::remove_file(bad).unwrap();
    fs::remove_file(lab.files.server_key("phone")).unwrap();
    reload(&mut lab, 1, &["reloaded", "keys=1"]);
    let phone = lab.good_knock(Family::V4).seal(&lab.files.key("phone"));
    lab.send(Family::V4, &phone);
    lab.expect_refusal("unknown_key");
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_systemd_passes_comes_before_what_is_in_the_directory() {
    let mut lab = Lab::new(&of_source("udp"));
    let credentials = lab.files.path("credentials");
    fs::create_dir(&credentials).unwrap();
    // As on a file system with access lists: root's, and the mask shows as the group's permission.
    let key = credentials.join(format!("keys_{KEY}.key"));
    fs::copy(lab.files.client_key(KEY), &key).unwrap();
    fs::write(credentials.join("keys_config.toml"), "of no interest").unwrap();
    let group = lab.files.user().gid.as_raw();
    std::os::unix::fs::chown(&key, Some(0), Some(group)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    // It could not read this one, and does not have to.
    std::os::unix::fs::chown(lab.files.server_key(KEY), Some(0), Some(0)).unwrap();
    let command = |lab: &Lab| {
        let mut command = lab.server_command(&[]);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        command
    };
    lab.start_commander();
    lab.start_server_until(&mut command(&lab), &["ready"]);
    lab.expect_next_knock_to_run(Family::V4);

    lab.server().crash();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o444)).unwrap();
    let mut server = Daemon::start("ruroco-server", &mut command(&lab));
    assert!(!server.wait_for_end().success());
    server.wait_for(&[key.to_str().unwrap(), "readable by other users"]);
    lab.expect_silence();
}
