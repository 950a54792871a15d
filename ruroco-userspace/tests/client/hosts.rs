//! `ruroco-client host`.

use serde_json::{Value, json};

use crate::person::{KEY, Person, mode};

const EVERYTHING: [&str; 20] = [
    "host",
    "add",
    "home",
    "--address",
    "[2001:db8::1]:81",
    "--key",
    "home",
    "--command",
    "open",
    "--command",
    "close",
    "--confirm",
    "close",
    "--wait",
    "22",
    "--ip",
    "198.51.100.7",
    "--permissive",
    "-6",
    "--all-addresses",
];

#[test]
fn a_host_is_added_listed_changed_and_removed() {
    let person = Person::with_key();
    person.run(&EVERYTHING);
    assert_eq!(mode(person.folder().join("client.toml")), 0o600);
    let hosts = |person: &Person| -> Value {
        serde_json::from_str(&person.run(&["host", "list", "--json"])).unwrap()
    };
    let mut home = json!({
        "name": "home", "address": "[2001:db8::1]:81", "family": "ipv6", "all_addresses": true,
        "key": "home", "command": "open", "commands": ["open", "close"],
        "confirm": ["close"], "wait": 22,
        "ip": "198.51.100.7", "permissive": true, "connect": null, "doors": [], "trouble": null,
    });
    assert_eq!(hosts(&person), json!({ "hosts": [home] }));
    let listed = person.run(&["host", "list"]);
    assert_eq!(
        listed,
        "home  [2001:db8::1]:81  commands open close  (key home, confirm close, port 22, for 198.51.100.7, \
         permissive, ipv6, all addresses)\n"
    );

    let refused = person.refused(&EVERYTHING);
    assert!(refused.contains("host home already exists"), "{refused}");
    let changed = [&EVERYTHING[..], &["--replace", "--default", "close"]].concat();
    assert!(person.run(&changed).starts_with("changed host home"));
    home["command"] = "close".into();
    home["commands"] = json!(["close", "open"]);
    assert_eq!(hosts(&person), json!({ "hosts": [home] }));

    assert!(person.run(&["host", "remove", "home"]).contains("its key home was kept"));
    assert!(person.run(&["host", "list"]).contains("No hosts yet"));
    let unknown = person.refused(&["host", "remove", "home"]);
    assert!(unknown.contains("host home not found"), "{unknown}");
}

#[test]
fn what_a_person_wrote_stays_as_it_is() {
    let person = Person::with_key();
    let text = "# mine\n[hosts.a] # first\naddress = \"192.0.2.1\" # old\nkey = \"home\"\n";
    person.write_hosts(text);
    person.run(&["host", "add", "b", "--address", "192.0.2.2", "--key", "home"]);
    assert!(person.hosts().starts_with(text), "{}", person.hosts());
    person.run(&["host", "remove", "b"]);
    assert_eq!(person.hosts().trim_end(), text.trim_end());
}

#[test]
fn an_address_without_a_port_is_told_the_default_one() {
    let person = Person::with_key();
    let add = |name: &str, address: &str| {
        let arguments = ["host", "add", name, "--address", address, "--key", "home"];
        let (code, _, err) = person.start(&arguments, "");
        assert_eq!(code, 0, "{err}");
        err
    };
    let told = add("a", "192.0.2.1");
    assert_eq!(told, "Warning: 192.0.2.1 has no port, so the default UDP port 80 is used\n");
    assert_eq!(add("b", "192.0.2.2:80"), "");
    assert_eq!(add("c", "[2001:db8::1]:62201"), "");
    assert!(add("d", "2001:db8::2").contains("2001:db8::2 has no port"));
    let send = ["knock", "--address", "192.0.2.1", "--key", "home", "--dry-run"];
    let (_, _, err) = person.start(&send, "");
    assert!(err.starts_with("Warning: 192.0.2.1 has no port"), "{err}");
}

#[test]
fn a_command_that_is_not_listed_is_met_with_the_likely_one_and_can_be_sent_nevertheless() {
    let person = Person::with_key();
    person.run(&[
        "host",
        "add",
        "web1",
        "--address",
        "127.0.0.1:9",
        "--key",
        "home",
        "--command",
        "open_ssh",
        "--command",
        "close_ssh",
    ]);
    for typed in ["open_shh", "OPEN_SSH", "open-ssh"] {
        for action in
            [&["knock", "web1", typed][..], &["open", "web1", typed, "--wait", "22", "--", "true"]]
        {
            let refused = person.refused(action);
            assert!(
                refused.contains(&format!(
                    "command {typed} is not in the list of host web1. Did you mean open_ssh?"
                )),
                "{refused}"
            );
            assert!(refused.contains(&format!("pass --command {typed}")), "{refused}");
        }
        let refused = person.refused(&["proxy", "web1", "22", "--command", typed]);
        assert!(
            refused.contains("Did you mean open_ssh?") && refused.contains("client.toml"),
            "{refused}"
        );
        person.run(&["knock", "web1", "--command", typed, "--dry-run"]);
    }
    for other in ["open_ssh", "close_ssh", "restart_nginx"] {
        person.run(&["knock", "web1", other, "--dry-run"]);
    }
}

#[test]
fn an_unknown_host_is_met_with_the_likely_one() {
    let person = Person::with_key();
    assert!(person.refused(&["knock", "home"]).contains("ruroco-client join"));
    person.run(&["host", "add", "home", "--address", "192.0.2.1", "--key", "home"]);
    for asked in [["knock", "hoem"], ["knock", "Home"]] {
        let refused = person.refused(&asked);
        assert!(refused.contains("Did you mean home?"), "{refused}");
    }
    let refused = person.refused(&["host", "remove", "hom"]);
    assert!(refused.contains("Did you mean home?"), "{refused}");
}

#[test]
fn a_host_without_a_key_that_can_be_used_is_not_added() {
    let person = Person::new();
    let add =
        |key: &str| person.refused(&["host", "add", "h", "--address", "192.0.2.1", "--key", key]);
    let refused = add("home");
    assert!(refused.contains("ruroco-client key import home"), "{refused}");
    let open = person.write("open.key", KEY, 0o644);
    assert!(add(&open).contains("chmod 600"));
    assert_eq!(person.hosts(), "");
}

#[test]
fn ssh_is_told_which_hosts_an_address_can_mean() {
    let person = Person::with_key();
    for (name, address) in [("a", "127.0.0.1:81"), ("b", "127.0.0.1")] {
        person.run(&["host", "add", name, "--address", address, "--key", "home"]);
    }
    let refused = person.refused(&["proxy", "127.0.0.1", "22"]);
    assert!(refused.contains("more than one host: a, b.") && refused.contains("%n"), "{refused}");
}

#[test]
fn a_key_file_is_kept_by_its_whole_path() {
    let person = Person::new();
    let file = person.write("k.key", KEY, 0o600);
    person.run(&["host", "add", "h", "--address", "192.0.2.1", "--key", "k.key"]);
    assert!(person.hosts().contains(&format!("key = \"{file}\"")), "{}", person.hosts());
    person.write_hosts("[hosts.h]\naddress = \"192.0.2.1\"\nkey = \"k.key\"\n");
    let refused = person.refused(&["knock", "h"]);
    assert!(refused.contains("client.toml:3: `key`: k.key is a relative path"), "{refused}");
}

#[test]
fn a_mistake_is_told_with_its_line_and_hides_no_host() {
    let person = Person::with_key();
    let text = "[hosts.good]\naddress = \"192.0.2.1\"\nkey = \"home\"\n\n[hosts.bad]\n\
                address = \"192.0.2.1:0\"\nkey = \"home\"\ncomand = \"x\"\n";
    person.write_hosts(text);
    let send = ["knock", "good", "--dry-run"];
    for asked in [&send[..], &["knock", "bad"], &["proxy", "bad", "22"]] {
        let (code, out, told) = person.start(asked, "");
        for line in ["client.toml:6: `address`", "client.toml:8: "] {
            assert_eq!(told.matches(line).count(), 1, "{line}: {told}");
        }
        if asked[1] == "good" {
            assert!(code == 0 && out.contains("from good"), "{out}{told}");
            assert!(told.lines().all(|line| line.starts_with("Warning: ")), "{told}");
        } else {
            assert!(
                code == 1 && told.contains("the entry of host bad in client.toml is invalid"),
                "{told}"
            );
        }
    }
    let listed = person.refused(&["host", "list"]);
    assert!(
        listed.contains("client.toml:6: `address`") && listed.contains("`command`"),
        "{listed}"
    );
    person.run(&["host", "add", "h", "--address", "192.0.2.7", "--key", "home"]);
    assert!(person.hosts().starts_with(text), "{}", person.hosts());
    let refused =
        person.refused(&["host", "add", "bad", "--address", "192.0.2.8", "--key", "home"]);
    assert!(refused.contains("host bad already exists"), "{refused}");
    person.run(&["host", "remove", "h"]);
    assert_eq!(person.hosts().trim_end(), text.trim_end());
    let refused = person.refused(&["key", "remove", "home", "--yes"]);
    assert!(refused.contains("pass --force to delete the key anyway"), "{refused}");
    assert!(person.run(&["host", "remove", "bad"]).starts_with("removed host bad"));
    person.run(&["host", "list"]);
}

#[test]
fn a_list_of_hosts_that_is_no_toml_leaves_a_way_to_knock() {
    let person = Person::with_key();
    person.write_hosts("[hosts.good]\naddress = \"192.0.2.1\"\nkey =\n");
    for asked in [&["knock", "good"][..], &["proxy", "good", "22"]] {
        let refused = person.refused(asked);
        assert!(refused.contains("client.toml:3: "), "{refused}");
        assert!(refused.contains("ruroco-client knock --address ADDRESS --key KEY"), "{refused}");
    }
    person.run(&[
        "knock",
        "--address",
        "127.0.0.1:9",
        "--key",
        "home",
        "--command",
        "x",
        "--dry-run",
    ]);
}

#[test]
fn a_key_that_cannot_be_used_is_in_the_way_of_no_other_host() {
    let person = Person::with_key();
    let hosts = "[hosts.good]\naddress = \"127.0.0.1:9\"\nkey = \"home\"\n\
                 [hosts.bad]\naddress = \"192.0.2.2\"\nkey = \"broken\"\n";
    person.write_hosts(hosts);
    std::fs::write(person.folder().join("keys/broken.key"), "no key").unwrap();
    person.run(&["knock", "good", "--dry-run"]);
    person.refused(&["knock", "bad", "--dry-run"]);
}

#[test]
fn what_cannot_be_a_name_or_an_address_is_refused_before_anything_is_done() {
    let person = Person::with_key();
    for (name, address) in [("a/b", "192.0.2.1"), ("../a", "192.0.2.1"), ("a", "192.0.2.1:0")] {
        let mut client = person.command(crate::person::CLIENT);
        client.args(["host", "add", name, "--address", address, "--key", "home"]);
        assert_eq!(client.output().unwrap().status.code(), Some(2), "{name} {address}");
    }
    assert_eq!(person.hosts(), "");
}

#[test]
fn a_command_that_is_to_be_confirmed_is_not_sent_without_a_terminal_or_yes() {
    let person = Person::with_key();
    let add = ["host", "add", "nas", "--address", "127.0.0.1:9", "--key", "home"];
    let commands = ["--command", "open_ssh", "--command", "shut_down", "--confirm", "shut_down"];
    person.run(&[&add[..], &commands].concat());
    person.run(&["knock", "nas"]);
    for asked in [
        &["knock", "nas", "shut_down"][..],
        &["knock", "nas", "shut_down", "--json"],
        &["open", "nas", "shut_down", "--wait", "9", "--", "true"],
    ] {
        let refused = person.refused(asked);
        assert_eq!(
            refused,
            "Error: Refusing to send shut_down without confirmation (no terminal). `confirm` in \
             client.toml lists it. Pass --yes to send it.\n",
            "{asked:?}"
        );
    }
    let refused = person.refused(&["proxy", "nas", "22", "--command", "shut_down"]);
    assert!(refused.contains("ruroco-client knock nas shut_down"), "{refused}");
    let by_address = person.refused(&["proxy", "127.0.0.1", "22", "--command", "shut_down"]);
    assert_eq!(by_address, refused, "`knock` accepts names only");
    person.run(&["knock", "nas", "shut_down", "--dry-run"]);
    let sent = person.run(&["knock", "nas", "shut_down", "--yes"]);
    assert!(sent.contains("sent shut_down"), "{sent}");
}

#[test]
fn a_host_that_is_replaced_without_its_safeguard_is_pointed_out() {
    let person = Person::with_key();
    let add =
        ["host", "add", "nas", "--address", "127.0.0.1:9", "--key", "home", "--command", "stop"];
    person.run(&[&add[..], &["--confirm", "stop"]].concat());
    let (_, _, err) = person.start(&[&add[..], &["--replace", "--confirm", "stop"]].concat(), "");
    assert_eq!(err, "");
    let (_, _, err) = person.start(&[&add[..], &["--replace"]].concat(), "");
    assert!(err.contains("Warning: host nas no longer requires a confirmation for stop."), "{err}");
}

#[test]
fn a_name_that_differs_only_in_case_does_not_take_the_place_of_a_known_host() {
    let person = Person::with_key();
    let add = |name| ["host", "add", name, "--address", "192.0.2.1:80", "--key", "home"];
    person.run(&add("Web1"));
    let refused = person.refused(&add("web1"));
    assert!(
        refused.contains("host Web1 already exists") && refused.contains("host remove Web1"),
        "{refused}"
    );
    let invitation = crate::person::INVITATION.replace("name=home", "name=WEB1");
    let refused = person.refused_input(&["join"], &invitation.replace("AAEC", "BAEC"));
    assert!(refused.contains("host Web1 already exists with another key"), "{refused}");
}

#[test]
fn every_command_that_reads_the_hosts_warns_of_mistakes_in_them() {
    let person = Person::with_key();
    person.write_hosts("[hosts.my host]\n".replace("my host", "\"my host\"").as_str());
    let add = ["host", "add", "a", "--address", "192.0.2.1:80", "--key", "home"];
    for (arguments, input) in [
        (&add[..], ""),
        (&["join", "--name", "b"], crate::person::INVITATION),
        (&["knock", "a", "--dry-run"], ""),
    ] {
        let (_, _, err) = person.start(arguments, input);
        assert!(
            err.contains("Warning: ") && err.contains("client.toml:1: "),
            "{arguments:?}: {err}"
        );
    }
    let refused = person.refused(&["knock", "my host"]);
    assert!(refused.contains("ruroco-client host remove 'my host'"), "{refused}");
    person.run(&["host", "remove", "my host"]);
    assert!(!person.hosts().contains("my host"));
}

#[test]
fn only_a_command_of_the_host_can_be_confirmed() {
    let person = Person::with_key();
    let add = ["host", "add", "nas", "--address", "127.0.0.1:9", "--key", "home"];
    let refused = person.refused(&[&add[..], &["--command", "a", "--confirm", "b"]].concat());
    assert!(refused.contains("not a command of this host"), "{refused}");
}
