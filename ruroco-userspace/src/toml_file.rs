//! TOML files with errors that a person can act on: file, line, what is wrong, what to write.
//!
//! Every file is read in two stages. Here the text becomes a raw struct, with `serde` refusing
//! unknown fields; the caller then checks the raw struct and reports through [`Source::error`].

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use crate::secure_file;

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unreadable, or writable by too many.
    #[error(transparent)]
    File(#[from] secure_file::Error),
    /// Read, but wrong.
    #[error("{path}:{line}: {message}", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there, and what to write instead.
        message: String,
    },
}

/// A configuration file's path and text, for finding lines in it.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// A file whose text is at hand already.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Reads a file that only root and this process's user can write.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        Ok(Self::new(path, secure_file::read_trusted(path)?))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first stage: text to raw struct.
    ///
    /// # Errors
    /// [`Error::Content`] with the line, and for an unknown field the name that was likely meant.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let mut message = error.message().trim().replace('\n', ", ");
            if let Some(meant) = suggestion(&message) {
                message = format!("{message}; did you mean `{meant}`?");
            }
            self.error(span, message)
        })
    }

    /// An error at a place in the text, given in bytes. It is one line, whatever it repeats of the
    /// text.
    pub fn error(&self, span: Range<usize>, message: impl fmt::Display) -> Error {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line = before.matches('\n').count().saturating_add(1);
        let message = message.to_string().chars().map(escape_control).collect();
        Error::Content { path: self.path.clone(), line, message }
    }

    /// An error about something that is missing from the file as a whole.
    pub fn missing(&self, message: impl fmt::Display) -> Error {
        self.error(0..0, message)
    }
}

/// A character as it can stand in a line.
fn escape_control(c: char) -> String {
    if c.is_control() { c.escape_default().collect() } else { c.into() }
}

/// The known name most like the unknown one in a message of `serde`'s, which lists them all in
/// backticks: unknown field `prot`, expected one of `ips`, `port`.
fn suggestion(message: &str) -> Option<&str> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    nearest(unknown, quoted)
}

/// The known name that is so like the unknown one that it was likely meant.
pub fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .filter(|(typos, known)| *typos <= known.len().div_ceil(3))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_whatever_the_text_is() {
        let source = Source::new("/x.toml", "a = 1\n\"b\\n\\u001b\" = 2\n");
        let error = source.error(6..7, "`b\n\u{1b}` is none").to_string();
        assert_eq!(error, "/x.toml:2: `b\\n\\u{1b}` is none");
    }

    #[test]
    fn an_unknown_field_is_met_with_the_likely_one() {
        let message = "unknown field `prot`, expected one of `ips`, `port`, `address`";
        assert_eq!(suggestion(message), Some("port"));
        assert_eq!(suggestion("unknown field `xyz`, expected `ips` or `port`"), None);
        assert_eq!(suggestion("invalid type: string \"`a`\", expected u16"), None);
    }
}
