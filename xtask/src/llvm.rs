//! The LLVMs of this machine.
//!
//! rustc hands bpf-linker LLVM bitcode, and an LLVM reads bitcode of its own major version and of
//! older ones, not of newer. So the one bpf-linker is built against must be at least as new as the
//! one inside rustc, and it must be one that bpf-linker's crate knows.

use std::{
    fmt, fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::process;

/// Major versions that [`crate::linker::VERSION`] of bpf-linker has a feature for, from the
/// `[features]` table of its manifest.
pub(crate) const SUPPORTED: RangeInclusive<u32> = 21..=23;

/// Where Debian and Ubuntu put `llvm-N`.
const DEBIAN_FOLDER: &str = "/usr/lib";

/// A version such as `22.1.8`; only the major number decides whether bitcode can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// The 22 of `22.1.8`.
    pub(crate) major: u32,
    text: String,
}

impl Version {
    /// Reads the version at the start of `text`, which may go on (`22.1.2-rust-1.95.0-stable`).
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let text = text.get(..end).unwrap_or_default();
        let major = text.split('.').next().unwrap_or_default().parse();
        let major = major.with_context(|| format!("`{text}` is not a version of LLVM"))?;
        Ok(Self { major, text: text.to_owned() })
    }

    /// Whether an LLVM of this version reads bitcode that `other` wrote.
    pub(crate) fn reads_bitcode_of(&self, other: &Self) -> bool {
        self.major >= other.major
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An installed LLVM that programs can be linked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Llvm {
    /// What bpf-linker's build wants as `LLVM_PREFIX`.
    pub(crate) prefix: PathBuf,
    /// What its `llvm-config` says.
    pub(crate) version: Version,
}

/// All LLVMs with a library to link against, of whatever version.
pub(crate) fn installed(folders: &[PathBuf]) -> Vec<Llvm> {
    let mut found: Vec<Llvm> = Vec::new();
    for config in llvm_configs(folders) {
        // One that does not run, or has no library, is as good as none.
        let Some(llvm) = ask(&config).ok().flatten() else { continue };
        if !found.iter().any(|known| known.prefix == llvm.prefix) {
            found.push(llvm);
        }
    }
    found
}

/// The one to build bpf-linker against: the oldest that reads what `rustc`'s LLVM writes, because
/// it is the nearest to what wrote it.
pub(crate) fn fitting<'a>(llvms: &'a [Llvm], rustc: &Version) -> Option<&'a Llvm> {
    llvms
        .iter()
        .filter(|llvm| SUPPORTED.contains(&llvm.version.major))
        .filter(|llvm| llvm.version.reads_bitcode_of(rustc))
        .min_by_key(|llvm| llvm.version.major)
}

fn llvm_configs(folders: &[PathBuf]) -> Vec<PathBuf> {
    let entries = fs::read_dir(DEBIAN_FOLDER).into_iter().flatten().flatten();
    let versioned = entries.map(|entry| entry.path()).filter(|path| is_llvm_folder(path));
    let mut configs: Vec<PathBuf> = versioned.map(|path| path.join("bin/llvm-config")).collect();
    let names = SUPPORTED.map(|major| format!("llvm-config-{major}"));
    for name in names.chain(["llvm-config".to_owned()]) {
        configs.extend(process::find(&name, folders));
    }
    configs
}

fn is_llvm_folder(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("llvm-"))
}

fn ask(llvm_config: &Path) -> Result<Option<Llvm>> {
    let answer =
        process::output(process::command(llvm_config).args(["--version", "--prefix", "--libdir"]))?;
    let mut lines = answer.lines();
    let (Some(version), Some(prefix), Some(libraries)) = (lines.next(), lines.next(), lines.next())
    else {
        return Ok(None);
    };
    // Debian ships llvm-config without the library to link against; that is in llvm-N-dev.
    if !Path::new(libraries).join("libLLVM.so").exists() {
        return Ok(None);
    }
    Ok(Some(Llvm { prefix: PathBuf::from(prefix), version: Version::parse(version)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llvm(version: &str) -> Llvm {
        let version = Version::parse(version).unwrap();
        Llvm { prefix: PathBuf::from(format!("/usr/lib/llvm-{}", version.major)), version }
    }

    fn pick(installed: &[&str], rustc: &str) -> Option<u32> {
        let installed: Vec<Llvm> = installed.iter().map(|version| llvm(version)).collect();
        fitting(&installed, &Version::parse(rustc).unwrap()).map(|llvm| llvm.version.major)
    }

    #[test]
    fn a_version_is_read_whatever_follows_it() {
        let version = Version::parse("22.1.2-rust-1.95.0-stable\n").unwrap();
        assert_eq!((version.major, version.to_string().as_str()), (22, "22.1.2"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        assert!(Version::parse("unknown").is_err());
        assert!(Version::parse("").is_err());
    }

    #[test]
    fn the_llvm_of_rustc_itself_is_preferred_to_a_newer_one() {
        assert_eq!(pick(&["23.1.0", "14.0.6", "22.1.8"], "22.1.2"), Some(22));
    }

    #[test]
    fn a_patch_release_behind_rustc_still_fits() {
        assert_eq!(pick(&["22.1.0"], "22.1.8"), Some(22));
    }

    #[test]
    fn an_llvm_older_than_rustcs_does_not_fit() {
        assert_eq!(pick(&["21.1.8"], "22.1.2"), None);
    }

    #[test]
    fn an_llvm_that_bpf_linker_does_not_know_does_not_fit() {
        assert_eq!(pick(&["20.1.0", "99.0.0"], "20.1.0"), None);
    }
}
