//! Where the programs under test are, and the user that the server runs as.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::User;

/// Names the directory of the programs; else they are looked for where this test was built.
pub const DIRECTORY: &str = "RUROCO_BIN_DIR";

/// The path of one of the programs.
///
/// # Panics
/// If it has not been built.
pub fn path(name: &str) -> PathBuf {
    let directory = match env::var_os(DIRECTORY) {
        Some(directory) => PathBuf::from(directory),
        None => {
            // target/PROFILE/deps/TEST, or target/PROFILE/xtask
            let this = env::current_exe().expect("the path of this program");
            let mut ancestors = this.ancestors().skip(1);
            let directory = ancestors.find(|path| !path.ends_with("deps"));
            directory.expect("a program lies in a directory").to_owned()
        }
    };
    let path = directory.join(name);
    assert!(path.is_file(), "{} is not there: run `cargo xtask test`", path.display());
    path
}

/// An unprivileged user that every Linux system has.
///
/// # Panics
/// If this one has not.
pub fn unprivileged_user() -> User {
    let user = User::from_name("nobody").expect("look a user up");
    user.expect("there is no user `nobody`, as whom the server is to run")
}

/// Adds to a command what its next argument, a program, is to be started by: the program ends when
/// the thread that started it ends, and runs as `user` if there is one, without root's power and without a way to it.
pub fn add_launcher(command: &mut Command, user: Option<&User>) {
    command.args(["setpriv", "--pdeathsig", "KILL"]);
    if let Some(user) = user {
        command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid));
        command.args(["--clear-groups", "--bounding-set=-all"]);
    }
    command.arg("--");
}

/// A path to the same program that any user may execute: the program's own, or else that of a copy
/// in `directory`. People's home directories, and what they build in them, are often theirs alone.
///
/// # Panics
/// If it cannot be copied.
pub fn reachable_by_all(program: &Path, directory: &Path) -> PathBuf {
    let open = |path: &Path| {
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    };
    if program.ancestors().filter(|path| !path.as_os_str().is_empty()).all(open) {
        return program.to_owned();
    }
    let copy = directory.join(program.file_name().expect("a program has a name"));
    if !copy.exists() {
        fs::copy(program, &copy).expect("copy a program to where all may run it");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("let all run it");
    }
    copy
}
