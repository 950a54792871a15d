//! One key's packets leave room in the ring for those of others.

use std::{collections::HashMap, thread, time::Duration};

use ruroco_common::{datagram::KeyId, maps, verdict::Verdict};
use ruroco_keys::key::Key;
use ruroco_seal::Aead;
use zerocopy::IntoBytes;

use crate::{KEY, OURS, PORT, frames::Packet, kernel::Kernel, key, key_with_id};

/// What is documented: the least that a key may put into the ring in a second, and at once.
const LEAST: u64 = 100;

/// How many candidates the ring of 1 MiB holds: each takes 144 bytes and a header of 8.
const RING_HOLDS: u64 = (1 << 20) / (144 + 8);

/// What is documented: the most that a key may put into the ring in a second, and at once.
const MOST: u64 = RING_HOLDS / 2;

/// An authentic packet, another one for each number.
fn frame(key: &Key, number: u64) -> Vec<u8> {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    let sealed = Aead::new(key).seal(nonce, [0; 58]).unwrap();
    Packet::to(OURS[0], PORT, sealed.as_bytes()).to_frame()
}

/// The kernel's verdicts on so many packets of a key, and how many it may let through in that time.
fn flood(kernel: &Kernel, key: &Key, count: u64, rate: u64) -> (HashMap<Verdict, u64>, u64) {
    let frames: Vec<_> = (0..count).map(|number| frame(key, number)).collect();
    let (before, mut met) = (std::time::Instant::now(), HashMap::new());
    for frame in frames {
        *met.entry(kernel.judge_once_more(&frame, None)).or_default() += 1;
    }
    (met, rate + 1 + u64::try_from(before.elapsed().as_millis()).unwrap() * rate / 1000)
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_flood_of_one_key_leaves_room_for_others_though_the_server_reads_nothing() {
    let mut kernel = Kernel::sharing(maps::share(2));
    let other = key_with_id(KeyId([9; 8]));
    kernel.add_key(&other);
    let (met, most) = flood(&kernel, &key(), RING_HOLDS + 1_000, LEAST);
    let passed = met[&Verdict::Candidate];
    assert!((LEAST..=most).contains(&passed), "{passed} passed, at most {most} may");
    assert_eq!(met[&Verdict::OverShare] + passed, RING_HOLDS + 1_000, "{met:?}");

    for number in 0..LEAST {
        let verdict = kernel.judge_once_more(&frame(&other, number), None);
        assert_eq!(verdict, Verdict::Candidate, "packet {number} of another key");
    }
    let of_other = kernel.drain().into_iter().filter(|record| record.datagram.key_id != KEY);
    assert_eq!(of_other.count(), 100);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_has_its_share_again_after_a_while_and_what_was_over_it_may_come_again() {
    let kernel = Kernel::sharing(maps::share(2));
    flood(&kernel, &key(), 5 * LEAST, LEAST);
    // Each attempt has a packet of its own: a packet that finds a token is a copy from then on.
    let mut numbers = (0..u64::MAX).rev();
    let late = loop {
        let late = frame(&key(), numbers.next().unwrap());
        if kernel.judge_once_more(&late, None) == Verdict::OverShare {
            break late;
        }
        flood(&kernel, &key(), LEAST, LEAST);
    };
    // A tenth of a second brings ten.
    thread::sleep(Duration::from_millis(100));
    assert_eq!(kernel.judge_once_more(&late, None), Verdict::Candidate);
    assert_eq!(kernel.judge_once_more(&late, None), Verdict::Replayed);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn neither_copies_nor_forgeries_use_up_a_keys_share() {
    let kernel = Kernel::sharing(maps::share(2));
    let authentic = frame(&key(), 0);
    let mut forged = authentic.clone();
    *forged.last_mut().unwrap() ^= 1;
    // With a tag of its own, or it would pass for a copy.
    forged[14 + 20 + 8 + 20] ^= 1;
    assert_eq!(kernel.judge_once_more(&authentic, None), Verdict::Candidate);
    for _ in 0..5 * LEAST {
        assert_eq!(kernel.judge_once_more(&authentic, None), Verdict::Replayed);
        assert_eq!(kernel.judge_once_more(&forged, None), Verdict::Forged);
    }
    for number in 1..LEAST {
        let verdict = kernel.judge_once_more(&frame(&key(), number), None);
        assert_eq!(verdict, Verdict::Candidate, "packet {number}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn whatever_the_server_accepts_a_key_puts_at_most_half_of_the_ring_into_it_at_once() {
    let mut kernel = Kernel::sharing(maps::share(u32::MAX));
    let frames: Vec<_> = (0..2 * RING_HOLDS).map(|number| frame(&key(), number)).collect();
    let (start, mut passed) = (std::time::Instant::now(), 0);
    for some in frames.chunks(1_000) {
        let judged = some.iter().map(|frame| kernel.judge_once_more(frame, None));
        passed += judged.filter(|verdict| *verdict == Verdict::Candidate).count();
        // What limits the key is not the ring.
        kernel.drain();
    }
    let passed = u64::try_from(passed).unwrap();
    // A millisecond that has begun counts.
    let elapsed = u64::try_from(start.elapsed().as_millis()).unwrap() + 1;
    let most = MOST + 1 + elapsed * MOST / 1000;
    assert!((MOST..=most).contains(&passed), "{passed} passed, at most {most} may");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_share_follows_what_the_server_accepts_of_a_key() {
    let kernel = Kernel::sharing(maps::share(300));
    let (met, most) = flood(&kernel, &key(), 3_000, 600);
    let passed = met[&Verdict::Candidate];
    assert!((600..=most).contains(&passed), "{passed} passed, at most {most} may");
}
