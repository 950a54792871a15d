//! What may stand in `commands.toml`, as it stands there. A command is written as we have it or as
//! upstream ruroco has it; behind [`RawTable::of`] there is only one form.

use std::{collections::BTreeMap, fmt, ops::Range, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(default)]
    pub(super) commands: BTreeMap<Spanned<String>, Spanned<RawCommand>>,
}

/// A table; or a line alone, as upstream ruroco has it, which is one with `cmd`.
pub(super) enum RawCommand {
    Table(Box<RawTable>),
    Line(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTable {
    pub(super) run: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) shell: Option<Spanned<String>>,
    /// What upstream calls `shell`.
    pub(super) cmd: Option<Spanned<String>>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) group: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<u64>>,
    /// What upstream calls `timeout`.
    pub(super) timeout_sec: Option<Spanned<u64>>,
    pub(super) cwd: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) env: BTreeMap<Spanned<String>, Spanned<String>>,
    pub(super) keys: Option<Spanned<Vec<Spanned<String>>>>,
}

impl<'de> Deserialize<'de> for RawCommand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = RawCommand;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a table with `run` or `shell`, as in [commands.open_port], or a shell line",
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<RawCommand, A::Error> {
                RawTable::deserialize(MapAccessDeserializer::new(table))
                    .map(|table| RawCommand::Table(Box::new(table)))
            }

            fn visit_str<E: de::Error>(self, line: &str) -> Result<RawCommand, E> {
                Ok(RawCommand::Line(line.to_owned()))
            }
        }

        // Not untagged: that would lose the lines, and which field it is that is wrong.
        deserializer.deserialize_any(Either)
    }
}

impl RawTable {
    pub(super) fn of(command: Spanned<RawCommand>) -> Self {
        let span = command.span();
        match command.into_inner() {
            RawCommand::Table(table) => *table,
            RawCommand::Line(line) => {
                Self { cmd: Some(Spanned::new(span, line)), ..Self::default() }
            }
        }
    }
}

/// What a command runs, of which there is to be one; and the name of the field.
pub(super) enum RawProgram {
    Run(Spanned<Vec<Spanned<String>>>),
    Shell(&'static str, Spanned<String>),
}

impl RawProgram {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Shell(name, _) => name,
        }
    }

    pub(super) fn span(&self) -> Range<usize> {
        match self {
            Self::Run(words) => words.span(),
            Self::Shell(_, line) => line.span(),
        }
    }
}
