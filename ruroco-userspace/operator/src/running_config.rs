//! The configuration that `ruroco status` goes by. It is `config.toml`, unless that has errors: daemons that run keep
//! their earlier configuration then, and the gate reports its own addresses and interfaces.

use std::{net::IpAddr, path::Path};

use ruroco_config::{Config, Source};
use ruroco_files::toml_file::Source as File;
use ruroco_gate::status::{self, Status};
use ruroco_messages::problems::{Checked, Level, Problems};

use super::doctor::Finding;

/// A configuration, and the errors in its file.
pub(super) struct RunningConfig {
    pub(super) config: Config,
    pub(super) finding: Option<Finding>,
}

impl RunningConfig {
    /// Reads the file, and asks the gate if the file has errors.
    ///
    /// # Errors
    /// All errors, if no gate answers and there is no configuration to go on with.
    pub(super) fn read(path: &Path) -> Result<Self, Problems> {
        Self::of(path, Config::read(path), status::ask)
    }

    fn of(
        path: &Path,
        checked: Checked<Config>,
        ask: impl FnOnce(&Path) -> anyhow::Result<Status>,
    ) -> Result<Self, Problems> {
        let problems = checked.problems().clone().sorted();
        let mut errors = problems.iter().filter(|problem| problem.level() == Level::Error);
        let Some(first) = errors.next().map(ToString::to_string) else {
            return Ok(Self { config: checked.or_problems()?, finding: None });
        };
        let more = match errors.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let readable = Problems::default().good_of(checked);
        let defaults = || Problems::default().good_of(Config::check(File::new(path, "")));
        let is_there = readable.is_some();
        let Some(mut config) = readable.or_else(defaults) else { return Err(problems) };
        if config.source == Source::Xdp {
            match ask(&config.socket_dir) {
                Ok(status) => use_running(&mut config, status),
                Err(_) if !is_there => return Err(problems),
                Err(_) => {}
            }
        }
        let finding = Finding::problem(
            "config",
            format!(
                "{first}{more}. Daemons that run keep their earlier configuration. None of them starts or reloads with \
                 this one"
            ),
            "fix the errors that `ruroco check` lists",
        );
        Ok(Self { config, finding: Some(finding) })
    }
}

/// Replaces what the running gate reports otherwise.
fn use_running(config: &mut Config, status: Status) {
    let ips = status.addresses.iter().filter_map(|address| address.ip.parse::<IpAddr>().ok());
    config.addresses = ips.map(Into::into).collect();
    config.port = status.port;
    config.gate.interfaces =
        status.front.interfaces.into_iter().map(|interface| interface.name).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::status;
    use anyhow::bail;

    const GOOD: &str = "addresses = [\"192.0.2.7\"]\nsocket_dir = \"/run/other\"\n[gate]\ninterfaces = [\"eth7\"]\n";

    fn of(text: &str, answers: bool) -> Result<RunningConfig, Problems> {
        let path = Path::new("/x/config.toml");
        RunningConfig::of(path, Config::check(File::new(path, text)), |_| match answers {
            true => Ok(status()),
            false => bail!("not running"),
        })
    }

    #[test]
    fn a_file_without_errors_is_what_it_says() {
        let RunningConfig { config, finding } = of(GOOD, true).unwrap();
        assert_eq!((config.gate.interfaces, finding.is_none()), (vec!["eth7".to_owned()], true));
    }

    #[test]
    fn with_an_error_the_gate_that_runs_says_what_it_guards_and_the_rest_is_read() {
        let RunningConfig { config, finding } = of(&format!("prot = 80\n{GOOD}"), true).unwrap();
        assert_eq!(config.gate.interfaces, ["eth0", "eth1"]);
        assert_eq!((config.addresses.len(), config.port), (2, 80));
        assert_eq!(config.socket_dir, Path::new("/run/other"));
        let finding = finding.unwrap().to_string();
        for part in ["problem", "/x/config.toml:1: unknown field `prot`", "`ruroco check`"] {
            assert!(finding.contains(part), "{finding}");
        }
    }

    #[test]
    fn of_a_file_that_is_no_toml_only_the_gate_knows_anything() {
        let RunningConfig { config, finding } = of("addresses = [\n", true).unwrap();
        assert_eq!(config.socket_dir, Path::new("/run/ruroco"));
        assert_eq!(config.gate.interfaces, ["eth0", "eth1"]);
        assert!(finding.is_some());
        assert!(of("addresses = [\n", false).is_err());
        assert!(of(&format!("prot = 80\n{GOOD}"), false).is_ok());
    }
}
