//! What the commander says of itself, and to whom.

use super::*;

fn socket(host: &Host) -> PathBuf {
    host.socket().with_file_name("commander-status.sock")
}

fn ask(host: &Host) -> serde_json::Value {
    let connection = try_connect(&socket(host)).unwrap();
    let mut answer = [0; 4096];
    let (length, _) = recv(&connection, &mut answer[..], RecvFlags::empty()).unwrap();
    serde_json::from_slice(&answer[..length]).unwrap()
}

#[test]
fn is_what_runs_and_where_the_commands_are() {
    let host = Host::new("[commands.long]\nrun = [\"/bin/sleep\", \"60\"]\n");
    let commander = host.start();
    let idle = ask(&host);
    assert_eq!((&idle["running"], &idle["connections"]), (&0.into(), &0.into()));
    assert_eq!(idle["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(idle["commands_file"], host.path("commands.toml").to_str().unwrap());
    assert_eq!(idle.get("notify"), None);
    let server = commander.connect();
    server.send(&order("long"));
    commander.line(&["running command=long"]);
    let busy = ask(&host);
    assert_eq!((&busy["running"], &busy["connections"]), (&1.into(), &1.into()));
    assert!(busy["max_running"].as_u64().unwrap() > 1, "{busy}");
}

#[test]
fn is_for_the_commanders_own_user_alone() {
    let host = Host::new(TRUE);
    if is_root("connecting as somebody else") {
        host.configure_user("nobody");
    }
    let _commander = host.start();
    let file = fs::symlink_metadata(socket(&host)).unwrap();
    assert_eq!((file.mode() & 0o7777, file.uid()), (0o600, geteuid().as_raw()));
    if geteuid().is_root() {
        let path = socket(&host);
        let server = thread::spawn(move || {
            set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
            try_connect(&path).map(drop)
        });
        assert_eq!(server.join().unwrap(), Err(Errno::ACCESS));
    }
}

#[test]
fn can_be_asked_for_by_many_who_do_not_listen_and_orders_go_on() {
    let host = Host::new(TRUE);
    let commander = host.start();
    let deaf: Vec<_> = (0..200).filter_map(|_| try_connect(&socket(&host)).ok()).collect();
    assert!(!deaf.is_empty());
    commander.connect().send(&order("noop"));
    commander.line(&["ended command=noop", "result=exit:0"]);
    eventually("room for one more", || try_connect(&socket(&host)).ok());
    eventually("the slot to be free", || (ask(&host)["running"] == 0).then_some(()));
}
