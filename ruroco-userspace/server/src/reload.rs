//! Changes keys and configuration of a running server: whenever a gate hands over, and on SIGHUP.
//!
//! The server detects all errors first, and puts the new state into force in one step. Floors, the totals of
//! rejections and the state of the rate limits continue. The floor of a new key is on the disk before the key
//! can be used.

use ruroco_daemon::clock::Now;
use std::fmt::Write;

use ruroco_config::{
    Config, Daemon, Source,
    key_directory::{self, Occasion},
    settings::Settings,
};
use ruroco_daemon::logging;
use ruroco_keys::named_key::NamedKey;
use ruroco_messages::problems::{Checked, Problems};

use super::{floor_file, server::Server, verifier::Verifier};

/// Keys that were handed over and not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotAdopted {
    /// Those that are new have no floors. It may go better the next time.
    #[error(transparent)]
    Floors(#[from] floor_file::Error),
    /// They are the first, and the configuration does not go with them.
    #[error(transparent)]
    Configuration(#[from] Problems),
}

/// Most keys that are named in a line of the log.
const NAMED: usize = 5;

impl Server {
    /// Takes the keys that a gate has handed over in the place of those there were, and the
    /// configuration as it is now; how many keys are in force then.
    ///
    /// If that configuration is bad, the one there was stays in force, with the keys that were there and
    /// still are. Keys that are new wait: which rules they are to have is not known, and without any
    /// they could do everything.
    ///
    /// # Errors
    /// [`NotAdopted`]. All is as it was then.
    pub fn adopt(&mut self, now: Now, keys: Vec<NamedKey>) -> Result<usize, NotAdopted> {
        let changed = self.changed_configuration().and(|config| go_with(config, &keys));
        match logging::or_refuse(changed) {
            Ok(config) => {
                self.put_in_force(now, config, &keys)?;
            }
            Err(problems) if self.keys.is_empty() => return Err(problems.into()),
            Err(problems) => {
                let is_known =
                    |named: &&NamedKey| self.verifier.name(named.key.id) == Some(&named.name);
                let (known, new): (Vec<_>, Vec<_>) = keys.iter().partition(is_known);
                let waiting = names(&new);
                for problem in problems.iter() {
                    tracing::error!(
                        %waiting,
                        "the earlier rules stay in force, and new keys are not accepted: {problem}"
                    );
                }
                self.verifier = Verifier::new(&self.config, known).succeeding(&self.verifier);
            }
        }
        self.keys = keys;
        Ok(self.keys_in_force())
    }

    /// Puts the current content of the files into force: the configuration, and the keys if no gate hands
    /// them over. If systemd has opened the socket, its port is `passed_port`.
    ///
    /// # Errors
    /// The errors in the files. The earlier state stays in force then.
    pub fn reload(&mut self, now: Now, passed_port: Option<u16>) -> anyhow::Result<()> {
        let config = self.changed_configuration().and(|config| {
            let mut problems = Problems::default();
            problems.extend(passed_port.and_then(|port| config.check_passed_socket(port)));
            problems
        });
        match self.config.source {
            Source::Udp => {
                let (config, keys) =
                    logging::or_refuse(Settings::of_server(config, Occasion::Reload))?;
                self.put_in_force(now, config, &keys.usable)?;
                self.keys = keys.usable;
            }
            // Until a gate hands them over there are none that it could go with.
            Source::Xdp if self.keys.is_empty() => self.config = logging::or_refuse(config)?,
            Source::Xdp => {
                let config = config.and(|config| go_with(config, &self.keys));
                let config = logging::or_refuse(config)?;
                let keys = std::mem::take(&mut self.keys);
                let outcome = self.put_in_force(now, config, &keys);
                self.keys = keys;
                outcome?;
            }
        }
        tracing::info!(keys = self.keys_in_force(), "reloaded");
        Ok(())
    }

    /// The configuration as it is in its file now, and whether a running server can have it.
    fn changed_configuration(&self) -> Checked<Config> {
        self.config.read_again_as_server().and(|config| {
            let mut problems = config.check_unchanged(&self.config, Daemon::Server);
            if config.source == Source::Udp {
                problems.extend(config.check_same_port(&self.config));
            }
            problems
        })
    }

    fn put_in_force(
        &mut self,
        now: Now,
        config: Config,
        keys: &[NamedKey],
    ) -> Result<(), floor_file::Error> {
        self.floors.admit(keys.iter().map(|named| named.key.id), now.epoch)?;
        self.verifier = Verifier::new(&config, keys).succeeding(&self.verifier);
        self.config = config;
        Ok(())
    }
}

/// What a configuration says that does not go with these keys.
fn go_with(config: &Config, keys: &[NamedKey]) -> Problems {
    let names: Vec<&str> = keys.iter().map(|named| named.name.as_str()).collect();
    key_directory::check_configured(config, &names, keys)
}

/// Names for a line of the log, not too many of them.
fn names(keys: &[&NamedKey]) -> String {
    let some: Vec<&str> = keys.iter().take(NAMED).map(|named| named.name.as_str()).collect();
    let mut names = some.join(" ");
    let more = keys.len().saturating_sub(some.len());
    if more > 0 {
        let _ = write!(names, " and {more} more");
    }
    names
}
