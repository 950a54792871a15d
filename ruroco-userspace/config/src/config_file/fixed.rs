//! What a running program cannot change: a reload that would is refused, and says so.

use std::ops::Range;

use ruroco_messages::problems::{Problem, Problems};

use super::{Config, Mode, Source};

/// A field that a program looks at when it starts and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// `source`
    Source,
    /// `address`, or `port` if that alone is there
    Address,
    /// `blocklist_dir`
    BlocklistDir,
    /// `socket_dir`
    SocketDir,
    /// `audit_dir`
    AuditDir,
    /// `socket_user`
    SocketUser,
    /// `pin_dir` of `[gate]`
    PinDir,
}

impl Config {
    /// Makes sure that these fields are what they are in the configuration of the running program.
    /// A problem for each that is not, with its line and its value in the running program.
    pub fn check_unchanged(&self, running: &Self, fields: &[Fixed]) -> Problems {
        let mut problems = Problems::default();
        for field in fields.iter().filter(|field| self.is_known(**field)) {
            let (name, place) = self.place_of(*field);
            let (has, is) = (self.value_of(*field), running.value_of(*field));
            if has != is {
                let message = format!(
                    "`{name}` cannot change while the program runs, where it is {is:?}; restart it, \
                     or write {name} = {is:?}"
                );
                problems.add(self.file.error(place, message));
            }
        }
        problems
    }

    /// Makes sure that a socket which somebody else has opened is at our port: if it is not, knocks seem never to
    /// come. Upstream takes such a socket as it is, so a file for it says nothing of that.
    pub fn check_passed_socket(&self, port: u16) -> Option<Problem> {
        if self.is_upstreams || port == self.port || !self.is_known(Fixed::Address) {
            return None;
        }
        let own = self.port;
        let message = format!(
            "the socket that systemd has passed is at port {port}, and the port here is {own}; if clients \
             send to {port}, write port = {port} and no `address`; else have systemd open {own}: systemctl \
             edit ruroco-udp.socket, and below [Socket] ListenDatagram=, empty, and then \
             ListenDatagram=[::]:{own}"
        );
        Some(self.file.error(self.place_of(Fixed::Address).1, message))
    }

    /// Whether it was not refused itself: nobody can say then whether it has changed.
    fn is_known(&self, field: Fixed) -> bool {
        let hides = |path: &[&str]| self.left_out.hides(path);
        !match field {
            Fixed::Address => hides(&["address"]) || hides(&["port"]),
            Fixed::PinDir => hides(&["gate", "pin_dir"]),
            Fixed::Source
            | Fixed::BlocklistDir
            | Fixed::SocketDir
            | Fixed::AuditDir
            | Fixed::SocketUser => hides(&[self.place_of(field).0]),
        }
    }

    fn value_of(&self, field: Fixed) -> String {
        match field {
            Fixed::Source => self.source.name().to_owned(),
            Fixed::Address => self.address.to_string(),
            Fixed::BlocklistDir => self.blocklist_dir.display().to_string(),
            Fixed::SocketDir => self.socket_dir.display().to_string(),
            Fixed::AuditDir => self.audit_dir.display().to_string(),
            Fixed::SocketUser => self.socket_user.clone(),
            Fixed::PinDir => self.gate.pin_dir.display().to_string(),
        }
    }

    pub(super) fn place_of(&self, field: Fixed) -> (&'static str, Range<usize>) {
        let places = &self.places;
        match field {
            Fixed::Source => ("source", places.source.clone()),
            Fixed::Address => {
                let place = places.address.as_ref().or(places.port.as_ref());
                ("address", place.cloned().unwrap_or_default())
            }
            Fixed::BlocklistDir => ("blocklist_dir", places.blocklist_dir.clone()),
            Fixed::SocketDir => ("socket_dir", places.socket_dir.clone()),
            Fixed::AuditDir => ("audit_dir", places.audit_dir.clone()),
            Fixed::SocketUser => ("socket_user", places.socket_user.clone()),
            Fixed::PinDir => ("pin_dir", self.gate.pin_dir_at.clone()),
        }
    }

    /// That the mode in which an interface is cannot become the one that is asked for.
    pub fn mode_is_fixed(&self, interface: &str, has: &str) -> Problem {
        let message = format!(
            "`mode` is {:?} now, and {interface} is in {has} mode, which cannot change while the gate \
             is closed; restart it (it is open in between), or leave the mode as it was",
            self.gate.mode.name(),
        );
        self.file.error(self.gate.mode_at.clone(), message)
    }
}

impl Source {
    /// The name it has in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Udp => "udp",
        }
    }
}

impl Mode {
    /// The name it has in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Auto => "auto",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fixed::{Address, AuditDir, BlocklistDir, PinDir, SocketDir, SocketUser};
    use ruroco_files::toml_file::Source as File;

    const RUNNING: &str = "ips = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\n";
    const UDP: &str = "ips = [\"192.0.2.1\"]\nsource = \"udp\"\n";

    const ALL: [Fixed; 7] =
        [Fixed::Source, Address, BlocklistDir, SocketDir, AuditDir, SocketUser, PinDir];

    fn config(text: &str) -> Config {
        Config::check(File::new("/config.toml", text)).or_problems().unwrap()
    }

    #[test]
    fn what_only_a_restart_changes_is_refused_with_its_line() {
        for (running, field, text, line) in [
            (RUNNING, Fixed::Source, format!("source = \"udp\"\n{RUNNING}"), 1),
            (RUNNING, SocketDir, format!("\nsocket_dir = \"/run/x\"\n{RUNNING}"), 2),
            (RUNNING, SocketUser, format!("port = 80\n\nsocket_user = \"x\"\n{RUNNING}"), 3),
            (RUNNING, AuditDir, format!("audit_dir = \"/x\"\n{RUNNING}"), 1),
            (RUNNING, PinDir, format!("{RUNNING}pin_dir = \"/sys/fs/bpf/x\"\n"), 4),
            (UDP, BlocklistDir, format!("{UDP}blocklist_dir = \"/x\"\n"), 3),
            (UDP, Address, format!("{UDP}address = \"[::1]:80\"\n"), 3),
            (UDP, Address, format!("{UDP}\nport = 81\n"), 4),
        ] {
            let (new, running) = (config(&text), config(running));
            let problems = new.check_unchanged(&running, &ALL).to_string();
            assert!(problems.starts_with(&format!("/config.toml:{line}: ")), "{problems}");
            assert!(problems.contains("restart"), "{problems}");
            assert_eq!(problems.lines().count(), 1, "{problems}");
            let others = ALL.into_iter().filter(|other| *other != field).collect::<Vec<_>>();
            assert!(new.check_unchanged(&running, &others).is_empty(), "{field:?}");
        }
        let rest = "max_requests_per_second = 1\nconfig_dir = \"/x\"\n";
        let rest = config(&format!("{rest}{}", RUNNING.replace("\"a\"", "\"b\"")));
        assert!(rest.check_unchanged(&config(RUNNING), &ALL).is_empty());
    }

    #[test]
    fn a_socket_at_another_port_is_refused_unless_the_file_is_upstreams() {
        let message = config(&format!("{UDP}\nport = 81\n")).check_passed_socket(82).unwrap();
        let message = message.to_string();
        for part in ["/config.toml:4: ", "port 82,", "here is 81;", "write port = 82", "[::]:81"] {
            assert!(message.contains(part), "{message}");
        }
        for (text, port) in [
            (UDP.to_owned(), 80),
            (format!("{UDP}address = \"[::1]:81\"\n"), 81),
            ("ips = [\"192.0.2.1\"]\n".to_owned(), 80),
            ("ips = [\"192.0.2.1\"]\naddress = \"[::]:34020\"\n".to_owned(), 80),
        ] {
            assert_eq!(config(&text).check_passed_socket(port), None, "{text}");
        }
    }

    #[test]
    fn of_what_was_refused_nobody_knows_whether_it_has_changed() {
        let running = config(
            "socket_dir = \"/run/x\"\naudit_dir = \"/x\"\naddress = \"[::]:81\"\n\
             ips = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\npin_dir = \"/sys/fs/bpf/x\"\n",
        );
        for (text, told) in [
            (
                "socket_dir = 1\naddress = 1\n[gate]\ninterfaces = [\"a\"]\npin_dir = \"/y\"",
                vec![1, 6],
            ),
            ("socket_dir = \"/y\"\nport = 0\ngate = 1", vec![1, 2]),
            ("socket_dir = \"/y\"\nport = \"81\"\ngate.pin_dir = 1", vec![1, 2]),
        ] {
            let mut refused = Problems::default();
            let text = format!("audit_dir = \"/y\"\n{text}\n");
            let new = Config::check(File::new("/config.toml", text));
            let new = refused.good_of(new).unwrap();
            assert!(!refused.is_empty());
            let problems = new.check_unchanged(&running, &ALL).sorted();
            let lines: Vec<_> = problems.iter().filter_map(Problem::line).collect();
            assert_eq!(lines, told, "{problems}");
        }
    }
}
