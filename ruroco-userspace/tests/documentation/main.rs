//! What the book says that programs can check: test vectors and offsets of the protocol, names of
//! verdicts and refusals, names and defaults of configuration.
#![cfg(all(feature = "with-client", feature = "with-server", feature = "with-commander"))]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

mod clients;
mod protocol;
mod verdicts;

use std::{fs, path::Path};

/// The text of a page.
fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The part of a page below a heading, up to the next one of any level.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no `{heading}`"));
    let behind = &page[start + heading.len() + 2..];
    behind.split("\n#").next().unwrap()
}

/// The cells of all tables in a text, row by row, without the heads.
fn tables(text: &str) -> Vec<Vec<Vec<&str>>> {
    let lines: Vec<&str> = text.lines().collect();
    let tables = lines.split(|line| !line.starts_with('|')).filter(|lines| lines.len() > 2);
    tables.map(|lines| lines[2..].iter().map(|line| cells(line)).collect()).collect()
}

fn cells(row: &str) -> Vec<&str> {
    let row = row.strip_prefix('|').and_then(|row| row.strip_suffix('|'));
    row.expect("a row ends as it begins").split('|').map(str::trim).collect()
}

/// The only table in a text.
fn table(text: &str) -> Vec<Vec<&str>> {
    let mut tables = tables(text);
    assert_eq!(tables.len(), 1, "tables in: {text}");
    tables.remove(0)
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
