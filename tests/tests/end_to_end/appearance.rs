//! A gate that looks closed: without a key, nothing tells its port from the one next to it. A knock
//! is as silent there as anywhere.

use std::{fs, io::ErrorKind, thread, time::Instant};

use ruroco_common::{datagram, verdict::Verdict};
use ruroco_lab::{
    files::Options,
    knock::{Bytes, forge, under_unknown_key},
    lab::{Lab, udp_socket},
    network::{Family, PORT, SERVER},
    packet::Packet,
    probe::{Frames, NEIGHBOUR, Prober, to_port},
    wait::DEADLINE,
};

use crate::start::{expect_no_start, programs_that_read_keys};

/// A limit that only the test that wants to meets.
pub(crate) const CLOSED: &str = "appearance = \"closed\"\nmax_passed_per_second = 1_000_000";

pub(crate) fn lab(gate: &'static str) -> Lab {
    Lab::running(&Options { gate, ..Options::default() })
}

/// Sends each probe to the gate's port and to its neighbour, and makes sure that what comes back is
/// the same, byte for byte; how many packets came back to each probe.
#[track_caller]
pub(crate) fn expect_no_difference(
    lab: &Lab,
    family: Family,
    probes: &[(String, Frames)],
) -> Vec<usize> {
    let pairs = probes.iter().flat_map(|(_, frames)| {
        let neighbours = frames.iter().map(|frame| to_port(NEIGHBOUR, frame)).collect();
        [frames.clone(), neighbours]
    });
    let answers = Prober::new(&lab.network.client).ask(family, &pairs.collect::<Vec<_>>());
    for ((what, frames), pair) in probes.iter().zip(answers.chunks(2)) {
        assert_eq!(pair[0], pair[1], "{family:?}: {what}, as in {frames:02x?}");
    }
    answers.chunks(2).map(|pair| pair[0].len()).collect()
}

/// As [`expect_no_difference`], with plain packets, each of which has to have one answer.
#[track_caller]
fn expect_each_answered_alike(
    lab: &Lab,
    family: Family,
    payloads: impl IntoIterator<Item = (String, impl AsRef<[u8]>)>,
) {
    let frame = |payload: &[u8]| Packet::to_gate(family, payload).to_frame();
    let payloads = payloads.into_iter();
    let probes: Vec<_> =
        payloads.map(|(what, payload)| (what, vec![frame(payload.as_ref())])).collect();
    let answers = expect_no_difference(lab, family, &probes);
    assert!(answers.iter().all(|count| *count == 1), "{family:?}: {answers:?}");
}

/// A packet with a wrong tag under a known key: it goes as far as any without a key can.
pub(crate) fn forged(lab: &Lab, family: Family) -> Packet {
    Packet::to_gate(family, &forge(lab.seal(&lab.good_knock(family))))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_length_tells_the_gates_port_from_its_neighbour() {
    let mut lab = lab(CLOSED);
    for family in Family::BOTH {
        let lengths = (0..=200).chain([500, 1400]);
        let payloads = lengths.map(|length| {
            let bytes: [u8; 1400] = random();
            (format!("{length} random bytes"), bytes[..length].to_vec())
        });
        expect_each_answered_alike(&lab, family, payloads);
        lab.expect_next_knock_to_run(family);

        // What a program gets to know.
        for port in [PORT, NEIGHBOUR] {
            let socket = udp_socket(&lab.network.client, family.unspecified());
            socket.connect((SERVER.of(family), port)).unwrap();
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            socket.send(b"anybody there?").unwrap();
            let error = socket.recv(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "port {port}");
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_forgery_and_no_copy_tells_the_gates_port_from_its_neighbour() {
    let options = Options { gate: CLOSED, more_keys: vec!["stranger"], ..Options::default() };
    let mut lab = Lab::running(&options);
    for family in Family::BOTH {
        let recorded = lab.seal(&lab.good_knock(family));
        lab.send(family, &recorded);
        lab.expect_one_run();

        let under_known_key = |mut datagram: Bytes| {
            datagram[..8].copy_from_slice(&lab.key().id.0);
            datagram
        };
        let strangers = lab.good_knock(family).seal(&lab.files.key("stranger"));
        let mut payloads = vec![
            ("a knock again".to_owned(), recorded),
            ("a knock once more".to_owned(), recorded),
            ("a knock under an unknown key".to_owned(), under_unknown_key(recorded)),
            ("another key's knock under a known key".to_owned(), under_known_key(strangers)),
            ("random bytes".to_owned(), random()),
            ("random bytes under a known key".to_owned(), under_known_key(random())),
        ];
        for knock in [recorded, lab.seal(&lab.good_knock(family))] {
            payloads.extend((0..8 * datagram::SIZE).map(|bit| {
                let mut changed = knock;
                changed[bit / 8] ^= 1 << (bit % 8);
                (format!("a knock with bit {bit} changed"), changed)
            }));
        }
        expect_each_answered_alike(&lab, family, payloads);
        lab.expect_next_knock_to_run(family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_among_junk_runs_and_is_not_answered() {
    let mut lab = lab(CLOSED);
    let mut prober = Prober::new(&lab.network.client);
    for family in Family::BOTH {
        let junk = forged(&lab, family).to_frame();
        let knock = Packet::to_gate(family, &lab.seal(&lab.good_knock(family))).to_frame();
        let frames = vec![junk.clone(), knock, junk.clone()];
        let answers = prober.ask(family, &[vec![junk.clone()], frames]);
        assert_eq!(answers[1], [answers[0].clone(), answers[0].clone()].concat());
        lab.expect_one_run();

        let before = lab.verdicts();
        let answers = thread::scope(|scope| {
            let asked = scope.spawn(|| prober.ask(family, &vec![vec![junk.clone()]; 2_000]));
            for _ in 0..5 {
                lab.expect_next_knock_to_run(family);
            }
            asked.join().unwrap()
        });
        // Whatever came back, came back to junk.
        assert_eq!(answers[0].len(), 1);
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        let since = lab.verdicts().since(&before);
        assert_eq!(since[Verdict::Candidate.name()], 5, "{since:?}");
        assert_eq!(since[Verdict::Forged.name()], 2_000, "{since:?}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_more_is_answered_than_the_limit_allows() {
    const LIMIT: u128 = 100;
    for family in Family::BOTH {
        let mut lab = lab("appearance = \"closed\"\nmax_passed_per_second = 100");
        let mut prober = Prober::new(&lab.network.client);
        let junk = forged(&lab, family).to_frame();
        let started = Instant::now();
        let (answers, took) = thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let answers = prober.ask(family, &vec![vec![junk]; 3_000]);
                (answers, started.elapsed())
            });
            for _ in 0..3 {
                lab.expect_next_knock_to_run(family);
            }
            asked.join().unwrap()
        });
        let answered = u128::try_from(answers.iter().flatten().count()).unwrap();
        let most = LIMIT * (1 + took.as_millis() + 1_000) / 1_000;
        assert!((LIMIT..=most).contains(&answered), "{answered} answers in {took:?}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_filtered_port_is_silent_where_its_neighbour_is_not() {
    let mut lab = lab("appearance = \"filtered\"");
    for family in Family::BOTH {
        let junk = Packet::to_gate(family, b"anybody there?").to_frame();
        let probes = [&junk, &forged(&lab, family).to_frame()];
        let ports = [PORT, NEIGHBOUR].into_iter();
        let probes = ports.flat_map(|port| probes.map(|probe| vec![to_port(port, probe)]));
        let answers = Prober::new(&lab.network.client).ask(family, &probes.collect::<Vec<_>>());
        assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 1, 1]);
        lab.expect_next_knock_to_run(family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_that_the_kernel_cannot_check_stops_every_program_that_reads_the_keys() {
    let mut lab = Lab::new(&Options { gate: CLOSED, ..Options::default() });
    lab.files.add_upstream_key("old-laptop");
    let config = fs::read_to_string(lab.files.config()).unwrap();
    let line = 1 + config.lines().position(|line| line.starts_with("appearance")).unwrap();
    let place = format!("{}:{line}: ", lab.files.config().display());
    for (name, command) in programs_that_read_keys(&lab, "xdp") {
        let told = [&*place, "old-laptop.key", "Replace it with", "ruroco key revoke old-laptop"];
        expect_no_start(name, command, &told);
    }
    fs::remove_file(lab.files.server_key("old-laptop")).unwrap();
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    lab.expect_next_knock_to_run(Family::V4);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_gates_status_tells_its_appearance() {
    for (gate, appearance) in [("", "filtered"), (CLOSED, "closed")] {
        let lab = lab(gate);
        assert_eq!(lab.status()["appearance"], appearance);
        let text = lab.tool_command(&["status"]).output().unwrap().stdout;
        let line = format!("\nappearance  {appearance}\n");
        assert!(String::from_utf8(text).unwrap().contains(&line));
    }
}
