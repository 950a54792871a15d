//! JSON objects of a few fields, written without a library: root's dependencies are few.

use std::fmt::{Display, Write};

/// An object that is being written.
#[derive(Debug)]
pub struct Object(String);

impl Default for Object {
    fn default() -> Self {
        Self("{".to_owned())
    }
}

impl Object {
    /// Adds a text. Control characters are escaped, those too that JSON would allow: lines are shown
    /// on terminals.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: &str) -> Self {
        self.name(name);
        self.quote(value);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: u64) -> Self {
        self.name(name);
        self.write(value);
        self
    }

    /// Adds an object.
    #[must_use]
    pub fn object(mut self, name: &'static str, value: Self) -> Self {
        self.name(name);
        self.0.push_str(&value.close());
        self
    }

    /// The whole object.
    pub fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.quote(name);
        self.0.push(':');
    }

    fn quote(&mut self, text: &str) {
        self.0.push('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.extend(['\\', character]),
                // All of them are below U+10000, so one escape is enough (RFC 8259, section 7).
                _ if character.is_control() => {
                    self.write(format_args!("\\u{:04x}", u32::from(character)));
                }
                _ => self.0.push(character),
            }
        }
        self.0.push('"');
    }

    fn write(&mut self, value: impl Display) {
        // A string takes everything.
        let _ = write!(self.0, "{value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn another_reader_reads_what_was_written(
            text in any::<String>(), sly in "[\"\\\\{}:,\\x00-\\x1f\\x7f-\\u{9f}\n]{0,40}", number: u64,
        ) {
            let inner = Object::default().number("n", number);
            let object = Object::default()
                .text("text", &text)
                .object("inner", inner)
                .text("sly", &sly)
                .object("empty", Object::default())
                .close();
            let expected =
                json!({ "text": text, "inner": { "n": number }, "sly": sly, "empty": {} });
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&object).unwrap(), expected);
            prop_assert!(!object.chars().any(char::is_control), "{object:?}");
        }
    }
}
