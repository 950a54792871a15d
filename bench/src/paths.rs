//! Where `cargo xtask bench` has put what this needs, and where the result goes.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The workspace's root.
pub(crate) struct Paths(pub(crate) PathBuf);

impl Paths {
    /// The XDP programs of our own.
    pub(crate) fn flood_object(&self) -> PathBuf {
        self.0.join("target/ebpf/flood.bpf.o")
    }

    /// A program that was built beside this one.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let this = std::env::current_exe().context("could not find this program")?;
        Ok(this.with_file_name(name))
    }

    /// The program that was built with other flags.
    pub(crate) fn portable_refusals(&self) -> PathBuf {
        self.output("release/ruroco-bench-refusals")
    }

    /// A file of the report.
    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.0.join("target/bench").join(name)
    }

    /// A file of the documentation.
    pub(crate) fn docs(&self, name: &str) -> PathBuf {
        self.0.join("docs").join(name)
    }
}
