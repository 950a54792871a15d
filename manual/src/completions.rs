//! Completions for bash, zsh and fish, in files named as each shell looks for them.
//!
//! The client and the operator's tool complete names that only they know, so their files have the shell ask the
//! program for its script. A script that is asked for fits the program, whatever its version.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap_complete::{Shell, generate};
use ruroco_command_line::completion::VARIABLE;

use crate::programs;

/// The programs that answer a shell themselves.
const DYNAMIC: [&str; 2] = ["ruroco-client", "ruroco"];

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
            let text = match dynamic(shell, &name) {
                Some(text) => text.into_bytes(),
                None => {
                    let mut text = Vec::new();
                    generate(shell, command, &name, &mut text);
                    text
                }
            };
            let path = folder.join(file_name(&name));
            fs::write(&path, text)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
    }
    Ok(())
}

/// The file for a program that answers the shell itself.
fn dynamic(shell: Shell, name: &str) -> Option<String> {
    if !DYNAMIC.contains(&name) {
        return None;
    }
    let script = format!("{VARIABLE}={shell} {name}");
    if shell == Shell::Fish {
        return Some(format!("{script} | source\n"));
    }
    let source = format!("source <({script})\n");
    if shell == Shell::Zsh {
        // zsh loads the file as a function at the first TAB, and expects it to answer that, too.
        let function = format!("_clap_dynamic_completer_{}", name.replace('-', "_"));
        return Some(format!("#compdef {name}\n{source}{function} \"$@\"\n"));
    }
    Some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_finds_its_file_and_an_option_in_it() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        for (name, words) in [
            ("bash/ruroco-server", "--config"),
            ("zsh/_ruroco-server", "--config"),
            ("fish/ruroco-server.fish", "config"),
            ("bash/ruroco-client", "RUROCO_COMPLETE=bash ruroco-client"),
            ("zsh/_ruroco-client", "RUROCO_COMPLETE=zsh ruroco-client"),
            ("fish/ruroco.fish", "RUROCO_COMPLETE=fish ruroco"),
        ] {
            let text = fs::read_to_string(folder.path().join(name)).expect(name);
            assert!(text.contains(words), "{name}: {text}");
        }
    }
}
