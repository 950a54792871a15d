//! `source = "udp"`: an ordinary socket in the place of the gate, and everything behind it the
//! same.

use std::{net::UdpSocket, os::fd::OwnedFd, process::Stdio};

use ruroco_lab::{
    files::Options,
    knock::{forge, under_unknown_key},
    lab::Lab,
    network::{CLIENT, Family, PORT},
};

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
    // As systemd does it: a bound socket as descriptor 3, and who it is for in the environment.
    let socket = lab.network.server.enter(|| UdpSocket::bind(("::", PORT)).unwrap());
    let become_server = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let mut command = lab.server_command_by(&["sh", "-c", become_server, "sh"], &[]);
    command.stdin(Stdio::from(OwnedFd::from(socket)));
    // There is one socket at this port: a server that bound its own could not start.
    lab.start_server_until(&mut command, &["ready", "udp"]);
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}
