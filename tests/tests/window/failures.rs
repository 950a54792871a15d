//! What can go wrong is told in words that somebody can act on.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    person::{Person, add_host, add_host_at, new_folder},
    server::{Server, free_port},
};

#[test]
fn mistakes_in_client_toml_are_shown_with_their_lines_and_the_rest_works() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let path = folder.path().join("client.toml");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}\n[hosts.b]\naddress = \"x:0\"\nkey = \"home\"\n")).unwrap();
    let mut person = Person::opens(folder);
    person.sees("client.toml has an error");
    person.sees("Line 6: `address`: `0` is not a port");
    assert!(person.sees_now("Knock at home: default"), "the good host is there");
    person.presses("Open the folder");
    ruroco_lab::wait::until("the folder to be opened", || {
        let opened = person.desktop.opened.lock().unwrap();
        opened.first().map(|folder| assert_eq!(folder, person.folder.path()))
    });
    fs::write(&path, good).unwrap();
    person.no_longer_sees("client.toml has an error");
}

#[test]
fn a_client_toml_that_is_none_leaves_a_window_that_says_so() {
    let folder = new_folder();
    fs::write(folder.path().join("client.toml"), "[hosts\n").unwrap();
    let mut person = Person::opens(folder);
    person.sees("client.toml has an error");
    person.sees("Line 1: ");
    person.presses("Keys");
    person.sees("No keys yet");
}

#[test]
fn a_key_that_others_can_read_is_told_with_what_to_run() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let path = folder.path().join("keys/home.key");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    person.sees("Not sent");
    person.sees(&format!("chmod 600 {}", path.display()));
    person.presses("Keys");
    person.sees(&format!("chmod 600 {}", path.display()));
}

#[test]
fn a_missing_key_is_imported_from_where_it_was_missed() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    fs::remove_file(folder.path().join("keys/home.key")).unwrap();
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    person.sees("Key home not found.");
    person.presses("Import a key");
    person.sees("One line, which begins with the name of a cipher.");
}

#[test]
fn a_damaged_counter_is_started_anew_by_whoever_wants_that() {
    let (folder, server) = (new_folder(), Server::new());
    let key = add_host_at(&server, &folder, "home", |_| {});
    fs::write(folder.path().join("counter"), "torn").unwrap();
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    person.sees("is damaged");
    assert_eq!(fs::read(person.folder.path().join("counter")).unwrap(), b"torn");
    person.presses("Reset the counter");
    person.sees("The counter was reset");
    person.presses("Knock again at home");
    server.receives(&key);
}

/// As after a clock that was ahead, or is set back: every knock is refused, and no host says so.
#[test]
fn a_counter_that_hosts_refuse_is_told_and_started_anew() {
    let (folder, server, port) = (new_folder(), Server::new(), free_port());
    let key = add_host_at(&server, &folder, "home", |_| {});
    let watched = add_host_at(&server, &folder, "watched", |host| {
        host.wait = std::num::NonZero::new(port);
    });
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ahead = now() + Duration::from_secs(2 * 86_400 + 100);
    fs::write(folder.path().join("counter"), ahead.as_nanos().to_be_bytes()).unwrap();
    let mut person = Person::opens(folder);
    person.presses("Knock at watched: default");
    person.sees(&format!("Port {port} did not open"));
    assert!(person.sees_now("counter is 2 days ahead"), "{}", person.everything());
    assert!(person.sees_now("Reset the counter"));
    assert!(!person.everything().contains("ruroco-client"), "{}", person.everything());
    server.receives(&watched);
    person.presses("Dismiss the result for watched");
    person.presses("Knock at home: default");
    assert!(server.receives(&key).counter > ahead.as_nanos());
    person.sees("counter is 2 days ahead");
    assert!(!person.everything().contains("ruroco-client"), "{}", person.everything());
    person.presses("Reset the counter");
    person.sees("The counter was reset");
    person.presses("Knock at home: default");
    assert!(server.receives(&key).counter <= now().as_nanos());
    person.no_longer_sees("counter is 2 days ahead");
}

#[test]
fn a_name_that_nobody_knows_is_told() {
    let folder = new_folder();
    add_host(&folder, "home", |host| {
        // RFC 6761: no name server knows it, and none is asked.
        host.address = "nowhere.invalid".parse().unwrap();
    });
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    person.sees("Cannot find the address of nowhere.invalid");
    person.sees("Check the name and the network");
}

#[test]
fn a_network_that_takes_nothing_is_told() {
    let folder = new_folder();
    add_host(&folder, "home", |host| {
        // Nobody may broadcast without saying so: the kernel refuses it as it does without a network.
        host.address = "255.255.255.255".parse().unwrap();
    });
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    person.sees("Cannot send to 255.255.255.255:80");
    person.sees("Check the network and the address");
}

#[test]
fn a_folder_that_cannot_be_written_costs_no_window() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    // Root may write whatever its mode says: a directory stands where the files would be put.
    for name in ["history.json.new", "counter.new", "client.toml.new"] {
        fs::create_dir_all(folder.path().join(name).join("x")).unwrap();
    }
    let mut person = Person::opens(folder);
    person.presses("Knock at home: default");
    person.sees("Cannot write the counter");
    person.sees("Not sent");
    person.sees("The history was not saved");
    person.presses("Edit home");
    person.writes("Address", "192.0.2.1");
    person.presses("Save");
    person.sees("The host was not saved");
    person.sees("Nothing was changed.");
    assert_eq!(person.reads("Address"), "192.0.2.1");
}
