//! What the tests in the machines printed, as a table.

use std::{fmt, fs, path::Path};

use anyhow::{Context, Result};

use super::{machine::Card, packages::Kernel};

/// The page with the table, below the workspace.
pub(super) const PAGE: &str = "docs/evaluate/kernels.md";

/// Between these lines of the page, the table stands.
const BEGIN: &str = "<!-- written by cargo xtask test --kernels -->\n";
const END: &str = "<!-- end -->\n";

/// What one machine printed of one part of its script.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: String,
    passed: u32,
    failed: u32,
    /// In which mode the program was attached.
    attached: Option<String>,
}

/// One kernel with one card.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    kernel: String,
    card: String,
    parts: Vec<Part>,
    /// `loading:` lines.
    loading: Vec<String>,
    is_complete: bool,
}

impl Row {
    /// Reads what a machine printed.
    pub(super) fn read(kernel: &Kernel, release: &str, card: Card, printed: &str) -> Self {
        let mut row = Self {
            kernel: format!("{release} ({})", kernel.origin),
            card: card.to_string(),
            parts: Vec::new(),
            loading: Vec::new(),
            is_complete: false,
        };
        printed.lines().for_each(|line| row.take(line));
        row
    }

    fn take(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("run: ") {
            self.is_complete = name == "end";
            if !self.is_complete {
                let name = name.to_owned();
                self.parts.push(Part { name, passed: 0, failed: 0, attached: None });
            }
        } else if let Some((_, line)) = line.split_once("loading: ") {
            self.loading.push(line.to_owned());
        } else if let Some(part) = self.parts.last_mut() {
            if let Some((_, mode)) = line.split_once("driver: attached in mode ") {
                part.attached = Some(mode.trim_matches('"').to_owned());
            } else if let Some(result) = line.strip_prefix("test result: ") {
                part.passed = number_before(result, " passed");
                part.failed = number_before(result, " failed");
            }
        }
    }

    fn has_passed(&self) -> bool {
        self.is_complete && self.parts.iter().all(|part| part.failed == 0 && part.passed > 0)
    }
}

/// The number before a word in the last line of Rust's test harness.
fn number_before(line: &str, word: &str) -> u32 {
    let number = line.split(word).next().and_then(|before| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} |", self.kernel, self.card)?;
        for name in ["loading", "kernel", "native", "generic", "auto"] {
            match self.parts.iter().find(|part| part.name == name) {
                None => write!(f, "  |")?,
                Some(Part { passed: 0, failed: 0, .. }) => write!(f, " did not end |")?,
                Some(Part { passed, failed, attached, .. }) => {
                    write!(f, " {passed} of {}", passed.saturating_add(*failed))?;
                    match attached {
                        Some(mode) if mode != name => write!(f, " ({mode}) |")?,
                        _ => write!(f, " |")?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    pub(super) fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    /// How many rows have not passed.
    pub(super) fn failed(&self) -> usize {
        self.0.iter().filter(|row| !row.has_passed()).count()
    }

    /// Puts the table into the documentation, if it has all kernels.
    ///
    /// # Errors
    /// If the page cannot be read or written.
    pub(super) fn write(&self, page: &Path, is_whole: bool) -> Result<()> {
        if !is_whole {
            return Ok(());
        }
        let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
        let parts =
            text.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
        let (head, tail) =
            parts.with_context(|| format!("{} has no place for the table", page.display()))?;
        fs::write(page, format!("{head}{BEGIN}\n{self}\n{END}{tail}"))
            .with_context(|| page.display().to_string())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| kernel | card | loading | kernel tests | native | generic | auto |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        writeln!(
            f,
            "\n| kernel | configuration: verified instructions, time to load |\n|---|---|"
        )?;
        for row in self.0.iter().filter(|row| !row.loading.is_empty()) {
            writeln!(f, "| {} | {} |", row.kernel, row.loading.join("; "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
release: 6.1
run: loading
loading: no doors: 155464 instructions, 9 ms
test result: ok. 2 passed; 0 failed; 0 ignored
run: native
driver: attached in mode \"native\"
test result: FAILED. 1 passed; 1 failed; 0 ignored
run: auto
driver: attached in mode \"generic\"
test result: ok. 2 passed; 0 failed; 0 ignored
run: end
";

    fn row(printed: &str) -> Row {
        let kernel = super::super::packages::named(&["6.1".to_owned()]).unwrap()[0];
        Row::read(kernel, "6.1.0", Card::Veth, printed)
    }

    #[test]
    fn a_row_has_the_counts_and_the_mode_if_it_is_another_one() {
        let row = row(PRINTED);
        let shown = row.to_string();
        assert_eq!(
            shown,
            "| 6.1.0 (Debian 12) | veth | 2 of 2 |  | 1 of 2 |  | 2 of 2 (generic) |"
        );
        assert!(!row.has_passed());
        assert_eq!(row.loading, ["no doors: 155464 instructions, 9 ms"]);
    }

    #[test]
    fn a_machine_that_hangs_or_runs_no_test_has_not_passed() {
        let good = "run: native\ntest result: ok. 2 passed; 0 failed\nrun: end\n";
        assert!(row(good).has_passed());
        assert!(!row(good.strip_suffix("run: end\n").unwrap()).has_passed());
        assert!(!row(&good.replace("2 passed", "0 passed")).has_passed());
        assert!(row("run: native\n").to_string().contains("did not end"));
    }
}
