//! A disk that takes only a part of a line, or nothing: no order comes of it, the file is what it
//! was before, and as soon as there is room again the same knock runs. A limit on the size of this
//! process's files stands for the disk, so this is a process of its own, with one test.
//!
//! What a full disk does to a file that has its full size already: `floors.rs` of the end-to-end tests.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[path = "floors/harness.rs"]
mod harness;

use std::{
    fs,
    sync::{Arc, atomic::AtomicBool},
};

use harness::{Host, START, persist};
use ruroco_common::datagram::KeyId;
use ruroco_server::{
    floor_file::{Error, FloorFile},
    floor_log::LINE_SIZE,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

/// Lets files grow to this size and no further, if it is given.
fn limit(size: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: size, maximum }).unwrap();
}

#[test]
fn what_the_disk_does_not_take_is_not_there_and_is_taken_later() {
    // It would end this process.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).unwrap();
    let host = Host::new(2);
    a_line_is_added_whole_or_not_at_all(&host);
    a_log_that_cannot_be_written_anew_is_kept_and_knocks_go_on_later(&host);
    a_file_that_is_too_small_for_its_keys_is_not_written_anew_again_and_again(&Host::new(1));
}

fn a_line_is_added_whole_or_not_at_all(host: &Host) {
    let (mut verifier, mut floors) = (host.verifier(), host.open().unwrap());
    let mut end = end_of_log(host);
    for room in 0..LINE_SIZE as u64 {
        let knock = host.knock(0, START + 1 + u128::from(room));
        let (text, before) = (fs::read(host.path()).unwrap(), floors.floors().clone());
        limit(Some(end + room));
        // Again and again, without one attempt leaving anything behind for the next.
        for _ in 0..3 {
            let error = persist(&mut verifier, &mut floors, &knock).unwrap_err();
            assert!(matches!(error, Error::Write(..)), "{error}");
            assert!(fs::read(host.path()).unwrap() == text, "{room} bytes fit");
            assert_eq!(*floors.floors(), before);
        }
        limit(None);
        let order = persist(&mut verifier, &mut floors, &knock).unwrap();
        assert_eq!(order.order().counter, START + 1 + u128::from(room));
        end += LINE_SIZE as u64;
        assert_eq!(end_of_log(host), end);
    }
    let before = floors.floors().clone();
    drop(floors);
    assert_eq!(*host.open().unwrap().floors(), before);
}

fn a_log_that_cannot_be_written_anew_is_kept_and_knocks_go_on_later(host: &Host) {
    let mut floors = host.open().unwrap();
    let half = fs::metadata(host.path()).unwrap().len() / 2;
    if end_of_log(host) > half {
        drop(floors);
        floors = host.open().unwrap();
    }
    let mut verifier = host.verifier();
    // The other half cannot be written to, and neither can a new file.
    limit(Some(half));
    let mut accepted = 0;
    let error = loop {
        accepted += 1;
        persist(&mut verifier, &mut floors, &host.knock(1, START + accepted)).unwrap();
        if let Err(error) = floors.compact_if_due() {
            break error;
        }
    };
    assert!(matches!(error, Error::Write(..)), "{error}");
    let text = fs::read(host.path()).unwrap();
    let next = host.knock(1, START + accepted + 1);
    for _ in 0..3 {
        // Whatever got into the other half is to be cleared before there is another line.
        assert!(matches!(persist(&mut verifier, &mut floors, &next), Err(Error::Write(..))));
        floors.compact_if_due().expect("it is not tried again and again");
    }
    assert!(fs::read(host.path()).unwrap() == text, "something was written");
    limit(None);
    persist(&mut verifier, &mut floors, &next).unwrap();
    // More than there is room for.
    for above in 2..=1_000 {
        let knock = host.knock(1, START + accepted + above);
        persist(&mut verifier, &mut floors, &knock).unwrap();
        floors.compact_if_due().unwrap();
    }
    let before = floors.floors().clone();
    assert_eq!(before.of(host.keys[1].key.id), Some(START + accepted + 1_000));
    drop(floors);
    assert_eq!(*host.open().unwrap().floors(), before);
}

fn a_file_that_is_too_small_for_its_keys_is_not_written_anew_again_and_again(host: &Host) {
    const KEYS: u64 = 3_700;
    let (mut verifier, mut floors) = (host.verifier(), host.open().unwrap());
    let size = fs::metadata(host.path()).unwrap().len();
    let room = size / 2 / LINE_SIZE as u64;
    limit(Some(size));
    floors.admit((1..=KEYS).map(|number| KeyId(number.to_ne_bytes())), START).unwrap();
    let mut counter = START;
    let mut knock = |floors: &mut FloorFile| {
        counter += 1;
        persist(&mut verifier, floors, &host.knock(0, counter)).unwrap();
    };
    let text = fs::read(host.path()).unwrap();
    for _ in 0..10 {
        floors.compact_if_due().unwrap();
        assert!(fs::read(host.path()).unwrap() == text, "written anew without use");
    }
    // A header and a floor for each key; then it is written anew once for as many knocks.
    for _ in 0..2 {
        for _ in 0..room - (1 + KEYS + 1) {
            knock(&mut floors);
            let text = fs::read(host.path()).unwrap();
            floors.compact_if_due().unwrap();
            assert!(fs::read(host.path()).unwrap() == text, "written anew without use");
        }
    }
    drop(floors);
    let mut floors = host.open().unwrap();
    let text = fs::read(host.path()).unwrap();
    floors.compact_if_due().unwrap();
    assert!(fs::read(host.path()).unwrap() == text, "a start has written it anew already");
    // With space there is a larger one as soon as there is no room.
    limit(None);
    (0..room - KEYS).for_each(|_| knock(&mut floors));
    assert!(fs::metadata(host.path()).unwrap().len() > size);
}

/// Where the next line of the log belongs in its file.
fn end_of_log(host: &Host) -> u64 {
    let text = fs::read(host.path()).unwrap();
    let last = text.iter().rposition(|byte| *byte != 0).unwrap();
    last as u64 + 1
}
