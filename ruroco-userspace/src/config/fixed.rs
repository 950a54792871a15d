//! What a running program cannot change: a reload that would is refused, and says so.

use std::{ops::Range, path::Path};

use super::{Config, Mode, Source};
use crate::toml_file::Error;

/// A field that a program looks at when it starts and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// `source`
    Source,
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
            let (name, place, has, is) = match field {
                Fixed::Source => {
                    ("source", &self.places.source, self.source.name(), running.source.name())
                }
                Fixed::SocketDir => (
                    "socket_dir",
                    &self.places.socket_dir,
                    text(&self.socket_dir),
                    text(&running.socket_dir),
                ),
                Fixed::AuditDir => (
                    "audit_dir",
                    &self.places.audit_dir,
                    text(&self.audit_dir),
                    text(&running.audit_dir),
                ),
                Fixed::SocketUser => (
                    "socket_user",
                    &self.places.socket_user,
                    self.socket_user.as_str(),
                    running.socket_user.as_str(),
                ),
                Fixed::PinDir => (
                    "pin_dir",
                    &self.gate.pin_dir_at,
                    text(&self.gate.pin_dir),
                    text(&running.gate.pin_dir),
                ),
            };
            if has != is {
                let message = format!(
                    "`{name}` cannot change while the program runs, where it is {is:?}; restart it, \
                     or write {name} = {is:?}"
                );
                return Err(self.file.error(place.clone(), message));
            }
        }
        Ok(())
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

/// A path that was text in the file.
fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
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

    fn config(text: &str) -> Config {
        Config::check(File::new("/config.toml", text)).unwrap()
    }

    #[test]
    fn what_only_a_restart_changes_is_refused_with_its_line() {
        use Fixed::{PinDir, SocketDir, SocketUser};
        let all = [Fixed::Source, SocketDir, SocketUser, PinDir];
        let running = config(RUNNING);
        for (field, text, line) in [
            (Fixed::Source, format!("source = \"udp\"\n{RUNNING}"), 1),
            (SocketDir, format!("\nsocket_dir = \"/run/x\"\n{RUNNING}"), 2),
            (SocketUser, format!("port = 80\n\nsocket_user = \"x\"\n{RUNNING}"), 3),
            (PinDir, format!("{RUNNING}pin_dir = \"/sys/fs/bpf/x\"\n"), 4),
        ] {
            let new = config(&text);
            let error = new.check_unchanged(&running, &all).unwrap_err().to_string();
            assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{error}");
            assert!(error.contains("restart"), "{error}");
            let others = all.into_iter().filter(|other| *other != field).collect::<Vec<_>>();
            assert!(new.check_unchanged(&running, &others).is_ok(), "{field:?}");
        }
        let rest = "port = 81\nmax_requests_per_second = 1\nconfig_dir = \"/x\"\n";
        let rest = config(&format!("{rest}{}", RUNNING.replace("\"a\"", "\"b\"")));
        assert!(rest.check_unchanged(&running, &all).is_ok());
    }
}
