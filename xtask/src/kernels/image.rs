//! What a machine boots from: a file system that all machines share and none changes, and for each kernel an archive with
//! its modules and the tests, which the machine keeps in memory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};

use crate::process;

/// To be raised when what is below changes.
const VERSION: u32 = 1;

/// As on the machine that builds the tests, or later: they are linked against its C library.
const SUITE: &str = "bookworm";

/// What the tests call.
const PACKAGES: &str = "iproute2,ethtool,nftables,nmap,procps,strace,openssh-client,openssh-server,dnsmasq-base,wireguard-go";

/// Modules that boot, and what the tests' networks consist of, below `kernel` in a kernel's modules.
const MODULES: [&str; 28] = [
    "arch/x86/crypto",
    "crypto",
    "drivers/block/virtio_blk",
    "drivers/char/hw_random",
    "drivers/dca",
    "drivers/i2c/algos",
    "drivers/net/bonding",
    "drivers/net/ethernet/intel/e1000e",
    "drivers/net/ethernet/intel/igb",
    "drivers/net/ipvlan",
    "drivers/net/macvlan",
    "drivers/net/net_failover",
    "drivers/net/tun",
    "drivers/net/veth",
    "drivers/net/virtio_net",
    "drivers/net/vmxnet3",
    "drivers/net/vrf",
    "drivers/net/vxlan",
    "drivers/pps",
    "drivers/ptp",
    "drivers/virtio",
    "fs/ext4",
    "fs/jbd2",
    "fs/mbcache",
    "lib",
    "net",
    "fs/overlayfs",
    "drivers/net/wireguard",
];

/// The first program of a machine.
const INIT: &str = include_str!("init.sh");
/// What it runs.
const SCRIPT: &str = include_str!("script.sh");

/// What a machine needs of one kernel.
pub(super) struct Boot {
    pub(super) folder: PathBuf,
    pub(super) release: String,
    pub(super) kernel: PathBuf,
    pub(super) archive: PathBuf,
}

/// The file system, made if it is not there.
///
/// # Errors
/// If debootstrap or mke2fs fails.
pub(super) fn root(folder: &Path) -> Result<PathBuf> {
    let image = folder.join(format!("root-{VERSION}.ext4"));
    if !image.is_file() {
        let (tree, unfinished) = (folder.join("root.unfinished"), folder.join("ext4.unfinished"));
        for left in [&tree, &unfinished] {
            remove(left)?;
        }
        println!("making                the machines' file system (debootstrap)");
        let mut debootstrap = process::command("debootstrap");
        debootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE]);
        process::output(debootstrap.arg(&tree)).context("it needs a Debian mirror")?;
        let mut mke2fs = process::command("mke2fs");
        mke2fs.args(["-q", "-t", "ext4", "-d"]).arg(&tree).arg(&unfinished).arg("1500M");
        process::output(&mut mke2fs)?;
        remove(&tree)?;
        fs::rename(&unfinished, &image).context("cannot rename the file system")?;
    }
    Ok(image)
}

/// The archive for a kernel.
///
/// # Errors
/// If the unpacked kernel is not as expected.
pub(super) fn boot(
    folder: &Path,
    kernel: &super::Kernel,
    unpacked: &Path,
    payload: &Path,
) -> Result<Boot> {
    let folder = folder.join("machines").join(kernel.name);
    let tree = folder.join("tree");
    remove(&tree)?;
    let modules = modules_of(unpacked)?;
    let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let own = tree.join("lib/modules").join(&release);
    for part in ["bin", "sbin", "proc", "sys", "dev", "root"] {
        fs::create_dir_all(tree.join(part)).context("cannot make folders")?;
    }
    fs::create_dir_all(&own).context("cannot make folders")?;
    copy_modules(&modules, &own)?;
    let busybox = tree.join("bin/busybox");
    fs::copy("/usr/bin/busybox", &busybox)
        .or_else(|_| fs::copy("/bin/busybox", &busybox))
        .context("cannot copy busybox (package busybox-static)")?;
    for link in ["bin/sh", "sbin/modprobe"] {
        std::os::unix::fs::symlink("/bin/busybox", tree.join(link))
            .context("cannot link busybox")?;
    }
    let mut depmod = process::command("busybox");
    process::output(depmod.args(["depmod", "-b"]).arg(&tree).arg(&release))?;
    process::output(process::command("cp").arg("-r").arg(payload).arg(tree.join("payload")))?;
    for (name, text) in [("init", INIT), ("payload/script", SCRIPT)] {
        fs::write(tree.join(name), text).context("cannot write a script")?;
    }
    process::output(process::command("chmod").arg("755").arg(tree.join("init")))?;
    let archive = folder.join("archive");
    pack(&tree, &archive)?;
    remove(&tree)?;
    let kernel =
        [unpacked.join("boot").join(format!("vmlinuz-{release}")), modules.join("vmlinuz")];
    let kernel =
        kernel.into_iter().find(|path| path.is_file()).context("the package has no vmlinuz")?;
    Ok(Boot { folder, release, kernel, archive })
}

/// The folder of modules, the name of which is the kernel's release.
fn modules_of(unpacked: &Path) -> Result<PathBuf> {
    for above in ["lib/modules", "usr/lib/modules"] {
        if let Ok(mut entries) = fs::read_dir(unpacked.join(above))
            && let Some(Ok(entry)) = entries.next()
        {
            return Ok(entry.path());
        }
    }
    bail!("{} has no modules", unpacked.display())
}

/// Copies what is in [`MODULES`], and decompresses it: busybox loads only plain modules.
fn copy_modules(from: &Path, to: &Path) -> Result<()> {
    for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        let _ = fs::copy(from.join(name), to.join(name));
    }
    let mut copy = process::command("cp");
    copy.args(["-r", "--parents"]).current_dir(from);
    for module in MODULES {
        let names = ["", ".ko", ".ko.xz"].map(|end| format!("kernel/{module}{end}"));
        // Some are built into the kernel.
        copy.args(names.into_iter().find(|name| from.join(name).exists()));
    }
    process::output(copy.arg(to))?;
    let mut decompress = process::command("find");
    decompress.arg(to).args(["-name", "*.xz", "-exec", "xz", "-d", "{}", "+"]);
    process::output(&mut decompress).map(drop)
}

/// Puts a folder into a cpio archive.
fn pack(tree: &Path, archive: &Path) -> Result<()> {
    let mut find = process::command("find");
    let mut find = find.arg(".").current_dir(tree).stdout(Stdio::piped()).spawn()?;
    let names = find.stdout.take().context("find has no output")?;
    let file = fs::File::create(archive).context("cannot make the archive")?;
    let mut cpio = process::command("busybox");
    let cpio = cpio.args(["cpio", "-o", "-H", "newc"]).current_dir(tree);
    let status = cpio.stdin(names).stdout(file).stderr(Stdio::null()).status()?;
    if !find.wait()?.success() || !status.success() {
        bail!("cannot pack {}", tree.display());
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
