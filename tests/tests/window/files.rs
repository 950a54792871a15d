//! The files are shared with the command line.

use ruroco_client::profiles::Host;

use crate::person::{Person, add_host, new_folder};

#[test]
fn what_another_program_changes_is_seen_without_a_restart() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    person.sees("Knock at home: default");
    // As `ruroco-client host add` does.
    let host = Host::new("192.0.2.7".parse().unwrap(), "home".parse().unwrap());
    person.client().profiles().add(&"office".parse().unwrap(), &host).unwrap();
    person.sees("Knock at office: default");
    person.client().profiles().remove("home").unwrap();
    person.no_longer_sees("Knock at home: default");
}

#[test]
fn a_host_that_another_program_has_removed_meanwhile_is_not_saved() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    person.presses("Edit home");
    person.client().profiles().remove("home").unwrap();
    person.writes("Address", "192.0.2.9");
    person.presses("Save");
    person.sees("Another program has removed host home in the meantime.");
    // What was written is still there.
    assert_eq!(person.reads("Address"), "192.0.2.9");
}
