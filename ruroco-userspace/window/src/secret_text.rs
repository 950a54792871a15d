//! A text that may hold a key, on its way through the window: between a field, a file and the
//! clipboard. It is not printed with what it is part of, and is zeroed at its end. What egui draws and
//! copies of it is out of reach.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use zeroize::Zeroizing;

/// Such a text.
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

/// A field is written into where it is.
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
