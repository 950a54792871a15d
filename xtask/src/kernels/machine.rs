//! One virtual machine, from its start to its end: QEMU with an emulated processor, in a network namespace of its own.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use super::Boot;
use crate::process;

/// How long a machine may run, in seconds. A hang ends there, and its row says so.
const LIMIT: &str = "900";

/// Runs a machine until it ends; what it printed.
///
/// # Errors
/// If QEMU cannot be started.
pub(super) fn run(boot: &Boot, root: &Path) -> Result<String> {
    let mut machine = Command::new("unshare");
    machine.args(["--net", "timeout", LIMIT, "qemu-system-x86_64"]);
    // With a thread for each processor, QEMU 7.2 let the kernel panic when programs were reloaded under load.
    machine.args([
        "-accel",
        "tcg,thread=single",
        "-cpu",
        "max",
        "-M",
        "q35",
        "-m",
        "3072",
        "-smp",
        "2",
    ]);
    machine.args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    machine.arg("-kernel").arg(&boot.kernel).arg("-initrd").arg(&boot.archive);
    machine.args(["-append", "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off"]);
    let root = root.display();
    machine.args(["-drive", &format!("file={root},format=raw,if=virtio,snapshot=on")]);
    machine.args(["-device", "virtio-rng-pci"]);
    // It ends with another status than 0 if the time is up. What it printed then tells how far it came.
    let output = machine.stdin(std::process::Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", process::line(&machine)))?;
    let printed = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&printed).replace('\r', ""))
}
