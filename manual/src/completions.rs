//! Completions for bash, zsh and fish.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap_complete::{
    generate_to,
    shells::{Bash, Fish, Zsh},
};

use crate::programs;

/// Writes them into one folder for each shell.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(folder: &Path) -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let folder = folder.join(shell);
        let failed = || format!("could not write completions into {}", folder.display());
        fs::create_dir_all(&folder).with_context(failed)?;
        for (mut command, _) in programs::all() {
            let name = command.get_name().to_owned();
            let written = match shell {
                "bash" => generate_to(Bash, &mut command, &name, &folder),
                "zsh" => generate_to(Zsh, &mut command, &name, &folder),
                _ => generate_to(Fish, &mut command, &name, &folder),
            };
            written.with_context(failed)?;
        }
    }
    Ok(())
}
