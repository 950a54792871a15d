//! The program on one interface, pinned so that it stays when this process dies.
//!
//! The pin is a file in a BPF file system, named for the network namespace, the interface's index and the
//! mode it is attached in, such as `4026531840_5_native`. When a gate starts, it finds the pins of a crashed
//! gate and replaces the old program by its own in a single step, so that packets are always filtered.
//!
//! Rationale: decision 0002.

mod refused;

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use aya::programs::{
    Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};
use ruroco_config::Mode;
use ruroco_files::instance;
use ruroco_trust::private_directory;

pub use self::refused::page_mtu;

use self::refused::Refused;
use super::{interfaces::devices::native_limits, netlink::Link};

/// Only root needs access to the pins.
const DIRECTORY_MODE: u32 = 0o700;

/// A directory next to the pins, which is locked while a gate uses them: other users may be able to open the
/// pins' directory. A BPF file system has no files to lock.
pub const LOCK: &str = "lock";

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
}

impl Attached {
    /// The one name of this mode.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// Whether this is what the configuration asks for.
    pub fn satisfies(self, mode: Mode) -> bool {
        match mode {
            Mode::Native => self == Self::Native,
            Mode::Generic => self == Self::Generic,
            Mode::Auto => true,
        }
    }

    /// The modes to try on a device of some kind, one after the other.
    ///
    /// Native XDP prevents some changes of a device: a bond rejects ports, the peer of a veth a larger MTU.
    /// Virtual devices are configured after the gate has started, and the gate must not prevent that.
    /// Hardware devices have no kind.
    fn to_try(mode: Mode, kind: Option<&str>) -> &'static [Self] {
        match (mode, kind) {
            (Mode::Native, _) => &[Self::Native],
            (Mode::Generic, _) | (Mode::Auto, Some(_)) => &[Self::Generic],
            (Mode::Auto, None) => &[Self::Native, Self::Generic],
        }
    }
}

impl fmt::Display for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An interface with the program on it. Dropping this leaves the program there; see
/// [`Attachment::detach`].
#[derive(Debug)]
pub struct Attachment {
    /// The interface's index.
    pub index: u32,
    /// How the program is attached.
    pub attached: Attached,
    /// What kind of software device it is; devices of hardware have none.
    kind: Option<String>,
    pin: PathBuf,
    _link: FdLink,
}

impl Attachment {
    /// Replaces the attached program by another, in a single step.
    ///
    /// # Errors
    /// If the pin or the interface is gone. The attached program then stays.
    pub fn exchange(&mut self, program: &mut Xdp) -> anyhow::Result<()> {
        self._link = exchange(&self.pin, program)?;
        Ok(())
    }

    /// Why the program should be attached in another mode.
    pub(super) fn mode_problem(&self, wanted: Mode) -> Option<String> {
        let (has, kind) = (self.attached, self.kind.as_deref());
        if Attached::to_try(wanted, kind).contains(&has) {
            return None;
        }
        let limits = match (wanted, kind) {
            (Mode::Auto, Some(kind)) => format!(": {}", native_limits(kind)),
            _ => String::new(),
        };
        Some(format!("an earlier gate has attached the program in {has} mode{limits}"))
    }

    /// Takes the program off the interface.
    ///
    /// # Errors
    /// If it stays there.
    pub fn detach(self) -> anyhow::Result<()> {
        match fs::remove_file(&self.pin) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let pin = self.pin.display();
                Err(error).with_context(|| {
                    format!("could not remove {pin}: the program is still attached")
                })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The directory of pins, this gate's alone for as long as this lives.
#[derive(Debug)]
pub struct Pins {
    dir: PathBuf,
    /// Inode of this network namespace: an interface's index says nothing in another one.
    namespace: u64,
    _lock: instance::Lock,
}

/// A file that keeps a program attached, left by a gate that crashed.
#[derive(Debug)]
pub struct Pin {
    /// Of the interface that the program is on.
    pub index: u32,
    path: PathBuf,
    attached: Attached,
}

impl Pin {
    /// Replaces the attached program by this one, in the mode of the attached program.
    ///
    /// # Errors
    /// If the pin belongs to an earlier interface with the same index. The pin is then gone.
    pub fn take_over(self, program: &mut Xdp, kind: Option<String>) -> anyhow::Result<Attachment> {
        let Self { index, path, attached } = self;
        match exchange(&path, program) {
            Ok(link) => Ok(Attachment { index, attached, kind, pin: path, _link: link }),
            Err(error) => {
                Self { index, path, attached }.remove();
                Err(error)
            }
        }
    }

    /// Takes the program off the interface.
    pub fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::error!("could not remove {}: {error}", self.path.display());
        }
    }
}

impl Pins {
    /// Takes the directory, making it if it is missing.
    ///
    /// # Errors
    /// If it cannot be made, others can change what is in it, or another gate has it.
    pub fn take(dir: &Path) -> anyhow::Result<Self> {
        private_directory::prepare(dir, DIRECTORY_MODE).with_context(|| {
            format!(
                "could not use `pin_dir` {}. It must be in a BPF file system: mount -t bpf -o mode=700 bpf /sys/fs/bpf",
                dir.display()
            )
        })?;
        let namespace = namespace().context("could not identify this network namespace")?;
        let lock = instance::Lock::try_take_directory(&dir.join(LOCK))?;
        Ok(Self { dir: dir.to_owned(), namespace, _lock: lock })
    }

    /// Attaches the program to an interface and pins it.
    ///
    /// # Errors
    /// With the reason, if the interface carries another program, or its driver cannot do what
    /// `mode` asks for.
    pub(super) fn attach(
        &self,
        program: &mut Xdp,
        device: &Link,
        mode: Mode,
    ) -> anyhow::Result<Attachment> {
        let Link { index, name, kind, .. } = device;
        let mut modes = Attached::to_try(mode, kind.as_deref()).iter().copied().peekable();
        let (link, attached) = loop {
            let attached = modes.next().context("no other mode is left")?;
            match (attach(program, device, attached), modes.peek()) {
                (Ok(link), _) => break (link, attached),
                (Err(Refused::Unsupported(error)), Some(next)) => tracing::warn!(
                    interface = %name,
                    "taking {next} mode, which is slower; {attached}: {error}"
                ),
                (Err(refused), _) => return Err(refused.into()),
            }
        };
        if let (Attached::Native, Some(kind)) = (attached, kind) {
            tracing::warn!(interface = %name, "{}", native_limits(kind));
        }
        let pin = self.dir.join(self.name(*index, attached));
        let pinned = link.pin(&pin).with_context(|| format!("could not pin {}", pin.display()))?;
        let kind = kind.clone();
        Ok(Attachment { index: *index, attached, kind, pin, _link: pinned.into() })
    }

    /// What a gate that crashed has left in this network namespace; pins of others are left alone.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> anyhow::Result<Vec<Pin>> {
        let entries = fs::read_dir(&self.dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.with_context(|| format!("could not list {}", self.dir.display()))?;
        Ok(entries.into_iter().filter_map(|entry| self.pin(entry.path())).collect())
    }

    fn name(&self, index: u32, attached: Attached) -> String {
        name(self.namespace, index, attached)
    }

    /// The pin behind a path, if it is one of this namespace.
    fn pin(&self, path: PathBuf) -> Option<Pin> {
        let name = path.file_name()?.to_str()?;
        let index = name.split('_').nth(1)?.parse().ok()?;
        let mut modes = [Attached::Native, Attached::Generic].into_iter();
        let attached = modes.find(|attached| self.name(index, *attached) == name)?;
        Some(Pin { path, index, attached })
    }
}

/// Without a dot: the BPF file system keeps such names for itself.
fn name(namespace: u64, index: u32, attached: Attached) -> String {
    format!("{namespace}_{index}_{attached}")
}

/// The inode of this network namespace.
pub(super) fn namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/self/ns/net")?.ino())
}

/// Whether a directory of pins, which may belong to a running gate, has a pin for an interface.
///
/// # Errors
/// If this cannot be determined: it needs root.
pub fn has_pin(dir: &Path, index: u32) -> io::Result<bool> {
    let namespace = namespace()?;
    for attached in [Attached::Native, Attached::Generic] {
        if dir.join(name(namespace, index, attached)).try_exists()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Replaces the program that a pin keeps attached.
fn exchange(pin: &Path, program: &mut Xdp) -> anyhow::Result<FdLink> {
    let mut exchange = || -> anyhow::Result<FdLink> {
        let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(pin)?))?;
        let id = program.attach_to_link(link)?;
        Ok(FdLink::try_from(program.take_link(id)?)?)
    };
    exchange()
        .with_context(|| format!("could not take over the program pinned at {}", pin.display()))
}

/// Whether the kernel did not attach the program because there is one already, on the device or above it.
pub(super) fn is_occupied(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Refused::Occupied))
}

/// The command that removes an XDP program from an interface, unless a BPF link keeps it there. Without
/// the mode (`XDP_ATTACHED_*`, linux/if_link.h), the kernel would remove none that is in another one.
pub fn removal(name: &str, mode: u8) -> String {
    let mode = match mode {
        1 => "xdpdrv",
        2 => "xdpgeneric",
        3 => "xdpoffload",
        _ => "xdp",
    };
    format!("ip link set dev {name} {mode} off")
}

fn attach(program: &mut Xdp, device: &Link, attached: Attached) -> Result<FdLink, Refused> {
    let mode = match attached {
        Attached::Native => XdpMode::Driver,
        Attached::Generic => XdpMode::Skb,
    };
    let id = program
        .attach_to_if_index(device.index, mode)
        .map_err(|error| Refused::new(error, attached, device))?;
    let link = program.take_link(id).map_err(Refused::Other)?;
    FdLink::try_from(link).map_err(|_| Refused::NoLinks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_native_on_hardware_and_generic_on_what_software_has_made() {
        use Attached::{Generic, Native};
        for (mode, kind, expected) in [
            (Mode::Auto, None, &[Native, Generic][..]),
            (Mode::Auto, Some("bond"), &[Generic]),
            (Mode::Auto, Some("veth"), &[Generic]),
            (Mode::Auto, Some("a kind that is yet to be invented"), &[Generic]),
            (Mode::Native, Some("bond"), &[Native]),
            (Mode::Native, None, &[Native]),
            (Mode::Generic, None, &[Generic]),
        ] {
            assert_eq!(Attached::to_try(mode, kind), expected, "{mode:?} {kind:?}");
        }
    }
}
