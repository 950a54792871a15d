//! The kernel: whether it is new enough, and whether it protects the gate's program and maps from other
//! users.

use std::{fs, io, path::Path};

use ruroco_config::{Appearance, Config};
use rustix::{fs::statfs, system::uname};

use super::Finding;

/// BPF links for XDP.
const OLDEST: (u32, u32) = (5, 9);

/// The first release with the fix for CVE-2024-41009. Without it, a process that has a ring could attack the
/// kernel through it. Stable kernels and distributions have the fix under older numbers.
const FIXED: (u32, u32) = (6, 10);

/// The first release that tells a lookup program on which interface a packet came in (`bpf_sk_lookup`, linux/bpf.h).
const LOOKUP: (u32, u32) = (5, 17);

/// `BPF_FS_MAGIC` (linux/magic.h).
const BPF_FILE_SYSTEM: u64 = 0xcafe_4a11;

pub(super) fn findings() -> Vec<Finding> {
    vec![release(), types(), unprivileged_bpf()]
}

fn release() -> Finding {
    const NAME: &str = "kernel";
    let system = uname();
    let release = system.release().to_string_lossy();
    match number(&release) {
        None => Finding::unknown(NAME, format!("cannot read a kernel version from {release}")),
        Some(number) if number < OLDEST => Finding::problem(
            NAME,
            format!("{release} does not support BPF links for XDP"),
            "install Linux 5.9 or later; 6.10 or later needs no fix for CVE-2024-41009",
        ),
        Some(number) if number < FIXED => Finding::warning(
            NAME,
            format!(
                "{release}: make sure that the kernel has the fix for CVE-2024-41009. It is in 6.10, and in stable \
                kernels and distributions since summer 2024"
            ),
            "make sure that the kernel's changelog names CVE-2024-41009, or install 6.10 or later",
        ),
        Some(_) => Finding::ok(NAME, release),
    }
}

/// Whether the kernel has what doors need to look closed; nothing if they look filtered.
pub(super) fn closed_doors(config: &Config) -> Option<Finding> {
    const NAME: &str = "closed_doors";
    if config.doors.is_empty() || config.gate.appearance == Appearance::Filtered {
        return None;
    }
    let system = uname();
    let release = system.release().to_string_lossy();
    Some(match number(&release) {
        None => Finding::unknown(NAME, format!("cannot read a kernel version from {release}")),
        Some(number) if number < LOOKUP => Finding::problem(
            NAME,
            format!("{release} cannot have doors look closed, so that ruroco-gate does not start"),
            "set appearance = \"filtered\" in [gate], or install Linux 5.17 or later",
        ),
        Some(_) => Finding::ok(NAME, "doors look like ports without a listener"),
    })
}

/// The first two numbers of a release.
fn number(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn types() -> Finding {
    const NAME: &str = "btf";
    let path = "/sys/kernel/btf/vmlinux";
    match fs::metadata(path) {
        Ok(_) => Finding::ok(NAME, format!("{path} exists")),
        Err(_) => Finding::warning(
            NAME,
            format!(
                "{path} does not exist, so tools such as bpftool cannot show the program's data"
            ),
            "install a kernel built with CONFIG_DEBUG_INFO_BTF. The gate itself works without it",
        ),
    }
}

fn unprivileged_bpf() -> Finding {
    const NAME: &str = "unprivileged_bpf";
    let path = "/proc/sys/kernel/unprivileged_bpf_disabled";
    match fs::read_to_string(path) {
        Ok(text) if text.trim() == "0" => Finding::warning(
            NAME,
            "unprivileged users may load BPF programs on this host, which gives them a way to attack the gate",
            "run: sysctl -w kernel.unprivileged_bpf_disabled=1, and put the setting into a file in /etc/sysctl.d",
        ),
        Ok(text) => Finding::ok(NAME, format!("disabled ({})", text.trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::ok(NAME, "this kernel does not have the setting")
        }
        Err(error) => Finding::unknown(NAME, format!("{path}: {error}")),
    }
}

/// Whether pins can be made here.
pub(super) fn bpf_file_system(pin_dir: &Path) -> Finding {
    const NAME: &str = "bpffs";
    let shown = pin_dir.display();
    let Some((there, system)) =
        pin_dir.ancestors().find_map(|path| Some((path, statfs(path).ok()?)))
    else {
        return Finding::unknown(NAME, format!("cannot access {shown} or a directory above it"));
    };
    match u64::try_from(system.f_type) {
        Ok(BPF_FILE_SYSTEM) => Finding::ok(NAME, format!("{shown} is in a BPF file system")),
        _ => Finding::problem(
            NAME,
            format!(
                "`pin_dir` {shown} is not in a BPF file system ({} is another)",
                there.display()
            ),
            "run: mount -t bpf -o mode=700 bpf /sys/fs/bpf",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(number("6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(number("5.10.0-34-amd64"), Some((5, 10)));
        assert_eq!(number("6.1-rc3"), Some((6, 1)));
        assert_eq!(number("GNU"), None);
        assert!(number("6.9.12").unwrap() < FIXED && number("6.10.0").unwrap() >= FIXED);
    }
}
