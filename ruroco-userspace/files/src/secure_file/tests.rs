//! Which files are read, and the messages about the others.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn file_with_mode(mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "content").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

#[test]
fn a_secret_is_read_only_if_no_one_else_can_read_it() {
    for mode in 0..=0o777_u32 {
        let (_dir, path) = file_with_mode(mode | 0o400);
        assert_eq!(read_own_secret(&path).is_ok(), mode & 0o077 == 0, "{mode:o}");
    }
}

#[test]
fn configuration_is_read_only_if_no_one_else_can_write_it() {
    for mode in 0..=0o777_u32 {
        let (_dir, path) = file_with_mode(mode | 0o400);
        assert_eq!(read_own(&path).is_ok(), mode & 0o022 == 0, "{mode:o}");
    }
}

#[test]
fn the_refusal_says_what_to_do() {
    let (_dir, path) = file_with_mode(0o644);
    let message = read_own_secret(&path).unwrap_err().to_string();
    assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
    assert!(!message.contains("content"));
}

#[test]
fn what_helps_depends_on_whose_the_file_is_and_who_has_seen_a_secret() {
    let (_dir, path) = file_with_mode(0o600);
    let told = |owner, is_secret| {
        let cause = Cause::Denied { owner, is_secret };
        Error::new(&path, cause).to_string()
    };
    let (me, stranger) = (this_user(), this_user() + 1);
    let own = told(Some(me), true);
    assert!(own.contains(&format!("run: chmod u+r {}", path.display())), "{own}");
    assert!(!own.contains("chown"), "{own}");
    let replace = "replace the key if that user must not have it";
    let run = if me == 0 { "; run: chown" } else { "; run as root: chown" };
    for is_secret in [true, false] {
        let others = told(Some(stranger), is_secret);
        assert!(others.contains(&format!("{run} {me} {}", path.display())), "{others}");
        assert_eq!(others.contains(replace), is_secret, "{others}");
    }
    if me == 0 {
        std::os::unix::fs::chown(&path, Some(stranger), None).unwrap();
        assert!(read_own_secret(&path).unwrap_err().to_string().contains(replace));
        assert!(!read_own(&path).unwrap_err().to_string().contains(replace));
    }
}

#[test]
fn a_directory_is_not_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let message = read_own(dir.path()).unwrap_err().to_string();
    assert!(message.contains("not a regular file"), "{message}");
}

#[test]
fn a_file_that_its_owner_has_made_huge_is_not_read_to_its_end() {
    let (_dir, path) = file_with_mode(0o600);
    File::options().write(true).open(&path).unwrap().set_len(3 << 30).unwrap();
    assert!(read_own_secret(&path).unwrap_err().to_string().contains("longer than"));
    assert!(read_own(&path).unwrap_err().to_string().contains("longer than"));
}

#[test]
fn a_fifo_is_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.key");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    for message in [read_own_secret(&path).unwrap_err(), read_own(&path).unwrap_err()] {
        assert!(message.to_string().contains("not a regular file"), "{message}");
    }
}

#[test]
fn what_an_editor_of_windows_adds_is_left_out_or_named() {
    let (_dir, path) = file_with_mode(0o600);
    fs::write(&path, "\u{feff}text\r\n").unwrap();
    assert_eq!(*read_own_secret(&path).unwrap(), "text\r\n");
    fs::write(&path, b"\xff\xfet\0e\0").unwrap();
    let message = read_own(&path).unwrap_err().to_string();
    assert!(message.contains("iconv -f UTF-16 -t UTF-8"), "{message}");
}
