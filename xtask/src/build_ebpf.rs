//! `cargo xtask build-ebpf`: compiles the XDP program for the kernel.
//!
//! The result is one file that the gate embeds. It is put in place only when its bytes change,
//! because the gate's build script watches it, and everything that links the gate would be built
//! again for nothing. Beside it stands what it was built from, see [`crate::ebpf_sources`]: the build
//! script embeds no program of other sources.

use std::{
    env::consts::ARCH,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    ebpf_sources::{self, Built},
    process,
    setup::Tools,
    workspace::Workspace,
};

/// The workspace's member that is the XDP program, and its binary.
const PACKAGE: &str = "ruroco-ebpf";

/// The workspace's member with the benchmark's own XDP programs, and its binary.
const FLOOD: &str = "ruroco-flood";

/// BPF of this machine's byte order: the program shares records with the processes next to it.
const TARGET: &str =
    if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };

/// Where the kernel's verifier takes them (`CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS`), words that lie
/// anywhere in a packet are read whole and not byte by byte. LLVM ignores a feature that it does not
/// know yet.
const FEATURES: &str = if cfg!(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "powerpc64",
    target_arch = "s390x"
)) {
    "+allows-misaligned-mem-access"
} else {
    ""
};

/// Whether the program writes about packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logging {
    /// It counts and keeps silent.
    Off,
    /// One line for every verdict, for whoever develops it.
    EveryVerdict,
}

/// Builds the XDP program and returns where it is.
///
/// # Errors
/// If it does not compile or cannot be put in place; the last one that did is then untouched.
pub(crate) fn build(workspace: &Workspace, tools: &Tools, logging: Logging) -> Result<PathBuf> {
    // Before the compiler reads them: what is changed meanwhile is then a change.
    let digest = ebpf_sources::digest(workspace.root())
        .context("cannot read the sources of the XDP program")?;
    let sources = Built { digest, debug_log: logging == Logging::EveryVerdict };

    let built = compile(workspace, tools, PACKAGE, logging)?;
    let object = workspace.ebpf_object();
    let placed = put_both_in_place(&built, &object, sources)?;
    report(workspace, &object, &placed);
    Ok(object)
}

/// Builds the benchmark's own XDP programs and returns where they are.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_flood(workspace: &Workspace, tools: &Tools) -> Result<PathBuf> {
    let built = compile(workspace, tools, FLOOD, Logging::Off)?;
    let object = workspace.flood_object();
    let content = fs::read(&built)
        .with_context(|| format!("cannot read {}, which was just built", built.display()))?;
    report(workspace, &object, &put_in_place(&content, &object)?);
    Ok(object)
}

fn report(workspace: &Workspace, object: &Path, placed: &Placed) {
    let state = if placed.changed { "" } else { ", unchanged" };
    println!("{} ({} bytes{state})", workspace.relative(object).display(), placed.bytes);
}

/// Compiles a package for the kernel and returns where its binary is.
fn compile(
    workspace: &Workspace,
    tools: &Tools,
    package: &str,
    logging: Logging,
) -> Result<PathBuf> {
    let mut cargo = cargo_build(workspace, tools, package, logging);
    let status = cargo.status().with_context(|| format!("cannot run {}", process::line(&cargo)))?;
    ensure!(
        status.success(),
        "{} failed with {status}, with {} and {}; the compiler's own lines are above",
        process::line(&cargo),
        tools.toolchain.rustc.display(),
        tools.linker.path.display()
    );
    Ok(workspace.ebpf_target().join(TARGET).join("release").join(package))
}

fn cargo_build(workspace: &Workspace, tools: &Tools, package: &str, logging: Logging) -> Command {
    let mut cargo = tools.toolchain.cargo_from_source(workspace.root());
    cargo.env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(&tools.linker.path));
    cargo.args(["build", "--package", package, "--bin", package, "--release"]);
    cargo.args(["-Z", "build-std=core", "--target", TARGET]);
    cargo.arg("--target-dir").arg(workspace.ebpf_target());
    if logging == Logging::EveryVerdict {
        cargo.args(["--features", "debug-log"]);
    }
    cargo
}

/// Flags as cargo wants them in `CARGO_ENCODED_RUSTFLAGS`, where a path may have spaces.
fn encoded_flags(linker: &Path) -> OsString {
    let mut linker_flag = OsString::from("linker=");
    linker_flag.push(linker);
    [
        // Picks the layout of registers and kernel structures in aya-ebpf.
        OsString::from(format!("--cfg=bpf_target_arch=\"{ARCH}\"")),
        // 32-bit arithmetic and comparisons (Linux 5.1), which is what ChaCha20 is made of.
        OsString::from("-Ctarget-cpu=v3"),
        OsString::from(format!("-Clink-arg=--cpu-features={FEATURES}")),
        // BTF is made from debug info, that of dependencies too.
        OsString::from("-Cdebuginfo=2"),
        OsString::from("-Clink-arg=--btf"),
        OsString::from("-C"),
        linker_flag,
    ]
    .join(OsStr::new("\u{1f}"))
}

/// What [`put_in_place`] did.
#[derive(Debug, PartialEq, Eq)]
struct Placed {
    bytes: usize,
    changed: bool,
}

/// Makes `to` a copy of `from`, and the file beside it tell what that was built from. At no time
/// does that file tell it of another object.
fn put_both_in_place(from: &Path, to: &Path, sources: Built) -> Result<Placed> {
    let object = fs::read(from)
        .with_context(|| format!("cannot read {}, which was just built", from.display()))?;
    let file = Built::file(to);
    if file.exists() && !is_content(to, &object)? {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    let placed = put_in_place(&object, to)?;
    put_in_place(sources.to_text().as_bytes(), &file)?;
    Ok(placed)
}

/// Gives `to` this content, in one step, unless it has it already.
fn put_in_place(content: &[u8], to: &Path) -> Result<Placed> {
    let bytes = content.len();
    if is_content(to, content)? {
        return Ok(Placed { bytes, changed: false });
    }
    let beside = to.with_extension(format!("new.{}", std::process::id()));
    fs::write(&beside, content)
        .and_then(|()| fs::rename(&beside, to))
        .with_context(|| format!("cannot write {}", to.display()))?;
    Ok(Placed { bytes, changed: true })
}

fn is_content(path: &Path, content: &[u8]) -> Result<bool> {
    match fs::read(path) {
        Ok(present) => Ok(present == content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: Built = Built { digest: 1, debug_log: false };

    #[test]
    fn the_object_is_replaced_when_its_bytes_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("built"), folder.path().join("ruroco.bpf.o"));
        for content in ["first", "second"] {
            fs::write(&from, content).unwrap();
            let placed = put_both_in_place(&from, &to, SOURCES).unwrap();
            assert_eq!(placed, Placed { bytes: content.len(), changed: true });
            assert_eq!(fs::read_to_string(&to).unwrap(), content);
            assert_eq!(fs::read_to_string(Built::file(&to)).unwrap(), SOURCES.to_text());
        }
    }

    #[test]
    fn unchanged_files_are_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("built"), folder.path().join("ruroco.bpf.o"));
        let changed_at =
            || [&to, &Built::file(&to)].map(|path| fs::metadata(path).unwrap().modified().unwrap());
        fs::write(&from, "same").unwrap();
        put_both_in_place(&from, &to, SOURCES).unwrap();
        let first = changed_at();
        assert!(!put_both_in_place(&from, &to, SOURCES).unwrap().changed);
        assert_eq!(changed_at(), first);
    }

    #[test]
    fn the_same_object_from_other_sources_is_recorded_as_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("built"), folder.path().join("ruroco.bpf.o"));
        fs::write(&from, "same").unwrap();
        put_both_in_place(&from, &to, SOURCES).unwrap();
        let other = Built { digest: 2, ..SOURCES };
        assert!(!put_both_in_place(&from, &to, other).unwrap().changed);
        assert_eq!(fs::read_to_string(Built::file(&to)).unwrap(), other.to_text());
    }

    #[test]
    fn nothing_but_the_object_and_its_sources_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("built"), folder.path().join("ruroco.bpf.o"));
        fs::write(&from, "object").unwrap();
        put_both_in_place(&from, &to, SOURCES).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_linker_in_a_folder_with_a_space_is_one_flag() {
        let flags = encoded_flags(Path::new("/home/a b/bpf-linker"));
        let flags = flags.to_str().unwrap();
        assert!(flags.ends_with("\u{1f}linker=/home/a b/bpf-linker"), "{flags}");
        assert_eq!(flags.split('\u{1f}').filter(|flag| flag.contains("linker")).count(), 1);
    }
}
