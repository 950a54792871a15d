//! The doors that `init` sets up: ports that are closed to everyone and that a knock opens.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    str::FromStr,
    time::Duration,
};

use ruroco_common::doors::DoorName;
use ruroco_config::{
    Config, Source,
    door::{DoorPort, Transport},
};
use ruroco_gate::{
    arming::{Arming, Switch},
    netlink, nft,
};
use ruroco_ipc::boot_clock;

use crate::{doors::own_session, sshd};

/// `ARPHRD_ETHER`, `ARPHRD_LOOPBACK` (linux/if_arp.h)
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;

/// How long new doors are armed until the operator confirms them.
const TRIAL: Duration = Duration::from_secs(600);

/// One port of a door, as `--door` names it: `ssh=tcp/22`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    name: DoorName,
    port: DoorPort,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "use NAME=PORT, such as ssh=tcp/22";
        let (name, port) = text.split_once('=').ok_or(example)?;
        let name = DoorName::new(name).ok_or_else(|| {
            format!(
                "the name of a door has 1 to {} of the characters a-z, 0-9, - and _",
                DoorName::MAX_LENGTH
            )
        })?;
        let port = port.parse().map_err(|remedy| format!("{port} is not a port; use {remedy}"))?;
        Ok(Self { name, port })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.port)
    }
}

/// The doors, and the ports of each.
#[derive(Debug, Default)]
pub(super) struct Doors(BTreeMap<DoorName, Vec<DoorPort>>);

impl FromIterator<Choice> for Doors {
    fn from_iter<T: IntoIterator<Item = Choice>>(choices: T) -> Self {
        let mut doors = Self::default();
        for Choice { name, port } in choices {
            doors.0.entry(name).or_default().push(port);
        }
        doors
    }
}

impl Doors {
    /// Whether there are no doors.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes sure that the gate can close them.
    ///
    /// # Errors
    /// If a program is missing. The message names the command that helps.
    pub(super) fn check_programs(&self, source: Source) -> anyhow::Result<()> {
        match source {
            Source::Udp if !self.is_empty() => nft::check_installed(),
            Source::Udp | Source::Xdp => Ok(()),
        }
    }

    /// Their tables in `config.toml`. Without XDP, nftables closes them.
    pub(super) fn config_text(&self, source: Source) -> String {
        let backend = match source {
            Source::Xdp => "",
            Source::Udp => "backend = \"nftables\"\n",
        };
        let mut text = String::new();
        for (name, ports) in &self.0 {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            // A string takes everything.
            let _ = write!(text, "\n[doors.{name}]\nport = {}\n{backend}", one_or_more(&ports));
        }
        text
    }

    /// The first `commands.toml`, whose default command opens all of them. Another one closes them.
    pub(super) fn commands_text(&self) -> String {
        let names: Vec<String> = self.0.keys().map(ToString::to_string).collect();
        let names = one_or_more(&names);
        format!(
            "# The commands that accepted knocks may request. `default` is for knocks that name no command.\n\
             [commands.default]\nopen = {names}\n\n[commands.close]\nclose = {names}\n"
        )
    }

    /// What the operator should know before the doors close.
    pub(super) fn warning(&self) -> Option<String> {
        let ports: Vec<DoorPort> = self.0.values().flatten().copied().collect();
        warning(&ports, own_tunnel().as_deref())
    }

    /// For a gate that is about to start: doors are open until they are armed.
    ///
    /// # Errors
    /// If this cannot be written.
    pub(super) fn disarm(config: &Config) -> anyhow::Result<()> {
        Switch::open(config)?.set(Arming::Disarmed)
    }

    /// Closes the doors for a trial, and says how it ends.
    ///
    /// # Errors
    /// If the state cannot be changed.
    pub(super) fn arm(&self, config: &Config) -> anyhow::Result<String> {
        let end = boot_clock::now().saturating_add(TRIAL);
        Switch::open(config)?.set(Arming::ArmedUntil(end))?;
        let minutes = TRIAL.as_secs().div_ceil(60);
        let names: Vec<String> = self.0.keys().map(ToString::to_string).collect();
        Ok(format!(
            "closed {}. TCP sessions with this host continue. Within {minutes} minutes, knock and open a new TCP \
             connection to this host, or run `ruroco confirm`; otherwise everyone can connect again",
            names.join(", ")
        ))
    }
}

/// As TOML: one text, or a list.
fn one_or_more(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    match quoted.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// The door to propose: SSH, at the ports that sshd uses.
pub(super) fn ssh() -> Vec<Choice> {
    let choice = |port| {
        let port = DoorPort { transport: Transport::Tcp, first: port, last: port };
        Some(Choice { name: DoorName::new("ssh")?, port })
    };
    sshd::ports().into_iter().filter_map(choice).collect()
}

/// That a UDP door cuts what uses its port, and whether this may be the operator's own way in. `below` is the interface
/// through which his session comes, if it is a tunnel.
fn warning(ports: &[DoorPort], below: Option<&str>) -> Option<String> {
    let shown: Vec<String> = ports
        .iter()
        .filter(|port| port.transport == Transport::Udp)
        .map(ToString::to_string)
        .collect();
    if shown.is_empty() {
        return None;
    }
    let shown = shown.join(" ");
    let all = format!(
        "{shown}: UDP has no sessions, so a door cuts what uses the port when it closes, until a knock opens it"
    );
    Some(match below {
        None => all,
        Some(tunnel) => format!(
            "WARNING: your SSH session comes in through the tunnel {tunnel}. If {tunnel} uses {shown}, the door cuts your \
             session for the ten minutes of the trial, and only a knock from the address outside the tunnel opens it.\n{all}"
        ),
    })
}

/// The tunnel through which the operator's own session comes in: an interface without Ethernet headers that has the address
/// which the session is with.
fn own_tunnel() -> Option<String> {
    let own = own_session::find()?;
    let assigned = netlink::addresses().ok()?.into_iter().find(|one| one.ip == own.address)?;
    let link = netlink::links().ok()?.into_iter().find(|link| link.index == assigned.index)?;
    let is_tunnel = ![ETHERNET, LOOPBACK].contains(&link.hardware);
    is_tunnel.then_some(link.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(choices: &[&str]) -> Doors {
        choices.iter().map(|choice| choice.parse::<Choice>().unwrap()).collect()
    }

    #[test]
    fn a_choice_is_a_name_and_a_port() {
        for good in ["ssh=tcp/22", "wg=udp/51820", "web=tcp/8000-8010"] {
            assert_eq!(good.parse::<Choice>().unwrap().to_string(), good);
        }
        for (bad, said) in [
            ("ssh", "such as ssh=tcp/22"),
            ("SSH=tcp/22", "a-z"),
            ("ssh=22", "22 is not a port; use a protocol"),
        ] {
            let error = bad.parse::<Choice>().unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }

    #[test]
    fn ports_with_one_name_are_one_door() {
        let doors = doors(&["web=tcp/80", "ssh=tcp/22", "web=tcp/443"]);
        assert_eq!(
            doors.config_text(Source::Xdp),
            "\n[doors.ssh]\nport = \"tcp/22\"\n\n[doors.web]\nport = [\"tcp/80\", \"tcp/443\"]\n"
        );
        let without_xdp = doors.config_text(Source::Udp);
        assert_eq!(without_xdp.matches("\nbackend = \"nftables\"\n").count(), 2, "{without_xdp}");
        let names = "[\"ssh\", \"web\"]";
        let commands =
            format!("[commands.default]\nopen = {names}\n\n[commands.close]\nclose = {names}\n");
        assert!(doors.commands_text().ends_with(&commands));
    }

    #[test]
    fn a_udp_door_is_said_to_cut_what_uses_its_port() {
        let ports = ["tcp/22", "udp/51820"].map(|port| port.parse().unwrap());
        assert_eq!(warning(&ports[..1], Some("wg0")), None);
        let said = warning(&ports, None).unwrap();
        assert!(said.starts_with("udp/51820: UDP has no sessions"), "{said}");
        let said = warning(&ports, Some("wg0")).unwrap();
        assert!(said.contains("comes in through the tunnel wg0. If wg0 uses udp/51820"), "{said}");
    }
}
