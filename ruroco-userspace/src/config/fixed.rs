//! What a running program cannot change: a reload that would is refused, and says so.

use std::{ops::Range, path::Path};

use super::{Config, Mode, Source};
use crate::problems::{Problem, Problems};

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

/// What a configuration says of one.
pub(super) struct Entry<'a> {
    /// The field's name, below those of its tables.
    path: &'static [&'static str],
    pub(super) place: &'a Range<usize>,
    value: &'a str,
}

impl Config {
    /// Makes sure that these fields are what they are in the configuration of the running program.
    /// A problem for each that is not, with its line and its value in the running program.
    pub fn check_unchanged(&self, running: &Self, fields: &[Fixed]) -> Problems {
        let mut problems = Problems::default();
        for field in fields {
            let Entry { path, place, value } = self.fixed(*field);
            let is = running.fixed(*field).value;
            if value == is || self.left_out.hides(path) {
                continue;
            }
            let name = path.last().copied().unwrap_or_default();
            let message = format!(
                "`{name}` cannot change while the program runs, where it is {is:?}; restart it, \
                 or write {name} = {is:?}"
            );
            problems.add(self.file.error(place.clone(), message));
        }
        problems
    }

    pub(super) fn fixed(&self, field: Fixed) -> Entry<'_> {
        let places = &self.places;
        let (path, place, value): (&[_], _, _) = match field {
            Fixed::Source => (&["source"], &places.source, self.source.name()),
            Fixed::SocketDir => (&["socket_dir"], &places.socket_dir, text(&self.socket_dir)),
            Fixed::AuditDir => (&["audit_dir"], &places.audit_dir, text(&self.audit_dir)),
            Fixed::SocketUser => (&["socket_user"], &places.socket_user, self.socket_user.as_str()),
            Fixed::PinDir => {
                (&["gate", "pin_dir"], &self.gate.pin_dir_at, text(&self.gate.pin_dir))
            }
        };
        Entry { path, place, value }
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

    const ALL: [Fixed; 5] =
        [Fixed::Source, Fixed::SocketDir, Fixed::AuditDir, Fixed::SocketUser, Fixed::PinDir];

    fn config(text: &str) -> Config {
        Config::check(File::new("/config.toml", text)).or_problems().unwrap()
    }

    #[test]
    fn what_only_a_restart_changes_is_refused_with_its_line() {
        let running = config(RUNNING);
        for (field, text, line) in [
            (Fixed::Source, format!("source = \"udp\"\n{RUNNING}"), 1),
            (Fixed::SocketDir, format!("\nsocket_dir = \"/run/x\"\n{RUNNING}"), 2),
            (Fixed::AuditDir, format!("\naudit_dir = \"/x\"\n{RUNNING}"), 2),
            (Fixed::SocketUser, format!("port = 80\n\nsocket_user = \"x\"\n{RUNNING}"), 3),
            (Fixed::PinDir, format!("{RUNNING}pin_dir = \"/sys/fs/bpf/x\"\n"), 4),
        ] {
            let new = config(&text);
            let problems = new.check_unchanged(&running, &ALL).to_string();
            assert!(problems.starts_with(&format!("/config.toml:{line}: ")), "{problems}");
            assert!(problems.contains("restart"), "{problems}");
            assert_eq!(problems.lines().count(), 1, "{problems}");
            let others = ALL.into_iter().filter(|other| *other != field).collect::<Vec<_>>();
            assert!(new.check_unchanged(&running, &others).is_empty(), "{field:?}");
        }
        let rest = "port = 81\nmax_requests_per_second = 1\nconfig_dir = \"/x\"\n";
        let rest = config(&format!("{rest}{}", RUNNING.replace("\"a\"", "\"b\"")));
        assert!(rest.check_unchanged(&running, &ALL).is_empty());
    }

    #[test]
    fn of_what_was_refused_nobody_knows_whether_it_has_changed() {
        let running = config(
            "socket_dir = \"/run/x\"\naudit_dir = \"/x\"\nips = [\"192.0.2.1\"]\n[gate]\n\
             interfaces = [\"a\"]\npin_dir = \"/sys/fs/bpf/x\"\n",
        );
        for (text, told) in [
            ("socket_dir = 1\n[gate]\ninterfaces = [\"a\"]\npin_dir = \"/y\"", vec![5]),
            ("socket_dir = \"/y\"\ngate = 1", vec![2]),
        ] {
            let mut refused = Problems::default();
            let text = format!("audit_dir = \"/y\"\n{text}\n");
            let new = Config::check(File::new("/config.toml", text));
            let new = refused.good_of(new).unwrap();
            assert!(!refused.is_empty());
            let problems = new.check_unchanged(&running, &ALL).sorted();
            let lines: Vec<_> = problems.iter().filter_map(Problem::line).collect();
            assert_eq!(lines, [1].into_iter().chain(told).collect::<Vec<_>>(), "{problems}");
        }
    }
}
