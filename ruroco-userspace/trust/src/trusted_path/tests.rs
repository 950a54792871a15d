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
            expect_fault(&file, &path, &format!("has mode {mode:04o}"));
        }
        set_mode(&path, 0o755);
    }
    assert!(open_file(&file, Trust::own()).is_ok());
}

#[test]
fn only_a_directory_that_may_be_rurocos_own_is_to_change_its_owner() {
    let (dir, file) = tree();
    let [a, b] = ["a", "a/b"].map(|name| dir.path().join(name));
    let told = |path: &Path| find_directory(path, Trust::own()).unwrap_err().to_string();
    set_mode(&b, 0o777);
    let chown =
        format!("if only ruroco uses it, run: chown root {0} && chmod go-w {0}", b.display());
    assert!(
        told(&b).contains(&format!("{chown}; otherwise use another directory")),
        "{}",
        told(&b)
    );
    let moved = format!("{chown}; otherwise move what ruroco uses in it to");
    expect_fault(&file, &b, &moved);
    set_mode(&b, 0o755);

    // Further up it is somebody else's.
    set_mode(&a, 0o777);
    let fault = open_file(&file, Trust::own()).unwrap_err().to_string();
    assert!(fault.contains(&format!("move {} to a place", file.display())), "{fault}");
    assert!(!fault.contains("chown") && !fault.contains("chmod"), "{fault}");

    // Nobody should change `/tmp`, and a file in the place of a directory may be a key.
    set_mode(&a, 0o1777);
    let fault = told(&a);
    assert!(fault.contains(&format!("such as {}/ruroco", a.display())), "{fault}");
    assert!(!fault.contains("chown"), "{fault}");
    set_mode(&a, 0o755);
    for path in [&file, &file.join("x")] {
        let fault = told(path);
        assert!(fault.contains("is not a directory; use a directory instead"), "{fault}");
    }
}

#[test]
fn root_that_may_not_enter_a_directory_is_not_told_to_be_root() {
    if !geteuid().is_root() {
        return; // modes apply to others anyway
    }
    let (dir, file) = tree();
    let a = dir.path().join("a");
    set_mode(&a, 0);
    let look = || {
        // As a unit leaves it; to the kernel these are a thread's.
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective = rustix::thread::CapabilitySet::empty();
        rustix::thread::set_capabilities(None, sets).unwrap();
        open_file(&file, Trust::own()).unwrap_err().to_string()
    };
    let fault = std::thread::scope(|scope| scope.spawn(look).join()).unwrap();
    assert!(fault.contains(&format!("move {} to a place", file.display())), "{fault}");
    assert!(!fault.contains("as root") && !fault.contains("chmod"), "{fault}");
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
        expect_fault(&near, &near, "is a symbolic link that belongs to uid 12345");
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
    assert!(fault.contains("file system of the kernel (proc)"), "{fault}");
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
    assert!(leaf.open().unwrap_err().to_string().contains("replaced"));
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
