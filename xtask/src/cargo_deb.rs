//! cargo-deb, which makes Debian packages: built into the checkout's tools, where it touches nobody
//! else's.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{
    host::{cargo, step},
    process,
    workspace::Workspace,
};

/// The release whose metadata `ruroco-userspace/Cargo.toml` is written for.
const VERSION: &str = "3.8.0";

/// The program, after it was built if it was not there.
///
/// # Errors
/// If it cannot be fetched or built.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let program = workspace.tools().join("bin").join("cargo-deb");
    let found = process::is_program(&program)
        && process::output(process::command(&program).arg("--version"))
            .is_ok_and(|version| version.trim().ends_with(VERSION));
    if !found {
        let mut install = cargo(workspace, &["install", "cargo-deb", "--version", VERSION]);
        install.args(["--locked", "--no-default-features", "--force", "--root"]);
        step("cargo-deb", install.arg(workspace.tools()))
            .context("it needs crates.io, or a mirror that cargo is configured for")?;
    }
    Ok(program)
}
