//! What a knock does is looked at: ports that open, that were open, and that stay shut.

use std::{
    fs::File,
    net::{TcpListener, UdpSocket},
    thread,
};

use serde_json::json;

use crate::harness::{Ended, Laptop, shut_port};

#[test]
fn a_port_that_opens_after_the_knock_is_told() {
    let at = shut_port();
    let laptop = Laptop::new(&format!("command = \"open_ssh\"\nwait = {}\n", at.port()));
    for arguments in [&["knock", "home"][..], &["knock", "home", "--json"]] {
        let opening = thread::scope(|host| {
            let opened = host.spawn(|| {
                let knock = laptop.knock();
                (knock.command, TcpListener::bind(at).unwrap())
            });
            let sent = laptop.client(arguments).expect(0);
            drop(opened.join().unwrap());
            sent
        });
        if arguments.contains(&"--json") {
            let seen = opening.json();
            assert_eq!((&seen["result"], &seen["was_open"]), (&json!("opened"), &json!(false)));
            assert_eq!((&seen["command"], &seen["port"]), (&json!("open_ssh"), &json!(at.port())));
            assert!(seen["opened_after_ms"].is_u64(), "{seen}");
        } else {
            let lines: Vec<_> = opening.output.lines().collect();
            assert_eq!(lines[0], format!("sent open_ssh to {}", laptop.address()));
            assert!(lines[1].starts_with(&format!("{at} is open, ")), "{lines:?}");
            assert!(lines[1].ends_with("ms after the knock") && lines.len() == 2, "{lines:?}");
        }
    }
}

#[test]
fn a_port_that_was_open_before_is_told_from_one_that_opens() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = open.local_addr().unwrap();
    let laptop = Laptop::new("");
    let port = at.port().to_string();
    let sent = laptop.client(&["knock", "home", "--wait", &port]).expect(0);
    assert!(
        sent.output.contains(&format!("{at} is open, and was already open before the knock")),
        "{sent:?}"
    );
    laptop.knock();
    let sent = laptop.client(&["knock", "home", "--json", "--wait", &port]).expect(0).json();
    assert_eq!((&sent["result"], &sent["was_open"]), (&json!("opened"), &json!(true)));
    laptop.knock();
}

#[test]
fn a_port_that_stays_shut_ends_with_3_and_advice() {
    let at = shut_port();
    let laptop = Laptop::new(&format!("wait = {}\n", at.port()));
    let id = laptop.key.id.to_string();
    let sent = laptop.client(&["knock", "home", "--timeout", "0.2"]).expect(3);
    let head = format!("Error: {at} did not open within 200ms");
    assert!(sent.errors.starts_with(&head), "{sent:?}");
    for advice in ["rejects connections", "clock", &id, "drop UDP"] {
        assert!(sent.errors.contains(advice), "no {advice} in {sent:?}");
    }
    laptop.knock();
    let sent = laptop.client(&["knock", "home", "--timeout", "0.2", "--json"]).expect(3);
    assert_eq!(sent.errors, "");
    assert_eq!(sent.json()["result"], "not_opened");
    assert!(sent.json()["advice"].as_array().is_some_and(|advice| advice.len() > 3), "{sent:?}");
    laptop.knock();
}

#[test]
fn an_icmp_error_is_looked_at_when_nothing_opens() {
    const TOLD: &str = "is closed. Either the address";
    let laptop = Laptop::new("");
    let port = shut_port().port().to_string();
    let waiting = ["--wait", &port, "--timeout", "0.2"];
    let sent = laptop.client(&[&["knock", "home"][..], &waiting].concat()).expect(3);
    assert!(!sent.errors.contains(TOLD), "{sent:?}");

    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let key = laptop.path("laptop.key");
    let elsewhere = ["knock", "--address", &nobody, "--key", key.to_str().unwrap()];
    let sent = laptop.client(&[&elsewhere[..], &waiting].concat()).expect(3);
    assert!(sent.errors.contains(TOLD), "{sent:?}");
}

#[test]
fn only_what_opens_the_port_is_waited_for() {
    let laptop = Laptop::new(&format!(
        "commands = [\"open_ssh\", \"close_ssh\"]\nwait = {}\n",
        shut_port().port()
    ));
    for arguments in [&["knock", "home", "close_ssh"][..], &["knock", "home", "--no-wait"]] {
        let sent = laptop.client(arguments).expect(0);
        assert_eq!(sent.output.lines().count(), 1, "{sent:?}");
        laptop.knock();
    }
    let waiting = ["knock", "home", "close_ssh", "--wait", "--timeout", "0.2"];
    laptop.client(&waiting).expect(3);
}

#[test]
fn a_host_without_a_port_to_wait_for_is_not_waited_for() {
    let laptop = Laptop::new("");
    laptop.client(&["knock", "home"]).expect(0);
    laptop.knock();
    for flags in [&["--wait"][..], &["--timeout", "1"], &["--tries", "2"]] {
        let sent = laptop.client(&[&["knock", "home"], flags].concat());
        sent.expect_error(&["no port is set for home", "--wait PORT"]);
    }
    laptop.expect_nothing();
}

#[test]
fn a_knock_is_repeated_as_often_as_allowed_within_one_limit() {
    let laptop = Laptop::new(&format!("wait = {}\n", shut_port().port()));
    let flags = ["--tries", "3", "--timeout", "0.6", "--json"];
    let sent = laptop.client(&[&["knock", "home"][..], &flags].concat()).expect(3);
    assert_eq!(sent.json()["knocks"], 3);
    let counters = [laptop.knock(), laptop.knock(), laptop.knock()].map(|knock| knock.counter);
    assert!(counters.is_sorted_by(|one, next| one < next), "{counters:?}");
    laptop.expect_nothing();
}

#[test]
fn what_fails_after_the_first_knock_is_no_knock_that_was_not_sent() {
    let laptop = Laptop::new(&format!("wait = {}\n", shut_port().port()));
    // There is one more number, and none for a repetition.
    laptop.write_private("counter", &(u128::MAX - 1).to_be_bytes());
    let flags = ["--tries", "2", "--timeout", "0.4", "--json"];
    let sent = laptop.client(&[&["knock", "home"][..], &flags].concat()).expect(3).json();
    assert_eq!((&sent["result"], &sent["knocks"]), (&json!("not_opened"), &json!(1)), "{sent}");
    let advice = sent["advice"][0].as_str().unwrap();
    assert!(advice.contains("The knock could not be repeated: the counter in"), "{advice}");
    laptop.knock();
    laptop.expect_nothing();
}

#[test]
fn a_knock_that_was_sent_and_cannot_be_told_of_was_sent() {
    let laptop = Laptop::new("");
    let port = shut_port().port().to_string();
    let shut = ["--wait", &port, "--timeout", "0.2"];
    for (flags, code) in
        [(&[][..], 0), (&["--json"], 0), (&shut, 3), (&[&shut[..], &["--json"]].concat(), 3)]
    {
        let mut client = laptop.command(&[&["knock", "home"], flags].concat());
        let full = File::options().write(true).open("/dev/full").unwrap();
        let sent = Ended::of(client.stdout(full).output().unwrap()).expect(code);
        assert!(sent.errors.contains("the knock was sent"), "{flags:?} {sent:?}");
        laptop.knock();
    }
    let mut dry = laptop.command(&["knock", "home", "--dry-run"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    Ended::of(dry.stdout(full).output().unwrap()).expect_error(&["standard output"]);
    laptop.expect_nothing();
}

#[test]
fn a_dry_run_checks_all_and_sends_nothing() {
    let laptop = Laptop::new("command = \"open_port\"\nwait = 22\n");
    let dry = laptop.client(&["knock", "home", "--dry-run"]).expect(0);
    let (id, address) = (laptop.key.id.to_string(), laptop.address().to_string());
    for part in ["open_port (hash 9b93083959d8550a)", &id, "chacha20poly1305", "port 22", &address]
    {
        assert!(dry.output.contains(part), "no {part} in {dry:?}");
    }
    let dry = laptop.client(&["knock", "home", "--dry-run", "--json"]).expect(0).json();
    assert_eq!((&dry["result"], &dry["to"]), (&json!("dry_run"), &json!([address])));
    assert!(dry["from"][0].as_str().is_some_and(|from| from.starts_with("127.0.0.1:")), "{dry}");
    assert_eq!(laptop.counter(), None, "no counter was used up");
    laptop.expect_nothing();
    std::fs::write(laptop.path("counter"), "torn").unwrap();
    laptop.client(&["knock", "home", "--dry-run"]).expect_error(&["damaged"]);
}

#[test]
fn what_fails_is_told_as_json_too() {
    let laptop = Laptop::new("");
    let failed = laptop.client(&["knock", "elsewhere", "--json"]).expect(1);
    assert_eq!(failed.json()["result"], "failed");
    let error = failed.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("host elsewhere not found"), "{error}");
    assert!(failed.errors.contains(&error), "{failed:?}");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let laptop = Laptop::new("");
    for arguments in [
        &["knock"][..],
        &["knock", "home", "--wait", "0"],
        &["knock", "home", "--wait", "22", "--no-wait"],
        &["knock", "home", "--timeout", "0"],
        &["knock", "home", "--timeout", "inf"],
        &["knock", "home", "--tries", "0"],
        &["proxy", "home", "ssh"],
    ] {
        laptop.client(arguments).expect(2);
    }
    laptop.expect_nothing();
}

#[test]
fn open_becomes_the_program_once_the_port_is_open_and_not_before() {
    let at = shut_port();
    let laptop = Laptop::new(&format!("wait = {}\n", at.port()));
    let program = ["--", "sh", "-c", "echo through; exit 7"];
    let shut = laptop.client(&[&["open", "home", "--timeout", "0.2"][..], &program].concat());
    let shut = shut.expect(3);
    assert!(shut.output.is_empty() && shut.errors.contains("did not open"), "{shut:?}");
    laptop.knock();

    let opened = |program: &[&str]| -> Ended {
        thread::scope(|host| {
            let opened = host.spawn(|| {
                laptop.knock();
                TcpListener::bind(at).unwrap()
            });
            let ended = laptop.client(&[&["open", "home"], program].concat());
            drop(opened.join().unwrap());
            ended
        })
    };
    let through = opened(&program).expect(7);
    assert_eq!((&*through.output, &*through.errors), ("through\n", ""));
    // The knock is on its way, so it is not the code of one that is not.
    let missing = opened(&["--", "/no/such/program"]).expect(4);
    for part in ["Error: the port is open", "/no/such/program", "Check that it is installed"] {
        assert!(missing.errors.contains(part), "no {part} in {missing:?}");
    }
}
