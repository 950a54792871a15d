//! The reference of all command lines in the book: one page, which is kept with the others so that
//! it can be read without building anything. A test fails if it is out of date.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

use crate::programs;

/// Name of the page.
const PAGE: &str = "cli.md";

const BEGINNING: &str = "\
# Command-line reference

The output of `--help` of all programs. `--config` of gate and server may also follow an action.

`cargo run -p ruroco-manual -- --docs docs/operate/reference` writes this page, and a test fails if the page is
out of date.
";

/// Writes the page into a folder.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let path = folder.join(PAGE);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, page()))
        .with_context(|| format!("could not write {}", path.display()))
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
    fn the_page_says_what_the_programs_say() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operate/reference").join(PAGE);
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == page(),
            "docs/operate/reference/{PAGE} is out of date; run:\n\
             cargo run -p ruroco-manual -- --docs docs/operate/reference"
        );
    }
}
