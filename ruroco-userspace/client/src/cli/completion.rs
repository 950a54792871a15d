//! Shell completions for the client's command line: the user's hosts, keys and commands.
//!
//! Completing reads `client.toml` and the file names of the keys. It reads no key and does not use the
//! keyring. Invalid entries in `client.toml` are left out without a message.

use std::{collections::BTreeSet, ffi::OsStr};

use clap_complete::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter,
    engine::ValueCompleter,
};
use ruroco_command_line::completion::typed;
use ruroco_keys::name::Name;
use ruroco_messages::problems::Problems;

use crate::{
    folder::Folder,
    profiles::{Host, Profiles},
};

/// Names of hosts.
pub(super) fn hosts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let candidate = |(name, host): (&Name, &Host)| {
            CompletionCandidate::new(name.as_str()).help(Some(host.address.to_string().into()))
        };
        profiles().iter().map(candidate).collect()
    })
}

/// Commands of the host on the command line, or of all hosts if no host has been typed yet.
pub(super) fn commands() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let profiles = profiles();
        let host = typed().find_map(|word| profiles.find(&word).ok().flatten());
        let hosts: Vec<&Host> = match host {
            Some((_, host)) => vec![host],
            None => profiles.iter().map(|(_, host)| host).collect(),
        };
        let commands: BTreeSet<&str> = hosts.into_iter().flat_map(Host::all_commands).collect();
        commands.into_iter().map(CompletionCandidate::new).collect()
    })
}

/// Names of keys.
pub(super) fn keys() -> ArgValueCandidates {
    ArgValueCandidates::new(names_of_keys)
}

/// Names of keys, and files.
pub(super) fn keys_and_files() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let typed = current.to_string_lossy();
        let mut found = names_of_keys();
        found.retain(|name| name.get_value().to_string_lossy().starts_with(&*typed));
        found.extend(PathCompleter::file().complete(current));
        found
    })
}

fn names_of_keys() -> Vec<CompletionCandidate> {
    let keys = Folder::of_user().ok().and_then(|folder| folder.keys().names().ok());
    let names = keys.into_iter().flatten().map(|(name, _)| name);
    names.map(|name| CompletionCandidate::new(name.as_str())).collect()
}

fn profiles() -> Profiles {
    let Ok(folder) = Folder::of_user() else { return Profiles::default() };
    Problems::default().good_of(folder.profiles().read()).unwrap_or_default()
}
