//! All errors in files at once, so that a person can fix a configuration in one go, not with one restart for
//! each error.
//!
//! A function that checks files adds its [`Problems`] and continues with the valid parts. The result is
//! [`Checked`], and a program can only start with it if it has no errors.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use crate::{plain_error::Plain, redaction::redacted, visible::is_hidden};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A program would not start.
    Error,
    /// It would start, and probably not do what is meant.
    Warning,
}

impl Level {
    /// The one name of this level.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong: where, what, and what to do about it. It is shown as one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct Problem {
    path: PathBuf,
    line: Option<usize>,
    level: Level,
    message: String,
}

impl Problem {
    /// An error that prevents the start of a program. It is one line and contains no key, whatever input the
    /// message repeats.
    pub fn error(path: &Path, message: impl fmt::Display) -> Self {
        let message = Plain(message).to_string();
        let message = redacted(&message).chars().map(escape_hidden).collect();
        Self { path: path.to_owned(), line: None, level: Level::Error, message }
    }

    /// The same at a line of the file, counted from 1.
    #[must_use]
    pub fn at_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// The same, but a program starts nevertheless.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.level = Level::Warning;
        self
    }

    /// The same as it looks to one of several who have looked.
    #[must_use]
    pub fn seen_by(mut self, who: &str) -> Self {
        self.message = format!("{who}: {}", self.message);
        self
    }

    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line, counted from 1, if the file has lines that matter.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// How bad it is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The error and its correction or the command that helps.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Somebody may have pasted a key where a file's name belongs.
        f.write_str(&redacted(&self.path.display().to_string()))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A path as a shell takes it, for commands that are to be run as they are printed.
pub fn shell_word(path: &Path) -> String {
    let shown = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,%=".contains(c);
    match shown.chars().all(is_plain) && !shown.is_empty() {
        true => shown,
        false => format!("'{}'", shown.replace('\'', "'\\''")),
    }
}

/// A character as it can stand in a line.
fn escape_hidden(c: char) -> String {
    if is_hidden(c) { c.escape_default().collect() } else { c.into() }
}

/// All errors and warnings. Displayed as an error, it has a line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes one.
    pub fn add(&mut self, problem: impl Into<Problem>) {
        self.0.push(problem.into());
    }

    /// The value of a result, if it has one; an error is added to the problems.
    pub fn good<T, E: Into<Problem>>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    /// The part of a checked value with which further checks can continue; its problems are added.
    pub fn good_of<T>(&mut self, checked: Checked<T>) -> Option<T> {
        self.0.extend(checked.problems.0);
        checked.content
    }

    /// That these are all problems of this.
    pub fn of<T>(self, content: T) -> Checked<T> {
        Checked { content: Some(content), problems: self }
    }

    /// That there is nothing to go on with because of these problems, of which there is at least
    /// one.
    pub fn of_nothing<T>(self) -> Checked<T> {
        Checked { content: None, problems: self }
    }

    /// By file and line, each once.
    #[must_use]
    pub fn sorted(self) -> Self {
        Self(self.0.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many there are of a level.
    pub fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|problem| problem.level == level).count()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        self.0.extend(problems);
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            match problem.level {
                Level::Error => write!(f, "{problem}")?,
                Level::Warning => write!(f, "{problem} (a warning)")?,
            }
        }
        Ok(())
    }
}

/// A checked value, with all errors in it. Invalid parts are missing or replaced by harmless values, so that
/// all other parts can be checked.
#[derive(Debug)]
#[must_use]
pub struct Checked<T> {
    content: Option<T>,
    problems: Problems,
}

impl<T> Checked<T> {
    /// The content, if a program can start with it, with its warnings.
    ///
    /// # Errors
    /// All problems, if at least one of them is an error.
    pub fn or_all_problems(self) -> Result<(T, Problems), Problems> {
        match self.content {
            Some(content) if self.problems.count(Level::Error) == 0 => Ok((content, self.problems)),
            Some(_) | None => Err(self.problems.sorted()),
        }
    }

    /// The same without the warnings.
    ///
    /// # Errors
    /// As [`Checked::or_all_problems`].
    pub fn or_problems(self) -> Result<T, Problems> {
        self.or_all_problems().map(|(content, _)| content)
    }

    /// The same with what else is wrong with the content.
    pub fn and(mut self, check: impl FnOnce(&T) -> Problems) -> Self {
        if let Some(content) = &self.content {
            self.problems.extend(check(content));
        }
        self
    }

    /// The errors and warnings.
    pub fn problems(&self) -> &Problems {
        &self.problems
    }

    /// The same with this made of the content.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Checked<U> {
        Checked { content: self.content.map(f), problems: self.problems }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize) -> Problem {
        Problem::error(Path::new("/x"), format!("bad {line}")).at_line(line)
    }

    #[test]
    fn one_problem_is_one_line_whatever_it_repeats() {
        let problem = Problem::error(Path::new("/x.toml"), "`b\n\u{1b}` is too large").at_line(2);
        assert_eq!(problem.to_string(), "/x.toml:2: `b\\n\\u{1b}` is too large");
    }

    #[test]
    fn a_path_in_a_command_is_one_word() {
        for (path, word) in [
            ("/etc/ruroco/a.key", "/etc/ruroco/a.key"),
            ("/etc/my keys", "'/etc/my keys'"),
            ("/x;rm -r $HOME", "'/x;rm -r $HOME'"),
            ("/it's", "'/it'\\''s'"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }

    #[test]
    fn a_problem_repeats_neither_a_key_nor_what_changes_how_it_is_shown() {
        let key = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
        let value = format!("`port`: invalid type: string \"{key}\", expected a number");
        let problem = Problem::error(Path::new(key), value).at_line(2).to_string();
        let told = "[secret]:2: `port`: invalid type: string \"[secret]\", expected a number";
        assert_eq!(problem, told);
        let problem =
            Problem::error(Path::new("/x"), "`a\u{202e}b\u{200b}` is too large").to_string();
        assert_eq!(problem, "/x: `a\\u{202e}b\\u{200b}` is too large");
    }

    #[test]
    fn nothing_starts_with_an_error_and_all_are_told_in_order() {
        let mut problems = Problems::default();
        for line in [10, 2, 2] {
            problems.add(problem(line));
        }
        let told = problems.of(()).or_problems().unwrap_err().to_string();
        assert_eq!(told, "/x:2: bad 2\n/x:10: bad 10");
    }

    #[test]
    fn a_warning_keeps_nothing_from_starting() {
        let mut problems = Problems::default();
        problems.add(problem(1).as_warning());
        let (content, warnings) = problems.of(7).or_all_problems().unwrap();
        assert_eq!((content, warnings.len()), (7, 1));
        assert!(Problems::default().of_nothing::<()>().or_problems().is_err());
    }
}
