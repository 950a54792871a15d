//! A text that may contain a key, in a field, from a file or for the clipboard. Debug output does not
//! show it, and it is wiped from memory when it is dropped. Copies that egui makes to draw it are not
//! wiped.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use zeroize::Zeroizing;

/// A text that may contain a key.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct SecretText(Zeroizing<String>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Deref for SecretText {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}

/// Lets a text field edit the text in place.
impl DerefMut for SecretText {
    fn deref_mut(&mut self) -> &mut String {
        &mut self.0
    }
}

impl From<Zeroizing<String>> for SecretText {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_printed() {
        assert!(!format!("{:?}", SecretText::from("AAAA")).contains("AAAA"));
    }
}
