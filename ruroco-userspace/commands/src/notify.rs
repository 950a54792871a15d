//! `[notify]` in `commands.toml`: a program that runs after events, to tell people about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use ruroco_files::toml_file::value::Choice;

use crate::task::Program;

/// The program and how to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The program.
    pub program: Program,
    /// The uid to run it as, if not the commander's own.
    pub uid: Option<u32>,
    /// The gid to run it as, if not the commander's own.
    pub gid: Option<u32>,
    /// How long a run may take before it is ended.
    pub timeout: Duration,
    /// The directory it starts in.
    pub cwd: PathBuf,
    /// The variables of its environment, in addition to those with the facts of the event.
    pub env: BTreeMap<String, String>,
    /// The events that it runs after.
    pub topics: BTreeSet<Topic>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A knock was accepted, and its command starts.
    Running,
    /// Something has happened to a door.
    Door,
    /// A command has ended.
    Ended,
    /// The commander has rejected orders.
    Refused,
}

impl Choice for Topic {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("running", Self::Running),
        ("door", Self::Door),
        ("ended", Self::Ended),
        ("refused", Self::Refused),
    ];
}

impl Topic {
    /// The topic with this name.
    pub fn of(name: &str) -> Option<Self> {
        let choice = Self::CHOICES.iter().find(|(known, _)| *known == name);
        choice.map(|(_, topic)| *topic)
    }
}

impl Notify {
    /// Whether it runs after events with this name.
    pub fn wants(&self, event: &str) -> bool {
        Topic::of(event).is_some_and(|topic| self.topics.contains(&topic))
    }
}

/// The fields of the table.
pub mod fields {
    use std::{path::PathBuf, time::Duration};

    use ruroco_files::{
        fields,
        toml_file::{
            field::{Change::Reload, Default},
            value::{Filled, Located, OneOf, Time},
        },
    };

    use super::Topic;

    /// Longest timeout in seconds: what runs for longer keeps other notifications waiting.
    const MAX_TIMEOUT: u64 = 300;

    fields! {
        /// The fields of `[notify]`, except `env`.
        notify;

        /// The program that runs after each event, and its arguments. It gets the event as JSON on its standard
        /// input, and its facts as variables.
        RUN: Vec<Located<String>> = "run", Default::Required, Reload;

        /// The events that the program runs after: an accepted knock whose command starts, something that happens
        /// to a door, the end of a command, orders that the commander has rejected.
        EVENTS: Filled<OneOf<Topic>> = "events", Default::Value(|| {
            Filled([Topic::Running, Topic::Door, Topic::Refused].map(OneOf).to_vec())
        }), Reload;

        /// The user that the program runs as. Its primary group applies, too, but no supplementary group.
        USER: String = "user", Default::Nothing("the commander's user, root"), Reload;

        /// The group that the program runs as.
        GROUP: String = "group", Default::Nothing("the primary group of `user`"), Reload;

        /// How long a run may take. Then it is ended, together with the processes that it has started.
        TIMEOUT: Time<1, MAX_TIMEOUT> = "timeout", Default::Value(|| Time(Duration::from_secs(10))),
            Reload;

        /// The directory that the program starts in.
        CWD: PathBuf = "cwd", Default::Value(|| "/".into()), Reload;
    }
}
