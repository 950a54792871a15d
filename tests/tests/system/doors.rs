//! A port behind a door, set up as a new operator does: no file is edited by hand.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use ruroco_lab::{
    namespace::Namespace,
    network::{Family, PORT, SERVER, SERVER_INTERFACE},
    wait,
};
use serde_json::Value;

use crate::host::{Host, KEY};

/// Where something listens on the guest.
const BEHIND: u16 = 2222;

/// How long an answer may take, where a closed door gives none.
const ANSWER: Duration = Duration::from_millis(500);

/// A service of systemd that returns what it is sent, in place of sshd.
const ECHO_SOCKET: &str =
    "[Socket]\nListenStream=[::]:2222\nAccept=yes\n[Install]\nWantedBy=sockets.target\n";
const ECHO_SERVICE: &str = "[Service]\nExecStart=/bin/cat\nStandardInput=socket\n";

fn behind() -> SocketAddr {
    (SERVER.of(Family::V4), BEHIND).into()
}

fn connect(client: &Namespace, patience: Duration) -> Option<TcpStream> {
    client.enter(|| TcpStream::connect_timeout(&behind(), patience)).ok()
}

#[track_caller]
fn expect_closed(host: &Host) {
    assert!(connect(&host.network.client, ANSWER).is_none(), "the door is open");
}

#[track_caller]
fn expect_alive(session: &mut TcpStream) {
    session.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    session.write_all(b"ping").unwrap();
    let mut read = [0; 4];
    session.read_exact(&mut read).expect("the session was cut");
    assert_eq!(&read, b"ping");
}

/// Knocks with the real client, and connects through the door that this opens.
#[track_caller]
fn knock_and_connect(host: &Host, name: &str) -> TcpStream {
    let said = host.run_client(&["knock", name]);
    assert!(said.contains("is open"), "{said}");
    connect(&host.network.client, wait::DEADLINE).expect("the door is closed")
}

fn arming(host: &Host) -> Value {
    let status: Value = serde_json::from_str(&host.guest.run("ruroco status --json")).unwrap();
    status["arming"].clone()
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn a_new_host_has_a_door_after_three_commands_and_keeps_it_closed() {
    let mut host = Host::boot();
    host.guest.write("/etc/systemd/system/echo.socket", ECHO_SOCKET);
    host.guest.write("/etc/systemd/system/echo@.service", ECHO_SERVICE);
    host.guest.run("systemctl daemon-reload && systemctl enable --now echo.socket");
    let mut before = connect(&host.network.client, wait::DEADLINE).expect("nothing listens");
    host.install();
    let said = host.guest.run(&format!(
        "ruroco init --yes --interface {SERVER_INTERFACE} --address {} --port {PORT} --door echo=tcp/{BEHIND}",
        SERVER.v4
    ));
    assert!(
        said.contains("closed echo. TCP sessions with this host continue. Within 10 minutes,"),
        "{said}"
    );
    expect_closed(&host);
    expect_alive(&mut before);
    assert!(arming(&host)["left_ms"].is_u64());

    let invitation = host.guest.run(&format!("ruroco invite {KEY} --name guest"));
    let line = invitation.lines().find(|line| line.starts_with("ruroco://")).unwrap();
    host.accept(line);
    let mut session = knock_and_connect(&host, "guest");
    expect_alive(&mut session);
    wait::until("the session to confirm the trial", || {
        arming(&host)["left_ms"].is_null().then_some(())
    });
    let shown = host.guest.run("ruroco doors");
    assert!(shown.contains("echo (tcp/2222) is open for"), "{shown}");

    host.guest.run("systemctl kill --signal=KILL ruroco-gate ruroco-server ruroco-commander");
    expect_alive(&mut session);
    host.guest.run("systemctl stop ruroco-gate ruroco-server ruroco-commander");
    host.guest.run("test -e /sys/fs/bpf/ruroco");
    expect_alive(&mut session);

    host.guest.reboot(&host.network.server);
    host.guest
        .wait_until("systemctl is-active echo.socket ruroco-gate ruroco-server ruroco-commander");
    expect_closed(&host);
    expect_alive(&mut knock_and_connect(&host, "guest"));

    host.guest.run("ruroco disarm && systemctl stop ruroco-gate");
    assert!(connect(&host.network.client, wait::DEADLINE).is_some(), "disarm opens nothing");
    host.guest.run("dpkg --purge ruroco");
    host.guest.run("! test -e /var/lib/ruroco-gate && ! test -e /sys/fs/bpf/ruroco");
    assert!(connect(&host.network.client, wait::DEADLINE).is_some());
    host.expect_silence();
}
