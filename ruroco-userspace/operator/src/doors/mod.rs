//! `ruroco doors`: which doors are open for which addresses, and how to close them.
//!
//! The gate's status has doors and leases; the kernel lists the sessions. To close a door, this tool sends the
//! gate the same record as the commander. It ends TCP sessions itself, with [`cut`].

mod cut;
pub(crate) mod own_session;
mod own_sockets;
mod sessions;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io::{self, IsTerminal},
    net::IpAddr,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use ruroco_common::{
    address::Address,
    doors::{Door, DoorName, SourcePrefix},
};
use ruroco_config::{
    Config,
    door::{DoorPort, Transport},
};
use ruroco_gate::status::{self, ArmingStatus, DoorStatus, LeaseStatus, TableStatus};
use ruroco_ipc::{
    door_client::DoorClient,
    lease::{Action as LeaseAction, Answer, NO_KEY, Request, SOCKET},
};
use serde::Serialize;

use self::{cut::Ended, sessions::Session};
use super::{
    knocks,
    show::{self, redrawn},
};

/// Time between two requests with `--watch`.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a gate that is running may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to do.
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print JSON: one object on one line
    #[arg(long)]
    json: bool,
    /// Repeat every second until Ctrl-C
    #[arg(long)]
    watch: bool,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Close a door for one address, or for all
    ///
    /// Flows (UDP and forwarded TCP) end, too. TCP sessions with this host continue. With --cut, they also end: those
    /// of the address, or all sessions through the door, whether or not their leases have ended. The session that
    /// this command runs in continues. If it is unknown, as in tmux, no session ends.
    Close {
        /// The door
        name: String,
        /// The address that it is open for; without it, the door is closed for all addresses
        #[arg(long = "for", value_name = "ADDRESS")]
        address: Option<IpAddr>,
        /// Also end TCP sessions
        #[arg(long)]
        cut: bool,
    },
}

/// All that is shown.
#[derive(Debug, Serialize)]
struct Overview {
    /// Whether doors are closed to everyone without a lease.
    arming: ArmingStatus,
    /// Whether the XDP program is on all configured interfaces.
    attached: bool,
    /// The table of the doors that nftables closes, if there are any.
    nftables: Option<TableStatus>,
    doors: Vec<Shown>,
}

/// A door as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    door: DoorStatus,
    /// The other ends of connections to its TCP ports on this host.
    sessions: Vec<IpAddr>,
}

/// Whether a lease of a door for one address covers the other.
fn covers(door: &Door, one: IpAddr, other: IpAddr) -> bool {
    let [one, other] = [one, other].map(|ip| door.lease_key(ip.to_canonical().into()));
    one == other
}

/// A door by its configuration. If `config.toml` no longer has it, a lease covers one address.
fn by_configuration(config: &Config, door: &DoorStatus) -> anyhow::Result<Door> {
    let name = name_of(door)?;
    let source = config.doors.get(&name).map_or(SourcePrefix::ADDRESS, |door| door.source);
    Ok(Door::new(name, source, false))
}

fn name_of(door: &DoorStatus) -> anyhow::Result<DoorName> {
    DoorName::new(&door.name).context("the gate reports a door with an impossible name")
}

/// The ports of a door, as far as they can be read.
fn ports(door: &DoorStatus) -> Vec<DoorPort> {
    door.ports.iter().filter_map(|port| port.parse().ok()).collect()
}

/// How many TCP sessions each door has, by name.
///
/// # Errors
/// If the kernel does not list them.
pub(crate) fn count_sessions(doors: &[DoorStatus]) -> io::Result<BTreeMap<String, usize>> {
    let sessions = sessions::established()?;
    let count = |door: &DoorStatus| {
        let is_here = |session: &&Session| is_port_of(door, session.port);
        (door.name.clone(), sessions.iter().filter(is_here).count())
    };
    Ok(doors.iter().map(count).collect())
}

/// Ends the TCP sessions through doors with the addresses that a key has opened them for; how many there were of each door.
///
/// # Errors
/// If the doors or the trail cannot be read, or the kernel cannot end sessions.
pub(crate) fn cut_sessions_of_key(
    config: &Config,
    key: &str,
    out: &mut impl io::Write,
) -> anyhow::Result<()> {
    let opened = knocks::opened_by(&config.audit_dir, key)?;
    if opened.is_empty() {
        anyhow::bail!(
            "no session was ended: the audit trail has no door that {key} opened. To end all sessions through a door, run \
             `ruroco doors close NAME --cut`"
        );
    }
    for door in status::ask(&config.socket_dir)?.doors {
        let of_source = by_configuration(config, &door)?;
        let addresses = opened.iter().filter(|(name, _)| *name == door.name);
        let addresses: Vec<IpAddr> = addresses.map(|(_, ip)| *ip).collect();
        let is_meant = |peer| addresses.iter().any(|address| covers(&of_source, *address, peer));
        if !addresses.is_empty() {
            tell_of_cut(&cut::end(&ports(&door), is_meant)?, &door.name, out)?;
        }
    }
    Ok(())
}

fn tell_of_cut(ended: &Ended, door: &str, out: &mut impl io::Write) -> io::Result<()> {
    match ended.count {
        1 => writeln!(out, "ended 1 TCP session through {door}")?,
        count => writeln!(out, "ended {count} TCP sessions through {door}")?,
    }
    match &ended.left {
        Some(own) => writeln!(out, "your own session ({own}) continues"),
        None => Ok(()),
    }
}

/// Shows the doors, or closes one.
///
/// # Errors
/// If the gate does not answer, or does not do it.
pub(super) fn run(config: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let config = Config::read(config).or_problems()?;
    match &options.action {
        Some(Action::Close { name, address, cut }) => {
            let out = &mut io::stdout().lock();
            let door = close(&config, name, *address, out)?;
            if *cut {
                let of_source = by_configuration(&config, &door)?;
                let is_meant =
                    |peer| address.is_none_or(|address| covers(&of_source, address, peer));
                tell_of_cut(&cut::end(&ports(&door), is_meant)?, name, out)?;
            }
        }
        None if options.watch => return watch(&config, options.json),
        None => {
            show::print(&shown(&config, options.json)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn watch(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let on_screen = io::stdout().is_terminal() && !json;
    loop {
        let text = shown(config, json)?;
        let text = if on_screen { redrawn(&text) } else { text };
        if !show::print(&text)? {
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep(INTERVAL);
    }
}

fn shown(config: &Config, json: bool) -> anyhow::Result<String> {
    let overview = look(config)?;
    match json {
        true => Ok(format!("{}\n", serde_json::to_string(&overview)?)),
        false => Ok(text(&overview)?),
    }
}

fn look(config: &Config) -> anyhow::Result<Overview> {
    let status = status::ask(&config.socket_dir)?;
    let sessions = sessions::established().context("cannot list the sessions of this host")?;
    let shown = |door: DoorStatus| {
        let is_here = |session: &&Session| is_port_of(&door, session.port);
        let sessions = sessions.iter().filter(is_here).map(|session| session.peer).collect();
        Shown { door, sessions }
    };
    let doors = status.doors.into_iter().map(shown).collect();
    let (arming, attached, nftables) = (status.arming, status.front.attached, status.nftables);
    Ok(Overview { arming, attached, nftables, doors })
}

/// Whether one of the door's TCP ports is this port.
fn is_port_of(door: &DoorStatus, port: u16) -> bool {
    ports(door).iter().any(|ports| ports.contains(Transport::Tcp, port))
}

/// The doors for a person.
fn text(overview: &Overview) -> Result<String, fmt::Error> {
    let Overview { arming, attached, nftables, doors } = overview;
    let mut text = String::new();
    if let Some(problem) = nftables.iter().find_map(|table| table.problem.as_ref()) {
        writeln!(text, "Doors that nftables closes MAY BE OPEN: {problem}")?;
    }
    if !attached {
        text.push_str("The gate is NOT ATTACHED to some interface, and doors are open there. See `ruroco status`\n");
    }
    if doors.is_empty() {
        text.push_str("There are no doors. `man ruroco-config` describes [doors.NAME]\n");
    }
    for Shown { door, sessions } in doors {
        let (name, ports) = (&door.name, shown_ports(door));
        match door.leases.as_slice() {
            _ if !arming.armed => {
                writeln!(text, "{name} ({ports}) is OPEN TO EVERYONE. `ruroco arm` closes it")?;
            }
            [] => writeln!(text, "{name} ({ports}) is closed")?,
            leases => {
                writeln!(text, "{name} ({ports}) is open for")?;
                for lease in leases {
                    writeln!(text, "  {}", line(lease))?;
                }
            }
        }
        match sessions.as_slice() {
            [] => {}
            sessions => {
                let peers = sessions.iter().map(ToString::to_string).collect::<Vec<_>>();
                writeln!(text, "  live sessions: {} ({})", peers.len(), peers.join(", "))?;
            }
        }
        if let Some(flows) = door.flows {
            writeln!(text, "  live flows: {flows}")?;
        }
        if door.admitted > 0 {
            writeln!(text, "  admitted since the gate was started: {}", door.admitted)?;
        }
    }
    Ok(text)
}

/// The ports of a door, and what closes it unless that is the XDP program alone.
pub(super) fn shown_ports(door: &DoorStatus) -> String {
    let ports = door.ports.join(" ");
    match door.backends.as_slice() {
        [xdp] if xdp == "xdp" => ports,
        backends => format!("{ports}, {}", backends.join(" and ")),
    }
}

fn line(lease: &LeaseStatus) -> String {
    let LeaseStatus { address, key, open_ms, left_ms, connections } = lease;
    let [open, left] = [open_ms, left_ms].map(|time| time.div_ceil(1000));
    let connections = connections.map(|count| match count {
        1 => ", 1 connection".to_owned(),
        count => format!(", {count} connections"),
    });
    let connections = connections.unwrap_or_default();
    format!("{address}: closes in {left} s, opened {open} s ago by key {key}{connections}")
}

/// Closes a door for an address, or for all; what the gate said of the door before.
fn close(
    config: &Config,
    name: &str,
    address: Option<IpAddr>,
    out: &mut impl io::Write,
) -> anyhow::Result<DoorStatus> {
    let mut doors = status::ask(&config.socket_dir)?.doors;
    let Some(at) = doors.iter().position(|door| door.name == name) else {
        let names: Vec<&str> = doors.iter().map(|door| door.name.as_str()).collect();
        match names.as_slice() {
            [] => bail!("there is no door {name}: the gate has no doors"),
            names => bail!("there is no door {name}. There are: {}", names.join(" ")),
        }
    };
    let found = doors.swap_remove(at);
    let door = name_of(&found)?;
    match address.map(|address| address.to_canonical()) {
        Some(address) => match request(config, door, LeaseAction::Close, Address::from(address))? {
            true => writeln!(out, "closed {name} for {address}")?,
            false => writeln!(out, "{name} was not open for {address}")?,
        },
        None => {
            match request(config, door, LeaseAction::CloseAll, Address::UNSPECIFIED)? {
                true => writeln!(out, "closed {name}")?,
                false => writeln!(out, "{name} was not open")?,
            }
            if let Some(flows @ 1..) = found.flows {
                writeln!(out, "ended flows through {name}: {flows}")?;
            }
        }
    }
    Ok(found)
}

/// Sends the gate a request; whether the door was open.
fn request(
    config: &Config,
    door: DoorName,
    action: LeaseAction,
    address: Address,
) -> anyhow::Result<bool> {
    let now = Instant::now();
    let deadline = now.checked_add(PATIENCE).unwrap_or(now);
    let gate = DoorClient { socket: &config.socket_dir.join(SOCKET), stop: None, deadline };
    let request = Request { action, door, address, key: NO_KEY, counter: 0 };
    let answer = gate.request(|| request).with_context(|| format!("could not close {door}"))?;
    Ok(answer == Answer::Closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(ports: &[&str], leases: Vec<LeaseStatus>) -> DoorStatus {
        let ports = ports.iter().map(|ports| (*ports).to_owned()).collect();
        DoorStatus {
            name: "ssh".to_owned(),
            ports,
            backends: vec!["xdp".to_owned()],
            for_seconds: 30,
            admitted: 0,
            flows: None,
            leases,
        }
    }

    #[test]
    fn a_session_belongs_to_the_door_of_its_tcp_port() {
        let door = door(&["tcp/22", "tcp/8000-8010", "udp/53"], Vec::new());
        for (port, expected) in
            [(22, true), (8000, true), (8010, true), (23, false), (7999, false), (53, false)]
        {
            assert_eq!(is_port_of(&door, port), expected, "{port}");
        }
    }

    #[test]
    fn a_person_sees_for_whom_a_door_is_open_and_how_long() {
        let lease = LeaseStatus {
            address: "203.0.113.7".to_owned(),
            key: "laptop".to_owned(),
            open_ms: 12_000,
            left_ms: 17_500,
            connections: Some(1),
        };
        let closed = || Shown { door: door(&["tcp/22"], Vec::new()), sessions: Vec::new() };
        let overview = |armed, attached, doors| {
            let arming = ArmingStatus { armed, left_ms: None };
            text(&Overview { arming, attached, nftables: None, doors }).unwrap()
        };
        let sessions = vec!["198.51.100.4".parse().unwrap()];
        let open = Shown { door: door(&["tcp/22"], vec![lease]), sessions };
        assert_eq!(
            overview(true, true, vec![closed(), open]),
            "ssh (tcp/22) is closed\n\
             ssh (tcp/22) is open for\n\
             \x20 203.0.113.7: closes in 18 s, opened 12 s ago by key laptop, 1 connection\n\
             \x20 live sessions: 1 (198.51.100.4)\n"
        );
        assert!(overview(true, true, Vec::new()).contains("no doors"));
        assert_eq!(
            overview(false, true, vec![closed()]),
            "ssh (tcp/22) is OPEN TO EVERYONE. `ruroco arm` closes it\n"
        );
        assert!(overview(true, false, vec![closed()]).contains("NOT ATTACHED"));
        let mut both = closed();
        both.door.backends.push("nftables".to_owned());
        assert_eq!(overview(true, true, vec![both]), "ssh (tcp/22, xdp and nftables) is closed\n");
    }
}
