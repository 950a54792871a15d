//! UDP behind a door: flows begin under a lease and outlive it.

use std::{net::UdpSocket, time::Duration};

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    daemon::Daemon,
    lab::{Lab, require_tool, udp_socket},
    network::{Family, SERVER},
    programs, wait,
};

use super::site::{ANSWER, LONG, PORT, SHORT, Site, behind, options_at};

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_udp_flow_lives_longer_than_its_lease() {
    let mut site = Site::new(&options_at(&format!("udp/{PORT}"), SHORT));
    for family in Family::BOTH {
        let server = site.lab.network.server.enter(|| UdpSocket::bind(behind(family))).unwrap();
        server.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        let flow = udp_socket(&site.lab.network.client, family.unspecified());
        let mut buffer = [0; 8];
        site.lab.expect_verdict(Verdict::DoorClosed, 1, |_| {
            flow.send_to(b"closed", behind(family)).unwrap();
        });
        site.open(family);
        flow.send_to(b"open", behind(family)).unwrap();
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"open", "what came before the knock reached the socket");
        server.send_to(b"reply", from).unwrap();
        site.wait_for_end_of_lease(family);
        let other = udp_socket(&site.lab.network.client, family.unspecified());
        site.lab.expect_verdict(Verdict::DoorClosed, 1, |_| {
            other.send_to(b"other", behind(family)).unwrap();
        });
        flow.send_to(b"still", behind(family)).unwrap();
        let (length, _) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"still");
    }
}

/// What the resolver knows.
const NAME: &[u8] = b"\x06behind\x07example\0";
const KNOWN: [u8; 4] = [203, 0, 113, 99];

/// A resolver on the server.
fn start_resolver(lab: &Lab) -> Daemon {
    require_tool("dnsmasq");
    let mut command = lab.network.server.command();
    programs::add_launcher(&mut command, None);
    command.args(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv"]);
    command.args(["--no-hosts", "--pid-file=", "--user=root", "--log-facility=-"]);
    command.arg("--address=/behind.example/203.0.113.99");
    let resolver = Daemon::start("dnsmasq", &mut command);
    resolver.wait_for(&["started"]);
    resolver
}

/// Sends a query (RFC 1035, section 4), and returns the address that is the end of the answer.
fn resolve(client: &UdpSocket, family: Family, patience: Duration) -> Option<[u8; 4]> {
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let query = [&header[..], NAME, &[0, 1, 0, 1]].concat();
    client.set_read_timeout(Some(patience)).unwrap();
    client.send_to(&query, (SERVER.of(family), 53)).unwrap();
    let mut buffer = [0; 512];
    let length = client.recv(&mut buffer).ok()?;
    buffer[..length].last_chunk().copied()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_resolver_answers_after_a_knock() {
    let mut site = Site::new(&options_at("udp/53", LONG));
    let resolver = start_resolver(&site.lab);
    for family in Family::BOTH {
        let new_socket = || udp_socket(&site.lab.network.client, family.unspecified());
        site.lab.expect_verdict(Verdict::DoorClosed, 1, |_| {
            assert_eq!(resolve(&new_socket(), family, ANSWER), None);
        });
        let (early, [first, second]) = (new_socket(), [new_socket(), new_socket()]);
        site.open(family);
        for socket in [&first, &second, &first, &early] {
            assert_eq!(resolve(socket, family, wait::DEADLINE), Some(KNOWN));
        }
        // The lease has ended, the flow has not.
        site.let_time_pass(Duration::from_secs(2 * 60 * 60));
        let other = udp_socket(&site.lab.network.client, family.unspecified());
        assert_eq!(resolve(&other, family, ANSWER), None);
    }
    drop(resolver);
}
