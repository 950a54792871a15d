//! Man pages: one for each program and each of its actions, and those of `formats`.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap_mangen::Man;

use roff::Roff;

use crate::{
    formats,
    programs::{self, Section},
};

/// Writes all of them into a folder.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    for (mut command, section) in programs::all() {
        // Fills in the names of actions as they are called: `ruroco-gate status`.
        command.build();
        let mut commands = vec![command];
        while let Some(command) = commands.pop() {
            let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
            commands.extend(shown.cloned());
            let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
            let mut page = Vec::new();
            Man::new(command).section(section.number()).render(&mut page)?;
            if section == Section::Administrator {
                let mut roff = Roff::new();
                formats::see_also(&mut roff, &formats::SEE_ALSO);
                page.extend(roff.to_roff().into_bytes());
            }
            write_page(folder, &name, section, &page)?;
        }
    }
    for (name, page) in formats::all()? {
        write_page(folder, name, Section::Formats, &page)?;
    }
    Ok(())
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
            "ruroco-client-invite.1",
            "ruroco-client-host-add.1",
            "ruroco-client-key-export.1",
            "ruroco-client-ui.1",
            "ruroco-commander.8",
            "ruroco-commands.5",
            "ruroco-config.5",
            "ruroco-gate.8",
            "ruroco-gate-status.8",
            "ruroco-server.8",
            "ruroco-server-init.8",
        ] {
            let page = fs::read_to_string(folder.path().join(name)).expect(name);
            assert!(page.contains(".TH") && page.contains(".SH"), "{name}: {page}");
        }
        for name in ["ruroco-gate-help.8", "ruroco-client-gen.1", "ruroco-client-key-help.1"] {
            assert!(!folder.path().join(name).exists(), "{name}");
        }
        let commander = fs::read_to_string(folder.path().join("ruroco-commander.8")).unwrap();
        assert!(commander.contains("\\-\\-commands"), "{commander}");
        assert!(commander.contains("ruroco\\-config"), "{commander}");
    }
}
