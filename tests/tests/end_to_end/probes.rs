//! The probes with which somebody without a key might look for a gate.

use std::net::IpAddr;

use ruroco_lab::{
    network::{Family, PORT, SERVER},
    packet::tag,
    probe::Frames,
    raw::{self, Ip, authentication, chain, fragment, icmp, number::*, options, routing, tcp, udp},
};

pub(crate) const OPEN_TCP: u16 = 22;
const CLOSED_TCP: u16 = 23;
pub(crate) const OPEN_UDP: u16 = 5353;
const CLOSED_UDP: u16 = 5354;
/// Flags of TCP.
const SYN: u8 = 2;

/// One probe of a kind.
pub(crate) struct Probe {
    pub(crate) kind: &'static str,
    pub(crate) what: String,
    pub(crate) frames: Frames,
}

/// Collects probes. Each has a source port and an identification of its own, so that none meets what
/// another has left behind.
struct Probes {
    family: Family,
    next: u16,
    list: Vec<Probe>,
}

impl Probes {
    #[expect(clippy::needless_pass_by_value, reason = "shorter for its callers")]
    fn add(&mut self, kind: &'static str, what: impl ToString, frames: Frames) {
        self.next += 1;
        self.list.push(Probe { kind, what: what.to_string(), frames });
    }

    fn ip(&self, next: u8, body: Vec<u8>) -> Ip {
        Ip { identification: self.next, ..Ip::new(self.family, next, body) }
    }

    /// What reaches ports that nobody guards: TCP and UDP, open and closed.
    fn unguarded(&self) -> [(u8, Vec<u8>); 4] {
        let (family, from) = (self.family, 41_000 + self.next);
        [
            (TCP, tcp(family, from, OPEN_TCP, SYN)),
            (TCP, tcp(family, from, CLOSED_TCP, SYN)),
            (UDP, udp(family, from, CLOSED_UDP, &[0x5a; 40])),
            (UDP, udp(family, from, OPEN_UDP, &[0x5a; 40])),
        ]
    }

    fn to_gate(&self, payload: &[u8]) -> Vec<u8> {
        udp(self.family, 41_000 + self.next, PORT, payload)
    }

    /// A probe of each unguarded kind, changed in the same way.
    #[expect(clippy::needless_pass_by_value, reason = "shorter for its callers")]
    fn each(&mut self, kind: &'static str, what: impl ToString, wrap: impl Fn(Ip) -> Frames) {
        for index in 0..4 {
            let (next, body) = self.unguarded()[index].clone();
            let frames = wrap(self.ip(next, body));
            self.add(kind, format!("{}, {index}", what.to_string()), frames);
        }
    }
}

/// The first fragments of a packet to a closed port and of an echo request, of which no more comes.
pub(crate) fn lone_fragments(family: Family) -> Frames {
    let echo = if family == Family::V4 { (ICMP, 8) } else { (ICMPV6, 128) };
    let bodies = [
        (UDP, udp(family, 41_000, CLOSED_UDP, &[0; 40])),
        (echo.0, icmp(family, echo.1, 0, &[0; 44])),
    ];
    let first = |(at, (next, body)): (usize, (u8, Vec<u8>))| {
        let id = 60_000 + u16::try_from(at).unwrap();
        pieces(Ip { identification: id, ..Ip::new(family, next, body) }, 16)[0].clone()
    };
    bodies.into_iter().enumerate().map(first).collect()
}

/// A packet in two fragments, the first of which has so many bytes of what can be fragmented.
fn pieces(ip: Ip, size: usize) -> Frames {
    pieces_at(ip, size, size)
}

/// The same, with the second at a place of its own.
fn pieces_at(ip: Ip, size: usize, place: usize) -> Frames {
    let (first, second) = (ip.body[..size].to_vec(), ip.body[place..].to_vec());
    let place = u16::try_from(place).unwrap();
    let identification = u32::from(ip.identification) + 1;
    match ip.destination {
        IpAddr::V4(_) => vec![
            Ip { body: first, fragment: 0x2000, ..ip.clone() }.frame(),
            Ip { body: second, fragment: place / 8, ..ip }.frame(),
        ],
        IpAddr::V6(_) => [(first, 1), (second, place)]
            .map(|(content, field)| {
                let body = [fragment(ip.next, field, identification), content].concat();
                Ip { next: FRAGMENT, body, ..ip.clone() }.frame()
            })
            .to_vec(),
    }
}

/// All probes for one family.
pub(crate) fn all(family: Family) -> Vec<Probe> {
    let mut probes = Probes { family, next: 0, list: Vec::new() };
    transport(&mut probes);
    below_ip(&mut probes);
    addresses_and_lengths(&mut probes);
    fragments(&mut probes);
    match family {
        Family::V4 => ipv4_options(&mut probes),
        Family::V6 => extension_headers(&mut probes),
    }
    to_the_gates_port(&mut probes);
    probes.list
}

fn transport(p: &mut Probes) {
    let family = p.family;
    p.each("plain TCP and UDP", "", |ip| vec![ip.frame()]);
    for (kind, flags) in [
        ("TCP ACK", 0x10),
        ("TCP RST", 4),
        ("TCP FIN", 1),
        ("TCP NULL", 0),
        ("TCP Xmas", 0x29),
        ("TCP SYN-ACK", 0x12),
        ("TCP SYN-FIN", 3),
    ] {
        for port in [OPEN_TCP, CLOSED_TCP, PORT] {
            let frame = p.ip(TCP, tcp(family, 42_000 + p.next, port, flags)).frame();
            p.add(kind, port, vec![frame]);
        }
    }
    let frame = p.ip(TCP, tcp(family, 42_000 + p.next, PORT, SYN)).frame();
    p.add("TCP SYN to the gate's port", "", vec![frame]);
    p.each("a wrong checksum", "", |mut ip| {
        let last = ip.body.len() - 1;
        ip.body[last] ^= 1;
        vec![ip.frame()]
    });
    p.each("cut off within the transport header", "", |mut ip| {
        ip.body.truncate(6);
        vec![ip.frame()]
    });
    for lie in [-9_i16, -1, 1, 100] {
        let mut body = udp(family, 41_000 + p.next, CLOSED_UDP, &[0; 40]);
        let length = 48_u16.wrapping_add_signed(lie);
        body[4..6].copy_from_slice(&length.to_be_bytes());
        let frame = p.ip(UDP, body).frame();
        p.add("a UDP length that lies", lie, vec![frame]);
    }
    let (protocol, types): (u8, &[u8]) = match family {
        Family::V4 => (ICMP, &[8, 13, 15, 17, 3, 5, 42]),
        Family::V6 => (ICMPV6, &[128, 130, 133, 135, 1, 4, 139, 200]),
    };
    for kind in types {
        let frame = p.ip(protocol, icmp(family, *kind, 0, &[0; 24])).frame();
        p.add(if matches!(kind, 8 | 128) { "ICMP echo" } else { "other ICMP" }, kind, vec![frame]);
    }
    for protocol in [SCTP, UDP_LITE, ESP, 4, 41, 47, 33, 108, 112, 253, 255] {
        let frame = p.ip(protocol, vec![0x45; 40]).frame();
        p.add(if protocol == SCTP { "SCTP" } else { "unknown protocols" }, protocol, vec![frame]);
    }
    for length in [0, 1, 2, 4, 255] {
        for next in [UDP, TCP, AUTHENTICATION] {
            let header = authentication(next, length);
            for port in [CLOSED_UDP, PORT] {
                let content = udp(family, 41_000 + p.next, port, &[0; 40]);
                let frame = p.ip(AUTHENTICATION, [header.clone(), content].concat()).frame();
                p.add("authentication header", format!("{length} {next} {port}"), vec![frame]);
            }
        }
    }
    let frame = p.ip(AUTHENTICATION, vec![UDP, 0]).frame();
    p.add("authentication header", "cut off", vec![frame]);
}

fn below_ip(p: &mut Probes) {
    for count in [1, 2, 3, 4, 5, 20, 300] {
        for (kind, tagged) in [("802.1Q priority tags", 0x8100), ("802.1ad priority tags", 0x88a8)]
        {
            p.each(kind, count, |ip| vec![tag(&ip.frame(), &vec![(tagged, 0); count])]);
        }
    }
    for tags in [&[(0x8100, 7)][..], &[(0x8100, 0), (0x8100, 7)], &[(0x88a8, 7), (0x8100, 0)]] {
        p.each("tags of a VLAN that the host is not in", "", |ip| vec![tag(&ip.frame(), tags)]);
    }
    p.each("tags of another type", "", |ip| vec![tag(&ip.frame(), &[(0x9100, 0)])]);
    p.each("trailing bytes", "zeros", |ip| vec![[ip.frame(), vec![0; 18]].concat()]);
    p.each("trailing bytes", "like headers", |ip| {
        vec![[ip.frame(), chain(2, NO_NEXT_HEADER)].concat()]
    });
    p.each("to another hardware address", "", |ip| {
        let mut frame = ip.frame();
        frame[5] ^= 4;
        vec![frame]
    });
    p.each("to the hardware address of all", "", |ip| {
        vec![[&[0xff; 6][..], &ip.frame()[6..]].concat()]
    });
    p.each("an LLC frame", "", |ip| {
        let packet = ip.frame().split_off(14);
        let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &packet].concat();
        vec![raw::ethernet(u16::try_from(snap.len()).unwrap(), &snap)]
    });
    let server = raw::octets(SERVER.of(Family::V4));
    let client = [192, 0, 2, 2];
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &[2, 0, 0, 0, 1, 2], &client, &[0; 6], &server];
    p.add("ARP", "request", vec![raw::ethernet(0x0806, &arp.concat())]);
    for kind in [0x0000, 0x0842, 0x8035, 0x8847, 0x8863, 0x88cc, 0x88e5, 0xffff] {
        p.add("other Ethernet types", kind, vec![raw::ethernet(kind, &[0x45; 60])]);
    }
    p.add(
        "frames of a header alone",
        "",
        vec![raw::ethernet(0x0800, &[]), raw::ethernet(0x86dd, &[])],
    );
}

fn addresses_and_lengths(p: &mut Probes) {
    for ttl in [0, 1] {
        p.each("a time to live of 0 or 1", ttl, |ip| vec![Ip { ttl, ..ip }.frame()]);
    }
    let (martians, others): (&[&str], &[&str]) = match p.family {
        Family::V4 => (
            &["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.2.1", "240.0.0.1"],
            &["192.0.2.255", "255.255.255.255", "224.0.0.1", "127.0.0.1", "198.51.100.1"],
        ),
        Family::V6 => (
            &["::1", "::", "ff02::1", "2001:db8:1::1", "::ffff:192.0.2.2", "::192.0.2.2"],
            &["ff02::1", "ff01::1", "::1", "::ffff:192.0.2.1", "2001:db8:2::1", "::192.0.2.1"],
        ),
    };
    for source in martians {
        let source = source.parse().unwrap();
        p.each("sources that cannot be", source, |ip| vec![Ip { source, ..ip }.frame()]);
    }
    for destination in others {
        let destination = destination.parse().unwrap();
        p.each("other destinations", destination, |ip| vec![Ip { destination, ..ip }.frame()]);
    }
    for length_lie in [-20, -8, -1, 1, 20, 1000] {
        p.each("an IP length that lies", length_lie, |ip| vec![Ip { length_lie, ..ip }.frame()]);
        p.each("an IP length that lies before a trailer", length_lie, |ip| {
            vec![[Ip { length_lie, ..ip }.frame(), vec![0; 32]].concat()]
        });
    }
    p.each("an IP length of 0", "", |ip| {
        let length = ip.body.len() + if ip.destination.is_ipv4() { 20 } else { 0 };
        vec![Ip { length_lie: -i32::try_from(length).unwrap(), ..ip }.frame()]
    });
    p.each("a wrong version", "", |ip| {
        let first_byte = Some(if ip.destination.is_ipv4() { 0x65 } else { 0x45 });
        vec![Ip { first_byte, ..ip }.frame()]
    });
    p.each("cut off within the IP header", "", |ip| vec![ip.frame()[..30].to_vec()]);
}

fn fragments(p: &mut Probes) {
    for size in [8, 16, 24] {
        p.each("two fragments", size, |mut ip| {
            ip.body.resize(ip.body.len().max(32), 0);
            pieces(ip, size)
        });
        p.each("two fragments, the last first", size, |mut ip| {
            ip.body.resize(ip.body.len().max(32), 0);
            pieces(ip, size).into_iter().rev().collect()
        });
    }
    p.each("overlapping fragments", "", |mut ip| {
        ip.body.resize(ip.body.len().max(32), 0);
        pieces_at(ip, 24, 16)
    });
    p.each("a later fragment alone", "", |ip| vec![pieces(ip, 16)[1].clone()]);
    p.each("the same fragment twice", "", |ip| {
        let pieces = pieces(ip, 16);
        vec![pieces[0].clone(), pieces[0].clone(), pieces[1].clone()]
    });
    for size in [0, 4, 12] {
        p.each("a first fragment that is too short", size, |ip| {
            vec![pieces_at(ip, size, 16)[0].clone()]
        });
        let ip = p.ip(UDP, p.to_gate(&[0; 40]));
        p.add(
            "a first fragment that is too short",
            "the gate's port",
            vec![pieces_at(ip, size, 16)[0].clone()],
        );
    }
    p.each("a first fragment with a trailer", "", |mut ip| {
        ip.body.resize(ip.body.len().max(32), 0);
        let [first, second] = pieces(ip, 16).try_into().unwrap();
        vec![[first, chain(1, UDP)].concat(), second]
    });
}

fn ipv4_options(p: &mut Probes) {
    let cases: [(&str, &[u8]); 9] = [
        ("IPv4 options: none", &[1, 1, 1, 0]),
        ("IPv4 options: as many as fit", &[1; 40]),
        ("IPv4 options: record route", &[7, 7, 4, 0, 0, 0, 0, 0]),
        ("IPv4 options: timestamp, full", &[68, 8, 9, 0, 0, 0, 0, 0]),
        ("IPv4 options: source route", &[131, 7, 4, 203, 0, 113, 1, 0]),
        ("IPv4 options: strict source route", &[137, 7, 4, 203, 0, 113, 1, 0]),
        ("IPv4 options: router alert", &[148, 4, 0, 0]),
        ("IPv4 options: unknown", &[200, 4, 0, 0]),
        ("IPv4 options: errors", &[131, 200, 4, 0]),
    ];
    for (kind, options) in cases {
        p.each(kind, "", |ip| vec![Ip { options: options.to_vec(), ..ip }.frame()]);
    }
    for first in [0x40, 0x44, 0x46, 0x4f] {
        p.each("an IPv4 header length that lies", first, |ip| {
            vec![Ip { first_byte: Some(first), ..ip }.frame()]
        });
    }
    for field in [0x4000, 0x8000] {
        p.each("IPv4 flags", field, |ip| vec![Ip { fragment: field, ..ip }.frame()]);
    }
    let ip = p.ip(AUTHENTICATION, [authentication(UDP, 2), p.to_gate(&[0; 40])].concat());
    p.add("authentication header in fragments", "", pieces(ip, 16));
}

fn extension_headers(p: &mut Probes) {
    for count in [1, 2, 7, 8, 9, 10, 20, 150] {
        p.each("destination options", count, |ip| {
            let body = [chain(count, ip.next), ip.body.clone()].concat();
            vec![Ip { next: DESTINATION_OPTIONS, body, ..ip }.frame()]
        });
    }
    let wrap = |kind: u8, header: Vec<u8>| {
        move |ip: Ip| {
            let header = [&[ip.next][..], &header[1..]].concat();
            vec![Ip { next: kind, body: [header, ip.body.clone()].concat(), ..ip }.frame()]
        }
    };
    // The two highest bits say what to do with an unknown option (RFC 8200, section 4.2).
    for option in [0x1e, 0x5e, 0x9e, 0xde] {
        let header = options(0, &[option, 2, 0, 0]);
        p.each("unknown destination options", option, wrap(DESTINATION_OPTIONS, header.clone()));
        p.each("unknown hop-by-hop options", option, wrap(HOP_BY_HOP, header));
    }
    p.each("hop-by-hop options", "", wrap(HOP_BY_HOP, options(0, &[])));
    p.each("hop-by-hop options: router alert", "", wrap(HOP_BY_HOP, options(0, &[5, 2, 0, 0])));
    p.each(
        "more hop-by-hop options than allowed",
        "",
        wrap(HOP_BY_HOP, options(0, &[0x1e, 0].repeat(15))),
    );
    p.each(
        "long options",
        "",
        wrap(DESTINATION_OPTIONS, options(0, &[&[0x1e, 252][..], &[0; 252]].concat())),
    );
    for kind in [0, 1, 2, 3, 4, 253] {
        for left in [0, 1, 5] {
            p.each(
                "routing headers",
                format!("{kind} {left}"),
                wrap(ROUTING, routing(0, kind, left)),
            );
        }
    }
    for (name, kind) in [("mobility", MOBILITY), ("host identity", HOST_IDENTITY), ("shim6", SHIM6)]
    {
        p.each("headers that Linux does not know", name, wrap(kind, options(0, &[])));
        let frames = wrap(kind, options(0, &[]))(p.ip(UDP, p.to_gate(&[0; 40])));
        p.add("headers that Linux does not know", format!("{name}, the gate's port"), frames);
    }
    p.each("no next header", "", wrap(NO_NEXT_HEADER, options(0, &[])));
    p.each("hop-by-hop options that are not first", "", |ip| {
        let body = [options(HOP_BY_HOP, &[]), options(ip.next, &[]), ip.body.clone()].concat();
        vec![Ip { next: DESTINATION_OPTIONS, body, ..ip }.frame()]
    });
    let atomic = |ip: Ip, headers: usize| {
        let mut next = ip.next;
        let mut body = ip.body.clone();
        for _ in 0..headers {
            body = [fragment(next, 0, 1), body].concat();
            next = FRAGMENT;
        }
        vec![Ip { next, body, ..ip }.frame()]
    };
    p.each("an atomic fragment", "", |ip| atomic(ip, 1));
    p.each("two fragment headers", "", |ip| atomic(ip, 2));
    let frames = atomic(p.ip(UDP, p.to_gate(&[0; 40])), 2);
    p.add("two fragment headers", "the gate's port", frames);
    p.each("extension headers that are cut off", "", |ip| {
        let body = [vec![ip.next, 9, 1, 4, 0, 0, 0, 0], ip.body.clone()].concat();
        vec![Ip { next: DESTINATION_OPTIONS, body, ..ip }.frame()]
    });
    for option in [&[0xc2, 4, 0, 0, 0, 60][..], &[0xc2, 4, 0, 1, 0, 0], &[1, 0]] {
        p.each("jumbograms", format!("{option:?}"), |ip| {
            let body = [options(ip.next, option), ip.body.clone()].concat();
            let length_lie = -i32::try_from(body.len()).unwrap();
            vec![Ip { next: HOP_BY_HOP, body, length_lie, ..ip }.frame()]
        });
    }
    // RFC 7112: the first fragment has to have all headers.
    let split = |ip: Ip, headers: Vec<u8>, at: usize| {
        let body = [headers, ip.body.clone()].concat();
        pieces(Ip { next: DESTINATION_OPTIONS, body, ..ip }, at)
    };
    for at in [8, 16] {
        p.each("first fragment without the transport header", at, |ip| {
            split(ip.clone(), chain(at / 8, ip.next), at)
        });
        let frames = split(p.ip(UDP, p.to_gate(&[0; 40])), chain(at / 8, UDP), at);
        p.add("first fragment without the transport header", "the gate's port", frames);
    }
    for next in [HOP_BY_HOP, FRAGMENT, AUTHENTICATION, NO_NEXT_HEADER, MOBILITY] {
        p.each("first fragment before a header that leads nowhere", next, |ip| {
            split(ip.clone(), [options(next, &[]), options(ip.next, &[])].concat(), 8)
        });
    }
    p.each("first fragment whose chain continues in the second", "", |ip| {
        split(ip.clone(), chain(2, ip.next), 8)
    });
}

fn to_the_gates_port(p: &mut Probes) {
    let family = p.family;
    let frame = p.ip(UDP, p.to_gate(b"anybody there?")).frame();
    p.add("UDP to the gate's port", "", vec![frame]);
    for length in [0, 93, 94, 95, 1000] {
        let frame = p.ip(UDP, p.to_gate(&vec![0; length])).frame();
        p.add("UDP to the gate's port, odd lengths", length, vec![frame]);
    }
    if family == Family::V4 {
        let mut body = p.to_gate(&[0; 40]);
        body[6..8].fill(0);
        let frame = p.ip(UDP, body).frame();
        p.add("UDP to the gate's port, without a checksum", "", vec![frame]);
        let frame = Ip { options: vec![1; 8], ..p.ip(UDP, p.to_gate(&[0; 40])) }.frame();
        p.add("UDP to the gate's port behind options", "", vec![frame]);
        let frame = Ip { options: vec![131, 200, 4, 0], ..p.ip(UDP, p.to_gate(&[0; 40])) }.frame();
        p.add("UDP to the gate's port behind options that are errors", "", vec![frame]);
    } else {
        for headers in [1, 9, 100] {
            let body = [chain(headers, UDP), p.to_gate(&[0; 40])].concat();
            let frame = p.ip(DESTINATION_OPTIONS, body).frame();
            p.add("UDP to the gate's port behind extension headers", headers, vec![frame]);
        }
        let body = [fragment(UDP, 0, 1), p.to_gate(&[0; 40])].concat();
        let frame = p.ip(FRAGMENT, body).frame();
        p.add("UDP to the gate's port in an atomic fragment", "", vec![frame]);
        let body = [options(UDP, &[0xde, 2, 0, 0]), p.to_gate(&[0; 40])].concat();
        let frame = p.ip(DESTINATION_OPTIONS, body).frame();
        p.add("UDP to the gate's port behind options that are errors", "", vec![frame]);
    }
    for count in [1, 5, 300] {
        let frame = p.ip(UDP, p.to_gate(&[0; 40])).frame();
        p.add(
            "UDP to the gate's port behind VLAN tags",
            count,
            vec![tag(&frame, &vec![(0x8100, 0); count])],
        );
    }
    let frame = p.ip(UDP, p.to_gate(&[0; 40])).frame();
    p.add("UDP to the gate's port before a trailer", "", vec![[frame, vec![0; 18]].concat()]);
    let frames = pieces(p.ip(UDP, p.to_gate(&[0; 40])), 16);
    p.add("UDP to the gate's port in fragments", "", frames);
}
