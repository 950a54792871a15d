use std::os::unix::fs::MetadataExt;

use super::*;

const KEY: KeyId = KeyId([0, 1, 2, 3, 4, 5, 6, 7]);

#[test]
fn a_first_start_needs_floors_that_were_made_on_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let keys = || [KEY].into_iter();
    let missing = FloorFile::open(dir.path(), keys(), 5).unwrap_err();
    assert!(missing.to_string().contains("ruroco-server init"), "{missing}");
    FloorFile::create(dir.path(), &Floors::at(5, keys())).unwrap();
    assert!(matches!(FloorFile::create(dir.path(), &Floors::at(9, keys())), Err(Error::Exists(_))));
    let file = FloorFile::open(dir.path(), keys(), 9).unwrap();
    assert_eq!(file.floors().of(KEY), Some(5));
}

#[test]
fn new_floors_get_their_name_only_when_they_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("floors.new");
    // As a power cut may leave it.
    fs::write(&new, "torn").unwrap();
    FloorFile::create(dir.path(), &Floors::at(5, [KEY].into_iter())).unwrap();
    assert!(!new.exists());
    let file = FloorFile::open(dir.path(), [].into_iter(), 9).unwrap();
    assert_eq!(file.floors().of(KEY), Some(5));

    let dir = tempfile::tempdir().unwrap();
    // What cannot be written there is nowhere.
    fs::create_dir(dir.path().join("floors.new")).unwrap();
    let error = FloorFile::create(dir.path(), &Floors::at(5, [KEY].into_iter())).unwrap_err();
    assert!(matches!(error, Error::Write(..)), "{error}");
    assert!(!FloorFile::is_there(dir.path()));
}

#[test]
fn a_new_key_starts_at_now_and_an_old_one_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    FloorFile::create(dir.path(), &Floors::at(5, [KEY].into_iter())).unwrap();
    let other = KeyId([9; 8]);
    drop(FloorFile::open(dir.path(), [other].into_iter(), 7).unwrap());
    let file = FloorFile::open(dir.path(), [KEY, other].into_iter(), 9).unwrap();
    assert_eq!((file.floors().of(KEY), file.floors().of(other)), (Some(5), Some(7)));
}

#[test]
fn a_key_that_comes_while_the_file_is_open_has_its_floor_on_the_disk_or_none() {
    let dir = tempfile::tempdir().unwrap();
    FloorFile::create(dir.path(), &Floors::at(5, [].into_iter())).unwrap();
    let mut file = FloorFile::open(dir.path(), [].into_iter(), 6).unwrap();
    assert!(file.floors().is_empty());
    let (path, in_the_way) = (dir.path().join("floors"), dir.path().join("floors.new"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&in_the_way).unwrap();
    let error = file.admit([KEY].into_iter(), 7).unwrap_err();
    assert!(matches!(error, Error::Write(..)), "{error}");
    assert_eq!((file.floors().of(KEY), path.exists()), (None, false));
    fs::remove_dir(in_the_way).unwrap();

    file.admit([KEY].into_iter(), 8).unwrap();
    let other = KeyId([9; 8]);
    file.admit([KEY, other].into_iter(), 9).unwrap();
    let written = fs::read(dir.path().join("floors")).unwrap();
    file.admit([other].into_iter(), 10).unwrap();
    assert_eq!(fs::read(dir.path().join("floors")).unwrap(), written);
    drop(file);
    let file = FloorFile::open(dir.path(), [].into_iter(), 11).unwrap();
    assert_eq!((file.floors().of(KEY), file.floors().of(other)), (Some(8), Some(9)));
}

const FLOOR: u128 = 0x17f3_5985_0147_3c02;
const OTHER: KeyId = KeyId([9; 8]);

fn open(dir: &tempfile::TempDir, now: u128) -> Result<Floors, Error> {
    let file = FloorFile::open(dir.path(), [KEY, OTHER].into_iter(), now)?;
    Ok(file.floors().clone())
}

#[test]
fn of_two_floors_the_higher_one_holds() {
    for own in [6, 7, 8] {
        let dir = tempfile::tempdir().unwrap();
        FloorFile::create(dir.path(), &Floors::at(own, [KEY].into_iter())).unwrap();
        let mut file = FloorFile::open(dir.path(), [KEY].into_iter(), 3).unwrap();
        file.raise(&Floors::at(7, [KEY, OTHER].into_iter())).unwrap();
        drop(file);
        let file = FloorFile::open(dir.path(), [KEY].into_iter(), 3).unwrap();
        assert_eq!(file.floors().of(KEY), Some(own.max(7)));
        assert_eq!(file.floors().of(OTHER), Some(7));
    }
}

#[test]
fn floors_of_an_earlier_release_are_taken_over_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("floors");
    let earlier = "\
ruroco floors v1: 00000000000000000000000000000001 8InuDCk4xZvL\n\
0001020304050607: 000000000000000017f3598501473c00 BK7fZK6cWpP7\n\
08090a0b0c0d0e0f: 000000000000000017f3598501473c00 Xj2CTIXH1R+n\n\
0001020304050607: 000000000000000017f3598501473c01 INw+4s5Z+nWP\n";
    fs::write(&path, earlier).unwrap();
    for now in [7, 9] {
        let floors = open(&dir, now).unwrap();
        assert_eq!((floors.of(KEY), floors.of(OTHER)), (Some(FLOOR - 1), Some(7)));
        let text = fs::read(&path).unwrap();
        assert!(text.windows(16).any(|part| part == b"ruroco floors v2"));
    }
    fs::write(&path, earlier.replace("3c01 I", "3c02 I")).unwrap();
    assert!(matches!(open(&dir, 9), Err(Error::Damaged(_, 4))));
}

#[test]
fn a_link_is_replaced_by_a_file() {
    let dir = tempfile::tempdir().unwrap();
    FloorFile::create(dir.path(), &Floors::at(5, [KEY].into_iter())).unwrap();
    let (path, elsewhere) = (dir.path().join("floors"), dir.path().join("elsewhere"));
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    let before = fs::read(&elsewhere).unwrap();
    assert_eq!(open(&dir, 9).unwrap().of(KEY), Some(5));
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
}

#[test]
fn more_keys_than_there_is_room_for_get_a_larger_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("floors");
    let keys = |count: u16| (0..count).map(|number| KeyId(u64::from(number).to_be_bytes()));
    FloorFile::create(dir.path(), &Floors::at(5, keys(10))).unwrap();
    let mut file = FloorFile::open(dir.path(), keys(10), 6).unwrap();
    let before = fs::metadata(&path).unwrap();
    file.admit(keys(700), 7).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.ino(), after.len()), (before.ino(), before.len()));

    // Where there can be no larger file, those that find room do without one.
    let in_the_way = dir.path().join("floors.new");
    fs::create_dir(&in_the_way).unwrap();
    file.admit(keys(4_000), 8).unwrap();
    assert!(matches!(file.admit(keys(5_000), 9), Err(Error::Write(..))));
    assert_eq!(file.floors().len(), 4_000);
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.ino(), after.len()), (before.ino(), before.len()));
    fs::remove_dir(in_the_way).unwrap();

    file.admit(keys(5_000), 10).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert!(after.ino() != before.ino() && after.len() > before.len());
    drop(file);
    let file = FloorFile::open(dir.path(), keys(5_001), 11).unwrap();
    let floors =
        [0, 10, 700, 4_000, 5_000].map(|number: u64| file.floors().of(KeyId(number.to_be_bytes())));
    assert_eq!(floors, [5, 7, 8, 10, 11].map(Some));
}

#[test]
fn two_servers_do_not_share_floors() {
    let dir = tempfile::tempdir().unwrap();
    FloorFile::create(dir.path(), &Floors::at(5, [KEY].into_iter())).unwrap();
    let _first = FloorFile::open(dir.path(), [KEY].into_iter(), 5).unwrap();
    assert!(matches!(FloorFile::open(dir.path(), [KEY].into_iter(), 5), Err(Error::Lock(_))));
}
