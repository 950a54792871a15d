//! The settings that a daemon reads at its start and at each reload, and the checks for that daemon.
//!
//! All errors are reported at once: in `config.toml`, in the keys, and in what depends on both or on the
//! running program.

use std::path::Path;

use ruroco_messages::problems::{Checked, Problem, Problems};

use crate::{
    Config, Daemon, Source,
    key_directory::{self, Keys, Occasion},
    server_keys,
};

/// A configuration and the keys that it is about.
#[derive(Debug)]
pub struct Settings {
    /// The content of `config.toml`.
    pub config: Config,
    /// The keys in its `keys_dir`.
    pub keys: Keys,
    /// The uid of `server_user`.
    pub server_uid: u32,
}

impl Settings {
    /// Reads them for gate and commander, which connect to the server: its user must exist. Keys may belong
    /// to the server's user if the server reads them.
    pub fn read(path: &Path, occasion: Occasion) -> Checked<Self> {
        let find_server = |config: &Config| Ok(config.find_server_user()?.uid.as_raw());
        Self::of(Config::read(path), occasion, find_server)
    }

    /// The same from the same file for a program that runs with these and goes on with the server's
    /// user and whatever else only a restart changes: that it has changed is a problem.
    pub fn read_anew(running: &Config, server_uid: u32, daemon: Daemon) -> Checked<Self> {
        let config = running.read_again();
        let config = config.and(|config| config.check_unchanged(running, daemon));
        Self::of(config, Occasion::Reload, |_| Ok(server_uid))
    }

    fn of(
        config: Checked<Config>,
        occasion: Occasion,
        find_server: impl FnOnce(&Config) -> Result<u32, Problem>,
    ) -> Checked<Self> {
        let mut problems = Problems::default();
        let Some(config) = problems.good_of(config) else {
            return problems.of_nothing();
        };
        // Without it there is no saying whom the keys may belong to.
        let Some(server_uid) = problems.good(find_server(&config)) else {
            return problems.of_nothing();
        };
        let also_allowed = (config.source == Source::Udp).then_some(server_uid);
        let keys = key_directory::read_configured(&config, also_allowed, occasion);
        let keys = problems.good_of(keys).unwrap_or_default();
        problems.of(Self { config, keys, server_uid })
    }

    /// Reads them for the server itself, which is that user.
    pub fn read_as_server(path: &Path, occasion: Occasion) -> Checked<(Config, Keys)> {
        Self::of_server(Config::read_as_server(path), occasion)
    }

    /// The same for a configuration that has been read. If a gate hands the keys over, there are no keys yet,
    /// and rules that depend on the keys are not checked.
    pub fn of_server(config: Checked<Config>, occasion: Occasion) -> Checked<(Config, Keys)> {
        let mut problems = Problems::default();
        let Some(config) = problems.good_of(config) else {
            return problems.of_nothing();
        };
        let keys = match config.source {
            Source::Xdp => None,
            Source::Udp => problems.good_of(server_keys::read(&config, occasion)),
        };
        problems.of((config, keys.unwrap_or_default()))
    }
}
