//! Errors as people read them. The standard library appends the number to an error of the operating system,
//! `Permission denied (os error 13)`. People do not need the number, and programs find it elsewhere.
//!
//! The number is removed where text leaves a program (log, exit, reports, audit trail) rather than where an
//! error is created, so that no error can be forgotten.

use std::fmt::{self, Display, Write};

/// What a number begins with.
const BEFORE: &str = " (os error ";

/// Most digits of a number, with its sign.
const MAX_DIGITS: usize = 11;

/// Shows something without the numbers of errors in it.
#[derive(Clone, Copy, Debug)]
pub struct Plain<T>(pub T);

impl<T: Display> Display for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut filter = Filter::new(f);
        write!(filter, "{}", self.0)?;
        filter.finish()
    }
}

/// An error with all its causes in one line, without numbers.
pub fn plain(error: impl Into<Chain>) -> String {
    let Chain(text) = error.into();
    Plain(text).to_string()
}

/// The text of an error and its causes.
#[derive(Debug)]
pub struct Chain(String);

impl From<&anyhow::Error> for Chain {
    fn from(error: &anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

impl From<&std::io::Error> for Chain {
    fn from(error: &std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Passes on what is written to it without the numbers of errors. Allocates nothing.
#[derive(Debug)]
pub struct Filter<W> {
    to: W,
    /// How much of [`BEFORE`] has been held back.
    matched: usize,
    /// What has been held back after it.
    digits: [u8; MAX_DIGITS],
    count: usize,
}

impl<W: Write> Filter<W> {
    /// Everything that is written to it goes on to `to`.
    pub const fn new(to: W) -> Self {
        Self { to, matched: 0, digits: [0; MAX_DIGITS], count: 0 }
    }

    /// Passes on what was held back at the end of the text.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> fmt::Result {
        self.release()
    }

    fn release(&mut self) -> fmt::Result {
        let (matched, count) = (self.matched, self.count);
        (self.matched, self.count) = (0, 0);
        self.to.write_str(BEFORE.get(..matched).unwrap_or_default())?;
        let digits = self.digits.get(..count).unwrap_or_default();
        self.to.write_str(str::from_utf8(digits).unwrap_or_default())
    }

    fn take(&mut self, c: char) -> fmt::Result {
        let is_digit = c.is_ascii_digit() || c == '-';
        if BEFORE.get(self.matched..).is_some_and(|rest| rest.starts_with(c)) {
            self.matched = self.matched.saturating_add(c.len_utf8());
            return Ok(());
        }
        if self.matched == BEFORE.len() {
            if is_digit && let Some(place) = self.digits.get_mut(self.count) {
                *place = u8::try_from(c).unwrap_or_default();
                self.count = self.count.saturating_add(1);
                return Ok(());
            }
            if c == ')' && self.count > 0 {
                (self.matched, self.count) = (0, 0);
                return Ok(());
            }
        }
        self.release()?;
        match BEFORE.starts_with(c) {
            true => self.matched = c.len_utf8(),
            false => self.to.write_char(c)?,
        }
        Ok(())
    }
}

impl<W: Write> Write for Filter<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.take(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use proptest::prelude::*;
    use std::io;

    #[test]
    fn numbers_of_errors_are_left_out_wherever_they_stand() {
        let error = io::Error::from_raw_os_error(13);
        let text = error.to_string();
        assert!(text.contains("os error"), "{text}: there is nothing to leave out any more");
        assert_eq!(plain(&error), "Permission denied");
        let chain = Err::<(), _>(error).context("could not read /x").unwrap_err();
        assert_eq!(plain(&chain), "could not read /x: Permission denied");
        for (text, shown) in [
            ("a (os error 2); b (os error -104)", "a; b"),
            ("a (os error 2", "a (os error 2"),
            ("a (os error )", "a (os error )"),
            ("a (os error two)", "a (os error two)"),
            ("a (os  (os error 2)", "a (os "),
            ("a  (os error 2)", "a "),
            ("(os error 2)", "(os error 2)"),
            ("a (os error 123456789012)", "a (os error 123456789012)"),
            ("ends with a space ", "ends with a space "),
        ] {
            assert_eq!(Plain(text).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn everything_else_stays(text in "[ (oserr)é0-9\n-]{0,40}") {
            prop_assume!(!text.contains(BEFORE));
            prop_assert_eq!(Plain(&text).to_string(), text);
        }
    }
}
