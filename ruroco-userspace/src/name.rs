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
