//! The kernel's verdict is that of a model, for any frame.
//!
//! Whether a frame holds an acceptable UDP packet, and what is in it, the model asks etherparse;
//! whether the packet is authentic, the chacha20poly1305 crate.
//! Only the name of the fault in a frame that etherparse and our limits refuse comes from our own
//! parser, as the host runs it; that one is held against etherparse in its own tests.

use std::cell::RefCell;

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use ruroco_common::{
    address::Address,
    datagram::{self, Datagram, KeyId},
    headers::{self, Fault, Frame, Scope},
    verdict::Verdict,
};
use ruroco_seal::{Aead, Forged};
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    KEY, OURS, PORT, frames,
    kernel::Kernel,
    key, knock,
    oracle::{self, Packet, Transport},
};

/// Frames that are often to us, and often knocks.
pub(crate) fn pool() -> frames::Pool {
    let unknown = knock(KeyId([0xff; 8]));
    // Authentic, had it not the id of another key.
    let forged = KEY.0.iter().chain(&unknown[datagram::KEY_ID_SIZE..]).copied().collect();
    frames::Pool {
        destinations: OURS.to_vec(),
        ports: vec![PORT],
        payloads: vec![knock(KEY), knock(KEY), forged, unknown, vec![0; 93], vec![0; 95]],
    }
}

/// What must become of a frame, and of which packet the ring must then tell.
pub(crate) fn expected(frame: &[u8]) -> (Verdict, Option<Packet<'_>>) {
    if let Some(packet) = oracle::read(frame).filter(Packet::within_limits) {
        let Transport::Udp(payload) = packet.transport else { return (Verdict::NotOurs, None) };
        if packet.destination_port != PORT || !OURS.contains(&packet.destination) {
            return (Verdict::NotOurs, None);
        }
        if payload.len() != datagram::SIZE {
            return (Verdict::WrongLength, None);
        }
        if payload[..datagram::KEY_ID_SIZE] != KEY.0 {
            return (Verdict::UnknownKey, None);
        }
        let knock = Datagram::read_from_bytes(payload).unwrap();
        return match Aead::new(&key()).open(&knock) {
            Ok(_) => (Verdict::Candidate, Some(packet)),
            Err(Forged) => (Verdict::Forged, None),
        };
    }
    let ours = |address: Address| OURS.contains(&address.into());
    let fault = match headers::parse(frame, Scope::Udp) {
        Frame::Udp(udp) if udp.ports.destination == PORT && ours(udp.addresses.destination) => {
            udp.payload.expect_err("a payload that etherparse does not see")
        }
        Frame::Incomplete { destination } if ours(destination) => Fault::Fragment,
        Frame::Endless { destination } if ours(destination) => Fault::Malformed,
        Frame::Hidden => Fault::Malformed,
        Frame::Udp(_)
        | Frame::Tcp(_)
        | Frame::Portless { .. }
        | Frame::Endless { .. }
        | Frame::Incomplete { .. }
        | Frame::Other => {
            return (Verdict::NotOurs, None);
        }
    };
    let verdict = match fault {
        Fault::Malformed => Verdict::Malformed,
        Fault::Fragment => Verdict::Fragment,
    };
    (verdict, None)
}

/// Compares kernel and model for one frame; the verdict of both.
fn compare(kernel: &mut Kernel, frame: &[u8]) -> Result<Verdict, TestCaseError> {
    let (verdict, packet) = expected(frame);
    prop_assert_eq!(kernel.judge(frame), verdict);
    let records = kernel.drain();
    prop_assert_eq!(records.len(), usize::from(packet.is_some()));
    for (record, packet) in records.into_iter().zip(packet) {
        prop_assert_eq!(record.source, Address::from(packet.source));
        prop_assert_eq!(record.destination, Address::from(packet.destination));
        prop_assert_eq!(record.source_port, packet.source_port);
        prop_assert_eq!(record.destination_port, packet.destination_port);
        prop_assert_eq!(Transport::Udp(record.datagram.as_bytes()), packet.transport);
    }
    Ok(verdict)
}

/// Compares for `cases` generated frames; how often each verdict was met.
fn compare_all(cases: u32, frames: impl Strategy<Value = Vec<u8>>) -> Vec<(Verdict, usize)> {
    let kernel = RefCell::new(Kernel::filled());
    let met = RefCell::new(Verdict::ALL.map(|verdict| (verdict, 0_usize)));
    let config = Config { source_file: Some(file!()), ..Config::with_cases(cases) };
    TestRunner::new(config)
        .run(&frames, |frame| {
            if frame.len() < frames::ETHERNET_SIZE {
                return Ok(()); // BPF_PROG_TEST_RUN asks for an Ethernet header
            }
            let verdict = compare(&mut kernel.borrow_mut(), &frame)?;
            let mut met = met.borrow_mut();
            met.iter_mut().filter(|(v, _)| *v == verdict).for_each(|(_, times)| *times += 1);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    met.into_inner().to_vec()
}

/// Whether one frame of the key in the map cannot meet this verdict alone.
pub(crate) fn takes_more(verdict: Verdict) -> bool {
    use Verdict::{OverShare, Replayed, RingFull, Throttled};
    matches!(verdict, RingFull | Replayed | Throttled | OverShare) || is_of_doors(verdict)
}

/// These tests have no doors.
fn is_of_doors(verdict: Verdict) -> bool {
    verdict.name().starts_with("door_")
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_kernel_judges_twisted_packets_as_the_model_does() {
    for (verdict, times) in compare_all(20_000, frames::twisted(&pool())) {
        // Every verdict that one frame alone can meet has been met often.
        assert!(takes_more(verdict) || times > 50, "{verdict:?} only {times} times");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_kernel_judges_honest_packets_as_the_model_does() {
    let honest = frames::honest(&pool()).prop_map(|packet| packet.to_frame());
    for (verdict, times) in compare_all(5_000, honest) {
        let faulty = matches!(verdict, Verdict::Malformed | Verdict::Fragment);
        assert_eq!(times == 0, faulty || takes_more(verdict), "{verdict:?} {times} times");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_kernel_judges_random_bytes_as_the_model_does() {
    let bytes = proptest::collection::vec(any::<u8>(), 14..300);
    let kind = proptest::sample::select(vec![[0x08, 0x00, 0x45], [0x86, 0xdd, 0x60]]);
    compare_all(
        5_000,
        (bytes, kind).prop_map(|(mut frame, kind)| {
            // The rest of a header is random enough; without these it would end at once.
            frame.resize(frame.len().max(60), 0);
            frame[12..15].copy_from_slice(&kind);
            frame
        }),
    );
}
