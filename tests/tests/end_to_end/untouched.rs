//! What is not for the gate passes, whole and unchanged.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
};

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    lab::{Lab, udp_socket},
    namespace::Namespace,
    network::{Family, PORT, SERVER, THIRD},
    wait::DEADLINE,
};

/// A port that nobody guards.
const OTHER_PORT: u16 = 5353;

/// Sends datagrams of many lengths to a host and back again.
fn expect_udp_to_pass(lab: &Lab, host: &Namespace, address: IpAddr, port: u16, knock: &[u8]) {
    let echo = host.enter(|| UdpSocket::bind((address, port)).unwrap());
    let client = udp_socket(&lab.network.client, Family::of(address).unspecified());
    for socket in [&echo, &client] {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
    }
    // The last two do not fit into one packet: their fragments have to pass as well.
    let contents = [0, 1, 93, 95, 1000, 4000, 20_000].map(|length| vec![0x5a; length]);
    let mut buffer = vec![0; 65_536];
    for content in contents.iter().map(Vec::as_slice).chain([knock]) {
        client.send_to(content, (address, port)).unwrap();
        let (length, sender) = echo.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], content, "on the way there");
        echo.send_to(content, sender).unwrap();
        let (length, sender) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], content, "on the way back");
        assert_eq!(sender, SocketAddr::from((address, port)));
    }
}

/// Sends a stream of data to a host and back again.
fn expect_tcp_to_pass(lab: &Lab, host: &Namespace, address: IpAddr, port: u16) {
    let listener = host.enter(|| TcpListener::bind((address, port)).unwrap());
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut content = Vec::new();
        stream.read_to_end(&mut content).unwrap();
        stream.write_all(&content).unwrap();
    });
    let mut stream = lab
        .network
        .client
        .enter(|| TcpStream::connect_timeout(&(address, port).into(), DEADLINE).unwrap());
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
    stream.write_all(&content).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert!(back == content, "{} bytes came back", back.len());
    echo.join().unwrap();
}

/// Makes sure that the gate had no part in what `action` sends, and still does its work.
fn expect_not_ours(action: impl Fn(&Lab, Family, &[u8])) {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        eprintln!("{family:?}");
        let knock = lab.seal(&lab.good_knock(family));
        let before = lab.verdicts();
        action(&lab, family, &knock);
        let after = lab.verdicts();
        assert!(after.since(&before).is_empty(), "{:?}", after.since(&before));
        assert!(after.of(Verdict::NotOurs) > before.of(Verdict::NotOurs));
        lab.expect_next_knock_to_run(family);
    }
    let replies = lab.capture.replies_from_gate();
    assert!(replies.is_empty(), "{replies:#?}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn udp_to_another_port_passes() {
    expect_not_ours(|lab, family, knock| {
        expect_udp_to_pass(lab, &lab.network.server, SERVER.of(family), OTHER_PORT, knock);
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn tcp_passes_even_to_the_gates_port() {
    expect_not_ours(|lab, family, _| {
        for port in [22, PORT] {
            expect_tcp_to_pass(lab, &lab.network.server, SERVER.of(family), port);
        }
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_the_server_forwards_passes_even_to_the_gates_port() {
    expect_not_ours(|lab, family, knock| {
        let third = &lab.network.third;
        expect_udp_to_pass(lab, third, THIRD.of(family), PORT, knock);
        expect_udp_to_pass(lab, third, THIRD.of(family), OTHER_PORT, knock);
        expect_tcp_to_pass(lab, third, THIRD.of(family), PORT);
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_address_of_the_server_that_is_not_in_ips_is_left_alone() {
    expect_not_ours(|lab, family, knock| {
        let (address, options) = match family {
            Family::V4 => ("192.0.2.77", "192.0.2.77/24"),
            Family::V6 => ("2001:db8:1::77", "2001:db8:1::77/64 nodad"),
        };
        lab.network.server.ip(&format!("addr add dev server0 {options}"));
        lab.network.client.ip(&format!(
            "neigh replace {address} lladdr 02:00:00:00:01:01 dev client0 nud permanent"
        ));
        let address: IpAddr = address.parse().unwrap();
        expect_udp_to_pass(lab, &lab.network.server, address, PORT, knock);
    });
}
