//! Where things are in the checkout.
//!
//! Several tasks, and the build script that embeds the XDP program, must agree on a few paths.
//! They stand here once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The checkout that this xtask was built from.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace whose member this crate was when it was compiled; cargo compiles it again
    /// when the checkout moves.
    pub(crate) fn of_this_build() -> Result<Self> {
        let member = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = member.parent().with_context(|| {
            format!("{} has no folder above it that could be the workspace", member.display())
        })?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where tools are installed that belong to this checkout only; a `cargo install --root`.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join(".tools")
    }

    /// The XDP program's own target folder. Its flags differ from the host's, so sharing one
    /// would rebuild both sides in turn; and it does not follow `CARGO_TARGET_DIR`, because the
    /// build script that embeds the object looks for it here.
    pub(crate) fn ebpf_target(&self) -> PathBuf {
        self.root.join("target").join("ebpf")
    }

    /// Where the XDP program is only checked, as a program for the host.
    pub(crate) fn lint_target(&self) -> PathBuf {
        self.root.join("target").join("ebpf-lints")
    }

    /// Where what `cargo xtask prove` proves is built, for a machine of its own.
    pub(crate) fn proofs_target(&self) -> PathBuf {
        self.root.join("target").join("proofs")
    }

    /// The built XDP program, as the gate embeds it.
    pub(crate) fn ebpf_object(&self) -> PathBuf {
        self.ebpf_target().join("ruroco.bpf.o")
    }

    /// Where releases are built.
    pub(crate) fn release(&self) -> PathBuf {
        self.root.join("target").join("release")
    }

    /// Where everything else is built.
    pub(crate) fn debug(&self) -> PathBuf {
        self.root.join("target").join("debug")
    }

    /// Where packages are made.
    pub(crate) fn dist(&self) -> PathBuf {
        self.root.join("target").join("dist")
    }

    /// Where kernels of other releases and what their machines boot from are kept.
    pub(crate) fn kernels(&self) -> PathBuf {
        self.root.join("target").join("kernels")
    }

    /// The member with the fuzz targets.
    pub(crate) fn fuzz(&self) -> PathBuf {
        self.root.join("fuzz")
    }

    /// Where the fuzzers are built, and where what they learn and find is kept.
    pub(crate) fn fuzz_target(&self) -> PathBuf {
        self.root.join("target").join("fuzz")
    }

    /// The benchmark's own XDP programs.
    pub(crate) fn flood_object(&self) -> PathBuf {
        self.ebpf_target().join("flood.bpf.o")
    }

    /// Where `cargo xtask bench` leaves its report, and builds what needs other flags.
    pub(crate) fn bench_target(&self) -> PathBuf {
        self.root.join("target").join("bench")
    }

    /// `path` as a person in the workspace's root would type it.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}
