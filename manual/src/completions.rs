//! Completions for bash, zsh and fish, in files named as each shell looks for them.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap_complete::{Shell, generate};

use crate::programs;

/// How a shell's file for a program is called.
type FileName = fn(&str) -> String;

const SHELLS: [(Shell, FileName); 3] = [
    (Shell::Bash, str::to_owned),
    (Shell::Zsh, |program| format!("_{program}")),
    (Shell::Fish, |program| format!("{program}.fish")),
];

/// Writes them into one folder for each shell.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(folder: &Path) -> Result<()> {
    for (shell, file_name) in SHELLS {
        let folder = folder.join(shell.to_string());
        fs::create_dir_all(&folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        for mut program in programs::all() {
            let command = &mut program.command;
            let name = command.get_name().to_owned();
            let mut text = Vec::new();
            generate(shell, command, &name, &mut text);
            let path = folder.join(file_name(&name));
            fs::write(&path, text)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_finds_its_file_and_an_option_in_it() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        for name in ["bash/ruroco-gate", "zsh/_ruroco-gate", "fish/ruroco-gate.fish"] {
            let text = fs::read_to_string(folder.path().join(name)).expect(name);
            assert!(text.contains("json"), "{name}: {text}");
        }
    }
}
