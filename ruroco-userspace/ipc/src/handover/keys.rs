//! The keys as the gate hands them over: a text with one line for each key: its name, a tab, and the key as
//! in its file. Every line has an end.
//!
//! ```text
//! laptop  chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==
//! ```
//!
//! No name has a control character, so a name cannot look like several lines.

use std::collections::HashSet;

use ruroco_common::maps::MAX_KEYS;
use ruroco_keys::{
    key::{Key, MAX_TEXT_SIZE},
    named_key::{NamedKey, can_be_a_name},
};
use zeroize::Zeroizing;

/// Most bytes of such a text: a line for each of [`MAX_KEYS`] keys, with the longest name that a file
/// `NAME.key` can have (`NAME_MAX`, linux/limits.h).
pub const MAX_SIZE: u64 = (255 - 4 + 1 + 73 + 1) << 16;

/// A text that does not hold the keys. The message never repeats any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More lines than keys can be.
    #[error("the gate has handed over more than {MAX_KEYS} keys")]
    TooMany,
    /// An invalid line.
    #[error("line {line} of the keys from the gate {fault}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The error in it.
        fault: Fault,
    },
}

/// The error in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The text ends in it.
    #[error("is incomplete")]
    NotWhole,
    /// No tab.
    #[error("has no name")]
    NoName,
    /// Empty, not UTF-8, or with a control character.
    #[error("has an invalid name")]
    Name,
    /// Not as [`Key::to_text`] writes it.
    #[error("contains no key")]
    Key,
    /// Two keys of this name.
    #[error("has the same name as another")]
    SameName,
    /// Two keys of this id.
    #[error("has the same key id as another")]
    SameId,
}

/// The text of these keys, the inverse of [`decode`].
pub fn encode(keys: &[NamedKey]) -> Zeroizing<String> {
    let sizes = keys.iter().map(|named| named.name.len().saturating_add(MAX_TEXT_SIZE + 2));
    // One allocation of the final size: a growing string would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(sizes.fold(0, usize::saturating_add)));
    for NamedKey { name, key } in keys {
        text.push_str(name);
        text.push('\t');
        text.push_str(&key.to_text());
        text.push('\n');
    }
    text
}

/// The keys that a text holds.
///
/// # Errors
/// [`Error`] if it is anything else than what [`encode`] makes of at most [`MAX_KEYS`] keys, each with a
/// name and an id of its own.
pub fn decode(text: &[u8]) -> Result<Vec<NamedKey>, Error> {
    let (mut names, mut ids) = (HashSet::new(), HashSet::new());
    let mut keys = Vec::new();
    for (line, number) in text.split_inclusive(|byte| *byte == b'\n').zip(1_u32..) {
        if number > MAX_KEYS {
            return Err(Error::TooMany);
        }
        let named = decode_line(line).and_then(|(name, key)| match () {
            () if !names.insert(name) => Err(Fault::SameName),
            () if !ids.insert(key.id) => Err(Fault::SameId),
            () => Ok(NamedKey { name: name.to_owned(), key }),
        });
        let line = keys.len().saturating_add(1);
        keys.push(named.map_err(|fault| Error::Line { line, fault })?);
    }
    Ok(keys)
}

fn decode_line(line: &[u8]) -> Result<(&str, Key), Fault> {
    let line = line.strip_suffix(b"\n").ok_or(Fault::NotWhole)?;
    let mut parts = line.splitn(2, |byte| *byte == b'\t');
    let (name, key) = parts.next().zip(parts.next()).ok_or(Fault::NoName)?;
    let name = str::from_utf8(name).ok().filter(|name| can_be_a_name(name)).ok_or(Fault::Name)?;
    // White space around a key is for people.
    let key = str::from_utf8(key).ok().filter(|key| key.trim() == *key).ok_or(Fault::Key)?;
    Ok((name, Key::parse(key).map_err(|_| Fault::Key)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str =
        "a\tchacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==\n";
    const B: &str = "b\tBAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==\n";

    fn names(text: &str) -> Result<Vec<String>, Error> {
        decode(text.as_bytes()).map(|keys| keys.into_iter().map(|named| named.name).collect())
    }

    #[test]
    fn there_is_room_for_as_many_keys_as_there_may_be() {
        let line = A.trim_start_matches('a').len() + "NAME.key".replace("NAME", "").len();
        let longest = 255 - 2 * ".key".len() + line;
        assert_eq!(MAX_SIZE, u64::from(MAX_KEYS) * u64::try_from(longest).unwrap());
    }

    #[test]
    fn a_line_that_is_not_quite_right_is_told_by_its_number() {
        assert_eq!(names(&format!("{A}{B}")).unwrap(), ["a", "b"]);
        assert_eq!(names("").unwrap(), [""; 0]);
        for (line, fault) in [
            ("\n".to_owned(), Fault::NoName),
            (B.replace('\t', " "), Fault::NoName),
            (B.replace('\n', ""), Fault::NotWhole),
            (B.replace('b', ""), Fault::Name),
            (B.replace('b', "b\u{7f}"), Fault::Name),
            (B.replace('\t', "\t "), Fault::Key),
            (B.replace('\t', "\t\t"), Fault::Key),
            (B.replace('\n', "\r\n"), Fault::Key),
            (B.replace("Pw==", "Px=="), Fault::Key),
            (B.replace('\t', "\taes128:"), Fault::Key),
            (A.replace("AAEC", "BAEC"), Fault::SameName),
            (B.replace("BAEC", "AAEC"), Fault::SameId),
        ] {
            let error = names(&format!("{A}{line}")).unwrap_err();
            assert_eq!(error, Error::Line { line: 2, fault }, "{line:?}");
            let shown = error.to_string();
            assert!(shown.contains("line 2") && !shown.contains("ISI"), "{shown}");
        }
    }

    #[test]
    fn no_more_keys_than_there_may_be_are_taken() {
        let key = |number: u32| {
            let id = u64::from(number).to_be_bytes();
            let raw = [&id[..], &[7; 32]].concat();
            let base64 = <base64ct::Base64 as base64ct::Encoding>::encode_string(&raw);
            format!("{number}\t{base64}\n")
        };
        let full: String = (0..MAX_KEYS).map(key).collect();
        assert_eq!(names(&full).unwrap().len(), usize::try_from(MAX_KEYS).unwrap());
        assert_eq!(names(&format!("{full}{A}")).unwrap_err(), Error::TooMany);
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_is_written(
            lines in prop::collection::vec(
                prop_oneof![Just(A), Just(B), Just("\n"), Just("\t"), Just("b"), Just("\u{e9}\t")],
                0..5,
            ),
        ) {
            let text = lines.concat();
            if let Ok(keys) = decode(text.as_bytes()) {
                let again = encode(&keys);
                prop_assert_eq!(again.as_str(), text);
            }
        }
    }
}
