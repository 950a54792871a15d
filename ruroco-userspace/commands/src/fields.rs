//! Every field of a command in `commands.toml`: its type, default and meaning.
//!
//! To add a field, add it here, and to [`Command`](crate::commands::Command), which takes it. The reference
//! page, the names that problems suggest and the dictionary of the fuzzers follow.

use std::{path::PathBuf, time::Duration};

use ruroco_files::{
    fields,
    toml_file::{
        field::{Change::Reload, Default},
        one_or_more::OneOrMore,
        value::{Located, Time},
    },
};

/// Longest timeout in seconds, a day: what runs for longer is a service, not a command.
const MAX_TIMEOUT: u64 = 86_400;

fields! {
    /// The fields of `[commands.NAME]`, except `env`.
    command;

    /// The program and its arguments. A command has at least one of `run`, `shell`, `open` and `close`, and not
    /// both `run` and `shell`.
    RUN: Vec<Located<String>> = "run", Default::Nothing("`shell` is run"), Reload;

    /// A line that is run by `/bin/sh -c`.
    SHELL: String = "shell", Default::Nothing("`run` is run"), Reload;

    /// The doors that the command opens for the address that it runs for, before its program starts. The doors
    /// are in `config.toml`, as `[doors.NAME]`.
    OPEN: OneOrMore<Located<String>> = "open", Default::Nothing("none"), Reload;

    /// The doors that the command closes for this address, before its program starts.
    CLOSE: OneOrMore<Located<String>> = "close", Default::Nothing("none"), Reload;

    /// The user that the command runs as. Its primary and supplementary groups apply, too.
    USER: String = "user", Default::Nothing("the commander's user, root"), Reload;

    /// The group that the command runs as.
    GROUP: String = "group", Default::Nothing("the primary group of `user`"), Reload;

    /// How long a run may take. Then it is ended, together with the processes that it has started.
    TIMEOUT: Time<1, MAX_TIMEOUT> = "timeout", Default::Value(|| Time(Duration::from_secs(30))),
        Reload;

    /// The directory that the command starts in.
    CWD: PathBuf = "cwd", Default::Value(|| "/".into()), Reload;

    /// The keys that may request the command.
    KEYS: Vec<Located<String>> = "keys", Default::Nothing("every key may request it"), Reload;
}

/// The table with additional environment variables of a command.
pub const ENV: &str = "env";
