//! The base system that the packages are tested on: the Debian that this machine runs, or the one
//! named here, with systemd and little else. Made once (debootstrap) and kept with the checkout's
//! tools; tests only read it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{host::step, process, workspace::Workspace};

const SUITE: &str = "bookworm";

/// What the package depends on, what its commands call, and what the tests look with.
const PACKAGES: [&str; 7] =
    ["dbus", "iproute2", "libpam-systemd", "nftables", "procps", "systemd", "systemd-sysv"];

/// Any other file system than the tests' own is a guest of the kernel, and containers have none for
/// BPF unless somebody mounts it.
const BPF_MOUNT: &str = "\
[Unit]
DefaultDependencies=no
Before=sysinit.target

[Mount]
What=bpf
Where=/sys/fs/bpf
Type=bpf
Options=mode=700
";

/// The base system's folder, after it was made if it was not there.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let base = workspace.tools().join(format!("debian-{SUITE}"));
    if !base.is_dir() {
        let unfinished = base.with_extension("unfinished");
        if unfinished.exists() {
            remove(&unfinished)?;
        }
        let mut debootstrap = process::command("debootstrap");
        debootstrap.args(["--variant=minbase", &format!("--include={}", PACKAGES.join(","))]);
        step("base system", debootstrap.arg(SUITE).arg(&unfinished))
            .context("it needs a Debian mirror")?;
        mount_bpf(&unfinished)?;
        fs::rename(&unfinished, &base).context("cannot rename the base system")?;
    }
    Ok(base)
}

fn mount_bpf(base: &Path) -> Result<()> {
    let units = base.join("etc/systemd/system");
    let wanted = units.join("sysinit.target.wants");
    fs::create_dir_all(&wanted)
        .and_then(|()| fs::write(units.join("sys-fs-bpf.mount"), BPF_MOUNT))
        .and_then(|()| {
            std::os::unix::fs::symlink("../sys-fs-bpf.mount", wanted.join("sys-fs-bpf.mount"))
        })
        .context("cannot add a unit to the base system")
}

/// What a debootstrap that was interrupted has left; it may have mounted something there.
fn remove(folder: &Path) -> Result<()> {
    for mounted in ["proc", "sys"] {
        let _ = process::output(process::command("umount").arg(folder.join(mounted)));
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}
