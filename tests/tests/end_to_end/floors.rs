//! Floors that cannot be written or read: nothing runs that should not, and the message says what
//! to do.

use std::{
    fs,
    ops::Range,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use ruroco_lab::{
    daemon::Daemon,
    files::Options,
    knock::Knock,
    lab::Lab,
    mount::Mount,
    network::{Family, SERVER},
    wait,
};

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
    assert!(String::from_utf8_lossy(&again.stderr).contains("Nothing was changed"));
    assert_eq!(fs::read(floor_file(&lab)).unwrap(), before);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn floors_that_were_cut_stop_the_start_and_are_left_as_they_are() {
    let mut lab = Lab::running(&Default::default());
    let knock = lab.good_knock(Family::V4);
    lab.send(Family::V4, &lab.seal(&knock));
    lab.expect_one_run();
    lab.server().crash();
    let path = floor_file(&lab);
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, LINE_SIZE, whole.len() / 4, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        expect_no_start(&lab, &["floors are damaged", "Make new keys", "ruroco-server init"]);
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
    for torn in [&b"0"[..], b"0001020304050607: 0000"] {
        let knock = lab.good_knock(Family::V4);
        lab.send(Family::V4, &lab.seal(&knock));
        lab.expect_one_run();
        knocks.push(knock);
        lab.server().crash();
        let mut content = fs::read(&path).unwrap();
        let end = written(&content).end;
        content[end..end + torn.len()].copy_from_slice(torn);
        fs::write(&path, content).unwrap();

        lab.start_server_until(&mut lab.server_command(&[]), &["removed a floor"]);
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
    let place = written(&content).start + 20;
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
    let written = written(&whole);
    for place in [written.start, written.start + 30, written.end - 1] {
        let mut content = whole.clone();
        content[place] = 0xff; // in no UTF-8
        fs::write(&path, &content).unwrap();
        expect_no_start(&lab, &["floors are damaged", "Make new keys", "ruroco-server init"]);
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
fn floors_that_cannot_be_written_are_found_at_the_start() {
    let lab = Lab::new(&Default::default());
    take_away(&lab.files.floors_dir());
    chown(floor_file(&lab), Some(0), None).unwrap();
    fs::set_permissions(floor_file(&lab), fs::Permissions::from_mode(0o644)).unwrap();
    expect_no_start(&lab, &["could not write the floors", "ruroco check"]);
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
        lab.server().wait_for(&["could not write the floors", "ruroco check"]);
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

/// More knocks than the log has room for, so that it is written anew on the way.
const MANY: usize = 4_208;

/// Fewer than the key's share of the commander's slots.
const BATCH: usize = 16;

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_full_disk_keeps_no_knock_out() {
    let options = Options {
        max_knocks_per_second_per_key: 10_000,
        more_keys: vec!["phone", "tablet"],
        ..Options::default()
    };
    let mut lab = Lab::without_floors(&options);
    let dir = lab.files.floors_dir();
    let _disk = Mount::memory(&dir, 2 << 20);
    lab.files.give_to_user(&dir);
    assert!(lab.server_command(&["init"]).output().unwrap().status.success());
    lab.start_commander();
    lab.start_gate();
    // From before the server comes to know its keys.
    fill(&dir.join("filler"));
    lab.start_server();
    let size = fs::metadata(floor_file(&lab)).unwrap().len();

    run_some(&mut lab, Family::V4);
    // The server accepts them, and the commander has nothing to run for them.
    let phone = lab.files.key("phone");
    let knock = || Knock::to(SERVER.of(Family::V4), "unheard_of");
    let unheard_of = || knock().seal(&phone);
    let first = knock();
    lab.send(Family::V4, &first.seal(&phone));
    for number in (BATCH..=MANY).step_by(BATCH) {
        (0..BATCH).for_each(|_| lab.send(Family::V4, &unheard_of()));
        // Orders that the commander has not read yet count as running, so a knock may find no slot.
        wait::until("so many knocks to be accepted", || {
            let accepted = lab.server().lines_with(&["accepted", "phone"]).len();
            if accepted < number {
                lab.send(Family::V4, &unheard_of());
            }
            (accepted >= number).then_some(())
        });
    }
    run_some(&mut lab, Family::V6);

    // A restart needs no space, either, and forgets nothing.
    lab.server().crash();
    lab.start_server();
    lab.send(Family::V6, &lab.good_knock(Family::V6).seal(&lab.files.key("tablet")));
    assert_eq!(lab.expect_one_run().key, "tablet");
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    // Not the same packet: the gate remembers that.
    lab.send(Family::V4, &first.seal(&phone));
    lab.expect_refusal("old_counter");
    assert_eq!(fs::metadata(floor_file(&lab)).unwrap().len(), size);
    assert!(lab.server().lines_with(&["could not write"]).is_empty());
    lab.expect_silence();
}

/// Has 50 commands run, never more at a time than the key's share of the slots.
fn run_some(lab: &mut Lab, family: Family) {
    for _ in 0..5 {
        let knocks: Vec<_> = (0..10).map(|_| lab.seal(&lab.good_knock(family))).collect();
        knocks.iter().for_each(|knock| lab.send(family, knock));
        lab.expect_runs(10);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_disk_without_room_for_the_floors_is_found_at_once() {
    let mut lab = Lab::without_floors(&Default::default());
    let dir = lab.files.floors_dir();
    let _disk = Mount::memory(&dir, 2 << 20);
    lab.files.give_to_user(&dir);
    let filler = dir.join("filler");
    fill(&filler);
    let told = ["could not write the floors", "free some space", "df "];
    let init = lab.server_command(&["init"]).output().unwrap();
    let said = String::from_utf8_lossy(&init.stderr);
    assert!(!init.status.success() && told.iter().all(|part| said.contains(part)), "{said}");

    // What an earlier release has left needs more than it has.
    let earlier = "ruroco floors v1: 00000000000000000000000000000001 8InuDCk4xZvL\n\
                   0001020304050607: 000000000000000017f3598501473c00 BK7fZK6cWpP7\n";
    fs::remove_file(&filler).unwrap();
    fs::write(dir.join("floors"), earlier).unwrap();
    fill(&filler);
    expect_no_start(&lab, &told);
    assert_eq!(fs::read_to_string(floor_file(&lab)).unwrap(), earlier);

    fs::remove_file(filler).unwrap();
    lab.start_commander();
    lab.start_gate();
    lab.start_server();
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

/// Where in a file of floors the log is: as far as it is not filled with zeros.
fn written(content: &[u8]) -> Range<usize> {
    let first = content.iter().position(|byte| *byte != 0).unwrap();
    let last = content.iter().rposition(|byte| *byte != 0).unwrap();
    first..last + 1
}

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
