//! Man pages: one for each program and each of its actions.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, roman};
use ruroco::commander::arguments;

use crate::programs::{self, COMMANDER, Section};

/// Writes all of them into a folder.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    for (command, section) in programs::of_clap() {
        write_all(folder, command, section)?;
    }
    write_page(folder, COMMANDER, Section::Administrator, commander().render().as_bytes())
}

fn write_all(folder: &Path, mut command: Command, section: Section) -> Result<()> {
    // Fills in the names of actions as they are called: `ruroco-gate status`.
    command.build();
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        let actions = command.get_subcommands().filter(|action| action.get_name() != "help");
        commands.extend(actions.cloned());
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let mut page = Vec::new();
        let command = command.disable_help_subcommand(true);
        Man::new(command).section(section.number()).render(&mut page)?;
        write_page(folder, &name, section, &page)?;
    }
    Ok(())
}

/// The commander's, out of what it prints when it is asked for help.
fn commander() -> Roff {
    let mut help = arguments::HELP.lines();
    let what = help.next().unwrap_or_default();
    let mut page = Roff::new();
    page.control("TH", [COMMANDER, Section::Administrator.number()]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{COMMANDER} - {}", what.trim_end_matches('.')))]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold(COMMANDER), roman(" [OPTIONS]")]);
    page.control("SH", ["OPTIONS"]);
    page.control("nf", []);
    for line in help.skip_while(|line| *line != "Options:").skip(1) {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    page
}

fn write_page(folder: &Path, name: &str, section: Section, page: &[u8]) -> Result<()> {
    let path = folder.join(format!("{name}.{}", section.number()));
    fs::write(&path, page).with_context(|| format!("could not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_and_every_action_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        for name in [
            "ruroco-client.1",
            "ruroco-client-send.1",
            "ruroco-commander.8",
            "ruroco-gate.8",
            "ruroco-gate-status.8",
            "ruroco-server.8",
            "ruroco-server-init.8",
        ] {
            let page = fs::read_to_string(folder.path().join(name)).expect(name);
            assert!(page.contains(".TH") && page.contains(".SH"), "{name}: {page}");
        }
        assert!(!folder.path().join("ruroco-gate-help.8").exists());
    }

    #[test]
    fn the_commanders_page_has_each_of_its_options() {
        let page = commander().render();
        for option in ["\\-\\-config", "\\-\\-commands", "\\-\\-version"] {
            assert!(page.contains(option), "{page}");
        }
    }
}
