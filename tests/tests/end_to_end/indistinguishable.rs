//! A host with a gate answers as one without. The same probes go to both, and the answers are compared
//! byte for byte.
//!
//! The list of what differs, and why, is [`DIFFERENT`]: everything on it must differ, and nothing else
//! may. `docs/evaluate/threat-model.md` has the same list in words.

use std::{
    collections::BTreeSet,
    net::{TcpListener, UdpSocket},
};

use ruroco_lab::{
    files::Options,
    lab::Lab,
    network::Family,
    probe::{Frames, Prober},
};

use crate::probes::{self, OPEN_TCP, OPEN_UDP, Probe};

/// Kinds of probes whose answers differ, and why.
const DIFFERENT: [(&str, &str); 11] = [
    ("UDP to the gate's port", PORT_IS_SILENT),
    ("UDP to the gate's port, odd lengths", PORT_IS_SILENT),
    ("UDP to the gate's port, without a checksum", PORT_IS_SILENT),
    ("UDP to the gate's port behind options", PORT_IS_SILENT),
    ("UDP to the gate's port behind options that are errors", PORT_IS_SILENT),
    ("UDP to the gate's port behind VLAN tags", PORT_IS_SILENT),
    ("UDP to the gate's port before a trailer", PORT_IS_SILENT),
    ("UDP to the gate's port in fragments", PORT_IS_SILENT),
    ("UDP to the gate's port behind extension headers", PORT_IS_SILENT),
    ("UDP to the gate's port in an atomic fragment", PORT_IS_SILENT),
    ("first fragment whose chain continues in the second", UNDECIDABLE),
];
const PORT_IS_SILENT: &str = "a filtered port does not answer";
const UNDECIDABLE: &str =
    "the second fragment may hold UDP for any port, and the gate keeps no state";

/// An answer without what differs between two answers of the same host.
fn comparable(mut answer: Vec<u8>) -> Vec<u8> {
    const IP: usize = 14;
    let (protocol, content) = match answer[12..14] {
        [0x08, 0x00] => {
            answer[IP + 4..IP + 6].fill(0); // identification
            answer[IP + 10..IP + 12].fill(0); // checksum of the header
            (answer[IP + 9], IP + 4 * usize::from(answer[IP] & 0x0f))
        }
        [0x86, 0xdd] => {
            answer[IP + 1..IP + 4].fill(0); // flow label, which Linux chooses at random
            (answer[IP + 6], IP + 40)
        }
        _ => return answer,
    };
    // A timestamp reply (RFC 792) contains the time, and the checksum depends on it.
    if protocol == 1 && answer[content] == 14 {
        answer[content + 2..content + 4].fill(0);
        answer[content + 8..content + 20].fill(0);
    }
    if protocol == 6 {
        let flags = answer[content + 13];
        // The sequence number of a SYN-ACK is random, and the checksum depends on it.
        if flags & 2 != 0 {
            answer[content + 4..content + 8].fill(0);
            answer[content + 16..content + 18].fill(0);
        }
    }
    answer
}

/// What a host answers to each probe.
struct Host {
    lab: Lab,
    prober: Prober,
    _open: (TcpListener, UdpSocket),
}

impl Host {
    fn new(lab: Lab, family: Family) -> Self {
        let prober = Prober::comparing(&lab.network.client, comparable);
        let address = family.unspecified();
        let open = lab.network.server.enter(|| {
            let tcp = TcpListener::bind((address, OPEN_TCP)).unwrap();
            (tcp, UdpSocket::bind((address, OPEN_UDP)).unwrap())
        });
        Self { lab, prober, _open: open }
    }

    fn answers(&mut self, family: Family, probes: &[Probe]) -> Vec<Frames> {
        let frames: Vec<_> = probes.iter().map(|probe| probe.frames.clone()).collect();
        self.prober.ask(family, &frames)
    }

    /// What is answered to the first fragments of packets of which no more comes.
    fn answers_to_lone_fragments(&mut self, family: Family) -> Frames {
        let settings = [("ipv4/ipfrag_time", "1"), ("ipv6/ip6frag_time", "1")];
        self.lab.network.server.sysctl(&settings);
        self.prober.await_answers(2, &probes::lone_fragments(family))
    }
}

fn expect_no_difference_but_the_known(mode: &'static str) {
    for family in Family::BOTH {
        let options = Options { mode, ..Options::default() };
        let mut without = Host::new(Lab::new(&options), family);
        let probes = probes::all(family);
        let expected = without.answers(family, &probes);
        let lone = without.answers_to_lone_fragments(family);
        drop(without);
        let mut with = Host::new(Lab::running(&options), family);
        let answers = with.answers(family, &probes);

        let mut different = BTreeSet::new();
        for (probe, (without, with)) in probes.iter().zip(expected.iter().zip(&answers)) {
            if without != with {
                let reason = DIFFERENT.iter().find(|(kind, _)| *kind == probe.kind);
                assert!(
                    reason.is_some(),
                    "{mode}, {family:?}: {} ({}) tells a gate: {with:02x?}, and without {without:02x?}",
                    probe.kind,
                    probe.what,
                );
                assert!(with.is_empty(), "{}: a gate never answers", probe.kind);
                different.insert(probe.kind);
            }
        }
        let kinds: BTreeSet<_> = probes.iter().map(|probe| probe.kind).collect();
        assert!(kinds.len() >= 40, "{family:?}: only {} kinds of probes", kinds.len());
        let known: BTreeSet<_> = DIFFERENT.iter().map(|(kind, _)| *kind).collect();
        let expected_different: BTreeSet<_> = known.intersection(&kinds).copied().collect();
        assert_eq!(
            different, expected_different,
            "{mode}, {family:?}: what is known to differ does"
        );
        let answered: BTreeSet<_> = probes
            .iter()
            .zip(&expected)
            .filter(|(_, answers)| !answers.is_empty())
            .map(|(probe, _)| probe.kind)
            .collect();
        eprintln!(
            "{mode}, {family:?}: {} probes of {} kinds, {} kinds are answered, {} differ",
            probes.len(),
            kinds.len(),
            answered.len(),
            different.len()
        );
        assert!(answered.len() >= 20, "comparing silence shows nothing: {answered:?}");
        assert_eq!(with.answers_to_lone_fragments(family), lone, "{mode}, {family:?}");
        with.lab.expect_next_knock_to_run(family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_probe_but_the_known_ones_tells_a_host_with_a_native_gate_from_one_without() {
    expect_no_difference_but_the_known("native");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_probe_but_the_known_ones_tells_a_host_with_a_generic_gate_from_one_without() {
    expect_no_difference_but_the_known("generic");
}
