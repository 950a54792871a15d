//! The programs that commands start: only root and the user they run as may be able to change them.
//!
//! sshd has the same rule for its AuthorizedKeysCommand. If other users can change a program or its
//! directory, they can run anything with the rights of the command. So this is an error, not a warning.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use ruroco_messages::problems::shell_word;
use ruroco_trust::trusted_path::{self, Fault, Found, Leaf, Trust};

/// Why a program cannot or must not run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It must not be started.
    Unsafe(String),
    /// A knock could not start it as things are now.
    Missing(String),
}

/// Finds trouble with a program that is started with these rights: an absolute path, or a name to be
/// looked for in the directories of `search` (as in `PATH`).
pub(super) fn trouble_with(program: &str, search: &str, trust: Trust) -> Option<Trouble> {
    if program.starts_with('/') {
        return match look(Path::new(program), trust) {
            Ok(leaf) => unfit(Path::new(program), &leaf),
            Err(fault) if fault.is_not_found() => Some(Trouble::Missing(format!(
                "{program} not found; install it, or set another path"
            ))),
            Err(fault) => Some(not_usable(Path::new(program), &fault)),
        };
    }
    for directory in env::split_paths(search) {
        let path = directory.join(program);
        match look(&path, trust) {
            // What is no program is passed over (execvp(3)).
            Ok(leaf) if !leaf.is_program() => {}
            Ok(leaf) => return unfit(&path, &leaf),
            Err(fault) if fault.is_not_found() => {}
            Err(fault) => return Some(not_usable(&path, &fault)),
        }
    }
    Some(Trouble::Missing(format!("{program} not found in {search}; set its absolute path")))
}

/// Why another user could change a file that a program gets as an argument, and may run or read commands
/// from.
pub(super) fn trouble_with_argument(argument: &str, trust: Trust) -> Option<String> {
    let path = Path::new(argument);
    if !path.is_absolute() || !path.is_file() {
        return None;
    }
    let fault = match trusted_path::find(path, trust) {
        Ok(Found::Leaf(leaf)) => leaf.check_content(trust).err()?,
        Ok(Found::Directory(_)) => return None,
        Err(fault) => fault,
    };
    fault.is_untrusted().then(|| described(&fault))
}

fn look(path: &Path, trust: Trust) -> Result<Leaf, Fault> {
    match trusted_path::find(path, trust)? {
        Found::Leaf(leaf) => leaf.check_content(trust).map(|()| leaf),
        Found::Directory(_) => Err(Fault::not_found(path)),
    }
}

fn not_usable(program: &Path, fault: &Fault) -> Trouble {
    let (program, why) = (program.display(), described(fault));
    match fault.is_untrusted() {
        true => Trouble::Unsafe(format!("{program} is not safe to run: {why}")),
        false => Trouble::Missing(format!("{program} cannot be run: {why}")),
    }
}

fn described(fault: &Fault) -> String {
    let reason = format!("{} {}", fault.path().display(), fault.reason());
    match fault.remedy_for("root") {
        Some(remedy) => format!("{reason}; {remedy}"),
        None => reason,
    }
}

/// What starts a script (execve(2)).
const SHEBANG: &[u8] = b"#!";

/// Longest first line of a script that the kernel reads (linux/binfmts.h).
const LONGEST_SHEBANG: u64 = 256;

fn unfit(program: &Path, leaf: &Leaf) -> Option<Trouble> {
    let (shown, word) = (program.display(), shell_word(program));
    if !leaf.is_program() {
        let message = format!("{shown} is not an executable file; run: chmod u+x {word}");
        return Some(Trouble::Missing(message));
    }
    let mut line = Vec::new();
    let file = leaf.open().ok()?;
    BufReader::new(file.take(LONGEST_SHEBANG)).read_until(b'\n', &mut line).ok()?;
    (line.starts_with(SHEBANG) && line.ends_with(b"\r\n")).then(|| {
        Trouble::Missing(format!(
            "{shown} has lines that end as on Windows (CR LF), so its interpreter would not be found; \
             run: sed -i 's/\\r$//' {word}"
        ))
    })
}
