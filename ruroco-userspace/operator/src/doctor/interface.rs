//! One of the gate's interfaces: whether the program can be attached to it, and how efficiently it runs
//! there.

use std::{io, path::Path, thread};

use aya::programs::{links::LinkType, loaded_links, loaded_programs};
use ruroco_common::maps;
use ruroco_config::{Gate, Mode};
use ruroco_gate::attachment;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with};

use super::{
    Finding, ethtool,
    link::{Link, Xdp},
    netdev,
};

/// All findings about an interface.
pub(super) fn findings(name: &str, gate: &Gate) -> Vec<Finding> {
    let mode = gate.mode;
    let link = match Link::of(name) {
        Ok(link) => link,
        Err(error) => return vec![Finding::unknown("interface", format!("{name}: {error:#}"))],
    };
    if !matches!(link.link_type.as_str(), "ether" | "loopback") {
        return vec![Finding::problem(
            "interface",
            format!(
                "{name} is not an Ethernet interface, but {}: the XDP program could not read its packets",
                link.link_type
            ),
            "set `interfaces` to the Ethernet interface through which its packets arrive",
        )];
    }
    let driver = ethtool::driver(name).unwrap_or_else(|_| match link.link_type.as_str() {
        "loopback" => "loopback".to_owned(),
        _ => "an unknown driver".to_owned(),
    });
    let mut findings = vec![Finding::ok("interface", format!("{name}: {driver}"))];
    findings.extend(link.xdp.as_ref().map(|xdp| program(name, xdp, link.ifindex, &gate.pin_dir)));
    if tries_native(mode, &link) {
        findings.push(native(name, &driver, mode, link.xdp.as_ref()));
        findings.push(mtu(name, &link));
        findings.push(lro(name, ethtool::has_lro(name)));
    }
    let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get());
    // Interfaces that are none of hardware have no queues to tell of.
    let queues_of = ethtool::receive_queues(name).ok();
    findings.extend(queues_of.map(|(has, most)| queues(name, has, most, cpus)));
    findings
}

/// Whether the gate attaches in native mode if it can.
fn tries_native(mode: Mode, link: &Link) -> bool {
    match mode {
        Mode::Native => true,
        Mode::Auto => !link.is_of_software(),
        Mode::Generic => false,
    }
}

/// Whose program is on it.
fn program(name: &str, xdp: &Xdp, index: u32, pin_dir: &Path) -> Finding {
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
    if !others.is_empty() {
        return Finding::problem(
            NAME,
            format!(
                "another XDP program is attached to {name}: {}. The gate does not replace it",
                others.join(", ")
            ),
            removal(name, xdp),
        );
    }
    match attachment::has_pin(pin_dir, index) {
        Ok(true) => Finding::ok(NAME, format!("the program of ruroco-gate is attached to {name}")),
        Ok(false) => Finding::problem(
            NAME,
            format!(
                "the program of a gate with another `pin_dir` than {} is attached to {name}. This gate does not \
                replace it",
                pin_dir.display()
            ),
            "set `pin_dir` to its earlier value. Or, while no gate runs, remove that directory (rm -r), and start the \
            gate",
        ),
        Err(error) => Finding::unknown(NAME, format!("{}: {error}", pin_dir.display())),
    }
}

/// How to remove a program of others.
fn removal(name: &str, xdp: &Xdp) -> String {
    let programs = xdp.programs();
    let keeps_it = |link: &aya::programs::links::LinkInfo| {
        link.link_type().is_ok_and(|kind| kind == LinkType::Xdp)
            && programs.contains(&link.program_id())
    };
    match loaded_links().filter_map(Result::ok).find(keeps_it) {
        Some(link) => format!(
            "BPF link {id} keeps it attached: find the process that owns the link with `bpftool link list`, \
             and stop it",
            id = link.id()
        ),
        None => format!(
            "find out which program needs it, then run `{}`",
            attachment::removal(name, xdp.mode)
        ),
    }
}

/// Whether the driver runs the program.
fn native(name: &str, driver: &str, mode: Mode, xdp: Option<&Xdp>) -> Finding {
    const NAME: &str = "native_xdp";
    if xdp.is_some_and(Xdp::is_native) {
        return Finding::ok(NAME, format!("{name}: an XDP program runs in the driver"));
    }
    let index = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .and_then(|socket| name_to_index(&socket, name));
    let runs = index.map_err(Into::into).and_then(netdev::runs_xdp);
    not_native(name, driver, mode, xdp.is_some(), runs)
}

/// The same where no program runs in the driver. `is_attached` in generic mode; `runs`: whether the driver has native
/// XDP, as the kernel reports it.
fn not_native(
    name: &str,
    driver: &str,
    mode: Mode,
    is_attached: bool,
    runs: io::Result<bool>,
) -> Finding {
    const NAME: &str = "native_xdp";
    let detail = match runs {
        // The driver has rejected the program when the gate started, for its MTU, offloads or queues.
        _ if is_attached => {
            format!("{name}: the program is attached in generic mode, not in {driver}")
        }
        Ok(true) => return Finding::ok(NAME, format!("{name}: {driver} supports native XDP")),
        Ok(false) => {
            format!("{name}: {driver} does not support native XDP in its current configuration")
        }
        Err(error) => {
            return Finding::unknown(
                NAME,
                format!(
                    "{name}: cannot detect whether the driver supports native XDP, which takes Linux 6.3: {error}. The \
                    gate's log shows the mode"
                ),
            );
        }
    };
    let generic = "in generic mode, each packet takes more CPU time (docs/evaluate/benchmarks.md)";
    let reason = match is_attached {
        true => {
            "the gate's log has the driver's reason, such as MTU, offloads or queues; correct it and restart the gate"
        }
        false => "use a network card whose driver supports it",
    };
    match mode {
        Mode::Native => Finding::problem(NAME, detail, format!("set mode = \"auto\"; {generic}")),
        Mode::Auto | Mode::Generic => Finding::warning(
            NAME,
            format!("{detail}, so the gate uses generic mode"),
            format!("{reason}; {generic}"),
        ),
    }
}

/// Whether a packet fits into a page, as it must in many drivers.
fn mtu(name: &str, link: &Link) -> Finding {
    const NAME: &str = "mtu";
    let room = attachment::page_mtu();
    let fits = usize::try_from(link.mtu).is_ok_and(|mtu| mtu <= room);
    match fits || link.xdp.as_ref().is_some_and(Xdp::is_native) {
        true => Finding::ok(NAME, format!("{name}: {}", link.mtu)),
        false => Finding::warning(
            NAME,
            format!(
                "{name}: {} is more than {room}, which fits into one page. Many drivers do not support native XDP with \
                larger MTUs",
                link.mtu
            ),
            format!("if you do not need a larger MTU, run: ip link set dev {name} mtu 1500"),
        ),
    }
}

fn lro(name: &str, has_lro: io::Result<bool>) -> Finding {
    const NAME: &str = "lro";
    match has_lro {
        Ok(false) => Finding::ok(NAME, format!("{name}: off")),
        Ok(true) => Finding::warning(
            NAME,
            format!("{name}: the card merges packets (LRO), which native XDP does not support"),
            format!("install ethtool, then run: ethtool -K {name} lro off"),
        ),
        Err(error) => Finding::unknown(NAME, format!("{name}: {error}")),
    }
}

/// Whether a flood is shared by the CPUs: of these receive queues, of as many as there could be.
fn queues(name: &str, has: u32, most: u32, cpus: usize) -> Finding {
    const NAME: &str = "queues";
    let wanted = u32::try_from(cpus).unwrap_or(u32::MAX).min(most);
    match has < wanted {
        false => Finding::ok(NAME, format!("{name}: {has} for {cpus} CPUs")),
        true => Finding::warning(
            NAME,
            format!(
                "{name}: {} for {cpus} CPUs. At most {} the XDP program, and some drivers support XDP only with one \
                queue for each CPU",
                counted(has, "receive queue"),
                if has == 1 { "one CPU runs".to_owned() } else { format!("{has} CPUs run") }
            ),
            format!(
                "install ethtool, then run: ethtool -L {name} combined {wanted} (or: rx {wanted})"
            ),
        ),
    }
}

/// A number of things, in words.
fn counted(count: u32, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_card_that_puts_packets_together_is_a_warning() {
        assert_eq!(lro("a0", Ok(false)).state(), State::Ok);
        let finding = lro("a0", Ok(true));
        assert_eq!(finding.state(), State::Warning);
        assert!(finding.to_string().contains("run: ethtool -K a0 lro off"), "{finding}");
        assert_eq!(lro("a0", Err(io::ErrorKind::Unsupported.into())).state(), State::Unknown);
    }

    #[test]
    fn a_program_that_was_attached_in_generic_mode_is_not_called_native_whatever_the_driver_supports()
     {
        for (mode, is_attached, runs, expected) in [
            (Mode::Auto, true, Ok(true), State::Warning),
            (Mode::Auto, true, Err(io::ErrorKind::Unsupported.into()), State::Warning),
            (Mode::Native, true, Ok(true), State::Problem),
            (Mode::Auto, false, Ok(true), State::Ok),
            (Mode::Auto, false, Ok(false), State::Warning),
            (Mode::Native, false, Ok(false), State::Problem),
            (Mode::Auto, false, Err(io::ErrorKind::Unsupported.into()), State::Unknown),
        ] {
            let finding = not_native("a0", "some_driver", mode, is_attached, runs);
            assert_eq!(finding.state(), expected, "{finding}");
        }
    }

    #[test]
    fn fewer_queues_than_there_could_be_for_the_cpus_are_a_warning() {
        for (has, most, cpus, wanted) in
            [(1, 4, 2, Some(2)), (2, 4, 8, Some(4)), (2, 4, 2, None), (1, 1, 8, None)]
        {
            let finding = queues("a0", has, most, cpus);
            let remedy = wanted.map(|wanted| format!("ethtool -L a0 combined {wanted} "));
            let expected = if wanted.is_some() { State::Warning } else { State::Ok };
            assert_eq!(finding.state(), expected, "{finding}");
            assert!(finding.to_string().contains(&remedy.unwrap_or_default()), "{finding}");
            assert!(!finding.to_string().contains("1 receive queues"), "{finding}");
        }
    }
}
