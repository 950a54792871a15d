//! A disk that takes only a part of a line, or nothing: no order comes of it, the file is what it
//! was before, and as soon as there is room again the same knock runs. A limit on the size of this
//! process's files stands for the disk, so this is a process of its own.
#![cfg(feature = "with-server")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
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

use ruroco::server::{floor_file::Error, floor_log::LINE_SIZE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

use harness::{Host, START, persist};

/// Lets files grow to this size and no further, if it is given.
fn limit(size: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: size, maximum }).unwrap();
}

#[test]
fn what_does_not_fit_is_cut_off_and_fits_later() {
    // It would end this process.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).unwrap();
    let host = Host::new(2);
    let (mut verifier, mut floors) = (host.verifier(), host.open().unwrap());
    let size = || fs::metadata(host.path()).unwrap().len();
    for room in 0..LINE_SIZE as u64 {
        let knock = host.knock(0, START + 1 + u128::from(room));
        let (text, before) = (fs::read(host.path()).unwrap(), floors.floors().clone());
        limit(Some(size() + room));
        // Again and again, without one attempt leaving anything behind for the next.
        for _ in 0..3 {
            let error = persist(&mut verifier, &mut floors, &knock).unwrap_err();
            assert!(matches!(error, Error::Write(..)), "{error}");
            assert_eq!(fs::read(host.path()).unwrap(), text, "{room} bytes fit");
            assert_eq!(*floors.floors(), before);
        }
        limit(None);
        let order = persist(&mut verifier, &mut floors, &knock).unwrap();
        assert_eq!(order.order().counter, START + 1 + u128::from(room));
        assert_eq!(size(), (text.len() + LINE_SIZE) as u64);
    }
    let before = floors.floors().clone();
    drop(floors);
    assert_eq!(*host.open().unwrap().floors(), before);
}
