//! Names that people give to hosts and keys.
//!
//! A key's name is also that of its file, on whatever system, and both stand in lines that people
//! and programs read. So a name has nothing in it that one of these could take for something else.

use std::{fmt, str::FromStr};

/// Longest name in bytes: with an extension it has to fit into a file's name everywhere.
const MAX_SIZE: usize = 200;

/// What no file's name may have on some system (Windows has the longest list), and white space,
/// which would end a word.
const FORBIDDEN: &str = "/\\:*?\"<>|";

/// A name of a host or a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A text that cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` cannot be a name: use letters, digits, `.`, `-` and `_`, and begin with a letter or digit",
    .0.escape_debug()
)]
pub struct NotAName(String);

impl Name {
    /// The name that is most like a text, or `otherwise`, which has to be one, if nothing of the
    /// text can be in a name.
    pub fn like(text: &str, otherwise: &str) -> Self {
        let is_bad = |c: char| c.is_control() || c.is_whitespace() || FORBIDDEN.contains(c);
        let name = text.replace(is_bad, "-");
        let name = name.trim_start_matches(|c: char| !c.is_alphanumeric()).trim_end_matches('.');
        let end = name.floor_char_boundary(MAX_SIZE);
        let name = name.get(..end).unwrap_or_default().trim_end_matches('.');
        name.parse().unwrap_or_else(|_| Self(otherwise.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let is_bad = |c: char| c.is_control() || c.is_whitespace() || FORBIDDEN.contains(c);
        let begins_well = text.starts_with(char::is_alphanumeric);
        // Windows drops a dot at the end of a file's name.
        if !begins_well || text.len() > MAX_SIZE || text.ends_with('.') || text.contains(is_bad) {
            return Err(NotAName(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_made_one() {
        for (text, name) in [
            ("2001:db8::1", "2001-db8--1"),
            ("::1", "1"),
            ("büro.example.", "büro.example"),
            ("my host", "my-host"),
            ("(none)", "none)"),
            ("", "host"),
            ("...", "host"),
        ] {
            let made = Name::like(text, "host");
            assert_eq!(made.as_str(), name);
            assert_eq!(made.as_str().parse(), Ok(made.clone()));
        }
        assert_eq!(Name::like(&"ä".repeat(MAX_SIZE), "host").as_str().len(), MAX_SIZE);
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_no_name() {
        for text in ["home", "home-2", "büro", "203.0.113.5", "a.b_c", "server1.example.org"] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
        }
        let long = "a".repeat(MAX_SIZE + 1);
        for text in
            ["", ".", "..", ".a", "-a", "a/b", "a\\b", "a b", "a\n", "a:80", "a\0", "a.", &long]
        {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }
}
