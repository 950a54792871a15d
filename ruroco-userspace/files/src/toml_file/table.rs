//! A table of a file, read field by field. An error in one field hides no error in another: each problem is
//! added to the others, and reading continues.

use std::{collections::BTreeMap, ops::Range};

use ruroco_messages::problems::{Problem, Problems};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Source,
    field::{Field, Info},
    nearest,
    value::{Item, Located, Value},
};

/// Most unknown fields that are reported. A file with so many is the wrong file.
pub(super) const MAX_UNKNOWN: usize = 100;

/// Longest name of a field that a problem with the syntax repeats.
const MAX_WORD: usize = 40;

/// What a file says of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// This.
    Is(Located<T>),
    /// Nothing.
    Absent,
    /// The value has an error, which has been reported.
    Wrong,
}

impl<T> Taken<T> {
    /// What it says, if that is right.
    pub fn ok(self) -> Option<Located<T>> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Whether it says nothing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A table whose fields are yet to be taken.
pub struct Table<'a> {
    file: &'a Source,
    at: Range<usize>,
    entries: BTreeMap<String, (Range<usize>, Spanned<DeValue<'a>>)>,
}

impl<'a> Table<'a> {
    /// The whole of a file. Of a text that is not TOML there is one problem: what follows the first mistake
    /// depends on what was meant.
    pub fn of_file(file: &'a Source, problems: &mut Problems) -> Option<Self> {
        let (table, errors) = DeTable::parse_recoverable(file.text());
        let first = errors.iter().min_by_key(|error| error.span().map(|span| span.start));
        if let Some(error) = first {
            let at = error.span().unwrap_or(0..0);
            let written = file.text().get(at.clone()).filter(|written| is_a_word(written));
            problems.add(match written {
                Some(written) => file.broken(at, format!("{}: `{written}`", error.message())),
                None => file.broken(at, error.message()),
            });
            return None;
        }
        let at = table.span();
        Some(Self::new(file, at, table.into_inner()))
    }

    pub(super) fn new(file: &'a Source, at: Range<usize>, table: DeTable<'a>) -> Self {
        let entry = |(name, value): (Spanned<toml::de::DeString<'a>>, _)| {
            (name.get_ref().to_string(), (name.span(), value))
        };
        Self { file, at, entries: table.into_iter().map(entry).collect() }
    }

    /// The file.
    pub fn file(&self) -> &'a Source {
        self.file
    }

    /// Where it stands.
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// Whether it has a field of this name that was not taken yet.
    pub fn has(&self, field: &str) -> bool {
        self.entries.contains_key(field)
    }

    /// Where a field of this name stands that was not taken yet.
    pub fn place(&self, field: &str) -> Option<Range<usize>> {
        self.entries.get(field).map(|(at, _)| at.clone())
    }

    /// Whether some field that is left is a text.
    pub fn has_text(&self) -> bool {
        self.entries.values().any(|(_, value)| value.get_ref().is_str())
    }

    /// Whether some table that is left has one of these fields.
    pub fn has_within(&self, fields: &[&str]) -> bool {
        let mut tables = self.entries.values().filter_map(|(_, value)| value.get_ref().as_table());
        tables.any(|table| fields.iter().any(|field| table.contains_key(*field)))
    }

    /// Takes a field: what the file says.
    pub fn take<T: Value>(&mut self, field: &Field<T>, problems: &mut Problems) -> Taken<T> {
        self.take_value(field.name, false, problems)
    }

    /// Takes a field that is something even where the file does not say, and where what it says is wrong.
    pub fn take_or_default<T: Value>(
        &mut self,
        field: &Field<T>,
        problems: &mut Problems,
    ) -> Option<Located<T>> {
        let default = || Some(Located { value: field.default_value()?, at: 0..0 });
        self.take(field, problems).ok().or_else(default)
    }

    fn take_value<T: Value>(
        &mut self,
        field: &str,
        is_secret: bool,
        problems: &mut Problems,
    ) -> Taken<T> {
        let Some((_, value)) = self.entries.remove(field) else { return Taken::Absent };
        let item = Item::new(self.file, field, &value, is_secret);
        match T::read(&item, problems) {
            Some(read) => Taken::Is(Located { value: read, at: item.at() }),
            None => Taken::Wrong,
        }
    }

    /// Takes a table in this one.
    pub fn take_table(&mut self, name: &str, problems: &mut Problems) -> Taken<Table<'a>> {
        let Some((name_at, value)) = self.entries.remove(name) else { return Taken::Absent };
        let at = value.span();
        match value.into_inner() {
            DeValue::Table(table) => {
                Taken::Is(Located { value: Self::new(self.file, at, table), at: name_at })
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                let message =
                    format!("`{name}` must be a table, with a line for each of its fields");
                problems.add(self.file.error(name_at, message));
                Taken::Wrong
            }
        }
    }

    /// Takes what is left in it, each a table with a name of the operator's choice.
    pub fn take_tables(
        &mut self,
        problems: &mut Problems,
    ) -> Vec<(Located<String>, Taken<Table<'a>>)> {
        let names: Vec<String> = self.entries.keys().cloned().collect();
        let table = |name: String| {
            let at = self.entries.get(&name).map(|(at, _)| at.clone()).unwrap_or_default();
            let table = self.take_table(&name, problems);
            (Located { value: name, at }, table)
        };
        names.into_iter().map(table).collect()
    }

    /// Takes what is left in it, each a text with a name of the operator's choice. Problems repeat no value:
    /// it may be a password.
    pub fn take_secret_texts(
        &mut self,
        problems: &mut Problems,
    ) -> Vec<(Located<String>, Located<String>)> {
        let names: Vec<String> = self.entries.keys().cloned().collect();
        let text = |name: String| {
            let at = self.entries.get(&name).map(|(at, _)| at.clone()).unwrap_or_default();
            let value = self.take_value(&name, true, problems).ok()?;
            Some((Located { value: name, at }, value))
        };
        names.into_iter().filter_map(text).collect()
    }

    /// Adds a problem for each field that is left, with the name that was probably meant.
    pub fn reject_unknown(self, known: &[Info], others: &[&str], problems: &mut Problems) {
        let names = || known.iter().map(|info| info.name).chain(others.iter().copied());
        for (name, (at, _)) in self.entries.iter().take(MAX_UNKNOWN) {
            let meant = nearest(name, names());
            problems.add(self.unknown(name, at.clone(), meant));
        }
    }

    fn unknown(&self, name: &str, at: Range<usize>, meant: Option<&str>) -> Problem {
        let what = format!("unknown field `{}`", name.escape_debug());
        self.file.broken(
            at,
            match meant {
                Some(meant) => format!("{what}; did you mean `{meant}`?"),
                None => format!("{what}. Remove it; `man ruroco-config` and `man ruroco-commands` list the fields that \
                    exist"),
            },
        )
    }
}

/// Whether a text may be repeated: the name of a field, and no part of a key.
fn is_a_word(text: &str) -> bool {
    (1..=MAX_WORD).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'))
}
