//! What the configuration files have in common: how they are refused.

use ruroco_files::toml_file::{Source, field::Info};
use ruroco_messages::problems::{Checked, Problem};
use toml::Table;

/// Longest text that is looked at, in bytes: room for every field once or twice. What a longer one
/// could show, a short one can, in less time.
const MAX_SIZE: usize = 1000;

/// What the files are called in errors.
const PATH: &str = "/etc/ruroco/fuzzed.toml";

/// The bytes as text, if they are a short one.
pub(crate) fn short(data: &[u8]) -> Option<&str> {
    str::from_utf8(data).ok().filter(|text| text.len() <= MAX_SIZE)
}

/// Checks a text, and if it is refused, that the refusals help: each is one line, `file:line: …`, and
/// the line is the right one. An empty line in front must then move it by one, unless it is about
/// something that the file lacks as a whole, which is told of line 1.
pub(crate) fn check<T>(text: &str, check: impl Fn(Source) -> Checked<T>) -> Option<T> {
    let problems = match check(Source::new(PATH, text)).or_problems() {
        Ok(checked) => return Some(checked),
        Err(problems) => problems,
    };
    assert!(!problems.is_empty(), "refused without a reason");
    let mut told: Vec<_> = problems.iter().map(message_and_line).collect();
    for (message, line) in &told {
        assert!((1..=text.matches('\n').count() + 1).contains(line), "line {line}: {message}");
    }
    // A byte order mark is allowed only at the very beginning.
    if !text.starts_with('\u{feff}') {
        let Err(moved) = check(Source::new(PATH, format!("\n{text}"))).or_problems() else {
            panic!("an empty line in front makes it good: {problems}")
        };
        let mut moved: Vec<_> = moved.iter().map(message_and_line).collect();
        told.sort();
        moved.sort();
        assert_eq!(moved.len(), told.len(), "{told:?} to {moved:?}");
        for ((message, line), (moved_message, moved_line)) in told.iter().zip(&moved) {
            assert_eq!(moved_message, message);
            let may = *moved_line == line + 1 || (*line, *moved_line) == (1, 1);
            assert!(may, "{line} to {moved_line}: {message}");
        }
    }
    None
}

/// Message and line of a problem, which must have the form that is promised.
pub(crate) fn message_and_line(problem: &Problem) -> (String, usize) {
    let shown = problem.to_string();
    let place = shown.strip_prefix(PATH).and_then(|rest| rest.strip_prefix(':'));
    let (line, message) = place.and_then(|rest| rest.split_once(": ")).expect(&shown);
    assert!(!message.is_empty(), "no message: {shown:?}");
    assert!(!message.contains(char::is_control), "more than one line: {shown:?}");
    (message.to_owned(), line.parse().expect(&shown))
}

/// The same text as anybody may read it, without knowing what ought to be in it.
pub(crate) fn untyped(text: &str) -> Option<Table> {
    toml::from_str(text).ok()
}

/// The names that a table may have: those of its fields, and others.
pub(crate) fn names(fields: &[Info], others: &[&'static str]) -> Vec<&'static str> {
    fields.iter().map(|field| field.name).chain(others.iter().copied()).collect()
}

/// Makes sure that a table has no other fields than these.
pub(crate) fn assert_known(table: &Table, known: &[&str]) {
    for field in table.keys() {
        assert!(known.contains(&field.as_str()), "{field:?} was accepted");
    }
}

/// The texts of an array.
pub(crate) fn strings(value: &toml::Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// The seconds of a time: a number, or a text of a number and a unit.
pub(crate) fn seconds(value: &toml::Value) -> Option<u64> {
    let Some(text) = value.as_str() else { return u64::try_from(value.as_integer()?).ok() };
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}
