//! Calling this workspace's own cargo, for what plain stable Rust builds.

use std::{
    env,
    ffi::OsString,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use crate::{process, workspace::Workspace};

/// The cargo that runs this program, in the workspace's root.
pub(crate) fn cargo(workspace: &Workspace, arguments: &[&str]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(workspace.root()).args(arguments).stdin(Stdio::null());
    command
}

/// Runs a step, showing what it prints, and says how long it took.
///
/// # Errors
/// If it fails.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    println!("== {name}: {}", process::line(command));
    let begun = Instant::now();
    let status =
        command.status().with_context(|| format!("cannot run {}", process::line(command)))?;
    if !status.success() {
        bail!("{name} failed: {} ended with {status}", process::line(command));
    }
    println!("== {name}: done in {:.1} s", begun.elapsed().as_secs_f32());
    Ok(())
}

/// The lab makes network namespaces and loads an XDP program.
///
/// # Errors
/// If this is not root; says what to run.
pub(crate) fn require_root(task: &str) -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "`cargo xtask {task}` makes network namespaces and loads an XDP program, which takes root; \
         run: sudo --preserve-env=PATH,HOME,CARGO_HOME,RUSTUP_HOME cargo xtask {task}"
    )
}
