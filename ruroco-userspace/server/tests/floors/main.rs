//! The floor file against a model: over random sequences of knocks, crashes, restarts and other
//! people's mistakes, a floor is what the last knock that was persisted has made it, and nothing
//! that was damaged is taken for a floor.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

mod harness;

use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
};

use harness::{Host, START, persist};
use proptest::{prelude::*, sample::Index};
use ruroco_server::{floor_file::Error, floor_log::LINE_SIZE};

const KEYS: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A knock whose counter is so much above the key's floor.
    Knock { key: usize, above: u64 },
    /// A knock during whose persisting the machine goes down, with so many bytes of its line written.
    Crash { key: usize, written: usize },
    /// The machine goes down while the log is being written anew.
    CrashWhileRewriting { stage: Stage, written: Vec<bool> },
    /// The machine goes down while a new file is being written.
    CrashWhileReplacing { written: Index },
    /// Somebody changes the file under the running server, and then there is a knock.
    Meddle { how: Meddling, key: usize },
    /// The server is started again.
    Restart,
}

/// What was being written when the machine went down; what comes before is on the disk.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The new log.
    NewLog,
    /// Zeros over the first line of the old one.
    OldHeader,
    /// Zeros over its other lines.
    OldLines,
}

#[derive(Clone, Debug)]
enum Meddling {
    Remove,
    /// By an older copy of itself.
    Exchange,
    Cut(Index),
    Lengthen(Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..usize::from(KEYS);
    let stage = prop_oneof![Just(Stage::NewLog), Just(Stage::OldHeader), Just(Stage::OldLines)];
    let written = proptest::collection::vec(any::<bool>(), 1..20);
    let meddling = prop_oneof![
        Just(Meddling::Remove),
        Just(Meddling::Exchange),
        any::<Index>().prop_map(Meddling::Cut),
        proptest::collection::vec(any::<u8>(), 1..200).prop_map(Meddling::Lengthen),
    ];
    let step = prop_oneof![
        12 => (key(), 1_u64..10_000_000_000).prop_map(|(key, above)| Step::Knock { key, above }),
        3 => (key(), 0..=LINE_SIZE).prop_map(|(key, written)| Step::Crash { key, written }),
        2 => (stage, written)
            .prop_map(|(stage, written)| Step::CrashWhileRewriting { stage, written }),
        1 => any::<Index>().prop_map(|written| Step::CrashWhileReplacing { written }),
        1 => (meddling, key()).prop_map(|(how, key)| Step::Meddle { how, key }),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..50)
}

/// Where the one line is in which a file differs from what it was before, where it had none.
fn added_line(before: &[u8], after: &[u8]) -> Range<usize> {
    assert_eq!(before.len(), after.len(), "the file has a size of its own");
    let lines = before.as_chunks::<LINE_SIZE>().0.iter().zip(after.as_chunks::<LINE_SIZE>().0);
    let mut differing = lines.enumerate().filter(|(_, (before, after))| before != after);
    let (number, (was, _)) = differing.next().expect("a line was added");
    assert_eq!((*was, differing.count()), ([0; LINE_SIZE], 0));
    number * LINE_SIZE..(number + 1) * LINE_SIZE
}

/// What a file may hold when the machine goes down while its log is written into the other half:
/// of the lines that were being written then, only those for which `written` says so, again and again.
fn rewritten_until(stage: Stage, written: &[bool], before: &[u8], after: &[u8]) -> Vec<u8> {
    let half = before.len() / 2;
    let old = if before[..half].starts_with(b"ruroco") { 0 } else { half };
    let (new, written) = (half - old, written.iter().cycle());
    let mut found = before.to_vec();
    let mut write = |from: usize, to: usize, is_synced: bool| {
        let lines = (from..to).step_by(LINE_SIZE).map(|at| at..at + LINE_SIZE);
        for (line, is_written) in lines.zip(written.clone()) {
            if is_synced || *is_written {
                found[line.clone()].copy_from_slice(&after[line]);
            }
        }
    };
    write(new, new + half, !matches!(stage, Stage::NewLog));
    match stage {
        Stage::NewLog => {}
        Stage::OldHeader => write(old, old + LINE_SIZE, false),
        Stage::OldLines => {
            write(old, old + LINE_SIZE, true);
            write(old + LINE_SIZE, old + half, false);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_floor_is_what_was_persisted_whatever_happens(steps in steps()) {
        let host = Host::new(KEYS);
        let path = host.path();
        let (mut verifier, mut floors) = (host.verifier(), host.open().unwrap());
        let mut model = vec![START; usize::from(KEYS)];
        let mut old = fs::read(&path).unwrap();

        for step in steps {
            let before = fs::read(&path).unwrap();
            let mut knock = |floors: &mut _, model: &mut [u128], key: usize, above: u64| {
                let counter = model[key] + u128::from(above);
                let order = persist(&mut verifier, floors, &host.knock(key, counter)).unwrap();
                assert_eq!(order.order().counter, counter);
                model[key] = counter;
            };
            match step {
                Step::Knock { key, above } => knock(&mut floors, &mut model, key, above),
                Step::Restart => {
                    drop(floors);
                    floors = host.open().unwrap();
                }
                Step::Crash { key, written } => {
                    let mut raised = model.clone();
                    knock(&mut floors, &mut raised, key, 1);
                    drop(floors);
                    let mut after = fs::read(&path).unwrap();
                    let added = added_line(&before, &after);
                    after[added][written..].fill(0);
                    fs::write(&path, after).unwrap();
                    if written == LINE_SIZE {
                        model = raised;
                    }
                    floors = host.open().unwrap();
                }
                Step::CrashWhileRewriting { stage, written } => {
                    drop(floors);
                    drop(host.open().unwrap());
                    let after = fs::read(&path).unwrap();
                    fs::write(&path, rewritten_until(stage, &written, &before, &after)).unwrap();
                    floors = host.open().unwrap();
                }
                Step::CrashWhileReplacing { written } => {
                    drop(floors);
                    let new = &before[..written.index(before.len())];
                    fs::write(path.with_extension("new"), new).unwrap();
                    floors = host.open().unwrap();
                }
                Step::Meddle { how, key } => {
                    match how {
                        Meddling::Remove => fs::remove_file(&path).unwrap(),
                        Meddling::Exchange => {
                            fs::write(path.with_extension("backup"), &old).unwrap();
                            fs::rename(path.with_extension("backup"), &path).unwrap();
                        }
                        Meddling::Cut(length) => {
                            let file = File::options().write(true).open(&path).unwrap();
                            file.set_len(length.index(before.len()) as u64).unwrap();
                        }
                        Meddling::Lengthen(more) => {
                            let file = File::options().write(true).open(&path).unwrap();
                            file.write_all_at(&more, before.len() as u64).unwrap();
                        }
                    }
                    knock(&mut floors, &mut model, key, 1);
                }
            }
            for (key, floor) in host.ids().zip(&model) {
                prop_assert_eq!(floors.floors().of(key), Some(*floor));
            }
            old = before;
        }
        drop(floors);
        let floors = host.open().unwrap();
        for (key, floor) in host.ids().zip(&model) {
            prop_assert_eq!(floors.floors().of(key), Some(*floor));
        }
    }

    #[test]
    fn changed_bits_stop_the_start_and_the_file_is_left_as_it_is(
        knocks in 0_usize..4,
        bits in proptest::collection::vec(any::<Index>(), 1..4),
    ) {
        let host = Host::new(KEYS);
        let (mut verifier, mut floors) = (host.verifier(), host.open().unwrap());
        for knock in 0..knocks {
            let counter = START + 1 + knock as u128;
            persist(&mut verifier, &mut floors, &host.knock(knock % 2, counter)).unwrap();
        }
        drop(floors);
        let mut text = fs::read(host.path()).unwrap();
        let whole = text.clone();
        let written: Vec<_> = (0..text.len()).filter(|place| text[*place] != 0).collect();
        for bit in bits {
            let bit = bit.index(written.len() * 8);
            text[written[bit / 8]] ^= 1 << (bit % 8);
        }
        prop_assume!(text != whole && text[written[written.len() - 1]] != 0);
        fs::write(host.path(), &text).unwrap();
        prop_assert!(matches!(host.open(), Err(Error::Damaged(..))));
        prop_assert_eq!(fs::read(host.path()).unwrap(), text);
    }
}

/// The generation of the log that a file holds.
fn generation(text: &[u8]) -> u64 {
    let halves = text.split_at(text.len() / 2);
    let mut logs = [halves.0, halves.1].into_iter().filter(|log| log.starts_with(b"ruroco"));
    let (Some(log), None) = (logs.next(), logs.next()) else { panic!("not one log") };
    u64::from_str_radix(str::from_utf8(&log[18..34]).unwrap(), 16).unwrap()
}

#[test]
fn neither_knocks_nor_writing_the_log_anew_take_any_space() {
    const KNOCKS: u128 = 10_000;
    let host = Host::new(KEYS);
    let (mut verifier, mut floors) = (host.verifier(), host.open().unwrap());
    let space = || {
        let file = fs::metadata(host.path()).unwrap();
        (file.ino(), file.len(), file.blocks())
    };
    let (before, first) = (space(), generation(&fs::read(host.path()).unwrap()));
    for above in 1..=KNOCKS {
        // Even if there is never time for it between knocks.
        if above < KNOCKS / 2 {
            floors.compact_if_due().unwrap();
        }
        persist(&mut verifier, &mut floors, &host.knock(1, START + above)).unwrap();
        assert_eq!(space(), before, "after {above} knocks");
    }
    // Once in some thousands of knocks.
    let last = generation(&fs::read(host.path()).unwrap());
    assert_eq!(last - first, 2, "how often it was written anew");
    let before = floors.floors().clone();
    drop(floors);
    assert_eq!(*host.open().unwrap().floors(), before);
}

#[test]
fn a_knock_that_was_overtaken_raises_nothing() {
    let host = Host::new(KEYS);
    let (mut verifier, mut floors) = (host.verifier(), host.open().unwrap());
    let [early, late] = [1, 2].map(|above| host.knock(0, START + above));
    let [early, late] =
        [early, late].map(|knock| verifier.judge(harness::NOW, floors.floors(), &knock).unwrap());
    floors.persist(late).unwrap();
    assert!(matches!(floors.persist(early), Err(Error::Overtaken)));
    drop(floors);
    assert_eq!(host.open().unwrap().floors().of(host.keys[0].key.id), Some(START + 2));
}
