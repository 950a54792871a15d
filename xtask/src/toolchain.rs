//! The Rust compilers of this machine.
//!
//! No toolchain ships a `core` for the kernel's BPF target, so it has to be built from source, and
//! that takes two things the workspace's own toolchain may lack: the source (`rust-src`) and
//! permission to use `-Z build-std`. A nightly has the second; any other gets it through
//! `RUSTC_BOOTSTRAP`. So every rustc with `rust-src` will do, rustup's or the distribution's,
//! provided it is not older than the workspace asks for.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use anyhow::{Context, Result};

use crate::{llvm, process};

/// The oldest rustc that builds this workspace, from its manifest.
pub(crate) const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A compiler with `rust-src`, and the cargo that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// The compiler itself.
    pub(crate) rustc: PathBuf,
    /// The cargo beside it.
    pub(crate) cargo: PathBuf,
    /// What `rustc -vV` says.
    pub(crate) version: RustcVersion,
}

impl Toolchain {
    /// Its cargo, which builds `core` too.
    pub(crate) fn cargo_from_source(&self, workspace: &Path) -> Command {
        let mut cargo = process::command(&self.cargo);
        cargo.current_dir(workspace).env("RUSTC", &self.rustc);
        if !self.version.is_nightly() {
            // Lets any other compiler take `-Z build-std` too.
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        cargo
    }
}

/// What of `rustc -vV` matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RustcVersion {
    /// For example `1.97.0-nightly`.
    pub(crate) release: String,
    /// The LLVM inside.
    pub(crate) llvm: llvm::Version,
}

impl RustcVersion {
    /// Reads the output of `rustc -vV`.
    fn parse(verbose: &str) -> Result<Self> {
        let field = |name: &str| {
            let mut lines = verbose.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.with_context(|| format!("`rustc -vV` printed no line `{name}: …`"))
        };
        Ok(Self {
            release: field("release")?.to_owned(),
            llvm: llvm::Version::parse(field("LLVM version")?)?,
        })
    }

    /// Whether `-Z` options work without `RUSTC_BOOTSTRAP`.
    pub(crate) fn is_nightly(&self) -> bool {
        self.release.ends_with("-nightly") || self.release.ends_with("-dev")
    }

    fn is_old(&self) -> Result<bool> {
        Ok(self.release.parse::<Release>()? < OLDEST.parse()?)
    }
}

/// The 1.95 of `1.95.0-nightly`; what is behind it never decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release {
    major: u32,
    minor: u32,
}

impl FromStr for Release {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self { major, minor }),
            _ => anyhow::bail!("`{text}` is not a version of Rust"),
        }
    }
}

/// What a look at this machine's compilers gave.
#[derive(Debug, Default)]
pub(crate) struct Toolchains {
    /// Those that can build the XDP program, the best first.
    pub(crate) usable: Vec<Toolchain>,
    /// Why each of the others cannot.
    pub(crate) refused: Vec<String>,
}

/// Looks at rustup's toolchains and at every `rustc` in `folders`.
pub(crate) fn installed(folders: &[PathBuf]) -> Toolchains {
    let mut toolchains = Toolchains::default();
    for rustc in rustup_compilers().into_iter().chain(folders.iter().flat_map(|f| compilers_in(f)))
    {
        match inspect(&rustc) {
            Ok(toolchain) => toolchains.usable.push(toolchain),
            Err(reason) => toolchains.refused.push(format!("{}: {reason:#}", rustc.display())),
        }
    }
    // A nightly is made for this; the sort is stable, so the order above decides otherwise.
    toolchains.usable.sort_by_key(|toolchain| !toolchain.version.is_nightly());
    toolchains
}

fn rustup_compilers() -> Vec<PathBuf> {
    let rustup = env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let rustup = rustup.or_else(|| Some(env::home_dir()?.join(".rustup")));
    let toolchains = rustup.and_then(|rustup| fs::read_dir(rustup.join("toolchains")).ok());
    let entries = toolchains.into_iter().flatten().flatten();
    let compilers = entries.map(|entry| entry.path().join("bin/rustc"));
    let mut compilers: Vec<PathBuf> = compilers.filter(|path| process::is_program(path)).collect();
    compilers.sort();
    compilers
}

/// `rustc` and, as Ubuntu has them, `rustc-1.NN`.
fn compilers_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let compilers = names.filter(|name| name == "rustc" || name.starts_with("rustc-1."));
    let mut paths: Vec<PathBuf> = compilers.map(|name| folder.join(name)).collect();
    // rustup's own `rustc` only picks one of its toolchains, which have been seen already.
    paths.retain(|path| process::is_program(path) && !is_rustup(path));
    paths.sort();
    paths
}

fn is_rustup(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| path.ends_with("rustup"))
}

fn inspect(rustc: &Path) -> Result<Toolchain> {
    let sysroot = process::output(process::command(rustc).args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    anyhow::ensure!(library.join("core").is_dir(), "no rust-src in {}", sysroot.trim());

    let version = process::output(process::command(rustc).arg("-vV"))?;
    let version = RustcVersion::parse(&version)?;
    anyhow::ensure!(!version.is_old()?, "{} is older than {OLDEST}", version.release);

    let cargo = cargo_beside(rustc)?;
    Ok(Toolchain { rustc: rustc.to_path_buf(), cargo, version })
}

fn cargo_beside(rustc: &Path) -> Result<PathBuf> {
    let name = rustc.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let cargo = rustc.with_file_name(name.replacen("rustc", "cargo", 1));
    anyhow::ensure!(process::is_program(&cargo), "no {} beside it", cargo.display());
    Ok(cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "\
rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)
binary: rustc
commit-hash: ac68faa20c58cbccd01ee7208bf3b6e93a7d7f96
commit-date: 2026-05-25
host: x86_64-unknown-linux-gnu
release: 1.96.0
LLVM version: 22.1.8
";

    fn version(release: &str) -> RustcVersion {
        RustcVersion { release: release.to_owned(), llvm: llvm::Version::parse("22.1.0").unwrap() }
    }

    #[test]
    fn release_and_llvm_are_read_from_what_rustc_says_of_itself() {
        let version = RustcVersion::parse(DEBIAN).unwrap();
        assert_eq!(version.release, "1.96.0");
        assert_eq!(version.llvm.to_string(), "22.1.8");
        assert!(!version.is_nightly());
    }

    #[test]
    fn a_rustc_without_llvm_is_refused_by_the_name_of_what_is_missing() {
        let without = DEBIAN.replace("LLVM version: 22.1.8\n", "");
        let error = RustcVersion::parse(&without).unwrap_err().to_string();
        assert!(error.contains("LLVM version"), "{error}");
    }

    #[test]
    fn a_nightly_needs_no_bootstrap() {
        assert!(version("1.97.0-nightly").is_nightly());
        assert!(!version("1.97.0-beta.2").is_nightly());
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!("1.100.0".parse::<Release>().unwrap() > "1.95".parse().unwrap());
        assert!("1.63.0+dfsg1-2".parse::<Release>().unwrap() < "1.95".parse().unwrap());
    }

    #[test]
    fn a_compiler_older_than_the_workspace_asks_for_is_old() {
        assert!(version("1.63.0").is_old().unwrap());
        assert!(!version(OLDEST).is_old().unwrap());
    }

    #[test]
    fn a_versioned_rustc_goes_with_the_cargo_of_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let cargo = folder.path().join("cargo-1.96");
        fs::write(&cargo, "").unwrap();
        assert_eq!(cargo_beside(&folder.path().join("rustc-1.96")).unwrap(), cargo);
        assert!(cargo_beside(&folder.path().join("rustc")).is_err());
    }
}
