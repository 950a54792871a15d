//! A field for an invitation or a key, which the user types, pastes or reads from a file. Reading a
//! picture takes seconds. If the user edits the field in the meantime, the text of the file is ignored.

use ruroco_invite::invitation::MAX_SOURCE_SIZE;

use super::secret_text::SecretText;

/// Such a field.
#[derive(Debug, Default)]
pub(super) struct SecretField {
    pub(super) text: SecretText,
    /// Whether the text is shown.
    pub(super) is_shown: bool,
    reading: Option<Reading>,
}

/// A file whose text will replace the text of a field.
#[derive(Debug)]
struct Reading {
    number: u64,
    replaces: SecretText,
}

/// The text is longer than any that contains an invitation or a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the text is longer than {} KiB, so it is not an invitation or a key. Copy only the line that is one",
    MAX_SOURCE_SIZE >> 10
)]
pub(super) struct TooLong;

/// Checks that a text is short enough to contain an invitation or a key.
///
/// # Errors
/// [`TooLong`].
pub(super) const fn check_length(text: &str) -> Result<&str, TooLong> {
    if text.len() > MAX_SOURCE_SIZE { Err(TooLong) } else { Ok(text) }
}

impl SecretField {
    /// Lets the text of the file with this number replace the text, unless the text changes first.
    pub(super) fn wait_for(&mut self, number: u64) {
        self.reading = Some(Reading { number, replaces: self.text.clone() });
    }

    /// Whether a file is being read for it.
    pub(super) fn is_waiting(&self) -> bool {
        self.reading.as_ref().is_some_and(|reading| *reading.replaces == *self.text)
    }

    /// Stops waiting for this file. Returns whether the field was waiting for it.
    pub(super) fn end_reading(&mut self, number: u64) -> bool {
        let was_waiting = self.is_waiting();
        self.reading.take_if(|reading| reading.number == number).is_some() && was_waiting
    }
}
