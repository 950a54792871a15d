//! TOML files with errors that a person can act on: file, line, error, correction.
//!
//! Every file is read in two stages. Here the text becomes a raw struct, and `serde` rejects unknown fields.
//! The caller then checks the raw struct and reports through [`Source::error`].
//!
//! Lines may end as on Windows (CR LF). In a value of several lines, such as a script, they end with LF
//! alone: a shell would treat the CR as a part of the line.

pub mod field;
pub mod table;
pub mod value;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use ruroco_messages::problems::{Checked, Problem, Problems};
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue, Deserializer};

use crate::{
    secure_file,
    toml_message::{Place, explain},
};

/// The maximal number of problems that the first stage reports. With so many, it is probably the wrong file.
const MAX_PROBLEMS: usize = 100;

/// Characters that word processors and web pages put in place of others, or that are invisible.
const LOOK_ALIKES: [(char, &str); 12] = [
    ('\u{201c}', "\""),
    ('\u{201d}', "\""),
    ('\u{201e}', "\""),
    ('\u{ab}', "\""),
    ('\u{bb}', "\""),
    ('\u{2018}', "'"),
    ('\u{2019}', "'"),
    ('\u{2013}', "-"),
    ('\u{a0}', "an ordinary space"),
    ('\u{202f}', "an ordinary space"),
    ('\u{200b}', "nothing"),
    ('\u{feff}', "nothing"),
];

/// A configuration file's path and text, for finding lines in it.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    /// Each line ends with LF.
    text: String,
    /// The text as it is in the file, if its lines end differently.
    written: Option<String>,
}

impl Source {
    /// A file whose text is at hand already.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let written: String = text.into();
        let text = written.replace("\r\n", "\n");
        Self { path: path.into(), written: (text != written).then_some(written), text }
    }

    /// Reads a file of this user's own, which only root and this user can write.
    ///
    /// # Errors
    /// The file that cannot be read, or is writable by too many.
    pub fn read_own(path: &Path) -> Result<Self, secure_file::Error> {
        Ok(Self::new(path, secure_file::read_own(path)?))
    }

    /// A text that is to replace the file's, with lines that end as they do there: those that were there
    /// before as they did, and new ones as the first.
    pub fn with_its_line_ends(&self, text: &str) -> String {
        let Some(written) = &self.written else { return text.to_owned() };
        let mut ends: HashMap<&str, VecDeque<&str>> = HashMap::new();
        let lines = || written.split_inclusive('\n').map(split_end);
        for (line, end) in lines() {
            ends.entry(line).or_default().push_back(end);
        }
        let usual = lines().next().map_or("\n", |(_, end)| end);
        let ended = text.split_inclusive('\n').map(split_end).map(|(line, end)| {
            let before = ends.get_mut(line).and_then(VecDeque::pop_front);
            let end = if end.is_empty() { end } else { before.unwrap_or(usual) };
            format!("{line}{end}")
        });
        ended.collect()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first stage: text to raw struct. What `serde` refuses, unknown fields and values of the
    /// wrong type, is noted with its line, and for an unknown field with the name that was likely
    /// meant; then it is left out, to see what else there is. A raw struct should therefore have no
    /// field that must be there: its being missing is for the second stage to tell.
    ///
    /// Of a text that is no TOML there is only one problem: what follows the first mistake in it
    /// depends on what was meant.
    pub fn parse<T: DeserializeOwned>(&self) -> Checked<Parsed<T>> {
        let mut problems = Problems::default();
        let mut left_out = LeftOut::default();
        let (mut table, errors) = DeTable::parse_recoverable(&self.text);
        let first = errors.iter().min_by_key(|error| error.span().map(|span| span.start));
        if let Some(error) = first {
            problems.add(self.refusal(error, None));
            return problems.of_nothing();
        }
        loop {
            let error = match T::deserialize(Deserializer::from(table.clone())) {
                Ok(raw) => return problems.of(Parsed { raw, left_out }),
                Err(error) => error,
            };
            let place = error.span().filter(|_| problems.len().saturating_add(1) < MAX_PROBLEMS);
            let path = place.and_then(|place| take_out(table.get_mut(), &place));
            problems.add(self.refusal(&error, path.as_deref()));
            match path {
                Some(path) => left_out.0.insert(path),
                None => return problems.of_nothing(),
            };
        }
    }

    fn refusal(&self, error: &toml::de::Error, path: Option<&[String]>) -> Problem {
        let span = error.span().unwrap_or(0..0);
        let before = self.text.get(..span.start).unwrap_or_default();
        // What a command gets in its environment may be a password.
        let is_secret = path.is_some_and(|path| path.iter().any(|field| field == "env"));
        let place = Place {
            field: path.and_then(<[String]>::last).map(String::as_str),
            written: self
                .text
                .get(span.clone())
                .filter(|written| !written.is_empty() && !is_secret),
            is_whole: before.trim_end().ends_with('='),
        };
        let mut message = explain(&error.message().trim().replace('\n', ", "), place);
        if let Some(meant) = suggestion(&message) {
            message = format!("{message}; did you mean `{meant}`?");
        }
        if let Some(look_alike) = look_alike(self.line_at(span.start)) {
            message = format!("{message}; {look_alike}");
        }
        self.error(span, message)
    }

    fn line_at(&self, place: usize) -> &str {
        let before = self.text.get(..place).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
        self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }

    /// The same for a line that is not as TOML or its table wants it: names what only looks like another
    /// character.
    fn broken(&self, span: Range<usize>, message: impl fmt::Display) -> Problem {
        match look_alike(self.line_at(span.start)) {
            Some(look_alike) => self.error(span, format_args!("{message}; {look_alike}")),
            None => self.error(span, message),
        }
    }

    /// A problem at a place in the text, given in bytes.
    pub fn error(&self, span: Range<usize>, message: impl fmt::Display) -> Problem {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line = before.matches('\n').count().saturating_add(1);
        Problem::error(&self.path, message).at_line(line)
    }

    /// A problem with something that is missing from the file as a whole.
    pub fn missing(&self, message: impl fmt::Display) -> Problem {
        self.error(0..0, message)
    }
}

/// A line and what it ends with.
fn split_end(line: &str) -> (&str, &str) {
    let content = line.strip_suffix("\r\n").or_else(|| line.strip_suffix('\n')).unwrap_or(line);
    line.split_at(content.len())
}

/// What to write in the place of the first character in a text that only looks like another one.
pub fn look_alike(text: &str) -> Option<String> {
    let found = |(c, meant): &(char, &str)| {
        text.contains(*c).then(|| {
            format!("there is a U+{:04X} in this line. Replace it with {meant}", u32::from(*c))
        })
    };
    LOOK_ALIKES.iter().find_map(found)
}

/// What the first stage makes of a text.
#[derive(Debug)]
pub struct Parsed<T> {
    /// All that was understood.
    pub raw: T,
    /// What was not.
    pub left_out: LeftOut,
}

/// The fields that were left out because they were rejected, so that they are not reported as missing.
#[derive(Debug, Default)]
pub struct LeftOut(BTreeSet<Vec<String>>);

impl LeftOut {
    /// Adds a field that only the second stage rejects.
    pub fn add(&mut self, field: &str) {
        self.0.insert(vec![field.to_owned()]);
    }

    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields of this table of the file that were left out, or something in them.
    pub fn within<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(move |out| match out.as_slice() {
            [first, second, ..] if first == table => Some(second.as_str()),
            _ => None,
        })
    }

    /// Whether this field, named by the path to it, or something in it was left out.
    pub fn has(&self, path: &[&str]) -> bool {
        self.0
            .iter()
            .any(|out| out.len() >= path.len() && out.iter().zip(path).all(|(a, b)| a == b))
    }

    /// Whether the value of this field is unknown, because the field, a part of it or a table around it was
    /// left out.
    pub fn hides(&self, path: &[&str]) -> bool {
        self.0.iter().any(|out| out.iter().zip(path).all(|(a, b)| a == b))
    }
}

/// Takes the innermost field at this place out of a table, and gives the path to it.
fn take_out(table: &mut DeTable<'_>, place: &Range<usize>) -> Option<Vec<String>> {
    let covers = |span: Range<usize>| span.start <= place.start && place.end <= span.end;
    for (name, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut()
            && let Some(mut path) = take_out(inner, place)
        {
            path.insert(0, name.get_ref().to_string());
            return Some(path);
        }
    }
    let mut fields = table.iter();
    let (name, _) = fields.find(|(name, value)| covers(name.span()) || covers(value.span()))?;
    let name = name.clone();
    table.remove(&name)?;
    Some(vec![name.into_inner().into_owned()])
}

/// The known name most like the unknown one in a message of `serde`'s, which lists them all in
/// backticks: unknown field `prot`, expected one of `addresses`, `port`.
fn suggestion(message: &str) -> Option<&str> {
    if !message.starts_with("unknown field ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    nearest(unknown, quoted)
}

/// The known name that was probably meant by the unknown one: the same in another case, or with a few
/// typos.
pub fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    known
        .map(|known| (strsim::damerau_levenshtein(&unknown, &known.to_lowercase()), known))
        .filter(|(typos, known)| *typos <= known.len().div_ceil(3))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        a: Option<u8>,
        b: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        c: Option<Vec<u8>>,
        d: Option<u8>,
    }

    fn lines(text: &str) -> Vec<usize> {
        let checked = Source::new("/x.toml", text).parse::<Raw>();
        checked.problems().clone().sorted().iter().filter_map(Problem::line).collect()
    }

    #[test]
    fn everything_that_is_refused_is_told_and_everything_else_understood() {
        let text = "a = 1\nx = 1\n[b]\nc = [1, 300]\nd = 5\n\"e.f\" = 1\n[g]\nh = 1\n";
        assert_eq!(lines(text), [2, 4, 6, 7]);
        let mut problems = Problems::default();
        let checked = Source::new("/x.toml", text).parse::<Raw>();
        let Parsed { raw, left_out } = problems.good_of(checked).unwrap();
        let b = raw.b.unwrap();
        assert_eq!((raw.a, b.c, b.d), (Some(1), None, Some(5)));
        assert!(left_out.has(&["b", "c"]) && left_out.has(&["b"]) && left_out.has(&["g"]));
        assert!(
            !left_out.has(&["a"]) && !left_out.has(&["b", "d"]) && !left_out.has(&["b", "c", "x"])
        );
        assert!(left_out.hides(&["b"]) && left_out.hides(&["b", "c", "x"]));
        assert!(!left_out.hides(&["a"]) && !left_out.hides(&["b", "d"]));
    }

    #[test]
    fn no_toml_is_one_problem_and_the_wrong_file_has_an_end() {
        assert_eq!(lines("a =\nb = [\n= 3\n"), [1]);
        let many: String = (0..2000).map(|n| format!("x{n} = 1\n")).collect();
        assert_eq!(lines(&many).len(), MAX_PROBLEMS);
    }

    #[test]
    fn lines_end_as_they_did_and_new_ones_as_the_first() {
        let ends = |old: &str, new: &str| Source::new("/x", old).with_its_line_ends(new);
        assert_eq!(ends("a\r\n\r\nb\r\n", "a\n\nb\nc\n"), "a\r\n\r\nb\r\nc\r\n");
        assert_eq!(ends("a\r\nb\n\n", "a\nb\n\nc\n"), "a\r\nb\n\nc\r\n");
        assert_eq!(ends("a\nb\r\n", "x\na\nb\nc"), "x\na\nb\r\nc");
        assert_eq!(ends("a\n", "a\nb\n"), "a\nb\n");
    }

    #[test]
    fn what_only_looks_like_a_quote_or_a_space_is_named() {
        for (text, told) in [
            ("a = \u{201c}x\u{201d}\n", "U+201C in this line. Replace it with \""),
            ("[b]\nd\u{a0}= 1\n", "U+00A0 in this line. Replace it with an ordinary space"),
        ] {
            let checked = Source::new("/x.toml", text).parse::<Raw>();
            let problems = checked.problems().to_string();
            assert!(problems.contains(told), "{problems}");
        }
    }

    #[test]
    fn an_unknown_field_is_met_with_the_likely_one() {
        let message = "unknown field `prot`, expected one of `addresses`, `port`, `address`";
        assert_eq!(suggestion(message), Some("port"));
        assert_eq!(suggestion("unknown field `xyz`, expected `addresses` or `port`"), None);
        assert_eq!(suggestion("invalid type: string \"`a`\", expected u16"), None);
    }
}
