//! Whether the firewall drops what a door admits, as far as its rules can be judged from outside: in doubt, a rule
//! accepts. So what is found is a warning, and that nothing is found is no proof.

mod iptables;
mod nftables;

use std::collections::BTreeMap;

use ruroco_config::{
    Config,
    door::{Door, DoorPort, Transport},
};

use super::printed;
use crate::doctor::Finding;

const NAME: &str = "door_firewall";

/// Chains nest a few times at most.
const MAX_DEPTH: usize = 16;

/// The first packet of a connection from elsewhere.
#[derive(Clone, Copy, Debug)]
struct Packet {
    transport: Transport,
    port: u16,
}

/// Whether a rule applies to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    /// It depends on something else, such as the address.
    Perhaps,
    Surely,
}

impl Fit {
    const fn of(fits: bool) -> Self {
        if fits { Self::Surely } else { Self::No }
    }
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Accept,
    Drop,
    Jump(String),
    Return,
}

/// What becomes of a packet in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Accepted,
    Dropped,
    /// The chain ends.
    Continues,
}

/// The rules of one table, for one packet.
#[derive(Debug, Default)]
struct Table {
    chains: BTreeMap<String, Vec<(Fit, Action)>>,
    /// The chains that packets for this host come to first, and whether they drop what no rule accepts.
    inputs: BTreeMap<String, bool>,
}

impl Table {
    /// The first input chain that drops the packet.
    fn dropping(&self) -> Option<&str> {
        let drops = |(chain, policy): &(&String, &bool)| {
            let fate = self.fate(chain, MAX_DEPTH);
            fate == Fate::Dropped || fate == Fate::Continues && **policy
        };
        self.inputs.iter().find(drops).map(|(chain, _)| chain.as_str())
    }

    fn fate(&self, chain: &str, depth: usize) -> Fate {
        let Some(depth) = depth.checked_sub(1) else { return Fate::Accepted };
        for (fit, action) in self.chains.get(chain).into_iter().flatten() {
            let fate = match (fit, action) {
                (Fit::No, _) | (Fit::Perhaps, Action::Return | Action::Drop) => continue,
                (_, Action::Accept) => Fate::Accepted,
                (Fit::Surely, Action::Drop) => Fate::Dropped,
                (Fit::Surely, Action::Return) => return Fate::Continues,
                (_, Action::Jump(to)) => self.fate(to, depth),
            };
            match (fit, fate) {
                (_, Fate::Accepted) | (Fit::Surely, Fate::Dropped) => return fate,
                _ => {}
            }
        }
        Fate::Continues
    }
}

/// A place where packets are dropped.
#[derive(Debug, PartialEq, Eq)]
struct Dropped {
    /// Such as `chain input of table inet filter`.
    place: String,
    /// A command that has the packet accepted.
    remedy: String,
}

/// What was found.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let nft = printed("nft", &["-j", "list", "ruleset"]);
    let iptables = [("iptables", "iptables-save"), ("ip6tables", "ip6tables-save")]
        .map(|(program, save)| (program, printed(save, &["-t", "filter"])));
    if nft.is_none() && iptables.iter().all(|(_, rules)| rules.is_none()) {
        return vec![Finding::unknown(
            NAME,
            "neither nft nor iptables-save lists the firewall's rules",
        )];
    }
    let dropped = |packet: Packet| {
        let by_nft = nft.as_deref().and_then(|rules| nftables::dropped(rules, packet));
        by_nft.or_else(|| {
            iptables
                .iter()
                .find_map(|(program, rules)| iptables::dropped(program, rules.as_deref()?, packet))
        })
    };
    let doors = config.doors.values().filter(|door| !door.is_forwarded);
    let ports = doors.flat_map(|door| door.ports.iter().map(move |port| (door, *port)));
    let findings: Vec<Finding> = ports
        .filter_map(|(door, port)| {
            let packet = Packet { transport: port.transport, port: port.first };
            Some(finding(door, port, dropped(packet)?))
        })
        .collect();
    match findings.is_empty() {
        true => vec![Finding::ok(NAME, "no rule is known to drop what doors admit")],
        false => findings,
    }
}

fn finding(door: &Door, port: DoorPort, Dropped { place, remedy }: Dropped) -> Finding {
    Finding::warning(
        NAME,
        format!(
            "the firewall seems to drop what the door {} admits: {place} has no rule that accepts {port}",
            door.name
        ),
        format!("if a connection fails after a knock, run: {remedy}"),
    )
}
