//! What a running program cannot change: a reload that would is refused, and says so.

use std::ops::Range;

use super::{Config, Mode, Source};
use crate::toml_file::Error;

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

/// Where fields stand in the file; at its beginning if they are not there.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) source: Range<usize>,
    pub(super) address: Option<Range<usize>>,
    pub(super) port: Option<Range<usize>>,
    pub(super) blocklist_dir: Range<usize>,
    pub(super) socket_dir: Range<usize>,
    pub(super) audit_dir: Range<usize>,
    pub(super) socket_user: Range<usize>,
}

impl Config {
    /// Makes sure that these fields are what they are in the configuration of the running program.
    ///
    /// # Errors
    /// [`Error`] with the line of the first that is not, and its value in the running program.
    pub fn check_unchanged(&self, running: &Self, fields: &[Fixed]) -> Result<(), Error> {
        for field in fields {
            let (name, place) = self.place_of(*field);
            let (has, is) = (self.value_of(*field), running.value_of(*field));
            if has != is {
                let message = format!(
                    "`{name}` cannot change while the program runs, where it is {is:?}; restart it, \
                     or write {name} = {is:?}"
                );
                return Err(self.file.error(place, message));
            }
        }
        Ok(())
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

    fn place_of(&self, field: Fixed) -> (&'static str, Range<usize>) {
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
    pub fn mode_is_fixed(&self, interface: &str, has: &str) -> Error {
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
    use crate::toml_file::Source as File;

    const RUNNING: &str = "ips = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\n";
    const UDP: &str = "ips = [\"192.0.2.1\"]\nsource = \"udp\"\n";

    fn config(text: &str) -> Config {
        Config::check(File::new("/config.toml", text)).unwrap()
    }

    #[test]
    fn what_only_a_restart_changes_is_refused_with_its_line() {
        use Fixed::{Address, AuditDir, BlocklistDir, PinDir, SocketDir, SocketUser};
        let all = [Fixed::Source, Address, BlocklistDir, SocketDir, AuditDir, SocketUser, PinDir];
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
            let error = new.check_unchanged(&running, &all).unwrap_err().to_string();
            assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{error}");
            assert!(error.contains("restart"), "{error}");
            let others = all.into_iter().filter(|other| *other != field).collect::<Vec<_>>();
            assert!(new.check_unchanged(&running, &others).is_ok(), "{field:?}");
        }
        let rest = "max_requests_per_second = 1\nconfig_dir = \"/x\"\n";
        let rest = config(&format!("{rest}{}", RUNNING.replace("\"a\"", "\"b\"")));
        assert!(rest.check_unchanged(&config(RUNNING), &all).is_ok());
    }
}
