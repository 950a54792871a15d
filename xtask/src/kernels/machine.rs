//! One virtual machine, from its start to its end: QEMU with an emulated processor, in a network namespace of its own.
//!
//! A machine has two cards on one wire, the one under test and a virtio_net as its peer. The wire is inside QEMU; a card
//! with several queues needs taps, which a bridge in the network namespace joins.

use std::{fmt, path::Path, process::Command};

use anyhow::{Context, Result};

use super::Boot;
use crate::process;

/// How long a machine may run, in seconds. A hang ends there, and its row says so.
const LIMIT: &str = "900";

/// Joins two taps, and becomes QEMU. Nothing but the machine sends there.
const WIRE: &str = "\
    echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 && ip link add br0 type bridge && ip link set br0 up && \
    ip tuntap add card mode tap multi_queue && ip tuntap add peer mode tap && \
    ip link set card master br0 up && ip link set peer master br0 up && exec \"$@\"";

/// The network card that the gate guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Card {
    Veth,
    VirtioNet,
    VirtioNetQueues,
    E1000e,
    Vmxnet3,
}

impl Card {
    pub(super) const ALL: [Self; 5] =
        [Self::Veth, Self::VirtioNet, Self::VirtioNetQueues, Self::E1000e, Self::Vmxnet3];

    /// What QEMU needs for this card and its peer. They have the addresses that the tests expect, and the slots of
    /// `script.sh`.
    fn devices(self) -> Vec<String> {
        const CARD: &str = "netdev=card,mac=02:00:00:00:01:01,addr=0x10";
        let (card, queues) = match self {
            Self::Veth => return Vec::new(),
            Self::VirtioNet => (format!("virtio-net-pci,{CARD}"), 1),
            Self::VirtioNetQueues => (format!("virtio-net-pci,{CARD},mq=on,vectors=10"), 4),
            Self::E1000e => (format!("e1000e,{CARD}"), 1),
            Self::Vmxnet3 => (format!("vmxnet3,{CARD}"), 1),
        };
        let peer = "virtio-net-pci,netdev=peer,mac=02:00:00:00:01:02,addr=0x11";
        let wire = |end: &str, queues: u32| match self {
            Self::VirtioNetQueues => {
                let queues = if queues == 1 { String::new() } else { format!(",queues={queues}") };
                format!("tap,id={end},ifname={end},script=no,downscript=no,vhost=off{queues}")
            }
            Self::Veth | Self::VirtioNet | Self::E1000e | Self::Vmxnet3 => {
                format!("hubport,id={end},hubid=1")
            }
        };
        let (card_wire, peer_wire) = (wire("card", queues), wire("peer", 1));
        let arguments =
            ["-netdev", &card_wire, "-netdev", &peer_wire, "-device", &card, "-device", peer];
        arguments.map(str::to_owned).to_vec()
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Veth => "veth",
            Self::VirtioNet => "virtio_net",
            Self::VirtioNetQueues => "virtio_net-4-queues",
            Self::E1000e => "e1000e",
            Self::Vmxnet3 => "vmxnet3",
        })
    }
}

/// Runs a machine until it ends; what it printed.
///
/// # Errors
/// If QEMU cannot be started.
pub(super) fn run(boot: &Boot, root: &Path, card: Card) -> Result<String> {
    let mut machine = Command::new("unshare");
    machine.args(["--net", "sh", "-c"]);
    machine.arg(if card == Card::VirtioNetQueues { WIRE } else { "exec \"$@\"" });
    machine.args(["sh", "timeout", LIMIT, "qemu-system-x86_64"]);
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
    machine.args([
        "-append",
        &format!("console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off card={card}"),
    ]);
    let root = root.display();
    machine.args(["-drive", &format!("file={root},format=raw,if=virtio,snapshot=on")]);
    machine.args(["-device", "virtio-rng-pci"]).args(card.devices());
    // It ends with another status than 0 if the time is up. What it printed then tells how far it came.
    let output = machine.stdin(std::process::Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", process::line(&machine)))?;
    let printed = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&printed).replace('\r', ""))
}
