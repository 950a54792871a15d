//! Tools from crates.io that only a few tasks need: built into the checkout's tools, where they touch
//! nobody else's.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{
    host::{cargo, step},
    process,
    workspace::Workspace,
};

/// A tool in the release that this checkout is written for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CargoTool {
    /// Of the crate, and of its program.
    name: &'static str,
    version: &'static str,
    /// Those beside which it has none.
    features: &'static [&'static str],
}

/// Makes Debian packages, as `ruroco-userspace/Cargo.toml` says.
pub(crate) const CARGO_DEB: CargoTool =
    CargoTool { name: "cargo-deb", version: "3.8.0", features: &[] };

/// Makes the book, as `book.toml` says. Without what serves it.
pub(crate) const MDBOOK: CargoTool =
    CargoTool { name: "mdbook", version: "0.5.4", features: &["--features", "search"] };

/// Builds fuzz targets and gives them to libFuzzer.
pub(crate) const CARGO_FUZZ: CargoTool =
    CargoTool { name: "cargo-fuzz", version: "0.13.2", features: &[] };

impl CargoTool {
    /// The program, after it was built if it was not there.
    ///
    /// # Errors
    /// If it cannot be fetched or built.
    pub(crate) fn ensure(self, workspace: &Workspace) -> Result<PathBuf> {
        let Self { name, version, features } = self;
        let program = workspace.tools().join("bin").join(name);
        let found = process::is_program(&program)
            && process::output(process::command(&program).arg("--version"))
                .is_ok_and(|said| said.trim().ends_with(version));
        if !found {
            let mut install = cargo(workspace, &["install", name, "--version", version]);
            install.args(["--locked", "--no-default-features"]).args(features);
            // They run for seconds; what takes minutes is to build them.
            install.args(["--debug", "--config", "profile.dev.debug=0"]);
            step(name, install.args(["--force", "--root"]).arg(workspace.tools()))
                .context("it needs crates.io, or a mirror that cargo is configured for")?;
        }
        Ok(program)
    }
}
