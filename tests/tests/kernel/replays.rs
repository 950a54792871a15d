//! Which packets come too often: again, or more than may go unchecked.

use std::{sync::Barrier, thread, time::Duration};

use ruroco_common::{datagram::KeyId, verdict::Verdict};
use ruroco_keys::key::Key;

use crate::{KEY, OURS, PORT, frames::Packet, kernel::Kernel, key_with_id, knock, sealed};

/// A key of upstream ruroco, for a cipher that the kernel does not know.
fn unchecked_key() -> Key {
    Key::parse("CAkKCwwNDg8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==").unwrap()
}

fn frame(payload: &[u8]) -> Vec<u8> {
    Packet::to(OURS[0], PORT, payload).to_frame()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_is_handed_over_once_whatever_is_around_it() {
    let mut kernel = Kernel::filled();
    let packet = Packet::to(OURS[0], PORT, &knock(KEY));
    assert_eq!(kernel.judge_once_more(&packet.to_frame(), None), Verdict::Candidate);
    let from_elsewhere = Packet { source: "203.0.113.9".parse().unwrap(), ..packet.clone() };
    let other_port = Packet { source_port: 1, ..packet.clone() };
    let to_other_address = Packet::to(OURS[1], PORT, &knock(KEY));
    let tagged = Packet { vlan_tags: vec![0x8100], ..packet.clone() };
    for copy in [packet, from_elsewhere, other_port, to_other_address, tagged] {
        assert_eq!(kernel.judge_once_more(&copy.to_frame(), None), Verdict::Replayed, "{copy:?}");
    }
    assert_eq!(kernel.drain().len(), 1);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_forgery_with_the_tag_of_a_knock_takes_nothing_from_it() {
    let kernel = Kernel::filled();
    let authentic = knock(KEY);
    let mut forged = authentic.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(kernel.judge_once_more(&frame(&forged), None), Verdict::Forged);
    assert_eq!(kernel.judge_once_more(&frame(&authentic), None), Verdict::Candidate);
    assert_eq!(kernel.judge_once_more(&frame(&forged), None), Verdict::Replayed, "by its tag");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_tag_is_remembered_for_one_key() {
    let mut kernel = Kernel::filled();
    let other = key_with_id(KeyId([9; 8]));
    kernel.add_key(&other);
    let authentic = knock(KEY);
    assert_eq!(kernel.judge_once_more(&frame(&authentic), None), Verdict::Candidate);
    let mut same_tag = sealed(&other);
    same_tag[20..36].copy_from_slice(&authentic[20..36]);
    assert_eq!(kernel.judge_once_more(&frame(&same_tag), None), Verdict::Forged);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn forgeries_do_not_wash_out_what_is_remembered() {
    let kernel = Kernel::filled();
    let authentic = knock(KEY);
    assert_eq!(kernel.judge_once_more(&frame(&authentic), None), Verdict::Candidate);
    let mut forged = authentic.clone();
    // More of them, each with a tag of its own, than there is memory for.
    for tag in 0..70_000_u32 {
        forged[20..24].copy_from_slice(&tag.to_le_bytes());
        assert_eq!(kernel.run(&frame(&forged), None), crate::kernel::Action::Drop);
    }
    assert_eq!(kernel.judge_once_more(&frame(&authentic), None), Verdict::Replayed);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_found_the_ring_full_is_not_remembered() {
    let mut kernel = Kernel::filled();
    let filling = frame(&knock(KEY));
    assert!((0..10_000).any(|_| kernel.judge(&filling) == Verdict::RingFull), "the ring is full");
    let key = key_with_id(KeyId([9; 8]));
    kernel.add_key(&key);
    let late = frame(&sealed(&key));
    assert_eq!(kernel.judge_once_more(&late, None), Verdict::RingFull);
    assert_eq!(kernel.judge_once_more(&late, None), Verdict::RingFull, "again, not a replay");
    kernel.drain();
    assert_eq!(kernel.judge_once_more(&late, None), Verdict::Candidate);
    assert_eq!(kernel.judge_once_more(&late, None), Verdict::Replayed);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn copies_on_several_cpus_at_once_are_one_candidate() {
    let mut kernel = Kernel::filled();
    let threads = thread::available_parallelism().unwrap().get().max(2);
    for round in 0..2_000_u64 {
        let key = key_with_id(KeyId(round.to_le_bytes()));
        kernel.add_key(&key);
        let frame = frame(&sealed(&key));
        let (start, kernel) = (Barrier::new(threads), &kernel);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    start.wait();
                    kernel.run(&frame, None)
                });
            }
        });
        assert_eq!(kernel.count(Verdict::Candidate), round + 1);
    }
    assert_eq!(kernel.drain().len(), 2_000);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_the_kernel_cannot_check_is_counted_for_each_key() {
    /// What is documented: so many a second, and as many at once.
    const RATE: u64 = 100;
    let mut kernel = Kernel::filled();
    let other = Key { id: KeyId([9; 8]), ..unchecked_key() };
    kernel.add_key(&unchecked_key());
    kernel.add_key(&other);
    let knock_of = |key: &Key, tag: u64| {
        let mut payload = sealed(key);
        payload[20..28].copy_from_slice(&tag.to_le_bytes());
        frame(&payload)
    };

    // Faster than tokens come back: after a second's worth there are throttled ones.
    let before = std::time::Instant::now();
    let mut passed = 0;
    for tag in 0..5 * RATE {
        let verdict = kernel.judge_once_more(&knock_of(&unchecked_key(), tag), None);
        assert!(matches!(verdict, Verdict::Candidate | Verdict::Throttled), "{verdict:?}");
        passed += u64::from(verdict == Verdict::Candidate);
    }
    let most = RATE + 1 + u64::try_from(before.elapsed().as_millis()).unwrap() * RATE / 1000;
    assert!((RATE..=most).contains(&passed), "{passed} passed, at most {most} may");
    kernel.drain();

    // Neither another key of the cipher nor one that the kernel checks is kept out by that.
    assert_eq!(kernel.judge_once_more(&knock_of(&other, 0), None), Verdict::Candidate);
    assert_eq!(kernel.judge_once_more(&frame(&knock(KEY)), None), Verdict::Candidate);

    // A tenth of a second brings ten.
    thread::sleep(Duration::from_millis(100));
    let verdict = kernel.judge_once_more(&knock_of(&unchecked_key(), u64::MAX), None);
    assert_eq!(verdict, Verdict::Candidate);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_the_kernel_cannot_check_is_not_remembered() {
    let mut kernel = Kernel::filled();
    kernel.add_key(&unchecked_key());
    let authentic = sealed(&unchecked_key());
    let mut forged = authentic.clone();
    *forged.last_mut().unwrap() ^= 1;
    // A forgery with its tag that is faster keeps no knock out, and is met by the server's check.
    assert_eq!(kernel.judge_once_more(&frame(&forged), None), Verdict::Candidate);
    assert_eq!(kernel.judge_once_more(&frame(&authentic), None), Verdict::Candidate);
    assert_eq!(kernel.judge_once_more(&frame(&authentic), None), Verdict::Candidate);
}
