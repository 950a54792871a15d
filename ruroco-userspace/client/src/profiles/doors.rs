//! What a host's commands do to its doors, and the command that connects through one.

use std::num::NonZero;

use ruroco_common::doors::DoorName;
use ruroco_invite::door::Door;

use super::Host;

/// The port of SSH (RFC 4253).
const SSH: u16 = 22;

/// The door that `ruroco init` proposes.
const SSH_DOOR: &str = "ssh";

impl Host {
    /// The doors that this command opens.
    pub fn opened_by<'a>(
        &'a self,
        command: &'a str,
    ) -> impl Iterator<Item = (&'a DoorName, &'a Door)> {
        self.doors.iter().filter(move |(_, door)| door.open.iter().any(|one| one == command))
    }

    /// The doors that this command closes.
    pub fn closed_by<'a>(
        &'a self,
        command: &'a str,
    ) -> impl Iterator<Item = (&'a DoorName, &'a Door)> {
        self.doors.iter().filter(move |(_, door)| door.close.iter().any(|one| one == command))
    }

    /// The TCP port that this command opens, if any. `wait` belongs to the default command, and precedes its
    /// doors: behind a router the host's port may have another number.
    pub fn port_of(&self, command: &str) -> Option<NonZero<u16>> {
        let wait = self.wait.filter(|_| command == self.command);
        let mut doors = self.opened_by(command);
        wait.or_else(|| doors.find_map(|(_, door)| door.port.tcp()))
    }

    /// A listed command that closes a door which `command` opens.
    pub fn closing(&self, command: &str) -> Option<&str> {
        let closes = |other: &&str| {
            let mut doors = self.closed_by(other);
            doors.any(|(_, door)| door.open.iter().any(|one| one == command))
        };
        self.all_commands().find(closes)
    }

    /// The first listed command that opens a door.
    pub fn opening(&self) -> Option<&str> {
        self.all_commands().find(|command| self.opened_by(command).next().is_some())
    }

    /// The command line that connects to the host: `connect` or, for a host with an SSH door, `ssh`.
    pub fn connecting(&self) -> Option<String> {
        self.connect.clone().or_else(|| self.usual_connecting())
    }

    /// What [`Host::connecting`] is if `connect` is not set.
    pub fn usual_connecting(&self) -> Option<String> {
        let port = |(name, door): (&DoorName, &Door)| {
            let port = door.port.tcp()?;
            (name.to_string() == SSH_DOOR || port.get() == SSH).then_some(port)
        };
        let port = self.doors.iter().find_map(port)?;
        // A port that is forwarded by a router has the number in `wait`.
        let port = self.wait.unwrap_or(port).get();
        let host = self.address.host();
        Some(if port == SSH { format!("ssh {host}") } else { format!("ssh -p {port} {host}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn host(doors: &[(&str, &str, &[&str], &[&str])]) -> Host {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let door = |&(name, port, open, close): &(&str, &str, &[&str], &[&str])| {
            let door = Door::new(port.parse().unwrap(), Duration::from_secs(30));
            let door = Door { open: texts(open), close: texts(close), ..door };
            (DoorName::new(name).unwrap(), door)
        };
        let host = Host::new("203.0.113.5".parse().unwrap(), "k".parse().unwrap());
        let host = host.with_commands(["open", "all", "close"].map(str::to_owned));
        Host { doors: doors.iter().map(door).collect(), ..host }
    }

    #[test]
    fn commands_open_and_close_doors() {
        let host = host(&[
            ("ssh", "tcp/22", &["open", "all"], &["close"]),
            ("vpn", "udp/51820", &["all"], &[]),
        ]);
        let names = |command| host.opened_by(command).map(|(name, _)| name.to_string()).collect();
        let (open, all): (Vec<String>, Vec<String>) = (names("open"), names("all"));
        assert_eq!((open, all), (vec!["ssh".to_owned()], vec!["ssh".to_owned(), "vpn".to_owned()]));
        assert_eq!(host.port_of("all").map(NonZero::get), Some(22));
        assert_eq!((host.port_of("close"), host.closing("close")), (None, None));
        assert_eq!((host.opening(), host.closing("open")), (Some("open"), Some("close")));
        let forwarded = Host { wait: NonZero::new(2222), ..host };
        assert_eq!(forwarded.port_of("open").map(NonZero::get), Some(2222));
        assert_eq!(forwarded.port_of("all").map(NonZero::get), Some(22));
    }

    #[test]
    fn ssh_is_proposed_only_for_a_door_to_ssh() {
        for (name, port, proposed) in [
            ("ssh", "tcp/22", Some("ssh 203.0.113.5")),
            ("ssh", "tcp/2200", Some("ssh -p 2200 203.0.113.5")),
            ("admin", "tcp/22", Some("ssh 203.0.113.5")),
            ("web", "tcp/443", None),
            ("ssh", "udp/22", None),
        ] {
            let host = host(&[(name, port, &["open"], &[])]);
            assert_eq!(host.connecting().as_deref(), proposed, "{name} {port}");
            let own = Host { connect: Some("mosh me@host".to_owned()), ..host };
            assert_eq!(own.connecting().as_deref(), Some("mosh me@host"));
        }
    }
}
