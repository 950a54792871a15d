//! Accepting an invitation next to hosts and keys of every kind.

use std::{fs, num::NonZero, sync::Barrier, thread, time::Duration};

use ruroco_invite::door::Doors;
use ruroco_seal::generate_key;

use super::*;

fn invitation() -> Invitation {
    Invitation {
        name: "home".parse().unwrap(),
        address: "203.0.113.5".parse().unwrap(),
        key: generate_key().unwrap(),
        commands: vec!["open_ssh".to_owned(), "close_ssh".to_owned()],
        wait: NonZero::new(22),
        doors: Doors::new(),
    }
}

fn named(text: &str) -> Name {
    text.parse().unwrap()
}

fn accept(folder: &Folder, invitation: &Invitation, name: Option<&str>) -> Result<Plan, Error> {
    let plan = Plan::new(folder, invitation, name.map(named).as_ref())?;
    plan.carry_out(folder, invitation, Place::File)?;
    Ok(plan)
}

fn accepted(folder: &Folder, invitation: &Invitation) -> Plan {
    accept(folder, invitation, None).unwrap()
}

fn folder() -> (tempfile::TempDir, Folder) {
    let directory = tempfile::tempdir().unwrap();
    let folder = Folder::at(directory.path());
    (directory, folder)
}

fn descriptions(plan: &Plan) -> Vec<String> {
    let Step::Update(changes) = &plan.step else { panic!("{plan:?}") };
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn an_invitation_is_accepted_once() {
    let (_directory, folder) = folder();
    let invitation = invitation();
    let first = accepted(&folder, &invitation);
    assert_eq!(first.step, Step::Add);
    let read = folder.profiles().read().or_problems().unwrap();
    assert_eq!(read.get("home"), Some(&first.host));
    assert_eq!(first.host.all_commands().collect::<Vec<_>>(), ["open_ssh", "close_ssh"]);
    assert!(folder.keys().read(&first.host.key).unwrap().is(&invitation.key));
    assert_eq!(accepted(&folder, &invitation).step, Step::Nothing);
}

#[test]
fn an_invitation_is_accepted_again_whatever_commands_it_offers() {
    for commands in [&[][..], &["default"], &["a"], &["a", "b"], &["a", "a"], &["a", "b", "a"]] {
        let (_directory, folder) = folder();
        let commands = commands.iter().map(|&command| command.to_owned()).collect();
        let invitation = Invitation { commands, ..invitation() };
        assert_eq!(accepted(&folder, &invitation).step, Step::Add);
        assert_eq!(accepted(&folder, &invitation).step, Step::Nothing);
    }
}

#[test]
fn a_second_invitation_to_a_known_host_updates_it_and_leaves_the_rest() {
    let (_directory, folder) = folder();
    let one = Invitation { wait: None, ..invitation() };
    let host = accepted(&folder, &one).host;
    let own = Host { permissive: true, ip: Some("198.51.100.1".parse().unwrap()), ..host };
    folder.profiles().replace(&one.name, &own).unwrap();
    let commands = ["open_ssh", "close_ssh", "status"].map(str::to_owned).to_vec();
    // The host calls itself something else by now.
    let more = Invitation { commands, wait: NonZero::new(22), name: named("web1"), ..one };
    let plan = Plan::new(&folder, &more, None).unwrap();
    assert_eq!(folder.profiles().read().or_problems().unwrap().get("home"), Some(&own));
    let changes =
        ["commands: open_ssh, close_ssh -> open_ssh, close_ssh, status", "wait: none -> 22"];
    assert_eq!(
        (plan.name.as_str(), descriptions(&plan)),
        ("home", changes.map(str::to_owned).to_vec())
    );
    plan.carry_out(&folder, &more, Place::File).unwrap();
    let read = folder.profiles().read().or_problems().unwrap();
    assert_eq!(read.iter().count(), 1);
    let home = read.get("home").unwrap();
    assert!(home.permissive && home.ip == own.ip && home.wait == more.wait);
    assert_eq!(folder.keys().list().unwrap().len(), 1);
    // What the invitation does not say stays.
    assert_eq!(accepted(&folder, &Invitation { wait: None, ..more }).step, Step::Nothing);
}

#[test]
fn an_invitation_with_doors_updates_them_and_one_without_leaves_them() {
    let (_directory, folder) = folder();
    let one = invitation();
    accepted(&folder, &one);
    let door = |seconds| {
        let door = Door::new("tcp/22".parse().unwrap(), Duration::from_secs(seconds));
        let door = Door { open: vec!["open_ssh".to_owned()], ..door };
        Doors::from([(DoorName::new("ssh").unwrap(), door)])
    };
    let first = accepted(&folder, &Invitation { doors: door(30), ..one.clone() });
    let shown = "ssh (tcp/22) for 30 s, opened by open_ssh";
    assert_eq!(descriptions(&first), [format!("doors: none -> {shown}")]);
    let longer = accepted(&folder, &Invitation { doors: door(600), ..one.clone() });
    let change = format!("doors: {shown} -> {}", shown.replace("30 s", "10 min"));
    assert_eq!(descriptions(&longer), [change]);
    assert_eq!(accepted(&folder, &one).step, Step::Nothing);
    let read = folder.profiles().read().or_problems().unwrap();
    assert_eq!(read.get("home").unwrap().doors, door(600));
}

#[test]
fn commands_that_ask_before_they_are_sent_still_ask_after_an_update() {
    let (_directory, folder) = folder();
    let one = invitation();
    let host = accepted(&folder, &one).host;
    let confirm = ["open_ssh", "close_ssh"].map(str::to_owned).to_vec();
    folder.profiles().replace(&one.name, &Host { confirm, ..host }).unwrap();
    assert_eq!(accepted(&folder, &one).step, Step::Nothing);
    // One of them is no longer a command of this host.
    let commands = ["status", "open_ssh"].map(str::to_owned).to_vec();
    let other = accepted(&folder, &Invitation { commands, ..one });
    let confirm = "confirm: open_ssh, close_ssh -> open_ssh".to_owned();
    assert!(descriptions(&other).contains(&confirm), "{other:?}");
    assert!(other.host.needs_confirmation("open_ssh"));
    assert_eq!(folder.profiles().read().or_problems().unwrap().get("home"), Some(&other.host));
}

#[test]
fn a_host_that_has_moved_is_updated_by_its_name_and_key() {
    let (_directory, folder) = folder();
    let one = invitation();
    accepted(&folder, &one);
    let moved = Invitation { address: "198.51.100.1:81".parse().unwrap(), ..one };
    let changes = descriptions(&accepted(&folder, &moved));
    assert_eq!(changes, ["address: 203.0.113.5:80 -> 198.51.100.1:81"]);
}

#[test]
fn hosts_with_one_address_are_named() {
    let (_directory, folder) = folder();
    accepted(&folder, &invitation());
    for address in ["203.0.113.5", "203.0.113.5:81"] {
        let second =
            Invitation { name: named("b"), address: address.parse().unwrap(), ..invitation() };
        let plan = Plan::new(&folder, &second, None).unwrap();
        assert_eq!((plan.step, plan.sharing), (Step::Add, vec![named("home")]));
    }
    let other =
        Invitation { name: named("b"), address: "203.0.113.6".parse().unwrap(), ..invitation() };
    assert!(accepted(&folder, &other).sharing.is_empty());
}

#[test]
fn of_two_that_accept_an_invitation_at_once_neither_loses_its_key() {
    for _ in 0..50 {
        let (_directory, folder) = folder();
        let invitation = invitation();
        let begin = Barrier::new(2);
        let accept = || {
            let plan = Plan::new(&folder, &invitation, None).unwrap();
            begin.wait();
            plan.carry_out(&folder, &invitation, Place::File)
        };
        let both = thread::scope(|scope| {
            let other = scope.spawn(accept);
            [accept(), other.join().unwrap()]
        });
        assert_eq!(both.iter().filter(|done| done.is_ok()).count(), 1);
        assert!(
            both.iter().all(|done| !matches!(done, Err(error) if !matches!(error, Error::Changed)))
        );
        let key = KeyReference::Named(invitation.name.clone());
        assert!(folder.keys().read(&key).unwrap().is(&invitation.key));
        assert_eq!(accepted(&folder, &invitation).step, Step::Nothing);
    }
}

#[test]
fn what_is_there_and_something_else_stays() {
    let (_directory, folder) = folder();
    let one = invitation();
    accepted(&folder, &one);
    let other = invitation();
    let refused = accept(&folder, &other, None);
    assert!(matches!(refused, Err(Error::Conflict(Conflict::Host(_)))), "{refused:?}");
    folder.keys().add(&named("work"), &generate_key().unwrap(), Place::File).unwrap();
    let refused = accept(&folder, &other, Some("work"));
    assert!(matches!(refused, Err(Error::Conflict(Conflict::Key(_)))), "{refused:?}");
    assert_eq!(accept(&folder, &other, Some("office")).unwrap().step, Step::Add);
    assert!(folder.keys().read(&KeyReference::Named(one.name)).unwrap().is(&one.key));
}

#[test]
fn what_was_not_shown_is_not_done() {
    let (_directory, folder) = folder();
    let one = invitation();
    accepted(&folder, &one);
    let more = Invitation { commands: vec!["a".to_owned()], ..one.clone() };
    let plan = Plan::new(&folder, &more, None).unwrap();
    let changed = Host { wait: None, ..plan.host.clone() };
    folder.profiles().replace(&one.name, &changed).unwrap();
    let done = plan.carry_out(&folder, &more, Place::File);
    assert!(matches!(done, Err(Error::Changed)), "{done:?}");
    assert_eq!(folder.profiles().read().or_problems().unwrap().get("home"), Some(&changed));
}

fn changed(folder: &Folder, name: &str, change: impl FnOnce(&mut Host)) -> Host {
    let hosts = folder.profiles().read().or_problems().unwrap();
    let mut host = hosts.get(name).unwrap().clone();
    change(&mut host);
    folder.profiles().replace(&named(name), &host).unwrap();
    host
}

/// What is left of a host and its key.
fn kept(folder: &Folder, host: &str) -> (Host, Vec<String>) {
    let hosts = folder.profiles().read().or_problems().unwrap();
    let keys = folder.keys().names().unwrap();
    (hosts.get(host).unwrap().clone(), keys.iter().map(|(name, _)| name.to_string()).collect())
}

#[test]
fn a_key_that_was_lost_comes_back_with_its_invitation_and_nothing_else_changes() {
    let (_directory, folder) = folder();
    let one = invitation();
    let host = accepted(&folder, &one).host;
    folder.keys().remove(&one.name).unwrap();
    let more = Invitation { commands: vec!["status".to_owned()], ..one.clone() };
    let plan = accepted(&folder, &more);
    let changes = descriptions(&plan);
    assert!(changes.len() == 1 && changes[0].starts_with("key: missing -> "), "{changes:?}");
    assert!(plan.restores_key());
    assert_eq!(kept(&folder, "home"), (host, vec!["home".to_owned()]));
    assert!(folder.keys().read(&KeyReference::Named(one.name)).unwrap().is(&one.key));
}

#[test]
fn a_lost_key_comes_back_by_the_name_that_its_host_knows_it_by() {
    // The host is called otherwise than its invitation, or its key otherwise than the host.
    for (host, key) in [("web", "home"), ("home", "laptop"), ("web", "laptop")] {
        let (_directory, folder) = folder();
        let one = invitation();
        accepted(&folder, &one);
        folder.profiles().remove(one.name.as_str()).unwrap();
        folder.keys().remove(&one.name).unwrap();
        let described = Host::new(one.address.clone(), key.parse().unwrap());
        folder.profiles().add(&named(host), &described).unwrap();
        let plan = accepted(&folder, &one);
        assert_eq!((plan.name.as_str(), plan.restores_key()), (host, true));
        assert_eq!(kept(&folder, host), (described, vec![key.to_owned()]));
        assert!(folder.keys().read(&key.parse().unwrap()).unwrap().is(&one.key));
        let updated = accepted(&folder, &one);
        assert!(matches!(updated.step, Step::Update(_)) && !updated.restores_key(), "{updated:?}");
    }
}

/// An invitation to `home` at its address, after that host has lost its key.
fn lost(folder: &Folder) -> Invitation {
    let one = invitation();
    accepted(folder, &one);
    folder.keys().remove(&one.name).unwrap();
    one
}

fn has_lost_its_key(folder: &Folder, invitation: &Invitation, host: &str) {
    let planned = Plan::new(folder, invitation, None);
    assert!(
        matches!(&planned, Err(Error::Conflict(Conflict::KeyMissing { host: reported, .. }))
                 if reported.as_str() == host),
        "{planned:?}"
    );
}

#[test]
fn a_host_without_its_key_is_not_moved_to_another_address() {
    let (_directory, folder) = folder();
    let one = lost(&folder);
    let moved = Invitation { address: "198.51.100.66".parse().unwrap(), ..one };
    has_lost_its_key(&folder, &moved, "home");
    assert!(folder.keys().list().unwrap().is_empty());
}

#[test]
fn a_lost_key_that_another_host_uses_too_is_not_replaced() {
    let (directory, folder) = folder();
    let one = lost(&folder);
    for key in ["home", directory.path().join("keys/home.key").to_str().unwrap()] {
        let office = Host::new("198.51.100.7".parse().unwrap(), key.parse().unwrap());
        folder.profiles().add(&named("office"), &office).unwrap();
        has_lost_its_key(&folder, &one, "home");
        folder.profiles().remove("office").unwrap();
    }
    assert!(Plan::new(&folder, &one, None).unwrap().restores_key());
}

#[test]
fn of_two_hosts_that_have_lost_their_keys_the_one_that_is_named_gets_its_key_back() {
    let (_directory, folder) = folder();
    let one = lost(&folder);
    folder.profiles().remove(one.name.as_str()).unwrap();
    for name in ["a", "b"] {
        let host = Host::new(one.address.clone(), name.parse().unwrap());
        folder.profiles().add(&named(name), &host).unwrap();
    }
    has_lost_its_key(&folder, &one, "a");
    assert_eq!(accept(&folder, &one, Some("b")).unwrap().name, named("b"));
    assert_eq!(kept(&folder, "b").1, ["b"]);
}

#[test]
#[cfg(unix)]
fn a_key_that_cannot_be_read_is_reported_and_not_taken_for_another() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, folder) = folder();
    let one = invitation();
    accepted(&folder, &one);
    let path = directory.path().join("keys/home.key");
    let set_mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let refused = |host: &str| {
        let error = Plan::new(&folder, &one, None).unwrap_err();
        let Error::Conflict(conflict) = &error else { panic!("{error:?}") };
        assert!(
            matches!(conflict, Conflict::HostUnclear { host: reported, .. } if reported.as_str() == host)
                || matches!(conflict, Conflict::KeyUnclear { .. } if host.is_empty()),
            "{error:?}"
        );
        let message = error.to_string();
        assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        assert!(!message.contains("another key") && !message.contains("--name"), "{message}");
    };
    set_mode(0o644);
    refused("home");
    // A key that the host has by the path of its file.
    changed(&folder, "home", |host| host.key = path.to_str().unwrap().parse().unwrap());
    refused("home");
    set_mode(0o600);
    assert_eq!(Plan::new(&folder, &one, None).unwrap().step, Step::Nothing);
    set_mode(0o644);
    // The host at this address has another name, or there is a key without a host.
    let host = kept(&folder, "home").0;
    folder.profiles().rename(&one.name, &named("web"), &host).unwrap();
    refused("web");
    folder.profiles().remove("web").unwrap();
    refused("");
}

#[test]
fn an_entry_with_a_mistake_is_not_taken_for_a_host_with_another_key() {
    let (directory, folder) = folder();
    fs::write(directory.path().join("client.toml"), "[hosts.home]\naddress = 5\n").unwrap();
    let planned = Plan::new(&folder, &invitation(), None).unwrap_err().to_string();
    assert!(planned.contains("client.toml is invalid"), "{planned}");
}

#[test]
fn a_host_that_cannot_be_added_leaves_no_key_behind() {
    let (directory, folder) = folder();
    // Nothing can be written to a file whose place a directory has.
    fs::create_dir(directory.path().join("client.toml.new")).unwrap();
    assert!(matches!(accept(&folder, &invitation(), None), Err(Error::Host(_))));
    assert!(folder.keys().list().unwrap().is_empty());
}
