//! The reference pages of the book. The repository contains them, so that they can be read without building
//! anything. A test fails if they are not what the programs say.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

use crate::{fields, programs};

/// Name of the page.
const PAGE: &str = "cli.md";

const BEGINNING: &str = "\
# Command-line reference

What each program prints for `--help`.

This page is written by `cargo run -p ruroco-manual -- --docs docs/operate/reference`, and a test fails if it is
out of date.
";

/// Writes a page.
type Text = fn() -> String;

/// The pages, and what is in each.
const PAGES: [(&str, Text); 2] = [(PAGE, page), (fields::PAGE, fields::page)];

/// Writes the pages into a folder.
///
/// # Errors
/// If one cannot be written.
pub(crate) fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, page) in PAGES {
        let path = folder.join(name);
        fs::write(&path, page()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn page() -> String {
    let mut page = BEGINNING.to_owned();
    for program in programs::all() {
        let options = MarkdownOptions::new().show_footer(false).show_table_of_contents(false);
        page.push('\n');
        page.push_str(&sections(&help_markdown_command_custom(&program.command, &options)));
    }
    page
}

/// The sections of a page that is about one program, without its own beginning; headings only where
/// there is something to link to.
fn sections(page: &str) -> String {
    let lines = page.lines().map(str::trim_end).skip_while(|line| !line.starts_with("## "));
    let mut text = String::new();
    for line in lines {
        if line.is_empty() && text.ends_with("\n\n") {
            continue;
        }
        text.push_str(line.strip_prefix("###### ").unwrap_or(line));
        text.push('\n');
    }
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_say_what_the_programs_say() {
        for (name, page) in PAGES {
            let path =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operate/reference").join(name);
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                kept == page(),
                "docs/operate/reference/{name} is out of date; run:\n\
                 cargo run -p ruroco-manual -- --docs docs/operate/reference"
            );
        }
    }
}
