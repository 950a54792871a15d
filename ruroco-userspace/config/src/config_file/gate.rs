//! `[gate]`: where the gate is attached and what it looks like.

use std::{ops::Range, path::PathBuf};

use ruroco_common::rate::Rate;
use ruroco_files::toml_file::{
    Source as File,
    table::{Table, Taken},
    value::{Count, Located},
};
use ruroco_messages::problems::Problems;

use super::{Places, Reader};
use crate::fields::{self, Look, Mode, OnStop, Source};

/// `[gate]`.
#[derive(Debug)]
pub struct Gate {
    /// The interfaces to attach to.
    pub interfaces: Vec<String>,
    /// How to attach.
    pub mode: Mode,
    /// The directory in a BPF file system in which the links are pinned.
    pub pin_dir: PathBuf,
    /// What the gate's port looks like from outside.
    pub appearance: Appearance,
    /// What becomes of doors when the gate stops.
    pub on_stop: OnStop,
    /// Where the gate remembers that doors are disarmed.
    pub doors_dir: PathBuf,
    interfaces_at: Vec<Range<usize>>,
}

/// What the gate's port looks like to those who have no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appearance {
    /// Nothing, as behind a filter.
    Filtered,
    /// A closed port, because the network stack answers.
    Closed {
        /// Most packets that are passed to the network stack in a second.
        max_passed_per_second: u32,
    },
}

impl Appearance {
    /// The name it has in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filtered => "filtered",
            Self::Closed { .. } => "closed",
        }
    }

    /// How much of what is rejected is passed to the network stack.
    pub const fn pass_refused(self) -> Rate {
        match self {
            Self::Filtered => Rate::NEVER,
            Self::Closed { max_passed_per_second } => Rate::per_second(max_passed_per_second),
        }
    }
}

impl Gate {
    pub(super) fn check(
        file: &File,
        table: Taken<Table<'_>>,
        source: Source,
        places: &mut Places,
        problems: &mut Problems,
    ) -> Option<Self> {
        let is_absent = table.is_absent();
        let source_at = places.fields.get(fields::SOURCE.name).cloned().unwrap_or_default();
        let table = table.ok();
        let at = table.as_ref().map(|table| table.at.clone());
        // A table that is wrong or missing has nothing but defaults.
        let empty = File::new(file.path(), "");
        let table = match table {
            Some(table) => table.value,
            None => Table::of_file(&empty, problems)?,
        };
        let mut reader = Reader { table, places, problems };
        let (interfaces, interfaces_at) = match reader.take(&fields::INTERFACES) {
            Taken::Is(names) => distinct(file, names.value.0, reader.problems),
            Taken::Wrong => Default::default(),
            Taken::Absent => {
                let example = "interfaces = [\"eth0\"]";
                match at {
                    Some(at) if source == Source::Xdp => reader.problems.add(file.error(
                        at,
                        format_args!("[gate] has no `interfaces`. Set, for example, {example}"),
                    )),
                    None if is_absent && source == Source::Xdp => {
                        let message = format!(
                            "`source` is \"xdp\", but no interface is named. Write [gate] and below it, \
                             for example, {example}"
                        );
                        reader.problems.add(file.error(source_at, message));
                    }
                    Some(_) | None => {}
                }
                Default::default()
            }
        };
        let mode = reader.value(&fields::MODE)?.0;
        let pin_dir = reader.value(&fields::PIN_DIR)?;
        let is_look_wrong = reader.table.has(fields::APPEARANCE.name);
        let before = reader.problems.len();
        let look = reader.value(&fields::APPEARANCE)?.0;
        let is_look_wrong = is_look_wrong && reader.problems.len() != before;
        let limit = reader.take(&fields::MAX_PASSED_PER_SECOND);
        let on_stop = reader.value(&fields::ON_STOP)?.0;
        let doors_dir = reader.value(&fields::DOORS_DIR)?;
        let Reader { table, .. } = reader;
        table.reject_unknown(&fields::gate(), &[], problems);
        let appearance = match (look, limit) {
            (Look::Filtered, Taken::Is(limit)) if !is_look_wrong => {
                let message = "`max_passed_per_second` needs appearance = \"closed\": a filtered port passes \
                               nothing on. Remove it";
                problems.add(file.error(limit.at, message));
                Appearance::Filtered
            }
            (Look::Filtered, _) => Appearance::Filtered,
            (Look::Closed, limit) => {
                let Count(max_passed_per_second) = match limit {
                    Taken::Is(limit) => limit.value,
                    Taken::Absent | Taken::Wrong => {
                        fields::MAX_PASSED_PER_SECOND.default_value()?
                    }
                };
                Appearance::Closed { max_passed_per_second }
            }
        };
        Some(Self { interfaces, mode, pin_dir, appearance, on_stop, doors_dir, interfaces_at })
    }

    /// Where an interface is named.
    pub(super) fn interface_at(&self, name: &str) -> Option<Range<usize>> {
        let mut named = self.interfaces.iter().zip(&self.interfaces_at);
        named.find(|(named, _)| *named == name).map(|(_, span)| span.clone())
    }
}

/// Names that differ, and where they stand.
fn distinct(
    file: &File,
    names: Vec<Located<crate::values::InterfaceName>>,
    problems: &mut Problems,
) -> (Vec<String>, Vec<Range<usize>>) {
    let (mut interfaces, mut places) = (Vec::new(), Vec::new());
    for Located { value: name, at } in names {
        if interfaces.contains(&name.0) {
            problems.add(file.error(at, format!("`{}` is named twice. Remove one", name.0)));
        } else {
            interfaces.push(name.0);
            places.push(at);
        }
    }
    (interfaces, places)
}
