//! Floors that cannot be written or read: nothing runs that should not, and the message says what
//! to do.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use ruroco_lab::{daemon::Daemon, lab::Lab, mount::Mount, network::Family};

fn floor_file(lab: &Lab) -> PathBuf {
    let files = fs::read_dir(lab.files.floors_dir()).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    files.find(|path| path.file_name().unwrap().to_str().unwrap() == "floors").unwrap()
}

/// Starts the server, which must end at once with a message that has these parts.
#[track_caller]
fn expect_no_start(lab: &Lab, message: &[&str]) {
    let mut server = Daemon::start("ruroco-server", &mut lab.server_command(&[]));
    assert!(!server.wait_for_end().success());
    server.wait_for(message);
}

/// A knock that the gate takes while the server cannot start must not run later, when it has
/// been made to start.
fn with_gate_and_commander() -> Lab {
    let mut lab = Lab::without_floors(&Default::default());
    lab.start_commander();
    lab.start_gate();
    lab
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_floors_nothing_runs_until_they_are_made() {
    let mut lab = with_gate_and_commander();
    for family in Family::BOTH {
        lab.knock(family, &[]);
    }
    expect_no_start(&lab, &["no floors", "ruroco-server init"]);
    assert!(lab.server_command(&["init"]).output().unwrap().status.success());
    lab.start_server();
    // The two from before the first start are refused: nobody knows whether they had run.
    lab.server().wait_for(&["refused", "old_counter"]);
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn floors_that_are_there_are_not_made_again() {
    let lab = Lab::new(&Default::default());
    let before = fs::read(floor_file(&lab)).unwrap();
    let again = lab.server_command(&["init"]).output().unwrap();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing was changed"));
    assert_eq!(fs::read(floor_file(&lab)).unwrap(), before);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn floors_that_were_cut_stop_the_start_and_are_left_as_they_are() {
    let mut lab = Lab::running(&Default::default());
    let together = fs::read(floor_file(&lab)).unwrap().len();
    let knock = lab.good_knock(Family::V4);
    lab.send(Family::V4, &lab.seal(&knock));
    lab.expect_one_run();
    lab.server().crash();
    let path = floor_file(&lab);
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, together / 2, together - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        expect_no_start(&lab, &["floors are damaged", "make new keys", "ruroco-server init"]);
        assert_eq!(fs::read(&path).unwrap(), whole[..length]);
    }
    // With the file as it was, the knock that has run does not run again.
    fs::write(&path, &whole).unwrap();
    lab.start_server();
    lab.send(Family::V4, &lab.seal(&knock));
    lab.expect_refusal("old_counter");
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_floor_that_was_being_written_when_the_power_went_is_cut_off() {
    let mut lab = Lab::running(&Default::default());
    let path = floor_file(&lab);
    let mut knocks = Vec::new();
    for tail in [&[0; 64][..], b"0001020304050607: 0000"] {
        let knock = lab.good_knock(Family::V4);
        lab.send(Family::V4, &lab.seal(&knock));
        lab.expect_one_run();
        knocks.push(knock);
        lab.server().crash();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole, tail].concat()).unwrap();

        lab.start_server_until(&mut lab.server_command(&[]), &["cut off a floor"]);
        // Nothing that has run is forgotten with it.
        for knock in &knocks {
            lab.send(Family::V4, &lab.seal(knock));
        }
        lab.server().wait_for(&["refused", "old_counter"]);
        lab.expect_next_knock_to_run(Family::V4);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn one_changed_byte_in_the_floors_stops_the_start() {
    let lab = Lab::new(&Default::default());
    let path = floor_file(&lab);
    let mut content = fs::read(&path).unwrap();
    let place = content.len() / 2;
    content[place] ^= 1;
    fs::write(&path, content).unwrap();
    expect_no_start(&lab, &["floors are damaged", "ruroco-server init"]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn floors_that_are_not_text_are_damaged() {
    let mut lab = Lab::new(&Default::default());
    let path = floor_file(&lab);
    let whole = fs::read(&path).unwrap();
    for place in [0, whole.len() / 2, whole.len() - 1] {
        let mut content = whole.clone();
        content[place] = 0xff; // in no UTF-8
        fs::write(&path, &content).unwrap();
        expect_no_start(&lab, &["floors are damaged", "make new keys", "ruroco-server init"]);
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    fs::write(&path, &whole).unwrap();
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_directory_that_cannot_be_written_is_found_at_the_start() {
    let lab = Lab::new(&Default::default());
    take_away(&lab.files.floors_dir());
    expect_no_start(&lab, &["floors", "is the directory writable"]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn while_the_floor_cannot_be_written_nothing_runs_and_nothing_is_used_up() {
    for family in Family::BOTH {
        let mut lab = Lab::running(&Default::default());
        take_away(&lab.files.floors_dir());
        // The file is there and can be appended to.
        lab.expect_next_knock_to_run(family);
        let path = floor_file(&lab);
        fs::remove_file(&path).unwrap();
        let knock = lab.good_knock(family);
        lab.send(family, &lab.seal(&knock));
        lab.expect_refusal("floor_not_persisted");
        lab.server().wait_for(&["could not write the floors", "is the directory writable"]);
        assert!(!path.exists());

        give_back(&lab);
        // The same knock has not run, so it may run now.
        lab.send(family, &lab.seal(&knock));
        lab.expect_one_run();
        lab.server().crash();
        // Nothing was lost with the file.
        lab.start_server();
        lab.send(family, &lab.seal(&knock));
        lab.expect_refusal("old_counter");
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn on_a_full_disk_nothing_runs_and_the_old_floors_stay() {
    let mut lab = Lab::without_floors(&Default::default());
    let dir = lab.files.floors_dir();
    let _disk = Mount::memory(&dir, 64 << 10);
    lab.files.give_to_user(&dir);
    // With the header and two knocks they fill a page: the next line needs another one.
    for number in 1..PAGE / LINE_SIZE - 3 {
        lab.files.add_key(&format!("key-{number}"));
    }
    assert!(lab.server_command(&["init"]).output().unwrap().status.success());
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    let before = fs::read(floor_file(&lab)).unwrap();
    assert_eq!(before.len(), PAGE);

    let filler = dir.join("filler");
    fill(&filler);
    let knock = lab.good_knock(Family::V4);
    lab.send(Family::V4, &lab.seal(&knock));
    lab.expect_refusal("floor_not_persisted");
    lab.server().wait_for(&["could not write the floors", "the disk not full"]);
    assert_eq!(fs::read(floor_file(&lab)).unwrap(), before, "the old floors are whole");

    // As soon as there is room the same knock runs.
    fs::remove_file(&filler).unwrap();
    lab.send(Family::V4, &lab.seal(&knock));
    lab.expect_one_run();

    // A restart on a full disk finds out at once, and changes nothing.
    lab.server().crash();
    fill(&filler);
    let before = fs::read(floor_file(&lab)).unwrap();
    expect_no_start(&lab, &["could not write the floors", "the disk not full"]);
    assert_eq!(fs::read(floor_file(&lab)).unwrap(), before);

    fs::remove_file(filler).unwrap();
    lab.start_server();
    lab.send(Family::V4, &lab.seal(&knock));
    lab.expect_refusal("old_counter");
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

/// What a file system in memory hands out at a time.
const PAGE: usize = 4096;

/// Size in bytes of a floor in its file.
const LINE_SIZE: usize = 64;

/// Fills the rest of the disk that `path` is on.
fn fill(path: &Path) {
    use std::io::Write;
    let mut filler = fs::File::create(path).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    assert_eq!(filler.write_all(&[0; 512]).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}

/// Leaves the server's user the right to read the directory, and no more.
fn take_away(dir: &Path) {
    chown(dir, Some(0), None).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}

fn give_back(lab: &Lab) {
    lab.files.give_to_user(&lab.files.floors_dir());
}
