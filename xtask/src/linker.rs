//! bpf-linker: makes one BPF object with BTF out of what rustc compiled.
//!
//! rustc has no linker for BPF of its own. bpf-linker is one, in the shape of a program around
//! LLVM, and what counts is which LLVM that is: see [`crate::llvm`]. One that fits is used
//! wherever it is installed; else one is built into the checkout, where it touches nobody else's.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{
    llvm::{self, Llvm},
    process,
    toolchain::Toolchain,
    workspace::Workspace,
};

/// The release that is built here; [`llvm::SUPPORTED`] goes with it.
pub(crate) const VERSION: &str = "0.13.0";

const NAME: &str = "bpf-linker";

/// A bpf-linker that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linker {
    /// The program.
    pub(crate) path: PathBuf,
    /// What `--version` says, without the name.
    pub(crate) release: String,
    /// The LLVM it links with.
    pub(crate) llvm: llvm::Version,
}

/// What a look at this machine's linkers gave.
#[derive(Debug, Default)]
pub(crate) struct Linkers {
    /// Those that run, the checkout's own first.
    pub(crate) running: Vec<Linker>,
    /// Why each of the others does not.
    pub(crate) refused: Vec<String>,
}

/// Looks at the checkout's own bpf-linker and at those in `folders`.
pub(crate) fn installed(workspace: &Workspace, folders: &[PathBuf]) -> Linkers {
    let mut linkers = Linkers::default();
    let own = workspace.tools().join("bin");
    for path in [&own].into_iter().chain(folders).map(|folder| folder.join(NAME)) {
        if !process::is_program(&path) {
            continue;
        }
        match inspect(&path) {
            Ok(linker) => linkers.running.push(linker),
            Err(reason) => linkers.refused.push(format!("{}: {reason:#}", path.display())),
        }
    }
    linkers
}

/// The first of `linkers` that reads what `rustc`'s LLVM writes.
pub(crate) fn fitting<'a>(linkers: &'a [Linker], rustc: &llvm::Version) -> Option<&'a Linker> {
    linkers.iter().find(|linker| linker.llvm.reads_bitcode_of(rustc))
}

/// Builds bpf-linker against `llvm` into the checkout's tools.
///
/// # Errors
/// If cargo cannot fetch, compile or link it; what was there before is then still there.
pub(crate) fn build(workspace: &Workspace, toolchain: &Toolchain, llvm: &Llvm) -> Result<()> {
    let mut cargo = process::command(&toolchain.cargo);
    cargo.env("RUSTC", &toolchain.rustc).env("LLVM_PREFIX", &llvm.prefix);
    cargo.args(["install", NAME, "--version", VERSION, "--locked", "--no-default-features"]);
    cargo.arg("--features").arg(format!("llvm-{}", llvm.version.major));
    // It may be there already and have lost its LLVM, which cargo cannot know.
    cargo.arg("--force");
    cargo.arg("--root").arg(workspace.tools());
    process::output(&mut cargo).map(drop).with_context(|| {
        format!(
            "cannot build {NAME} {VERSION} against LLVM {} in {}; it needs crates.io (or a mirror \
             that cargo is configured for) and a C linker",
            llvm.version,
            llvm.prefix.display()
        )
    })
}

fn inspect(path: &Path) -> Result<Linker> {
    let release = process::output(process::command(path).arg("--version"))?;
    let release = release.trim().trim_start_matches(NAME).trim_start().to_owned();
    // `--version` keeps silent about the LLVM inside, but LLVM's own option reaches it. It answers
    // before any file is touched; that the output cannot exist makes sure of it.
    let answer = process::output(process::command(path).args([
        "--llvm-args=--version",
        "--output",
        "/dev/null/nothing",
        "/dev/null",
    ]))?;
    Ok(Linker { path: path.to_path_buf(), release, llvm: llvm_in(&answer)? })
}

/// Reads LLVM's answer to `--version`, such as `Debian LLVM version 22.1.8`.
fn llvm_in(answer: &str) -> Result<llvm::Version> {
    let version = answer.split_once("LLVM version ").map(|(_, version)| version);
    let version = version.with_context(|| format!("no version of LLVM in `{}`", answer.trim()))?;
    llvm::Version::parse(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linker(llvm: &str) -> Linker {
        let llvm = llvm::Version::parse(llvm).unwrap();
        Linker { path: PathBuf::from(NAME), release: VERSION.to_owned(), llvm }
    }

    /// A stand-in for bpf-linker. A shell writes it: were this process to have it open for writing,
    /// a test forking at that moment would keep it from being started (ETXTBSY).
    fn program(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join(NAME);
        let mut shell = process::command("sh");
        shell.args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$2\" && chmod +x \"$2\"",
            "sh",
            script,
        ]);
        process::output(shell.arg(&path)).unwrap();
        path
    }

    #[test]
    fn the_llvm_inside_is_read_from_a_distributions_and_from_rusts_own_answer() {
        let debian = llvm_in("Debian LLVM version 22.1.8\n  Optimized build.\n").unwrap();
        assert_eq!(debian.to_string(), "22.1.8");
        let rust = llvm_in("LLVM (http://llvm.org/):\n  LLVM version 22.1.2-rust-1.95.0-stable\n");
        assert_eq!(rust.unwrap().to_string(), "22.1.2");
    }

    #[test]
    fn a_linker_with_an_older_llvm_than_rustcs_is_passed_over() {
        let rustc = llvm::Version::parse("22.1.8").unwrap();
        assert_eq!(fitting(&[linker("21.1.0")], &rustc), None);
        let both = [linker("21.1.0"), linker("22.1.0")];
        assert_eq!(fitting(&both, &rustc), both.last());
    }

    #[test]
    fn a_linker_that_runs_is_known_by_its_release_and_its_llvm() {
        let folder = tempfile::tempdir().unwrap();
        let script =
            "case $1 in --version) echo bpf-linker 0.13.0;; *) echo LLVM version 22.1.8;; esac";
        let path = program(folder.path(), script);
        let found = inspect(&path).unwrap();
        assert_eq!((found.release.as_str(), found.llvm.major), ("0.13.0", 22));
    }

    #[test]
    fn a_linker_that_has_lost_its_llvm_is_refused_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), "echo libLLVM.so.22.1: cannot open >&2; exit 127");
        let error = format!("{:#}", inspect(&path).unwrap_err());
        assert!(error.contains("libLLVM.so.22.1"), "{error}");
    }
}
