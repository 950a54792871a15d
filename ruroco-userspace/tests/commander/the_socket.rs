//! Who can connect to the commander, and when: its user, and nobody else at any moment.

use super::*;

#[test]
fn belongs_to_the_server_and_to_nobody_else() {
    let host = Host::new(TRUE);
    let _commander = host.start();
    let socket = fs::symlink_metadata(host.socket()).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(
        (socket.mode() & 0o7777, socket.uid()),
        (0o600, geteuid().as_raw()),
        "although the umask was 0"
    );
}

#[test]
fn is_never_open_to_another_user_and_not_even_root_may_talk() {
    if !is_root("connecting as somebody else") {
        return;
    }
    let host = Host::new(TRUE);
    host.configure_user("nobody");
    let socket = host.socket();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let stranger = thread::spawn({
        let socket = socket.clone();
        move || {
            set_thread_uid(Uid::from_raw(NOBODY - 1)).unwrap();
            let mut met = std::collections::HashSet::new();
            while stopped.try_recv().is_err() {
                met.insert(try_connect(&socket).map(|_| ()).unwrap_err());
            }
            met
        }
    });
    for _ in 0..20 {
        let mut commander = host.start();
        commander.signal(Signal::TERM);
        commander.ended();
    }
    let commander = host.start();
    let root = commander.connect();
    commander.line(&["rejected the connection of another user", "uid=0"]);
    assert_eq!(recv(&root.0, &mut [0; 1][..], RecvFlags::empty()).unwrap().1, 0);

    stop.send(()).unwrap();
    let met = stranger.join().unwrap();
    assert!(met.contains(&Errno::ACCESS), "the stranger never came as far as the socket");

    let server = thread::spawn(move || {
        set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
        Connection(try_connect(&socket).unwrap()).send(&order("noop"));
    });
    server.join().unwrap();
    commander.line(&["ended command=noop", "result=exit:0"]);
}

#[test]
fn takes_only_so_many_connections() {
    let host = Host::new(TRUE);
    let commander = host.start();
    let mut connections: Vec<Connection> = (0..4).map(|_| commander.connect()).collect();
    let fifth = commander.connect();
    commander.line(&["refused reason=too_many_connections"]);
    assert_eq!(recv(&fifth.0, &mut [0; 1][..], RecvFlags::empty()).unwrap().1, 0);
    connections.pop();
    eventually("room for another", || {
        let next = commander.connect();
        let message = order("noop").encode();
        let flags = rustix::net::SendFlags::NOSIGNAL;
        let _ = rustix::net::send(&next.0, &message, flags);
        (!commander.lines_with(&["running command=noop"]).is_empty()).then_some(())
    });
}

#[test]
fn is_left_alone_by_a_second_commander() {
    let host = Host::new(TRUE);
    let commander = host.start();
    let inode = fs::symlink_metadata(host.socket()).unwrap().ino();
    let said = host.refusal_to_start();
    assert!(said.contains("another process holds the lock"), "{said}");
    assert_eq!(fs::symlink_metadata(host.socket()).unwrap().ino(), inode);
    commander.connect().send(&order("noop"));
    commander.line(&["ended command=noop"]);
}

#[test]
fn of_a_commander_that_was_killed_is_replaced() {
    let host = Host::new(TRUE);
    let mut killed = host.start();
    killed.signal(Signal::KILL);
    killed.ended();
    assert!(host.socket().exists());
    let commander = host.start();
    commander.connect().send(&order("noop"));
    commander.line(&["ended command=noop"]);
}

#[test]
fn in_a_directory_of_others_is_not_made() {
    let host = Host::new(TRUE);
    fs::create_dir(host.path("run")).unwrap();
    host.set_mode("run", 0o777);
    assert!(host.refusal_to_start().contains("&& chmod go-w"));
    assert!(!host.socket().exists());
}
