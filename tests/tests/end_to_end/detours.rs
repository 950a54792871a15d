//! Options, extension headers and VLAN tags are no way round the gate: whatever is wrapped in them
//! is judged as it would be without.

use etherparse::{Ipv6RawExtHeader, Ipv6RoutingExtensions, ip_number};
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::Options,
    knock::{Bytes, forge, under_unknown_key},
    lab::Lab,
    network::{CLIENT, Family},
    packet::{Packet, VLAN_TYPES, tag},
};

/// Every way of wrapping a datagram that is tried.
pub(crate) fn wrapped(family: Family, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
    let plain = Packet::to_gate(family, payload);
    let mut frames = match family {
        Family::V4 => with_ipv4_options(&plain),
        Family::V6 => with_ipv6_extensions(&plain),
    };
    // VLAN 0 is the one that needs no interface to be received: only a priority (IEEE 802.1Q).
    let frame = plain.to_frame();
    for kind in VLAN_TYPES {
        for vlan in [0, 7] {
            frames.push((format!("tag {kind:#x} for VLAN {vlan}"), tag(&frame, &[(kind, vlan)])));
        }
    }
    let [customer, service] = VLAN_TYPES;
    frames.push(("QinQ".to_owned(), tag(&frame, &[(service, 3), (customer, 7)])));
    frames.push(("QinQ, priority only".to_owned(), tag(&frame, &[(service, 0), (customer, 0)])));
    frames.push((
        "three tags".to_owned(),
        tag(&frame, &[(service, 3), (customer, 7), (customer, 8)]),
    ));
    // Everything at once.
    let (what, innermost) = frames.swap_remove(0);
    frames.push((format!("QinQ and {what}"), tag(&innermost, &[(service, 3), (customer, 7)])));
    frames.push((what, innermost));
    frames
}

fn with_ipv4_options(plain: &Packet) -> Vec<(String, Vec<u8>)> {
    const NOTHING: u8 = 1; // RFC 791, section 3.1
    const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0]; // RFC 2113
    const LOOSE_ROUTE: [u8; 8] = [0x83, 7, 4, 203, 0, 113, 1, NOTHING]; // RFC 791, section 3.1
    const BROKEN: [u8; 4] = [0x83, 200, 4, NOTHING]; // longer than the header
    let options: [(&str, &[u8]); 5] = [
        ("four bytes of options", &[NOTHING; 4]),
        ("as many options as there is room for", &[NOTHING; 40]),
        ("a router alert", &ROUTER_ALERT),
        ("a source route", &LOOSE_ROUTE),
        ("options that the stack would complain about", &BROKEN),
    ];
    let mut frames = Vec::new();
    for (what, options) in options {
        let packet =
            plain.clone().with_ipv4(|header, _| header.options = options.try_into().unwrap());
        frames.push((what.to_owned(), packet.to_frame()));
    }
    frames
}

fn with_ipv6_extensions(plain: &Packet) -> Vec<(String, Vec<u8>)> {
    let padding = || header(&[1, 4, 0, 0, 0, 0]); // RFC 8200, section 4.2: PadN
    let unknown_option = || header(&[0xde, 4, 0, 0, 0, 0]); // must be reported if seen
    let unknown_route = || header(&[253, 1, 0, 0, 0, 0]); // one segment left: must be reported
    let with = |change: &dyn Fn(&mut etherparse::Ipv6Extensions)| {
        plain.clone().with_ipv6(|_, extensions| change(extensions)).to_frame()
    };
    let route = |routing| Some(Ipv6RoutingExtensions { routing, final_destination_options: None });
    vec![
        ("hop-by-hop options".to_owned(), with(&|e| e.hop_by_hop_options = Some(padding()))),
        ("destination options".to_owned(), with(&|e| e.destination_options = Some(padding()))),
        ("a routing header".to_owned(), with(&|e| e.routing = route(header(&[0; 6])))),
        (
            "an option that the stack would complain about".to_owned(),
            with(&|e| e.destination_options = Some(unknown_option())),
        ),
        (
            "a route that the stack would complain about".to_owned(),
            with(&|e| e.routing = route(unknown_route())),
        ),
        (
            "long options".to_owned(),
            with(&|e| e.destination_options = Some(header(&[&[1, 252][..], &[0; 252]].concat()))),
        ),
        (
            "all of them".to_owned(),
            with(&|e| {
                e.hop_by_hop_options = Some(padding());
                e.destination_options = Some(padding());
                e.routing = Some(Ipv6RoutingExtensions {
                    routing: header(&[0; 6]),
                    final_destination_options: Some(padding()),
                });
            }),
        ),
    ]
}

/// An extension header with this content behind its first two bytes.
fn header(content: &[u8]) -> Ipv6RawExtHeader {
    Ipv6RawExtHeader::new_raw(ip_number::UDP, content).unwrap()
}

fn each_is_judged(
    options: &Options,
    family: Family,
    verdict: Verdict,
    change: impl Fn(Bytes) -> Vec<u8>,
) {
    let mut lab = Lab::running(options);
    let datagram = change(lab.seal(&lab.good_knock(family)));
    for (what, frame) in wrapped(family, &datagram) {
        eprintln!("{family:?}: {what}");
        lab.expect_verdict(verdict, 1, |lab| lab.send_frame(&frame));
    }
    lab.expect_next_knock_to_run(family);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_wrapped_knock_runs_its_command_once() {
    for family in Family::BOTH {
        let mut lab = Lab::running(&Default::default());
        let ways = wrapped(family, &[]).len();
        for way in 0..ways {
            let datagram = lab.seal(&lab.good_knock(family));
            let (what, frame) = wrapped(family, &datagram).swap_remove(way);
            eprintln!("{family:?}: {what}");
            lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send_frame(&frame));
            assert_eq!(lab.expect_one_run().ip, CLIENT.of(family));
        }
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_wrapped_forgery_is_refused() {
    for family in Family::BOTH {
        for mode in ["native", "generic"] {
            let options = Options { mode, ..Options::default() };
            each_is_judged(&options, family, Verdict::Forged, |knock| forge(knock).to_vec());
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_wrapped_datagram_of_a_wrong_length_is_refused() {
    for family in Family::BOTH {
        for mode in ["native", "generic"] {
            let options = Options { mode, ..Options::default() };
            each_is_judged(&options, family, Verdict::WrongLength, |knock| knock[1..].to_vec());
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_wrapped_unknown_key_is_refused() {
    for family in Family::BOTH {
        let unknown = |knock| under_unknown_key(knock).to_vec();
        each_is_judged(&Options::default(), family, Verdict::UnknownKey, unknown);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_number_of_vlan_tags_hides_a_knock_or_junk() {
    // Linux removes any number of priority tags (VLAN 0) and reads what is behind them.
    for mode in ["native", "generic"] {
        let mut lab = Lab::running(&Options { mode, ..Options::default() });
        for family in Family::BOTH {
            for kind in VLAN_TYPES {
                for tags in [4, 20, 300] {
                    eprintln!("{mode}, {family:?}: {tags} tags {kind:#x}");
                    let wrap = |payload: &[u8]| {
                        let frame = Packet::to_gate(family, payload).to_frame();
                        tag(&frame, &vec![(kind, 0); tags])
                    };
                    let junk = wrap(b"junk");
                    lab.expect_verdict(Verdict::WrongLength, 1, |lab| lab.send_frame(&junk));
                    let knock = wrap(&lab.seal(&lab.good_knock(family)));
                    lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send_frame(&knock));
                    lab.expect_one_run();
                }
            }
            lab.expect_next_knock_to_run(family);
        }
        lab.expect_silence();
    }
}
