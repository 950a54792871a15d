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

/// To be raised when what is below changes: another base is made then.
const VERSION: u32 = 4;

/// What the package depends on, what its commands call, and what the tests look with.
const PACKAGES: [&str; 10] = [
    "dbus",
    "firewalld",
    "iproute2",
    "libpam-systemd",
    "nftables",
    "openssh-server",
    "procps",
    "systemd",
    "systemd-sysv",
    "ufw",
];

const UNIT: &str = "bpf-file-system.service";

/// What systemd does itself wherever it is not in a container, and refuses to have a mount unit for.
const BPF_FILE_SYSTEM: &str = "\
[Unit]
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
ExecStart=/bin/mkdir -p /sys/fs/bpf
ExecStart=/bin/mount -t bpf -o mode=700 bpf /sys/fs/bpf
";

/// The base system's folder, after it was made if it was not there.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let base = workspace.tools().join(format!("debian-{SUITE}-{VERSION}"));
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
        spare_the_kernel(&unfinished)?;
        disable_firewalls(&unfinished)?;
        fs::rename(&unfinished, &base).context("cannot rename the base system")?;
    }
    Ok(base)
}

fn mount_bpf(base: &Path) -> Result<()> {
    let units = base.join("etc/systemd/system");
    let wanted = units.join("sysinit.target.wants");
    fs::create_dir_all(&wanted)
        .and_then(|()| fs::write(units.join(UNIT), BPF_FILE_SYSTEM))
        .and_then(|()| std::os::unix::fs::symlink(Path::new("..").join(UNIT), wanted.join(UNIT)))
        .context("cannot add a unit to the base system")
}

/// The kernel is this machine's, too: what a guest sets in it at boot would hold here.
fn spare_the_kernel(base: &Path) -> Result<()> {
    for unit in ["systemd-sysctl", "systemd-binfmt", "systemd-modules-load"] {
        let masked = base.join("etc/systemd/system").join(format!("{unit}.service"));
        std::os::unix::fs::symlink("/dev/null", masked)
            .with_context(|| format!("cannot mask {unit} in the base system"))?;
    }
    Ok(())
}

/// They start only in a test of them.
fn disable_firewalls(base: &Path) -> Result<()> {
    let mut disable = process::command("systemctl");
    disable.arg(format!("--root={}", base.display())).args(["disable", "firewalld", "ufw"]);
    process::output(&mut disable).context("cannot disable the firewalls of the base system")?;
    Ok(())
}

/// What a debootstrap that was interrupted has left; it may have mounted something there.
fn remove(folder: &Path) -> Result<()> {
    for mounted in ["proc", "sys"] {
        let _ = process::output(process::command("umount").arg(folder.join(mounted)));
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}
