//! Shell completion of the operator's command line: this host's keys and commands, for root, who may read
//! them.

use std::path::Path;

use clap_complete::{ArgValueCandidates, CompletionCandidate};
use ruroco_commands::{command_file, commands};
use ruroco_config as config;
use ruroco_config::{Config, key_directory};
use ruroco_messages::problems::Problems;

/// Names of keys. No key is read.
pub(super) fn keys() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let config = Config::read(Path::new(config::DEFAULT_PATH));
        let config = Problems::default().good_of(config);
        let files = config.and_then(|config| key_directory::owners(&config.keys_dir).ok());
        let names = files.into_iter().flatten();
        names.filter_map(|(path, _)| Some(CompletionCandidate::new(path.file_stem()?))).collect()
    })
}

/// Names of commands.
pub(super) fn commands() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let commands = command_file::read(Path::new(commands::DEFAULT_PATH), None);
        let commands = Problems::default().good_of(commands);
        let names = commands.iter().flat_map(|commands| commands.names());
        names.map(CompletionCandidate::new).collect()
    })
}
