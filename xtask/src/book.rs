//! `cargo xtask book`: the documentation as a book, in `target/book`. Most of what could be wrong with it
//! the tests below find without making it.

#[cfg(test)]
mod decisions;
#[cfg(test)]
mod language;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, ensure};

use crate::{cargo_tool::MDBOOK, process, workspace::Workspace};

/// Makes it.
///
/// # Errors
/// If it cannot be made, or mdbook warns of something.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let mdbook = MDBOOK.ensure(workspace)?;
    let mut build = process::command(&mdbook);
    let output = build.arg("build").arg(workspace.root()).output();
    let output = output.with_context(|| format!("cannot run {}", mdbook.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    print!("{said}");
    ensure!(output.status.success(), "mdbook ended with {}", output.status);
    ensure!(!is_warning(&said), "mdbook warns of what is above");
    Ok(())
}

/// mdbook marks each line of its log with a level.
fn is_warning(said: &str) -> bool {
    said.lines().any(|line| line.split_whitespace().any(|word| ["WARN", "ERROR"].contains(&word)))
}
