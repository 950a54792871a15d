//! Starting other programs, and finding them.
//!
//! `cargo xtask` runs inside cargo and, mostly, inside rustup, and both leave variables behind that
//! would bend an inner build: another toolchain's compiler, wrappers, flags, library paths. Every
//! program is therefore started through [`command`], which takes those away.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, bail};

/// Lines of a failed program's output that an error shows; the reason is near the end.
const SHOWN_LINES: usize = 25;

/// Folders with tools of the lab that an ordinary user's `PATH` often lacks.
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/sbin"];

/// `program`, to be started without what the surrounding cargo and rustup left in the environment.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(belongs_to_outer_build) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a variable says how the surrounding build works, as opposed to how this machine reaches
/// registries or how its user likes output.
fn belongs_to_outer_build(name: &str) -> bool {
    const OF_THE_MACHINE: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_BUILD_JOBS",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_TERM_",
    ];
    const OF_THE_BUILD: [&str; 7] = [
        "CARGO",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
        // Cargo and rustup prepend the outer toolchain's libraries.
        "LD_LIBRARY_PATH",
    ];
    let starts_with_any = |prefixes: &[&str]| prefixes.iter().any(|start| name.starts_with(start));
    starts_with_any(&OF_THE_BUILD) && !starts_with_any(&OF_THE_MACHINE)
}

/// Runs `command` without showing what it prints, and returns its standard output.
///
/// # Errors
/// If it cannot be started or fails; the error ends in the last lines it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", line(command)))?;
    if !output.status.success() {
        bail!("{} failed with {}:\n{}", line(command), output.status, last_lines(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as a person would type it, near enough to try it again.
pub(crate) fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn last_lines(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(SHOWN_LINES);
    let shown = lines.into_iter().skip(skipped).map(|line| format!("    {line}"));
    shown.collect::<Vec<_>>().join("\n")
}

/// The folders of `PATH` in order, then the system's own; each once, whatever it is called.
pub(crate) fn program_folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from)) {
        // /bin is /usr/bin on a merged system.
        let Ok(folder) = folder.canonicalize() else { continue };
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// The first program called `name` in `folders`.
pub(crate) fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| is_program(path))
}

/// Whether `path` is a file; that it may be executed shows when it is.
pub(crate) fn is_program(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_toolchain_its_flags_and_its_target_folder_do_not_reach_an_inner_build() {
        for name in [
            "CARGO",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_MANIFEST_DIR",
            "CARGO_TARGET_DIR",
            "LD_LIBRARY_PATH",
            "RUSTC",
            "RUSTC_BOOTSTRAP",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(belongs_to_outer_build(name), "{name}");
        }
    }

    #[test]
    fn proxies_registries_and_homes_reach_an_inner_build() {
        for name in
            ["CARGO_HOME", "CARGO_HTTP_PROXY", "CARGO_NET_OFFLINE", "RUSTUP_HOME", "HOME", "PATH"]
        {
            assert!(!belongs_to_outer_build(name), "{name}");
        }
    }

    #[test]
    fn a_failed_program_is_reported_with_what_it_printed() {
        let mut command = command("sh");
        command.args(["-c", "echo the reason >&2; exit 3"]);
        let error = output(&mut command).unwrap_err().to_string();
        assert!(error.contains("the reason"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
