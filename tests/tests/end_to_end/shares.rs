//! Somebody with a key keeps nobody else out.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::Options,
    knock::Bytes,
    lab::Lab,
    many::Sender,
    network::{Family, PORT},
    wait,
};

/// How many knocks of another key have to run.
const KNOCKS: usize = 100;

/// How many of them may be running.
const AT_ONCE: usize = 16;

/// Different packets of the flood: several times what the server reads of them meanwhile.
const FLOOD: u32 = 60_000;

/// Ends the flood, also when the test fails.
struct EndOfFlood<'a>(&'a AtomicBool);

impl Drop for EndOfFlood<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn while_one_key_floods_every_knock_of_another_runs() {
    let options = Options {
        max_knocks_per_second_per_key: 100,
        more_keys: vec!["phone"],
        ..Options::default()
    };
    let mut lab = Lab::running(&options);
    let before = lab.verdicts();
    let (laptop, phone) = (lab.key(), lab.files.key("phone"));
    // Authentic, each of them another packet, and of no use: nothing of the flood runs.
    let flood: Vec<Bytes> = (0..FLOOD)
        .map(|_| {
            let mut knock = lab.good_knock(Family::V4);
            knock.version = 2;
            knock.seal(&laptop)
        })
        .collect();
    let knocks: Vec<Bytes> = (0..KNOCKS).map(|_| lab.good_knock(Family::V4).seal(&phone)).collect();
    let (over, client) = (AtomicBool::new(false), lab.network.client.handle());
    thread::scope(|scope| {
        scope.spawn(|| {
            client.enter(|| {
                let mut sender = Sender::new(PORT);
                while !over.load(Ordering::SeqCst) {
                    sender.send_each(&flood);
                }
            });
        });
        let _end = EndOfFlood(&over);
        wait::until("the flood to come", || {
            let judged: u64 = lab.verdicts().since(&before).values().sum();
            (judged > 20_000).then_some(())
        });
        for (number, knock) in (1..).zip(&knocks) {
            lab.send(Family::V4, knock);
            // A key has no more commands running than its share of the commander's slots.
            if number > AT_ONCE {
                lab.commander().wait_for_nth(number - AT_ONCE, &["ended", "key=phone"]);
            }
        }
        lab.expect_runs(KNOCKS);
    });
    assert_eq!(lab.commander().lines_with(&["running", "phone"]).len(), KNOCKS);
    let since = lab.verdicts().since(&before);
    assert!(since[Verdict::OverShare.name()] > 10_000, "{since:?}");
    assert_eq!(since.get(Verdict::RingFull.name()), None, "{since:?}");
    lab.expect_silence();
}
