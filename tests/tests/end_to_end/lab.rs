//! The lab itself: what the other tests conclude from it must be there to be concluded.

use ruroco_lab::{
    lab::{Lab, udp_socket},
    network::{Family, SERVER, gate},
};

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_a_gate_the_capture_sees_an_answer_to_every_packet() {
    let mut lab = Lab::without_floors(&Default::default());
    for family in Family::BOTH {
        let before = lab.capture.replies_from_gate().len();
        for _ in 0..100 {
            lab.send(family, b"anybody there?");
        }
        let seen = lab.capture.replies_from_gate();
        assert_eq!(seen.len() - before, 100, "{family:?}: {seen:#?}");
        assert!(seen.iter().all(|line| line.contains("Icmp")));
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_a_gate_the_capture_sees_datagrams_from_the_gates_port() {
    let mut lab = Lab::without_floors(&Default::default());
    for family in Family::BOTH {
        let before = lab.capture.replies_from_gate().len();
        let client = udp_socket(&lab.network.client, family.unspecified());
        let server = lab.network.server.enter(|| std::net::UdpSocket::bind(gate(family)).unwrap());
        client.send_to(b"knock", gate(family)).unwrap();
        let (_, peer) = server.recv_from(&mut [0; 16]).unwrap();
        server.send_to(b"who is there?", peer).unwrap();
        let (_, answerer) = client.recv_from(&mut [0; 16]).unwrap();
        assert_eq!(answerer.ip(), SERVER.of(family));
        assert_eq!(lab.capture.replies_from_gate().len() - before, 1);
        assert_eq!(lab.capture.from_server().len(), lab.capture.replies_from_gate().len());
    }
}
