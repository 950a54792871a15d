//! The commands `knock` and `join`, and their earlier names, which scripts use.

use crate::person::{INVITATION, Person};

/// Each earlier name, and the name that replaced it.
const RENAMED: [(&str, &str); 2] = [("send", "knock"), ("invite", "join")];

#[test]
fn a_script_with_the_earlier_names_still_works() {
    let person = Person::new();
    assert!(person.say(&["invite"], INVITATION).starts_with("added host home"));
    assert_eq!(person.say(&["invite"], INVITATION), person.say(&["join"], INVITATION));
    let knock = ["home", "close_ssh", "--dry-run"];
    let [earlier, now] = ["send", "knock"].map(|name| person.run(&[&[name][..], &knock].concat()));
    assert!(earlier.contains("close_ssh"), "{earlier}");
    assert_eq!(earlier, now);
}

#[test]
fn the_help_lists_the_commands_by_their_new_names() {
    let help = Person::new().run(&["--help"]);
    let commands: Vec<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    for (earlier, name) in RENAMED {
        assert!(commands.contains(&name), "{name}: {help}");
        assert!(!commands.contains(&earlier), "{earlier}: {help}");
    }
    assert!(help.contains("[alias: send]"), "{help}");
}

#[test]
fn the_help_of_an_earlier_name_shows_the_new_one() {
    for (earlier, name) in RENAMED {
        let help = Person::new().run(&[earlier, "--help"]);
        assert!(help.contains(&format!("Usage: ruroco-client {name} ")), "{help}");
    }
}
