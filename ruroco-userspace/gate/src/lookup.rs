//! The program that hides the listeners behind closed doors from the network stack, so that the stack answers what the
//! XDP program passes to it as for a port without a listener.
//!
//! It is attached to the network namespace and pinned next to the XDP program, as `4026531840_lookup`, so that doors look
//! the same when this process dies. It does not keep doors closed: without it, they look filtered.
//!
//! Rationale: decision 0038.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use aya::{
    Ebpf,
    maps::{HashMap, MapData},
    programs::{SkLookup, links::FdLink},
};
use ruroco_common::maps;

use super::{attachment, netlink::Link, tables::take};

/// Software devices that get the packets of the device below them, with the same content. Tunnels are others: the XDP
/// program does not see what is in them.
const UPPER: [&str; 4] = ["vlan", "macvlan", "ipvlan", "dsa"];

/// The program in the kernel, attached as long as this or the pin exists.
pub(super) struct Lookup {
    link: Option<FdLink>,
    interfaces: HashMap<MapData, u32, u8>,
    /// What is in `interfaces`.
    filled: BTreeSet<u32>,
}

/// Loads the program, before its maps are taken from the object.
///
/// # Errors
/// If the kernel rejects it.
pub(super) fn load(ebpf: &mut Ebpf) -> anyhow::Result<()> {
    program(ebpf)?.load().context(
        "the kernel rejected the program that has doors look closed, which needs Linux 5.17 or later. Set appearance = \
         \"filtered\", or install a later kernel",
    )
}

fn program(ebpf: &mut Ebpf) -> anyhow::Result<&mut SkLookup> {
    let program = ebpf.program_mut(maps::LOOKUP);
    let program = program.context("the object file has no lookup program: build it again")?;
    Ok(program.try_into()?)
}

impl Lookup {
    /// Attaches the loaded program. It hides nothing before it knows the [interfaces](Self::follow).
    ///
    /// # Errors
    /// If the kernel rejects it.
    pub(super) fn attach(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        let interfaces = take(ebpf, maps::DOOR_INTERFACES)?;
        let program = program(ebpf)?;
        let mut attach = || -> anyhow::Result<FdLink> {
            let namespace = File::open("/proc/self/ns/net")?;
            let id = program.attach(namespace)?;
            Ok(program.take_link(id)?.into())
        };
        let link = attach().context("could not attach the program that has doors look closed")?;
        Ok(Self { link: Some(link), interfaces, filled: BTreeSet::new() })
    }

    /// Pins it in the place of an earlier one.
    ///
    /// # Errors
    /// If the pin cannot be made. The program then stays attached as long as this process runs.
    pub(super) fn pin(&mut self, pin_dir: &Path) -> anyhow::Result<()> {
        unpin(pin_dir)?;
        let Some(link) = self.link.take() else { return Ok(()) };
        let pin = path(pin_dir)?;
        let pinned = link.pin(&pin).with_context(|| format!("could not pin {}", pin.display()))?;
        self.link = Some(pinned.into());
        Ok(())
    }

    /// Hides listeners from packets that come in through these interfaces, and through those that get packets from them.
    pub(super) fn follow(&mut self, guarded: impl Iterator<Item = u32>, links: &[Link]) {
        let wanted = reached(guarded.collect(), links);
        let changes = wanted.symmetric_difference(&self.filled).copied().collect::<Vec<_>>();
        for index in changes {
            let changed = match wanted.contains(&index) {
                true => self.interfaces.insert(index, 0, 0),
                false => self.interfaces.remove(&index),
            };
            match changed {
                Ok(()) if wanted.contains(&index) => _ = self.filled.insert(index),
                Ok(()) => _ = self.filled.remove(&index),
                Err(error) => {
                    tracing::error!("doors may look filtered on interface {index}: {error}");
                }
            }
        }
    }
}

/// Removes the pin, and with it a program that no process holds.
///
/// # Errors
/// If the pin stays.
pub(super) fn unpin(pin_dir: &Path) -> anyhow::Result<()> {
    let pin = path(pin_dir)?;
    match fs::remove_file(&pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", pin.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn path(pin_dir: &Path) -> anyhow::Result<PathBuf> {
    let namespace = attachment::namespace().context("could not identify this network namespace")?;
    Ok(pin_dir.join(format!("{namespace}_lookup")))
}

/// These interfaces, and all that lie above them.
fn reached(mut reached: BTreeSet<u32>, links: &[Link]) -> BTreeSet<u32> {
    let is_upper = |link: &Link| link.kind.as_deref().is_some_and(|kind| UPPER.contains(&kind));
    // Each round goes one device up, and devices are finite.
    loop {
        let masters = links.iter().filter(|link| reached.contains(&link.index));
        let masters = masters.filter_map(|link| link.master);
        let is_above = |link: &&Link| link.below.is_some_and(|below| reached.contains(&below));
        let above = links.iter().filter(|link| is_upper(link)).filter(is_above);
        let new: BTreeSet<u32> = masters.chain(above.map(|link| link.index)).collect();
        if new.is_subset(&reached) {
            return reached;
        }
        reached.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_packets_of_a_guarded_interface_is_reached_and_nothing_else() {
        let link = |index, kind: Option<&str>, master, below| Link {
            index,
            name: format!("a{index}"),
            hardware: 1,
            kind: kind.map(str::to_owned),
            master,
            below,
            mtu: 1500,
            xdp_mode: 0,
        };
        let links = [
            link(1, None, None, None),
            link(2, None, Some(3), None),
            link(3, Some("bond"), None, None),
            link(4, Some("vlan"), Some(5), Some(3)),
            link(5, Some("bridge"), None, None),
            link(6, Some("veth"), Some(5), Some(2)),
            link(7, Some("gre"), None, Some(2)),
            link(8, Some("macvlan"), None, Some(1)),
        ];
        let of = |index| reached(BTreeSet::from([index]), &links).into_iter().collect::<Vec<_>>();
        assert_eq!(of(2), [2, 3, 4, 5]);
        assert_eq!(of(1), [1, 8]);
        assert_eq!(of(6), [5, 6]);
        assert_eq!(of(9), [9], "an interface that has gone");
    }
}
