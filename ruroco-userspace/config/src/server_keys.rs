//! The keys of a server without a gate (`source = "udp"`): the keys that systemd has passed to it, otherwise
//! those in `keys_dir`.

use std::{env, path::PathBuf};

use ruroco_messages::problems::Checked;

use crate::{
    Config, Source,
    key_directory::{self, Keys, Occasion},
};

/// What systemd calls the directory of what it passes (systemd.exec(5)).
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where they are, if there are any to be read.
pub fn directory(config: &Config) -> Option<PathBuf> {
    match config.source {
        Source::Xdp => None,
        Source::Udp => Some(passed_in().unwrap_or_else(|| config.keys_dir.clone())),
    }
}

/// Reads all keys, and checks that the configuration goes with them.
pub fn read(config: &Config, occasion: Occasion) -> Checked<Keys> {
    let keys = match passed_in() {
        Some(directory) => key_directory::read_credentials(&directory, occasion),
        None => key_directory::read(&config.keys_dir, None, occasion),
    };
    keys.and(|keys| keys.check_configured(config))
}

/// Where systemd has passed keys, if it has passed any: it may have passed something else.
fn passed_in() -> Option<PathBuf> {
    let directory = PathBuf::from(env::var_os(DIRECTORY)?);
    key_directory::has_credentials(&directory).then_some(directory)
}
