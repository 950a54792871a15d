//! Where the report goes.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    doors::{self, Doors},
    markdown,
    paths::Paths,
    report::{Report, Run},
    svg,
};

/// Between these two lines `docs/evaluate/benchmarks.md` carries a report.
const BEGIN: &str = "<!-- What follows is written by `cargo xtask bench --write-docs`. -->";
const END: &str = "<!-- What was written by `cargo xtask bench --write-docs` ends here. -->";

/// And between these two, one about doors.
const DOORS_BEGIN: &str =
    "<!-- What follows is written by `cargo xtask bench --doors --write-docs`. -->";
const DOORS_END: &str =
    "<!-- What was written by `cargo xtask bench --doors --write-docs` ends here. -->";

/// Writes `report.json`, `report.md` and `load.svg`; what is shown is returned.
pub(crate) fn write(paths: &Paths, report: &Report) -> Result<String> {
    let text = markdown::write(report) + "\n" + &doors::write(&report.doors);
    let curve = svg::draw(&svg::series(&report.floods));
    put(&paths.output("report.json"), &(serde_json::to_string_pretty(report)? + "\n"))?;
    put(&paths.output("report.md"), &text)?;
    put(&paths.output("load.svg"), &curve)?;
    Ok(text)
}

/// Puts the report into the documentation.
pub(crate) fn write_docs(paths: &Paths, report: &Report) -> Result<()> {
    put_into_page(paths, [BEGIN, END], &markdown::write(report))?;
    put_into_page(paths, [DOORS_BEGIN, DOORS_END], &of_doors(&report.run, &report.doors))?;
    put(&paths.docs("evaluate/benchmarks.svg"), &svg::draw(&svg::series(&report.floods)))
}

/// The same of doors alone.
pub(crate) fn write_doors(
    paths: &Paths,
    run: &Run,
    doors: &Doors,
    write_docs: bool,
) -> Result<String> {
    let text = of_doors(run, doors);
    put(&paths.output("doors.json"), &(serde_json::to_string_pretty(doors)? + "\n"))?;
    put(&paths.output("doors.md"), &text)?;
    if write_docs {
        put_into_page(paths, [DOORS_BEGIN, DOORS_END], &text)?;
    }
    Ok(text)
}

fn of_doors(run: &Run, doors: &Doors) -> String {
    run.describe() + "\n" + &doors::write(doors)
}

fn put_into_page(paths: &Paths, between: [&str; 2], text: &str) -> Result<()> {
    let page = paths.docs("evaluate/benchmarks.md");
    let old =
        fs::read_to_string(&page).with_context(|| format!("could not read {}", page.display()))?;
    let new = replace(&old, between, text)
        .with_context(|| format!("{} lacks the lines between which it goes", page.display()))?;
    put(&page, &new)
}

fn put(path: &Path, text: &str) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .with_context(|| format!("could not write {}", path.display()))
}

fn replace(page: &str, [begin, end]: [&str; 2], report: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{report}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_two_lines_is_replaced() {
        let page = format!("# Title\n{BEGIN}\nold\n{END}\nThe end\n");
        let new = replace(&page, [BEGIN, END], "new").unwrap();
        assert_eq!(new, format!("# Title\n{BEGIN}\n\nnew\n{END}\nThe end\n"));
        assert_eq!(replace(&new, [BEGIN, END], "new").unwrap(), new);
        assert_eq!(replace(&page, [DOORS_BEGIN, DOORS_END], "new"), None);
    }
}
