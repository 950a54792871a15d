//! What the tests in the machines printed, as a table.

use std::{fmt, fs, path::Path};

use anyhow::{Context, Result};

use super::packages::Kernel;

/// The page with the table, below the workspace.
pub(super) const PAGE: &str = "docs/evaluate/kernels.md";

/// Between these lines of the page, the table stands.
const BEGIN: &str = "<!-- written by cargo xtask test --kernels -->\n";
const END: &str = "<!-- end -->\n";

/// One kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    kernel: String,
    /// For each configuration what loading took.
    loading: Vec<(String, String)>,
    /// Whether the tests have ended, and none has failed.
    has_passed: bool,
}

impl Row {
    /// Reads what a machine printed.
    pub(super) fn read(kernel: &Kernel, release: &str, printed: &str) -> Self {
        let loading = printed.lines().filter_map(|line| {
            let (configuration, took) = line.split_once("loading: ")?.1.split_once(": ")?;
            Some((configuration.to_owned(), took.to_owned()))
        });
        // A line of Rust's test harness.
        let mut results = printed.lines().filter_map(|line| line.strip_prefix("test result: "));
        Self {
            kernel: format!("{release} ({})", kernel.origin),
            loading: loading.collect(),
            has_passed: results
                .next()
                .is_some_and(|result| result.starts_with("ok. ") && !result.starts_with("ok. 0 ")),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = if self.has_passed { "passed" } else { "NOT passed" };
        write!(f, "| {} | {outcome} |", self.kernel)?;
        let loading = self.loading.iter().map(|(what, took)| format!("{what}: {took}"));
        write!(f, " {} |", loading.collect::<Vec<_>>().join("; "))
    }
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    pub(super) fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    /// How many kernels have not passed.
    pub(super) fn failed(&self) -> usize {
        self.0.iter().filter(|row| !row.has_passed).count()
    }

    /// Puts the table into the documentation.
    ///
    /// # Errors
    /// If the page cannot be read or written.
    pub(super) fn write(&self, page: &Path) -> Result<()> {
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
        writeln!(f, "| kernel | tests | verified instructions and time to load |")?;
        writeln!(f, "|---|---|---|")?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
release: 6.1
test loading::every ... loading: no doors: 155464 instructions, 9 ms
test result: ok. 2 passed; 0 failed; 0 ignored
";

    fn row(printed: &str) -> Row {
        let kernel = super::super::packages::named(&["6.1".to_owned()]).unwrap()[0];
        Row::read(kernel, "6.1.0", printed)
    }

    #[test]
    fn a_row_has_what_loading_took() {
        let row = row(PRINTED);
        let expected = "| 6.1.0 (Debian 12) | passed | no doors: 155464 instructions, 9 ms |";
        assert_eq!(row.to_string(), expected);
    }

    #[test]
    fn a_machine_that_hangs_fails_or_runs_no_test_has_not_passed() {
        let (hangs, _) = PRINTED.split_once("test result").unwrap();
        let failed = PRINTED.replace("ok. 2 passed; 0 failed", "FAILED. 1 passed; 1 failed");
        let none = PRINTED.replace("2 passed", "0 passed");
        for printed in [hangs, &failed, &none] {
            assert!(!row(printed).has_passed, "{printed}");
        }
        assert!(row(PRINTED).has_passed);
    }
}
