//! `source = "udp"`: systemd opens the port and passes it to the server, and the keys with it.

use std::net::SocketAddr;

use ruroco_lab::network::{self, Family, PORT};

use crate::host::{Host, KEY};

/// What docs/operate/operations.md says of hosts without XDP, but that nobody is there to edit a unit.
fn set_up(host: &Host) {
    host.guest.run("systemctl disable --now ruroco-gate");
    host.guest.run("sed -i '1i source = \"udp\"' /etc/ruroco/config.toml");
    host.guest.run("systemctl stop ruroco-server");
    host.guest.run("mkdir -p /etc/systemd/system/ruroco-udp.socket.d");
    host.guest.write(
        "/etc/systemd/system/ruroco-udp.socket.d/override.conf",
        &format!("[Socket]\nListenDatagram=\nListenDatagram=[::]:{PORT}\n"),
    );
    host.guest.run(
        "install -D -t /etc/systemd/system/ruroco-server.service.d \
         /usr/share/doc/ruroco/examples/udp.conf",
    );
    host.guest.run("systemctl daemon-reload");
    host.guest.run("systemctl enable --now ruroco-udp.socket");
    host.guest.run("systemctl start ruroco-server ruroco-commander");
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn without_xdp_systemd_holds_the_port_while_the_server_is_away() {
    let mut host = Host::boot();
    host.install();
    host.configure();
    set_up(&host);
    host.expect_a_knock_to_run(KEY);
    let to: SocketAddr = network::gate(Family::V6);
    let before = host.runs();
    host.knock_at(KEY, to);
    host.expect_runs(before + 1);
    let log = host.guest.run("journalctl --unit ruroco-server --output cat");
    assert!(log.contains("sandbox: enforced: ") && !log.contains(" not: "), "{log}");
    // It has no way to open a socket of its own.
    let address = format!("address=[::]:{PORT}");
    assert!(log.contains(&address), "{log}");

    // A knock that comes while it is down waits in the socket, or wakes it.
    let before = host.runs();
    host.guest.run("systemctl stop ruroco-server");
    host.knock(KEY);
    host.expect_runs(before + 1);
    // A new key takes a restart, and one that is gone, too.
    host.add_key("phone");
    host.guest.run("systemctl reload ruroco-commander");
    host.guest.run("systemctl reload ruroco-server && systemctl restart ruroco-server");
    host.expect_a_knock_to_run("phone");

    host.guest.reboot(&host.network.server);
    host.guest.wait_until("systemctl is-active ruroco-server ruroco-commander");
    assert_eq!(host.guest.property("ruroco-gate", "ActiveState"), "inactive");
    host.expect_a_knock_to_run(KEY);
    host.expect_silence();
}
