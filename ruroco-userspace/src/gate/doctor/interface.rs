//! One of the gate's interfaces: whether the program can be on it, and how well.

use std::thread;

use aya::programs::loaded_programs;
use ruroco_common::maps;
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with},
    param::page_size,
};

use super::{
    Finding, ethtool,
    link::{Link, Xdp},
    netdev,
};
use crate::config::Mode;

/// What of a page is no packet where a driver has one page for each (`XDP_PACKET_HEADROOM`, 256, and
/// `struct skb_shared_info`, 320), and an Ethernet header with two VLAN tags.
const NO_PACKET: usize = 256 + 320 + 22;

/// Everything that is to be said of an interface.
pub(super) fn findings(name: &str, mode: Mode) -> Vec<Finding> {
    let link = match Link::of(name) {
        Ok(link) => link,
        Err(error) => return vec![Finding::unknown("interface", format!("{name}: {error:#}"))],
    };
    if !matches!(link.link_type.as_str(), "ether" | "loopback") {
        return vec![Finding::problem(
            "interface",
            format!(
                "{name} is no Ethernet interface but {}: the program could not read its packets",
                link.link_type
            ),
            "name the Ethernet interface that its packets come in by",
        )];
    }
    let driver = ethtool::driver(name).unwrap_or_else(|_| match link.link_type.as_str() {
        "loopback" => "loopback".to_owned(),
        _ => "an unknown driver".to_owned(),
    });
    let mut findings = vec![Finding::ok("interface", format!("{name}: {driver}"))];
    findings.extend(link.xdp.as_ref().map(|xdp| program(name, xdp)));
    if mode != Mode::Generic {
        findings.push(native(name, &driver, mode, link.xdp.as_ref()));
        findings.push(mtu(name, &link));
        findings.push(lro(name));
    }
    findings.extend(queues(name));
    findings
}

/// Whose program is on it.
fn program(name: &str, xdp: &Xdp) -> Finding {
    const NAME: &str = "xdp_program";
    let on_it = xdp.programs();
    let mut others = Vec::new();
    for loaded in loaded_programs() {
        match loaded {
            Ok(loaded) if on_it.contains(&loaded.id()) => {
                let called = loaded.name_as_str().unwrap_or_default();
                if called != maps::PROGRAM {
                    others.push(format!("{} ({called})", loaded.id()));
                }
            }
            Ok(_) => {}
            Err(error) => {
                let error = anyhow::Error::from(error);
                return Finding::unknown(NAME, format!("{name}: {error:#}"));
            }
        }
    }
    match others.is_empty() {
        true => Finding::ok(NAME, format!("{name} carries the gate's")),
        false => Finding::problem(
            NAME,
            format!(
                "{name} carries another XDP program, {}, which the gate does not replace",
                others.join(", ")
            ),
            format!("find out whose it is; run: ip link set dev {name} xdp off"),
        ),
    }
}

/// Whether the driver runs the program.
fn native(name: &str, driver: &str, mode: Mode, xdp: Option<&Xdp>) -> Finding {
    const NAME: &str = "native_xdp";
    if xdp.is_some_and(Xdp::is_native) {
        return Finding::ok(NAME, format!("{name}: a program is in the driver now"));
    }
    let index = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .and_then(|socket| name_to_index(&socket, name));
    match index.map_err(Into::into).and_then(netdev::runs_xdp) {
        Ok(true) => Finding::ok(NAME, format!("{name}: {driver} runs XDP programs")),
        Ok(false) => {
            let detail = format!("{name}: {driver} runs no XDP programs as it is set up now");
            let generic = "in generic mode every packet costs more (docs/benchmarks.md)";
            match mode {
                Mode::Native => {
                    Finding::problem(NAME, detail, format!("write mode = \"auto\"; {generic}"))
                }
                Mode::Auto | Mode::Generic => Finding::warning(
                    NAME,
                    format!("{detail}, so the gate takes generic mode"),
                    format!("use a card whose driver does; {generic}"),
                ),
            }
        }
        Err(error) => Finding::unknown(
            NAME,
            format!(
                "{name}: kernels tell since 6.3, this one says: {error}; the gate's log will tell"
            ),
        ),
    }
}

/// Whether a packet fits into a page, as it must in many drivers.
fn mtu(name: &str, link: &Link) -> Finding {
    const NAME: &str = "mtu";
    let room = page_size().saturating_sub(NO_PACKET);
    let fits = usize::try_from(link.mtu).is_ok_and(|mtu| mtu <= room);
    match fits || link.xdp.as_ref().is_some_and(Xdp::is_native) {
        true => Finding::ok(NAME, format!("{name}: {}", link.mtu)),
        false => Finding::warning(
            NAME,
            format!(
                "{name}: {} is more than {room}, what fits into a page, and many drivers then have \
                 no native XDP",
                link.mtu
            ),
            format!("run: ip link set dev {name} mtu 1500, if nothing needs more"),
        ),
    }
}

fn lro(name: &str) -> Finding {
    const NAME: &str = "lro";
    match ethtool::has_lro(name) {
        Ok(false) => Finding::ok(NAME, format!("{name}: off")),
        Ok(true) => Finding::warning(
            NAME,
            format!("{name}: the card puts packets together, which native XDP does not go with"),
            format!("run: ethtool -K {name} lro off"),
        ),
        Err(error) => Finding::unknown(NAME, format!("{name}: {error}")),
    }
}

/// Whether a flood is shared by the CPUs. Interfaces that are none of hardware have no queues to tell
/// of.
fn queues(name: &str) -> Option<Finding> {
    const NAME: &str = "queues";
    let (has, could_have) = ethtool::receive_queues(name).ok()?;
    let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get());
    let wanted = u32::try_from(cpus).unwrap_or(u32::MAX).min(could_have);
    Some(match has < wanted {
        false => Finding::ok(NAME, format!("{name}: {has} for {cpus} CPUs")),
        true => Finding::warning(
            NAME,
            format!(
                "{name}: {has} receive queues for {cpus} CPUs: so few of them judge packets, and some \
                 drivers want one for each CPU to run XDP at all"
            ),
            format!("run: ethtool -L {name} combined {wanted} (or: rx {wanted})"),
        ),
    })
}
