//! What the gate itself refuses: each packet is counted under its own verdict, goes nowhere, and
//! the next good knock works.

use ruroco_common::{datagram, verdict::Verdict};
use ruroco_lab::{
    files::Options,
    knock::{forge, under_unknown_key},
    lab::{Lab, udp_socket},
    network::{Family, gate},
    packet::Packet,
    wait,
};

/// Where headers begin in a frame without VLAN tags.
const IP: usize = 14;
const UDP_OVER_IPV4: usize = IP + 20;
const UDP_OVER_IPV6: usize = IP + 40;

/// Length of what IP carries for a knock.
const WHOLE: usize = 8 + datagram::SIZE;

/// Sends each of the frames alone, and then a good knock.
fn expect_each_refused(
    family: Family,
    verdict: Verdict,
    frames: impl IntoIterator<Item = (String, Vec<u8>)>,
    lab: &mut Lab,
) {
    for (what, frame) in frames {
        eprintln!("{family:?}: {what}");
        lab.expect_verdict(verdict, 1, |lab| lab.send_frame(&frame));
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

/// Sends each of the frames before a good knock, which alone has a verdict of the gate's: the frames
/// are for the stack, which discards them in silence.
fn expect_each_passed(
    family: Family,
    frames: impl IntoIterator<Item = (String, Vec<u8>)>,
    lab: &mut Lab,
) {
    for (what, frame) in frames {
        eprintln!("{family:?}: {what}");
        lab.expect_verdict(Verdict::Candidate, 1, |lab| {
            lab.send_frame(&frame);
            lab.knock(family, &[]);
        });
        lab.expect_one_run();
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn every_length_but_that_of_a_knock_is_a_wrong_length() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        let socket = udp_socket(&lab.network.client, family.unspecified());
        let knock = lab.seal(&lab.good_knock(family));
        // Shorter ones are a good knock cut off, longer ones a good knock with something behind.
        let mut long = knock.to_vec();
        long.resize(200, 0);
        let lengths = (0..=200).filter(|length| *length != datagram::SIZE);
        lab.expect_verdict(Verdict::WrongLength, 200, |_| {
            for length in lengths {
                socket.send_to(&long[..length], gate(family)).unwrap();
            }
        });
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_that_nobody_has_is_an_unknown_key() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        let datagram = under_unknown_key(lab.seal(&lab.good_knock(family)));
        lab.expect_verdict(Verdict::UnknownKey, 1, |lab| lab.send(family, &datagram));
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_wrong_tag_is_forged() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        let datagram = forge(lab.seal(&lab.good_knock(family)));
        lab.expect_verdict(Verdict::Forged, 3, |lab| {
            for _ in 0..3 {
                lab.send(family, &datagram);
            }
        });
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn another_keys_seal_under_a_known_key_id_is_forged() {
    let options = Options { more_keys: vec!["stranger"], ..Options::default() };
    let mut lab = Lab::running(&options);
    for family in Family::BOTH {
        let mut datagram = lab.good_knock(family).seal(&lab.files.key("stranger"));
        datagram[..8].copy_from_slice(&lab.key().id.0);
        lab.expect_verdict(Verdict::Forged, 1, |lab| lab.send(family, &datagram));
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_same_packet_again_is_replayed() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        let datagram = lab.seal(&lab.good_knock(family));
        lab.send(family, &datagram);
        lab.expect_one_run();
        lab.expect_verdict(Verdict::Replayed, 3, |lab| {
            for _ in 0..3 {
                lab.send(family, &datagram);
            }
        });
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_the_server_has_refused_is_replayed_as_well() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        let mut knock = lab.good_knock(family);
        knock.version = 2;
        let datagram = lab.seal(&knock);
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send(family, &datagram));
        lab.expect_verdict(Verdict::Replayed, 1, |lab| lab.send(family, &datagram));
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn ipv4_headers_that_lie_hide_no_knock() {
    let mut lab = Lab::running(&Default::default());
    let good = Packet::to_gate(Family::V4, &lab.seal(&lab.good_knock(Family::V4)));
    let (mut frames, mut lies) = (Vec::new(), Vec::new());
    let true_length = 20 + 8 + 94;
    for total_length in [0, 1, 19, 20, 27, 28, true_length - 1, true_length + 1, 1500, u16::MAX] {
        let mut lying = good.clone();
        lying.ipv4().0.total_len = total_length;
        let has_udp = (28..true_length).contains(&total_length);
        let list = if has_udp { &mut lies } else { &mut frames };
        list.push((format!("total length {total_length}"), lying.to_frame()));
    }
    for words in 0..5 {
        let mut frame = good.to_frame();
        frame[IP] = 0x40 | words;
        frames.push((format!("a header of {words} words"), frame));
    }
    let mut frame = good.to_frame();
    frame[IP] = 0x65;
    frames.push(("version 6".to_owned(), frame));
    let frame = good.to_frame();
    for length in [UDP_OVER_IPV4, UDP_OVER_IPV4 + 7, UDP_OVER_IPV4 + 8, frame.len() - 1] {
        frames.push((format!("cut off after {length} bytes"), frame[..length].to_vec()));
    }
    lies.extend(lying_udp_lengths(&good));
    expect_each_refused(Family::V4, Verdict::Malformed, lies, &mut lab);
    expect_each_passed(Family::V4, frames, &mut lab);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn ipv6_headers_that_lie_hide_no_knock() {
    let mut lab = Lab::running(&Default::default());
    let good = Packet::to_gate(Family::V6, &lab.seal(&lab.good_knock(Family::V6)));
    let (mut frames, mut lies) = (Vec::new(), Vec::new());
    let true_length = 8 + 94;
    // A length of 0 once announced a jumbogram (RFC 2675), which is not a way round either.
    for payload_length in [0, 1, 7, 8, true_length - 1, true_length + 1, 1500, u16::MAX] {
        let mut lying = good.clone();
        lying.ipv6().0.payload_length = payload_length;
        let list = if (8..true_length).contains(&payload_length) { &mut lies } else { &mut frames };
        list.push((format!("payload length {payload_length}"), lying.to_frame()));
    }
    let mut frame = good.to_frame();
    frame[IP] = 0x40;
    frames.push(("version 4".to_owned(), frame));
    let frame = good.to_frame();
    for length in [UDP_OVER_IPV6, UDP_OVER_IPV6 + 7, UDP_OVER_IPV6 + 8, frame.len() - 1] {
        frames.push((format!("cut off after {length} bytes"), frame[..length].to_vec()));
    }
    for (what, next_header) in [("hop-by-hop options", 0), ("destination options", 60)] {
        // The first byte of the UDP header is taken for the next header, the second for a length.
        let mut frame = good.to_frame();
        frame[IP + 6] = next_header;
        frame[UDP_OVER_IPV6] = 17;
        frame[UDP_OVER_IPV6 + 1] = 255;
        frames.push((format!("{what} that go on behind the frame"), frame));
    }
    lies.extend(lying_udp_lengths(&good));
    expect_each_refused(Family::V6, Verdict::Malformed, lies, &mut lab);
    expect_each_passed(Family::V6, frames, &mut lab);
}

fn lying_udp_lengths(good: &Packet) -> impl Iterator<Item = (String, Vec<u8>)> {
    let lengths = [0, 1, 7, 8, 8 + 93, 8 + 95, 1500, u16::MAX];
    lengths.into_iter().map(|length| {
        let mut lying = good.clone();
        lying.udp.length = length;
        (format!("UDP length {length}"), lying.to_frame())
    })
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_first_fragment_is_a_fragment() {
    let mut lab = Lab::running(&Default::default());
    for family in Family::BOTH {
        let good = Packet::to_gate(family, &lab.seal(&lab.good_knock(family)));
        let frames = [
            ("nearly whole", good.fragment(0..96, true)),
            ("cut in the payload", good.fragment(0..48, true)),
            ("cut behind the UDP header", good.fragment(0..8, true)),
        ];
        let frames = frames.map(|(what, frame)| (what.to_owned(), frame));
        expect_each_refused(family, Verdict::Fragment, frames, &mut lab);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_atomic_fragment_is_a_fragment() {
    let mut lab = Lab::running(&Default::default());
    let good = Packet::to_gate(Family::V6, &lab.seal(&lab.good_knock(Family::V6)));
    let frame = good.fragment(0..WHOLE, false);
    let frames = [("the only one there is".to_owned(), frame)];
    expect_each_refused(Family::V6, Verdict::Fragment, frames, &mut lab);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_in_fragments_is_never_put_together() {
    let mut lab = Lab::running(&Default::default());
    lab.network.server.sysctl(&[("ipv4/ipfrag_time", "1"), ("ipv6/ip6frag_time", "1")]);
    for family in Family::BOTH {
        for last_first in [false, true] {
            let good = Packet::to_gate(family, &lab.seal(&lab.good_knock(family)));
            let (first, last) = (good.fragment(0..48, true), good.fragment(48..WHOLE, false));
            let given_up = reassemblies_given_up(&lab, family);
            // Only the first one shows whom it is for. The last one is left to the network stack,
            // which waits for the first in vain.
            lab.expect_verdict(Verdict::Fragment, 1, |lab| {
                let sender = lab.sender();
                if last_first {
                    sender.send(&last);
                    sender.send(&first);
                } else {
                    sender.send(&first);
                    sender.send(&last);
                }
            });
            wait::until("the stack to give up", || {
                (reassemblies_given_up(&lab, family) > given_up).then_some(())
            });
            lab.expect_next_knock_to_run(family);
        }
    }
    lab.expect_silence();
}

/// How many packets the server's network stack could not put together.
fn reassemblies_given_up(lab: &Lab, family: Family) -> u64 {
    lab.network.server.enter(|| match family {
        Family::V4 => {
            let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
            let mut ip = text.lines().filter(|line| line.starts_with("Ip:"));
            let (names, values) = (ip.next().unwrap(), ip.next().unwrap());
            let mut pairs = names.split(' ').zip(values.split(' '));
            pairs.find(|(name, _)| *name == "ReasmFails").unwrap().1.parse().unwrap()
        }
        Family::V6 => {
            let text = std::fs::read_to_string("/proc/thread-self/net/snmp6").unwrap();
            let line = text.lines().find(|line| line.starts_with("Ip6ReasmFails")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        }
    })
}
