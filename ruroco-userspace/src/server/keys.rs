//! The keys of a server that no gate hands them to (`source = "udp"`): those that systemd has passed to
//! it, else those in `config_dir`.

use std::{env, path::Path};

use crate::{
    config::Config,
    key_directory::{self, Error, NamedKey},
};

/// What systemd calls the directory of what it passes (systemd.exec(5)).
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Reads all keys.
///
/// # Errors
/// If one of them cannot be used, or the configuration does not go with them.
pub fn read(config: &Config) -> anyhow::Result<Vec<NamedKey>> {
    let keys = match passed() {
        Some(keys) => keys?,
        None => key_directory::read(&config.config_dir, None)?,
    };
    key_directory::check_configured(config, &keys)?;
    Ok(keys)
}

/// The keys that systemd has passed, if it has passed any: it may have passed something else.
fn passed() -> Option<Result<Vec<NamedKey>, Error>> {
    match key_directory::read_credentials(Path::new(&env::var_os(DIRECTORY)?)) {
        Err(Error::None(_)) => None,
        keys => Some(keys),
    }
}
