//! Names that people give to hosts and keys.
//!
//! A key's name is also the name of its file, on any system, and both are in lines that people and programs
//! read. So a name has no character with a special meaning in one of these.

use std::{fmt, str::FromStr};

use ruroco_messages::visible::is_hidden;

/// Longest name in bytes: with an extension, it must fit into a file name on all systems.
const MAX_SIZE: usize = 200;

/// What the names of key files end with, in whatever case: who says such a name means the file.
const KEY_FILES: [&str; 2] = [".key", ".keyring"];

/// Devices, whose names Windows takes for them in every directory, also before a dot. Some have a
/// digit from 1 to 9 behind them.
const DEVICES: [&str; 4] = ["con", "nul", "prn", "aux"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// A name of a host or a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A text that cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a valid name. Use letters, digits, `.`, `-` and `_`; begin with a letter or digit; end with neither a \
    dot, `.key` nor `.keyring`; use {MAX_SIZE} bytes at most, and no device name of Windows such as CON",
    .0.escape_debug()
)]
pub struct NotAName(String);

impl Name {
    /// The name most similar to a text. If a name can contain nothing of the text, it is `otherwise`, which
    /// must be a valid name.
    pub fn like(text: &str, otherwise: &str) -> Self {
        let name = text.replace(|c| !is_good(c), "-");
        let name = name.trim_start_matches(|c| !begins_well(c)).trim_end_matches('.');
        let name = first_bytes(name, MAX_SIZE).trim_end_matches('.');
        name.parse().unwrap_or_else(|_| Self(otherwise.to_owned()))
    }

    /// The same name with a number behind it, and shorter if there is no room for that.
    pub fn numbered(&self, number: u32) -> Self {
        let number = format!("-{number}");
        let room = MAX_SIZE.saturating_sub(number.len());
        Self(format!("{}{number}", first_bytes(&self.0, room)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let begins_well = text.starts_with(begins_well);
        let lower = text.to_ascii_lowercase();
        // Windows drops a dot at the end of a file's name.
        let ends_well = !text.ends_with('.') && !KEY_FILES.iter().any(|end| lower.ends_with(end));
        let is_good =
            begins_well && ends_well && text.len() <= MAX_SIZE && text.chars().all(is_good);
        if !is_good || is_device(&lower) {
            return Err(NotAName(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_good(c: char) -> bool {
    // Some letters are invisible: the fillers of Hangul.
    (c.is_alphanumeric() && !is_hidden(c)) || "._-".contains(c)
}

fn begins_well(c: char) -> bool {
    is_good(c) && c.is_alphanumeric()
}

fn is_device(lower: &str) -> bool {
    let stem = lower.split('.').next().unwrap_or(lower);
    let number = NUMBERED_DEVICES.iter().find_map(|device| stem.strip_prefix(device));
    DEVICES.contains(&stem)
        || number.is_some_and(|number| matches!(number.as_bytes(), [b'1'..=b'9']))
}

/// As much of a text as fits into this many bytes.
fn first_bytes(text: &str, size: usize) -> &str {
    text.get(..text.floor_char_boundary(size)).unwrap_or(text)
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
            ("(none)", "none-"),
            ("a$(id)", "a--id-"),
            ("CON", "host"),
            ("home.key", "host"),
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
        for text in [
            "home",
            "home-2",
            "büro",
            "203.0.113.5",
            "a.b_c",
            "server1.example.org",
            "com",
            "com10",
            "console",
            "a.com1",
            "keys",
            "a.key.b",
        ] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
        }
        let long = "a".repeat(MAX_SIZE + 1);
        for text in
            ["", ".", "..", ".a", "-a", "a/b", "a\\b", "a b", "a\n", "a:80", "a\0", "a.", &long]
        {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        for text in [
            "home;reboot",
            "a$(id)",
            "a\u{202e}b",
            "a\u{3164}",
            "\u{115f}",
            "home\u{200b}",
            "a'b",
            "a&b",
            "home.key",
            "home.KEY",
            "home.keyring",
            "CON",
            "nul.example",
            "Com1",
            "lpt9.a.b",
        ] {
            let refused = text.parse::<Name>().unwrap_err().to_string();
            assert!(!refused.contains('\u{202e}'), "{refused}");
        }
    }

    #[test]
    fn a_number_fits_behind_every_name() {
        assert_eq!(Name::like("home", "host").numbered(2).as_str(), "home-2");
        for long in ["a".repeat(MAX_SIZE), "ä".repeat(MAX_SIZE)] {
            let long = Name::like(&long, "host");
            let [two, three] = [2, 3].map(|number| long.numbered(number));
            assert!(two != three && two.as_str().ends_with("-2"));
            assert_eq!(two.as_str().parse(), Ok(two.clone()));
        }
    }
}
