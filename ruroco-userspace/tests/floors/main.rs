//! The floor file against a model: over random sequences of knocks, crashes, restarts and other
//! people's mistakes, a floor is what the last knock that was persisted has made it, and nothing
//! that was damaged is taken for a floor.
#![cfg(feature = "with-server")]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

mod harness;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

use proptest::{prelude::*, sample::Index};
use ruroco::server::{floor_file::Error, floor_log::LINE_SIZE};

use harness::{Host, START, persist};

const KEYS: u16 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A knock whose counter is so much above the key's floor.
    Knock { key: usize, above: u64 },
    /// A knock during whose persisting the machine goes down, with what is then found of its line.
    Crash { key: usize, found: Found },
    /// The machine goes down while the whole file is being written anew.
    CrashWhileReplacing { written: Index },
    /// Somebody changes the file under the running server, and then there is a knock.
    Meddle { how: Meddling, key: usize },
    /// The server is started again.
    Restart,
}

#[derive(Clone, Debug)]
enum Found {
    /// So many of its bytes.
    Bytes(usize),
    /// So many bytes that were never filled.
    Zeros(usize),
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
    let found = prop_oneof![
        3 => (0..=LINE_SIZE).prop_map(Found::Bytes),
        1 => (1..=LINE_SIZE).prop_map(Found::Zeros),
    ];
    let meddling = prop_oneof![
        Just(Meddling::Remove),
        Just(Meddling::Exchange),
        any::<Index>().prop_map(Meddling::Cut),
        proptest::collection::vec(any::<u8>(), 1..200).prop_map(Meddling::Lengthen),
    ];
    let step = prop_oneof![
        12 => (key(), 1_u64..10_000_000_000).prop_map(|(key, above)| Step::Knock { key, above }),
        3 => (key(), found).prop_map(|(key, found)| Step::Crash { key, found }),
        1 => any::<Index>().prop_map(|written| Step::CrashWhileReplacing { written }),
        1 => (meddling, key()).prop_map(|(how, key)| Step::Meddle { how, key }),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..50)
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
                Step::Crash { key, found } => {
                    let mut raised = model.clone();
                    knock(&mut floors, &mut raised, key, 1);
                    drop(floors);
                    let mut after = fs::read(&path).unwrap();
                    prop_assert_eq!(&after[..before.len()], &before);
                    match found {
                        Found::Bytes(LINE_SIZE) => model = raised,
                        Found::Bytes(count) => after.truncate(before.len() + count),
                        Found::Zeros(count) => {
                            after.truncate(before.len());
                            after.resize(before.len() + count, 0);
                        }
                    }
                    fs::write(&path, after).unwrap();
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
        for bit in bits {
            let bit = bit.index(text.len() * 8);
            text[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assume!(text != whole);
        fs::write(host.path(), &text).unwrap();
        prop_assert!(matches!(host.open(), Err(Error::Damaged(..))));
        prop_assert_eq!(fs::read(host.path()).unwrap(), text);
    }
}

#[test]
fn the_file_is_written_anew_when_it_has_grown_and_not_before() {
    let host = Host::new(KEYS);
    let (mut verifier, mut floors) = (host.verifier(), host.open().unwrap());
    let size = || fs::metadata(host.path()).unwrap().len();
    let compact = size();
    for round in 0..2_u128 {
        for knock in 0..4096 {
            floors.compact_if_due().unwrap();
            assert_eq!(size(), compact + knock * LINE_SIZE as u64);
            let counter = START + 1 + round * 4096 + u128::from(knock);
            persist(&mut verifier, &mut floors, &host.knock(1, counter)).unwrap();
        }
        floors.compact_if_due().unwrap();
        assert_eq!(size(), compact);
    }
    let before = floors.floors().clone();
    drop(floors);
    assert_eq!(*host.open().unwrap().floors(), before);
}

#[test]
fn a_file_that_cannot_be_written_anew_is_appended_to() {
    let host = Host::new(KEYS);
    let (mut verifier, mut floors) = (host.verifier(), host.open().unwrap());
    let in_the_way = host.path().with_extension("new");
    fs::create_dir(&in_the_way).unwrap();
    let mut failures = 0;
    for knock in 0..2 * 4096 {
        persist(&mut verifier, &mut floors, &host.knock(0, START + 1 + knock)).unwrap();
        failures += usize::from(floors.compact_if_due().is_err());
    }
    // It is not tried with every knock.
    assert_eq!(failures, 2);
    fs::remove_dir(in_the_way).unwrap();
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
