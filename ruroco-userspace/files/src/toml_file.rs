//! TOML files with errors that a person can act on: file, line, error, correction.
//!
//! A file is read [table] by table, each [field] by its definition and by the type of its [value]. Each adds its
//! errors to the problems of the file, and reading goes on. The caller checks what concerns several fields, and
//! reports through [`Source::error`].
//!
//! Lines may end as on Windows (CR LF). In a value of several lines, such as a script, they end with LF
//! alone: a shell would treat the CR as a part of the line.

pub use toml_datetime as datetime;

pub mod field;
pub mod one_or_more;
pub mod table;
pub mod value;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use ruroco_messages::problems::Problem;

use crate::secure_file;

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
    use ruroco_messages::problems::Problems;

    use super::{table::Table, *};

    /// The problems of a text without fields at the top level.
    fn problems(text: &str) -> Problems {
        let (file, mut problems) = (Source::new("/x.toml", text), Problems::default());
        if let Some(top) = Table::of_file(&file, &mut problems) {
            top.reject_unknown(&[], &[], &mut problems);
        }
        problems
    }

    #[test]
    fn no_toml_is_one_problem_and_the_wrong_file_has_an_end() {
        let lines: Vec<_> = problems("a =\nb = [\n= 3\n").iter().map(Problem::line).collect();
        assert_eq!(lines, [Some(1)]);
        let many: String = (0..2000).map(|n| format!("x{n} = 1\n")).collect();
        assert_eq!(problems(&many).len(), table::MAX_UNKNOWN);
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
            ("d\u{a0}= 1\n", "U+00A0 in this line. Replace it with an ordinary space"),
        ] {
            let problems = problems(text).to_string();
            assert!(problems.contains(told), "{problems}");
        }
    }
}
