//! `source = "udp"`: an ordinary socket in the place of the gate, and everything behind it the
//! same.

use std::{
    fs,
    net::UdpSocket,
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use ruroco_lab::{
    files::Options,
    knock::{forge, under_unknown_key},
    lab::Lab,
    network::{CLIENT, Family, PORT, SERVER},
};

use super::start::expect_no_start;

/// What has a shell start a program as systemd does, with its own input, a socket, as descriptor 3.
pub(crate) const TAKE_SOCKET: &str = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";

fn options() -> Options {
    Options { source: "udp", ..Options::default() }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_runs_its_command_once() {
    let mut lab = Lab::running(&options());
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_longer_datagram_is_refused_and_not_cut_to_a_knock() {
    for family in Family::BOTH {
        let mut lab = Lab::running(&options());
        let mut datagram = lab.seal(&lab.good_knock(family)).to_vec();
        datagram.push(0);
        lab.send(family, &datagram);
        lab.expect_refusal("wrong_length");
        lab.send(family, &datagram[..93]);
        lab.expect_next_knock_to_run(family);
        // The knock in it was a good one.
        let datagram = lab.seal(&lab.good_knock(family));
        lab.send(family, &datagram);
        assert_eq!(lab.expect_one_run().ip, CLIENT.of(family));
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_server_refuses_what_the_gate_would_have_refused() {
    for family in Family::BOTH {
        let mut lab = Lab::running(&options());
        let knock = lab.good_knock(family);
        lab.send(family, &under_unknown_key(lab.seal(&knock)));
        lab.expect_refusal("unknown_key");
        lab.send(family, &forge(lab.seal(&knock)));
        lab.expect_refusal("forged");
        // Nothing of what a stranger has written gets into the log.
        let lines = lab.server().lines_with(&["refused"]);
        assert!(lines.iter().all(|line| !line.contains("detail")), "{lines:?}");
        let datagram = lab.seal(&lab.good_knock(family));
        lab.send(family, &datagram);
        lab.expect_one_run();
        lab.send(family, &datagram);
        lab.expect_refusal("old_counter");
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_socket_that_systemd_passes_on_is_used() {
    let mut lab = Lab::new(&options());
    lab.start_commander();
    // There is one socket at this port: a server that bound its own could not start.
    let mut command = with_sockets(&lab, PORT, None);
    lab.start_server_until(&mut command, &["ready", "udp"]);
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

/// Has sockets for IPv6 on the server's host receive no IPv4, unless they ask for it.
fn bind_ipv6_only(lab: &Lab) {
    let set = || fs::write("/proc/sys/net/ipv6/bindv6only", "1");
    lab.network.server.enter(set).unwrap();
    let is_free =
        || UdpSocket::bind(("::", PORT)).and_then(|_six| UdpSocket::bind(("0.0.0.0", PORT)));
    lab.network.server.enter(is_free).expect("the setting has an effect");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn both_families_are_heard_on_a_host_that_binds_ipv6_only() {
    let mut lab = Lab::new(&options());
    bind_ipv6_only(&lab);
    lab.start_commander();
    lab.start_server();
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    assert!(lab.server().lines_with(&["receives no"]).is_empty());
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_socket_that_does_not_hear_all_of_our_addresses_is_reported() {
    let mut lab = Lab::new(&options());
    bind_ipv6_only(&lab);
    lab.start_commander();
    let mut command = with_sockets(&lab, PORT, None);
    let v4 = SERVER.of(Family::V4).to_string();
    lab.start_server_until(&mut command, &["receives no IPv4", &v4, "BindIPv6Only=both"]);
    lab.server().wait_for(&["ready", "udp"]);
    lab.expect_next_knock_to_run(Family::V6);
    lab.server().crash();

    lab.files.change_config(|text| format!("listen = \"0.0.0.0\"\n{text}"));
    let told = ["receives no IPv6", "listen = \"::\""];
    lab.start_server_until(&mut lab.server_command(&[]), &told);
    lab.server().wait_for(&["ready", "udp"]);
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

/// A command that starts the server as systemd does: with a bound socket as descriptor 3, perhaps another
/// as 4, and who they are for in the environment.
fn with_sockets(lab: &Lab, port: u16, other: Option<u16>) -> Command {
    let socket = |port| {
        let bound = lab.network.server.enter(|| UdpSocket::bind(("::", port)).unwrap());
        Stdio::from(OwnedFd::from(bound))
    };
    let become_server = match other {
        None => TAKE_SOCKET,
        Some(_) => "exec 3<&0 4<&1 </dev/null >&2; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\"",
    };
    let mut command = lab.server_command_by(&["sh", "-c", become_server, "sh"], &[]);
    command.stdin(socket(port));
    if let Some(other) = other {
        command.stdout(socket(other));
    }
    command
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_socket_that_cannot_be_meant_is_refused() {
    let lab = Lab::new(&options());
    let other = PORT + 1;
    let told = [
        format!("opened port {other},"),
        format!("`port` is {PORT}."),
        "ListenDatagram".to_owned(),
    ];
    let told = told.each_ref().map(String::as_str);
    expect_no_start("ruroco-server", with_sockets(&lab, other, None), &told);
    let told = ["passed 2 sockets", "an empty ListenDatagram="];
    expect_no_start("ruroco-server", with_sockets(&lab, PORT, Some(other)), &told);
}
