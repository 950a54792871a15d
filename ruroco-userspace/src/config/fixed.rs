//! What a running program cannot change: a reload that would is refused, and says so.

use std::ops::Range;

use super::{Config, Source};
use crate::toml_file::Error;

/// A field that a program looks at when it starts and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// `source`
    Source,
    /// `socket_dir`
    SocketDir,
    /// `blocklist_dir`
    BlocklistDir,
    /// `address`, or `port` if that alone is there
    Address,
}

/// Where fields stand in the file; at its beginning if they are not there.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) source: Range<usize>,
    pub(super) socket_dir: Range<usize>,
    pub(super) blocklist_dir: Range<usize>,
    pub(super) address: Option<Range<usize>>,
    pub(super) port: Option<Range<usize>>,
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
            Fixed::SocketDir => self.socket_dir.display().to_string(),
            Fixed::BlocklistDir => self.blocklist_dir.display().to_string(),
            Fixed::Address => self.address.to_string(),
        }
    }

    fn place_of(&self, field: Fixed) -> (&'static str, Range<usize>) {
        let places = &self.places;
        match field {
            Fixed::Source => ("source", places.source.clone()),
            Fixed::SocketDir => ("socket_dir", places.socket_dir.clone()),
            Fixed::BlocklistDir => ("blocklist_dir", places.blocklist_dir.clone()),
            Fixed::Address => {
                let place = places.address.as_ref().or(places.port.as_ref());
                ("address", place.cloned().unwrap_or_default())
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toml_file::Source as File;

    const RUNNING: &str = "ips = [\"192.0.2.1\"]\nsource = \"udp\"\n";

    fn config(text: &str) -> Config {
        Config::check(File::new("/config.toml", text)).unwrap()
    }

    #[test]
    fn what_only_a_restart_changes_is_refused_with_its_line() {
        let all = [Fixed::Source, Fixed::SocketDir, Fixed::BlocklistDir, Fixed::Address];
        let running = config(RUNNING);
        for (field, text, line) in [
            (Fixed::Source, RUNNING.replace("udp", "xdp") + "gate.interfaces = [\"a\"]", 2),
            (Fixed::SocketDir, format!("\nsocket_dir = \"/run/x\"\n{RUNNING}"), 2),
            (Fixed::BlocklistDir, format!("{RUNNING}blocklist_dir = \"/x\"\n"), 3),
            (Fixed::Address, format!("{RUNNING}address = \"[::1]:80\"\n"), 3),
            (Fixed::Address, format!("{RUNNING}\nport = 81\n"), 4),
        ] {
            let new = config(&text);
            let error = new.check_unchanged(&running, &all).unwrap_err().to_string();
            assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{error}");
            assert!(error.contains("restart"), "{error}");
            let others = all.into_iter().filter(|other| *other != field).collect::<Vec<_>>();
            assert!(new.check_unchanged(&running, &others).is_ok(), "{field:?}");
        }
        let rest = "port = 80\nmax_requests_per_second = 1\nconfig_dir = \"/x\"\n";
        assert!(config(&format!("{rest}{RUNNING}")).check_unchanged(&running, &all).is_ok());
    }
}
