//! What goes to the stack of packets to closed doors that are to be answered.

use ruroco_common::verdict::Verdict::{
    DoorAdmitted, DoorClosed, DoorFragment, DoorLimited, NotOurs,
};

use super::fixture::{ACK, Doors, FIN, OPEN, PSH, RST, SSH, SYN, lease, now, source, tcp};
use crate::{
    frames::{DESTINATION_OPTIONS, Extension, IPV4_MORE_FRAGMENTS, IPV6_MORE_FRAGMENTS, Packet},
    kernel::Action,
};

/// Where the TCP header is in a frame without options.
fn header(packet: &Packet) -> usize {
    if packet.destination.is_ipv4() { 34 } else { 54 }
}

fn as_first_fragment(packet: Packet, length: i16) -> Packet {
    let whole = i16::try_from(packet.payload.len()).unwrap() + 20;
    let packet = Packet { ip_length_lie: length - whole, ..packet };
    if packet.destination.is_ipv4() {
        Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..packet }
    } else {
        Packet { extensions: vec![Extension::Fragment(IPV6_MORE_FRAGMENTS)], ..packet }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_request_for_a_connection_goes_from_a_closed_door_to_the_stack() {
    let doors = Doors::answered();
    for flags in 0..=u8::MAX {
        for packet in tcp(SSH, flags) {
            let frame = packet.to_frame();
            let (verdict, action, passed) = doors.kernel.see(&frame);
            assert_eq!(verdict, DoorClosed, "{flags:#x}");
            let expected = if flags & RST == 0 { Action::Pass } else { Action::Drop };
            assert_eq!(action, expected, "{flags:#x}");
            let at = header(&packet);
            if flags & (SYN | ACK | RST) == SYN {
                assert_eq!(passed[at + 13], flags & !SYN, "{flags:#x}");
                assert_ne!(passed[at + 4..at + 8], frame[at + 4..at + 8]);
            } else if action == Action::Pass {
                assert_eq!(passed, frame, "{flags:#x}");
            }
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_a_lease_or_a_disarmed_door_admits_is_not_changed() {
    let mut doors = Doors::answered();
    for packet in tcp(SSH, SYN) {
        let frame = packet.to_frame();
        doors.open(&source(&packet), "ssh");
        assert_eq!(doors.kernel.see(&frame), (DoorAdmitted, Action::Pass, frame.clone()));
        let used_up = ruroco_common::doors::Lease { limit: 1, used: 1, ..lease() };
        doors.put(&source(&packet), "ssh", used_up);
        let (verdict, action, passed) = doors.kernel.see(&frame);
        assert_eq!((verdict, action), (DoorLimited, Action::Pass));
        assert_eq!(passed[header(&packet) + 13], 0);
    }
    doors.set_state(now());
    for packet in tcp(SSH, SYN) {
        let frame = packet.to_frame();
        assert_eq!(doors.kernel.see(&frame), (NotOurs, Action::Pass, frame.clone()));
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_may_hide_a_request_is_dropped_for_every_port_alike() {
    let doors = Doors::answered();
    for port in [SSH, OPEN] {
        for packet in tcp(port, SYN) {
            let (verdict, action, _) =
                doors.kernel.see(&as_first_fragment(packet.clone(), 8).to_frame());
            assert_eq!((verdict, action), (DoorFragment, Action::Drop), "{port} {packet:?}");
        }
        let [_, v6] = tcp(port, SYN);
        let options = Extension::Common(DESTINATION_OPTIONS, 0);
        let chain = vec![Extension::Fragment(IPV6_MORE_FRAGMENTS), options, options];
        // The second header of options is in another fragment.
        let packet = Packet { extensions: chain, ip_length_lie: -36, ..v6 };
        let (verdict, action, _) = doors.kernel.see(&packet.to_frame());
        assert_eq!((verdict, action), (DoorFragment, Action::Drop), "{port} {packet:?}");
    }
    let [v4, _] = tcp(SSH, SYN);
    let hidden = Packet { vlan_tags: vec![0x8100; 401], ..v4 };
    let (verdict, action, _) = doors.kernel.see(&hidden.to_frame());
    assert_eq!((verdict, action), (DoorFragment, Action::Drop));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_request_that_an_error_could_quote_is_dropped_for_every_port_alike() {
    let doors = Doors::answered();
    for (port, flags) in [(SSH, SYN), (OPEN, SYN), (SSH, SYN | FIN | PSH), (OPEN, ACK), (OPEN, FIN)]
    {
        for packet in tcp(port, flags) {
            let options = if packet.destination.is_ipv4() {
                Packet { ipv4_options: 1, ..packet.clone() }
            } else {
                let extensions = vec![Extension::Common(DESTINATION_OPTIONS, 0)];
                Packet { extensions, ..packet.clone() }
            };
            for packet in [options, as_first_fragment(packet, 16)] {
                let frame = packet.to_frame();
                let expected = match flags & SYN {
                    0 => (NotOurs, Action::Pass),
                    _ => (DoorFragment, Action::Drop),
                };
                let (verdict, action, passed) = doors.kernel.see(&frame);
                assert_eq!((verdict, action), expected, "{packet:?}");
                assert_eq!(passed, frame);
            }
        }
    }
}
