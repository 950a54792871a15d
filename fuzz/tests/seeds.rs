//! Every fuzz target takes its seeds, so that what the fuzzer starts from, and what it once found,
//! stays good without a fuzzer.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail loudly")]

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use ruroco_fuzz::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files and folders in a folder, sorted.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The names in a folder, without extensions.
fn names(name: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries(&folder(name)).into_iter().map(stem).collect()
}

#[test]
fn every_target_takes_its_seeds() {
    for (name, target) in TARGETS {
        let seeds = entries(&folder("corpus").join(name));
        assert!(seeds.len() >= 3, "{name} has {} seeds", seeds.len());
        for seed in seeds {
            println!("{}", seed.display());
            assert!(target(&fs::read(&seed).unwrap()), "not worth going on from");
        }
    }
}

#[test]
fn every_target_takes_nothing_and_noise() {
    for (_, target) in TARGETS {
        for length in [0, 1, 5, 48, 49, 56, 57, 58, 94, 1000] {
            target(&vec![0; length]);
            target(&vec![0xff; length]);
        }
    }
}

#[test]
fn the_dictionaries_have_the_fields_of_now() {
    for (name, text) in ruroco_fuzz::DICTIONARIES {
        let path = folder("dictionaries").join(name).with_extension("dict");
        let remedy = "run: cargo run --package ruroco-fuzz --example seeds";
        assert_eq!(fs::read_to_string(&path).unwrap(), text(), "{}: {remedy}", path.display());
    }
}

#[test]
fn every_target_has_a_program_and_seeds_and_no_other_has() {
    let targets = BTreeSet::from(TARGETS.map(|(name, _)| name.to_owned()));
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    assert!(names("dictionaries").is_subset(&targets));
}
