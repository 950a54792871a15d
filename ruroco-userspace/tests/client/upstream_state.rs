//! What upstream ruroco's client has left in the folder, byte for byte.

use std::fs;

use serde_json::Value;

use crate::person::{KEY, Person};

/// As upstream's window writes it: sorted by command and address.
const LIST: &str = "\
[[list]]
address = \"host.example:34020\"
command = \"close_ssh\"
permissive = false
ip = \"\"
ipv4 = false
ipv6 = false

[[list]]
address = \"198.51.100.1:80\"
command = \"default\"
permissive = true
ip = \"203.0.113.9\"
ipv4 = true
ipv6 = false

[[list]]
address = \"host.example:34020\"
command = \"open_ssh\"
permissive = false
ip = \"\"
ipv4 = false
ipv6 = false
";

fn with_list(text: &str) -> Person {
    let person = Person::with_key();
    fs::write(person.folder().join("commands_list.toml"), text).unwrap();
    person
}

#[test]
fn the_commands_become_hosts_and_the_file_stays() {
    let person = with_list(LIST);
    person.run(&["host", "import"]);
    let json: Value = serde_json::from_str(&person.run(&["host", "list", "--json"])).unwrap();
    let hosts = json["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 2);
    assert_eq!(hosts[0]["name"], "198.51.100.1");
    assert_eq!((&hosts[0]["ip"], &hosts[0]["family"]), (&"203.0.113.9".into(), &"ipv4".into()));
    assert_eq!(hosts[0]["permissive"], true);
    assert_eq!(hosts[1]["name"], "host.example-34020");
    assert_eq!(hosts[1]["commands"], serde_json::json!(["close_ssh", "open_ssh"]));
    let kept = fs::read_to_string(person.folder().join("commands_list.toml")).unwrap();
    assert_eq!(kept, LIST);
    let before = person.hosts();
    assert!(person.run(&["host", "import"]).contains("3 entries had already been imported"));
    assert_eq!(person.hosts(), before);
}

#[test]
fn the_older_form_is_understood_and_what_is_not_is_told() {
    let person = with_list(
        "list = [\"send --address a.example --command open\", \"send --command x\", \
         \"send --address b.example --fast\"]\n",
    );
    let refused = person.refused(&["host", "import", "--key", "home"]);
    assert!(refused.contains("entry 2: `--address` is missing"), "{refused}");
    assert!(refused.contains("entry 3: contains an unknown option"), "{refused}");
    assert!(person.run(&["host", "list"]).contains("a.example:80  command open  (key home)"));
}

#[test]
fn it_has_to_be_clear_which_key_the_hosts_know() {
    let person = Person::new();
    fs::create_dir_all(person.folder()).unwrap();
    let list = person.write("list.toml", LIST, 0o644);
    let refused = person.refused(&["host", "import", &list]);
    assert!(refused.contains("ruroco-client key import"), "{refused}");
    for name in ["a", "b"] {
        person.say(&["key", "import", name], KEY);
    }
    let refused = person.refused(&["host", "import", &list]);
    assert!(refused.contains("--key with one of: a, b"), "{refused}");
    person.run(&["host", "import", "--key", "b", &list]);
    assert_eq!(person.hosts().matches("key = \"b\"").count(), 2);
}

#[test]
fn a_list_that_is_damaged_or_missing_is_told_by_its_path() {
    let person = with_list("[[list]]\naddress = \n");
    let refused = person.refused(&["host", "import"]);
    assert!(refused.contains("commands_list.toml:2: "), "{refused}");
    let refused = person.refused(&["host", "import", "/nonexistent/list.toml"]);
    assert!(refused.contains("cannot read /nonexistent/list.toml"), "{refused}");
}

#[test]
fn the_counter_is_used_in_place() {
    let person = with_list("list = []\n");
    // Far ahead of any clock: what comes next is one more.
    let last = u128::from(u64::MAX) * 1000;
    let counter = person.folder().join("counter");
    fs::write(&counter, last.to_be_bytes()).unwrap();
    person.run(&["knock", "--address", "127.0.0.1:9", "--key", "home"]);
    assert_eq!(fs::read(&counter).unwrap(), (last + 1).to_be_bytes());
}
