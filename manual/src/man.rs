//! Man pages: one for each program and each of its actions, with what [`extras`] adds, and those that
//! come from the book ([`formats`]).

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap_mangen::Man;

use crate::{
    extras, formats,
    programs::{self, Package, Section},
};

/// A finished man page.
pub(crate) struct Page {
    /// Its name, without the section.
    pub(crate) name: String,
    /// Its section.
    pub(crate) section: Section,
    /// The package that installs it.
    pub(crate) package: Package,
    /// Its text as roff.
    pub(crate) text: Vec<u8>,
}

/// Writes all pages, with a folder for each package.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(folder: &Path) -> Result<()> {
    for page in pages()? {
        let folder = folder.join(page.package.folder());
        let path = folder.join(format!("{}.{}", page.name, page.section.number()));
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&path, page.text))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// All pages.
///
/// # Errors
/// If a page of the book cannot be converted.
pub(crate) fn pages() -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    for programs::Program { mut command, section, package } in programs::all() {
        // Fills in the full names of actions, such as `ruroco status`.
        command.build();
        let mut commands = vec![command];
        while let Some(command) = commands.pop() {
            let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
            commands.extend(shown.cloned());
            let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
            let mut text = Vec::new();
            Man::new(command).section(section.number()).render(&mut text)?;
            text.extend(extras::of(&name).map(extras::Extras::render).unwrap_or_default());
            pages.push(Page { name, section, package, text });
        }
    }
    pages.extend(formats::all()?);
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_and_every_action_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        for name in [
            "ruroco-client/ruroco-client.1",
            "ruroco-client/ruroco-client-config.5",
            "ruroco-client/ruroco-client-knock.1",
            "ruroco-client/ruroco-client-join.1",
            "ruroco-client/ruroco-client-host-add.1",
            "ruroco-client/ruroco-client-key-export.1",
            "ruroco-client-ui/ruroco-client-ui.1",
            "ruroco/ruroco.7",
            "ruroco/ruroco-commander.8",
            "ruroco/ruroco-commands.5",
            "ruroco/ruroco-config.5",
            "ruroco/ruroco.8",
            "ruroco/ruroco-gate.8",
            "ruroco/ruroco-status.8",
            "ruroco/ruroco-server.8",
            "ruroco/ruroco-server-init.8",
        ] {
            let page = fs::read_to_string(folder.path().join(name)).expect(name);
            assert!(page.contains(".TH") && page.contains(".SH"), "{name}: {page}");
        }
        let pages = pages().unwrap();
        for name in ["ruroco-help", "ruroco-client-gen", "ruroco-client-key-help"] {
            assert!(!pages.iter().any(|page| page.name == name), "{name}");
        }
    }

    #[test]
    fn every_page_of_a_program_has_examples_files_and_an_environment() {
        let pages = pages().unwrap();
        for program in programs::all() {
            let name = program.command.get_name();
            let page = pages.iter().find(|page| page.name == name).unwrap();
            let text = std::str::from_utf8(&page.text).unwrap();
            for section in ["EXAMPLES", "ENVIRONMENT", "FILES"] {
                assert!(text.contains(&format!(".SH {section}")), "{name} has no {section}");
            }
        }
    }
}
