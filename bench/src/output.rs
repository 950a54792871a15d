//! Where the report goes.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{markdown, paths::Paths, report::Report, svg};

/// Between these two lines `docs/evaluate/benchmarks.md` carries a report.
const BEGIN: &str = "<!-- What follows is written by `cargo xtask bench --write-docs`. -->";
const END: &str = "<!-- What was written by `cargo xtask bench --write-docs` ends here. -->";

/// Writes `report.json`, `report.md` and `load.svg`; what is shown is returned.
pub(crate) fn write(paths: &Paths, report: &Report) -> Result<String> {
    let text = markdown::write(report);
    let curve = svg::draw(&svg::series(&report.floods));
    put(&paths.output("report.json"), &(serde_json::to_string_pretty(report)? + "\n"))?;
    put(&paths.output("report.md"), &text)?;
    put(&paths.output("load.svg"), &curve)?;
    Ok(text)
}

/// Puts the report into the documentation.
pub(crate) fn write_docs(paths: &Paths, report: &Report) -> Result<()> {
    let page = paths.docs("evaluate/benchmarks.md");
    let old =
        fs::read_to_string(&page).with_context(|| format!("could not read {}", page.display()))?;
    let new = replace(&old, &markdown::write(report))
        .with_context(|| format!("{} lacks the lines between which it goes", page.display()))?;
    put(&page, &new)?;
    put(&paths.docs("evaluate/benchmarks.svg"), &svg::draw(&svg::series(&report.floods)))
}

fn put(path: &Path, text: &str) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text))
        .with_context(|| format!("could not write {}", path.display()))
}

fn replace(page: &str, report: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{report}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_two_lines_is_replaced() {
        let page = format!("# Title\n{BEGIN}\nold\n{END}\nThe end\n");
        let new = replace(&page, "new").unwrap();
        assert_eq!(new, format!("# Title\n{BEGIN}\n\nnew\n{END}\nThe end\n"));
        assert_eq!(replace(&new, "new").unwrap(), new);
        assert_eq!(replace("# Title\n", "new"), None);
    }
}
