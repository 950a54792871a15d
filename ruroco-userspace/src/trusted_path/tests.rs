//! Which paths are trusted, and at which component the others fail.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
};

use super::*;

/// `a/b/file` in a directory of its own.
fn tree() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    let file = dir.path().join("a/b/file");
    fs::write(&file, "content").unwrap();
    for path in ["", "a", "a/b", "a/b/file"] {
        set_mode(&dir.path().join(path), 0o755);
    }
    (dir, file)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn expect_fault(path: &Path, at: &Path, told: &str) {
    let fault = open_file(path, Trust::own()).unwrap_err();
    assert_eq!(fault.path(), at, "{fault}");
    assert!(fault.to_string().contains(told), "{fault}");
}

#[test]
fn each_directory_on_the_way_must_be_closed_to_others() {
    let (dir, file) = tree();
    assert!(open_file(&file, Trust::own()).is_ok());
    for name in ["a", "a/b"] {
        let path = dir.path().join(name);
        for mode in [0o775, 0o757, 0o777] {
            set_mode(&path, mode);
            let shown = path.display();
            let remedy = format!("chown root {shown} && chmod go-w {shown}");
            expect_fault(&file, &path, &format!("has mode {mode:04o}"));
            expect_fault(&file, &path, &remedy);
        }
        set_mode(&path, 0o755);
    }
    assert!(open_file(&file, Trust::own()).is_ok());
}

#[test]
fn the_first_component_that_fails_is_named_and_whose_it_is() {
    if !geteuid().is_root() {
        return; // nobody else can give directories away
    }
    let (dir, file) = tree();
    let [a, b] = ["a", "a/b"].map(|name| dir.path().join(name));
    for path in [&b, &a] {
        chown(path, Some(12345), None).unwrap();
        expect_fault(&file, path, "belongs to uid 12345 and has mode 0755");
    }
    chown(&a, Some(0), None).unwrap();
    assert!(find(&file, Trust::in_user(12345)).is_ok());
    assert!(find(&file, Trust::in_user(12346)).is_err());
}

#[test]
fn a_link_leads_on_if_it_and_its_target_are_trusted() {
    let (dir, file) = tree();
    let [near, far] = ["near", "far"].map(|name| dir.path().join(name));
    symlink("a/../a/b/file", &near).unwrap();
    symlink(&file, &far).unwrap();
    for link in [&near, &far] {
        let mut content = String::new();
        io::Read::read_to_string(&mut open_file(link, Trust::own()).unwrap(), &mut content)
            .unwrap();
        assert_eq!(content, "content");
    }
    let a = dir.path().join("a");
    set_mode(&a, 0o777);
    for link in [&near, &far] {
        expect_fault(link, &a, "other users can replace what is in it");
    }
    set_mode(&a, 0o755);
    if geteuid().is_root() {
        std::os::unix::fs::lchown(&near, Some(12345), None).unwrap();
        expect_fault(&near, &near, "is a symbolic link of uid 12345");
    }
    let circle = dir.path().join("circle");
    symlink("circle", &circle).unwrap();
    assert!(find(&circle, Trust::own()).is_err());
}

#[test]
fn through_a_directory_for_all_only_directories_are_trusted() {
    let (dir, file) = tree();
    let shared = dir.path().join("a");
    set_mode(&shared, 0o1777);
    assert!(open_file(&file, Trust::own()).is_ok(), "as in /tmp");
    let [directly, link] = ["file", "link"].map(|name| shared.join(name));
    fs::write(&directly, "").unwrap();
    symlink("b/file", &link).unwrap();
    for path in [&directly, &link] {
        expect_fault(path, path, "to which every user can add files");
    }
    assert!(find_directory(&shared, Trust::own()).is_err());
}

#[test]
fn what_the_kernel_makes_up_is_no_file() {
    let cmdline = Path::new("/proc/self/cmdline");
    let fault = open_file(cmdline, Trust::own()).unwrap_err().to_string();
    assert!(fault.contains("file system of the kernel's (proc)"), "{fault}");
    let (dir, _) = tree();
    let link = dir.path().join("link");
    symlink("/proc/version", &link).unwrap();
    expect_fault(&link, Path::new("/proc/version"), "(proc)");
}

#[test]
fn what_was_found_is_what_is_opened() {
    let (dir, file) = tree();
    let Found::Leaf(leaf) = find(&file, Trust::own()).unwrap() else { panic!() };
    let directory = find_directory(&dir.path().join("a/b"), Trust::own()).unwrap();
    // Another directory in its place does not matter.
    fs::rename(dir.path().join("a"), dir.path().join("c")).unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    fs::write(&file, "other").unwrap();
    assert!(leaf.open().is_ok());
    assert!(matches!(directory.find(OsStr::new("file")), Ok(Found::Leaf(_))));
    assert_eq!(directory.names().unwrap(), ["file"]);
    // Another file in its place is not opened.
    fs::rename(&file, dir.path().join("c/b/file")).unwrap();
    assert!(leaf.open().unwrap_err().to_string().contains("exchanged"));
}

#[test]
fn what_is_missing_is_told_apart_from_what_is_not_trusted() {
    let (dir, _) = tree();
    let missing = dir.path().join("a/x/y");
    assert!(find(&missing, Trust::own()).unwrap_err().is_not_found());
    set_mode(&dir.path().join("a"), 0o777);
    let fault = find(&missing, Trust::own()).unwrap_err();
    assert!(!fault.is_not_found() && fault.is_untrusted());
    assert!(make_directory(&missing, Trust::own(), 0o755).is_err() && !missing.exists());
}

#[test]
fn a_path_that_begins_here_is_judged_as_a_whole() {
    let here = find(Path::new("."), Trust::own()).map(drop).map_err(|fault| fault.to_string());
    let whole = std::env::current_dir().unwrap();
    let whole = find(&whole, Trust::own()).map(drop).map_err(|fault| fault.to_string());
    assert_eq!(here, whole);
}
