//! Whether a knock would work now, part by part, from the interface to the command.
//!
//! `ruroco status` and `ruroco doctor` report the same about each part because both use these findings. It
//! changes nothing, and sends no knock. It relies on a part's own report only if there is no other source: it
//! connects to the commander as the server's user, and sees in the ring that the server reads it.
//!
//! Rationale: decision 0029.

mod commander;
pub mod paths;
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
};

use ruroco_config::{Config, Source};
use ruroco_gate::{
    addresses::Present,
    status::{self, Status},
};
use ruroco_messages::plain_error::plain;

pub use self::{commander::State as CommanderState, paths::Unguarded};
use super::{
    doctor::{Finding, State, clock, files, link::Link},
    doors,
};

/// The gate itself, and its interfaces.
const GATE: &str = "gate";
/// Interfaces that lead past it.
const UNGUARDED: &str = "unguarded";
/// The addresses that knocks are for.
const ADDRESSES: &str = "addresses";
/// The keys that the gate has.
const KEYS: &str = "keys";
/// The doors.
const DOORS: &str = "doors";
/// The server.
pub const SERVER: &str = "server";
/// The commander.
pub const COMMANDER: &str = "commander";
/// The way from server to commander.
const ORDERS: &str = "orders";
/// `commands.toml`.
const COMMANDS: &str = "commands";

/// What was found.
#[derive(Debug)]
pub struct Health {
    /// What the gate says; `None` where the configuration has none.
    pub status: Option<anyhow::Result<Status>>,
    /// How many TCP sessions each door has, if the kernel lists them.
    pub door_sessions: BTreeMap<String, usize>,
    /// What the commander says, if it answers.
    pub commander: Option<CommanderState>,
    /// Interfaces that lead past the gate.
    pub unguarded: Vec<Unguarded>,
    /// How each part is, in the order in which a knock meets them.
    pub parts: Vec<Finding>,
}

impl Health {
    /// Checks all parts. Takes a moment only if packets wait in the ring.
    pub fn examine(config: &Config) -> Self {
        let mut parts = Vec::new();
        let status = config.has_gate().then(|| status::ask(&config.socket_dir));
        let has_xdp = config.source == Source::Xdp;
        let answer = status.as_ref().and_then(|status| status.as_ref().ok());
        let mut unguarded = Vec::new();
        if let Some(status) = &status {
            parts.push(gate(status));
        }
        if has_xdp {
            let found = look_for_unguarded(config, answer);
            parts.extend(paths::findings(config, &found));
            unguarded = found.unwrap_or_default();
        }
        parts.push(addresses(config));
        parts.extend(answer.map(keys));
        parts.extend(answer.and_then(doors_of));
        parts.push(server::finding(config, answer.filter(|_| has_xdp)));
        let commander = commander::ask(&config.socket_dir);
        parts.push(commander::alive(&commander, &config.socket_dir));
        if let Ok(commander) = &commander {
            // Only of one that answers: to one that hangs each attempt would be one more that waits.
            parts.extend(commander::reachable(config));
            parts.push(commander::commands(config.path(), commander));
        }
        // That there is no such user, `check` says.
        if let Ok(user) = config.find_server_user() {
            parts.push(files::floors(config, &user));
        }
        parts.push(clock::finding(config.max_clock_skew));
        let doors = answer.map(|status| status.doors.as_slice()).unwrap_or_default();
        let door_sessions = doors::count_sessions(doors).unwrap_or_default();
        Self { status, door_sessions, commander: commander.ok(), unguarded, parts }
    }

    /// Whether a knock would work: every part was checked, and no part has a problem.
    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(is_good)
    }

    /// Whether packets reach the host past the gate's program.
    pub fn is_open(&self) -> bool {
        let attached = self.status.as_ref().and_then(|status| status.as_ref().ok());
        attached.is_some_and(|status| !status.front.attached)
            || self.unguarded.iter().any(|one| one.from.is_problem())
    }

    /// The names of the parts that keep a knock from working, each once, in the order in which a knock meets
    /// them.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let bad = self.parts.iter().filter(|part| !is_good(part));
        let mut names: Vec<_> = bad.map(Finding::name).collect();
        // Findings of the same part follow each other.
        names.dedup();
        names
    }
}

/// Whether a part does not keep a knock from working.
pub fn is_good(part: &Finding) -> bool {
    matches!(part.state(), State::Ok | State::Warning)
}

/// Whether no process listens at a socket.
pub fn is_away(error: &anyhow::Error) -> bool {
    let kind = error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused))
}

/// Whether this process may not ask.
fn is_forbidden(error: &anyhow::Error) -> bool {
    let kind = error.root_cause().downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::PermissionDenied)
}

/// Why a gate does not answer, for a person.
pub fn why_no_gate(error: &anyhow::Error) -> String {
    match (is_away(error), is_forbidden(error)) {
        (true, _) => {
            "ruroco-gate is not running. If it was stopped and has no doors, packets are no longer filtered; \
             otherwise its XDP filter is still attached"
                .to_owned()
        }
        (_, true) => format!("{}. Run this as root", plain(error)),
        _ => plain(error),
    }
}

fn gate(status: &anyhow::Result<Status>) -> Finding {
    let status = match status {
        Ok(status) => status,
        Err(error) if is_forbidden(error) => return Finding::unknown(GATE, why_no_gate(error)),
        Err(error) => {
            let remedy = match is_away(error) {
                true => {
                    "run `systemctl start ruroco-gate`; the reason is in `journalctl -u ruroco-gate`"
                }
                false => "see `journalctl -u ruroco-gate`; run `systemctl restart ruroco-gate`",
            };
            return Finding::problem(GATE, why_no_gate(error), remedy);
        }
    };
    let open = status.front.interfaces.iter().filter(|interface| !interface.attached);
    let open: Vec<String> = open
        .map(|one| format!("{}: {}", one.name, one.problem.as_deref().unwrap_or("not attached")))
        .collect();
    match open.is_empty() {
        true if status.front.interfaces.is_empty() => {
            Finding::ok(GATE, "runs, without an XDP program")
        }
        true => Finding::ok(GATE, "runs and is attached"),
        false => Finding::problem(
            GATE,
            format!("runs, but is not attached to every interface: {}", open.join("; ")),
            "see `journalctl -u ruroco-gate`, and the interface in `ruroco doctor`",
        ),
    }
}

/// The interfaces that lead past the gate's program.
///
/// # Errors
/// If the interfaces cannot be listed.
pub(crate) fn look_for_unguarded(
    config: &Config,
    status: Option<&Status>,
) -> anyhow::Result<Vec<Unguarded>> {
    let host = paths::Host::look(&config.addresses.iter().map(|ip| IpAddr::from(*ip)).collect())?;
    let attached = status.into_iter().flat_map(|status| &status.front.interfaces);
    let attached: BTreeSet<u32> = attached.filter_map(|interface| interface.index).collect();
    // That the program is not on an interface that is configured, the gate says.
    let is_configured = |link: &Link| link.is_among(&config.gate.interfaces);
    Ok(host.unguarded(|link| attached.contains(&link.ifindex) || is_configured(link)))
}

/// Whether knocks can be for this host. Behind NAT it has the inner address, and not the outer one.
fn addresses(config: &Config) -> Finding {
    let ips: Vec<IpAddr> = config.addresses.iter().map(|ip| IpAddr::from(*ip)).collect();
    match Present::look() {
        Ok(present) => addresses_of(&ips, &present, &config.path().display().to_string()),
        Err(error) => Finding::unknown(ADDRESSES, error),
    }
}

fn addresses_of(ips: &[IpAddr], present: &Present, config: &str) -> Finding {
    let missed = present.missed(ips);
    let Some(first) = missed.first() else {
        let here = ips.iter().filter(|ip| present.has(**ip)).map(ToString::to_string);
        return Finding::ok(
            ADDRESSES,
            format!("{} on this host", here.collect::<Vec<_>>().join(", ")),
        );
    };
    let protocol = if first.is_ipv4() { "IPv4" } else { "IPv6" };
    let of_protocol = missed.iter().filter(|ip| ip.is_ipv4() == first.is_ipv4());
    let listed: Vec<String> = of_protocol.map(ToString::to_string).collect();
    Finding::problem(
        ADDRESSES,
        format!(
            "no {protocol} address of `addresses` is assigned to this host ({}): knocks over {protocol} are not \
             recognised",
            listed.join(", ")
        ),
        format!(
            "see `ip address`; if the address has changed, change `addresses` in {config} and run \
             `systemctl reload ruroco-gate`"
        ),
    )
}

fn keys(status: &Status) -> Finding {
    let (expired, accepted): (Vec<_>, Vec<_>) = status.keys.iter().partition(|key| key.expired);
    let expired = match expired.len() {
        0 => String::new(),
        count => format!(", {count} expired"),
    };
    match accepted.len() {
        0 => Finding::problem(
            KEYS,
            format!("the gate accepts no key, so no packet is a knock{expired}"),
            match status.keys.is_empty() {
                true => "run `ruroco key add laptop`",
                false => {
                    "set a later `expires` in [keys.NAME] in config.toml, then run `systemctl reload \
                          ruroco-commander ruroco-gate`; or create a new key with `ruroco key add NAME`"
                }
            },
        ),
        1 => Finding::ok(KEYS, format!("1 key{expired}")),
        count => Finding::ok(KEYS, format!("{count} keys{expired}")),
    }
}

/// Whether doors are closed, if there are any.
fn doors_of(status: &Status) -> Option<Finding> {
    let count = match status.doors.len() {
        0 => return None,
        1 => "1 door is".to_owned(),
        count => format!("{count} doors are"),
    };
    if let Some(problem) = status.nftables.iter().find_map(|table| table.problem.as_ref()) {
        return Some(Finding::problem(
            DOORS,
            format!("doors that nftables closes may be open: {problem}"),
            "see `nft list table inet ruroco` and `journalctl -u ruroco-gate`",
        ));
    }
    Some(match (status.arming.armed, status.arming.left_ms) {
        (true, None) => Finding::ok(DOORS, format!("{count} closed to everyone without a lease")),
        (true, Some(left)) => Finding::warning(
            DOORS,
            format!(
                "{count} closed for {} more seconds, and then open to everyone",
                left.div_ceil(1000)
            ),
            "knock and open a new TCP connection to this host, or run `ruroco confirm`",
        ),
        (false, _) => Finding::warning(
            DOORS,
            format!("{count} open to everyone"),
            "run `ruroco arm --for 10m` to close it, then knock and connect",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_gate::status::TableStatus;

    #[test]
    fn doors_that_are_open_to_everyone_are_a_warning() {
        let mut status = crate::report::tests::status();
        assert_eq!(doors_of(&status).unwrap().state(), State::Ok);
        status.arming.left_ms = Some(90_500);
        let finding = doors_of(&status).unwrap();
        assert_eq!(finding.state(), State::Warning);
        assert!(finding.detail().contains("closed for 91 more seconds"), "{finding}");
        status.arming.armed = false;
        let finding = doors_of(&status).unwrap();
        assert!(finding.detail().contains("1 door is open to everyone"), "{finding}");
        status.nftables =
            Some(TableStatus { restored: 0, problem: Some("nft not found".to_owned()) });
        let finding = doors_of(&status).unwrap();
        assert_eq!(finding.state(), State::Problem);
        assert!(finding.detail().contains("may be open: nft not found"), "{finding}");
        status.doors.clear();
        assert!(doors_of(&status).is_none());
    }

    #[test]
    fn a_gate_whose_keys_have_all_expired_has_a_problem() {
        let mut status = crate::report::tests::status();
        assert_eq!(keys(&status).to_string(), Finding::ok(KEYS, "1 key").to_string());
        status.keys.push(crate::report::tests::key("phone", "00"));
        status.keys[1].expired = true;
        assert_eq!(keys(&status).to_string(), Finding::ok(KEYS, "1 key, 1 expired").to_string());
        status.keys[0].expired = true;
        let finding = keys(&status);
        assert_eq!(finding.state(), State::Problem, "{finding}");
        assert!(finding.detail().contains("2 expired"), "{finding}");
    }

    #[test]
    fn of_each_protocol_an_address_has_to_be_there() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (outer, inner, v6) = (ip("203.0.113.1"), ip("192.0.2.1"), ip("2001:db8::1"));
        for (ips, present, missing) in [
            (vec![outer, inner], vec![inner], None),
            (vec![inner, v6], vec![v6], Some("IPv4")),
            (vec![inner, v6], vec![inner], Some("IPv6")),
            // A route of type `local` delivers what is for any address of 127.0.0.0/8.
            (vec![ip("127.0.0.77")], vec![], None),
        ] {
            let finding = addresses_of(&ips, &present.into_iter().collect(), "/x.toml");
            let expected = if missing.is_some() { State::Problem } else { State::Ok };
            assert_eq!(finding.state(), expected, "{finding}");
            assert!(finding.detail().contains(missing.unwrap_or("on this host")), "{finding}");
        }
    }
}
