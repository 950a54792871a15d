//! What goes to the stack when the gate is to look like a closed port.

use ruroco_common::{rate::Rate, verdict::Verdict};

use crate::{
    KEY, OURS, PORT,
    frames::{IPV4_MORE_FRAGMENTS, Packet},
    kernel::{Action, Kernel},
    knock,
};

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn whatever_is_no_knock_goes_to_the_stack_and_a_knock_does_not() {
    let mut kernel = Kernel::passing_refused(Rate::per_second(1_000_000));
    let good = Packet::to(OURS[0], PORT, &knock(KEY));
    let mut forged = knock(KEY);
    forged[93] ^= 1;
    // That the action fits the verdict is checked by `judge`.
    for (verdict, packet) in [
        (Verdict::NotOurs, Packet { destination_port: PORT + 1, ..good.clone() }),
        (Verdict::Malformed, Packet { udp_length_lie: 1, ..good.clone() }),
        (Verdict::Fragment, Packet { ipv4_fragment: IPV4_MORE_FRAGMENTS, ..good.clone() }),
        (Verdict::WrongLength, Packet { payload: vec![0; 93], ..good.clone() }),
        (Verdict::UnknownKey, Packet { payload: vec![0xff; 94], ..good.clone() }),
        (Verdict::Forged, Packet { payload: forged, ..good.clone() }),
        (Verdict::Candidate, good.clone()),
    ] {
        assert_eq!(kernel.judge(&packet.to_frame()), verdict);
    }
    // Whoever has recorded a knock has no key either.
    assert_eq!(kernel.judge_once_more(&good.to_frame(), None), Verdict::Replayed);
    let full = (0..10_000).any(|_| kernel.judge(&good.to_frame()) == Verdict::RingFull);
    assert!(full, "which is not for the stack either");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_more_goes_to_the_stack_than_is_configured() {
    const RATE: u32 = 50;
    let kernel = Kernel::passing_refused(Rate::per_second(RATE));
    let junk = Packet::to(OURS[0], PORT, &[0; 10]).to_frame();
    let elsewhere = Packet::to(OURS[0], PORT + 1, &[0; 10]).to_frame();
    let before = std::time::Instant::now();
    let passed = (0..2_000).filter(|_| kernel.run(&junk, None) == Action::Pass).count();
    let most = f64::from(RATE) * (1.0 + before.elapsed().as_secs_f64()) + 1.0;
    let passed = f64::from(u32::try_from(passed).unwrap());
    assert!(f64::from(RATE) <= passed && passed <= most, "{passed} passed, at most {most} may");
    // What is not ours is not counted.
    assert!((0..2_000).all(|_| kernel.run(&elsewhere, None) == Action::Pass));
}
