//! `ruroco import`: turns a host of upstream ruroco, or of an earlier release of this one, into a host of
//! this release. Its `config.toml` and `commands.toml` get the current names of fields, its keys a directory
//! that belongs to root. Upstream's blocklist becomes its floors, so that no packet that has run runs again.
//!
//! Everything is read and checked first. Replaced files are kept under another name.

pub mod blocklist;
mod commands_text;
mod config_text;
mod edit;
mod files;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use ruroco_commands::command_file;
use ruroco_config::{Config, FLOORS, UPSTREAM_BLOCKLIST};
use ruroco_files::toml_file::Source as File;

use self::{config_text::Converted, files::Backup};
use crate::floors;

/// Options of `import`.
#[derive(Args)]
pub struct Options {
    /// File with the commands
    #[arg(long, value_name = "PATH", default_value = ruroco_commands::commands::DEFAULT_PATH)]
    commands: PathBuf,
    /// Only import the floors in this file of upstream ruroco, for a configuration that is converted already
    #[arg(long, value_name = "PATH")]
    floors: Option<PathBuf>,
    /// Do not ask whether the commands are yours
    #[arg(long)]
    yes: bool,
}

/// All changes, after they were checked.
struct Plan {
    config: Option<Converted>,
    commands: Option<String>,
    /// The keys that move to a directory of their own.
    keys: Vec<PathBuf>,
    /// Upstream's floors, and their file.
    floors: Option<(PathBuf, Vec<floors::Floor>)>,
    /// What a commands file says that runs, for a person to confirm.
    lines: Vec<String>,
}

/// Converts the files of a host.
///
/// # Errors
/// What cannot be converted; nothing has changed then. Or what could not be written.
pub fn run(config: &Path, options: &Options) -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    if let Some(file) = &options.floors {
        return take_over_floors(file, config, out);
    }
    let plan = Plan::of(config, &options.commands)?;
    if plan.is_empty() {
        writeln!(out, "There is nothing to convert: {} is up to date.", config.display())?;
        return Ok(());
    }
    plan.confirm(options.yes, out)?;
    plan.carry_out(config, &options.commands, out)
}

/// Raises the floors of a host to those in a file of upstream ruroco.
fn take_over_floors(file: &Path, path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::read(path).or_problems()?;
    let Some(floors) = blocklist::read(file)? else { bail!("{} not found", file.display()) };
    let place = floors::Place { dir: &config.state_dir, user: &config.server_user };
    floors::raise(place, path, &floors)?;
    writeln!(out, "imported floors from {}: {}", file.display(), floors.len())?;
    Backup::of(file).set_aside(out)
}

impl Plan {
    fn of(config: &Path, commands: &Path) -> anyhow::Result<Self> {
        let text = files::read(config)?;
        let converted = config_text::convert(&File::new(config, text.as_str()))?;
        let is_upstreams = converted.as_ref().is_some_and(|converted| converted.is_upstreams);
        let commands_text = match commands.try_exists() {
            // An earlier release without a commander. Upstream does not start without one.
            Ok(false) if !is_upstreams => String::new(),
            Ok(_) | Err(_) => files::read(commands)?,
        };
        let (new_commands, lines) =
            commands_text::convert(&File::new(commands, commands_text.as_str()))?;
        if let Some(text) = &new_commands {
            command_file::check(&File::new(commands, text.as_str()), None).or_problems()?;
        }
        let mut plan =
            Self { config: None, commands: new_commands, keys: Vec::new(), floors: None, lines };
        if let Some(converted) = converted {
            Config::check(File::new(config, converted.text.as_str())).or_problems()?;
            if converted.is_upstreams {
                plan.keys = files::keys_in(&converted.old_keys_dir)?;
                plan.floors = find_floors(&converted)?;
            }
            plan.config = Some(converted);
        }
        Ok(plan)
    }

    fn is_empty(&self) -> bool {
        self.config.is_none() && self.commands.is_none()
    }

    /// Until now the files may have belonged to the server's user, who could have changed what root runs.
    fn confirm(&self, is_confirmed: bool, out: &mut impl Write) -> anyhow::Result<()> {
        if !self.config.as_ref().is_some_and(|converted| converted.is_upstreams) {
            return Ok(());
        }
        writeln!(out, "These commands run when a knock requests them:")?;
        for line in &self.lines {
            writeln!(out, "  {line}")?;
        }
        if is_confirmed {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            bail!("No terminal to ask whether these commands are yours. Pass --yes if they are");
        }
        write!(out, "Are they as you wrote them? [y/N] ")?;
        out.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => bail!("Cancelled. Nothing was changed"),
        }
    }

    fn carry_out(self, config: &Path, commands: &Path, out: &mut impl Write) -> anyhow::Result<()> {
        let Self { config: converted, commands: new_commands, keys, floors, .. } = self;
        if let Some(Converted { text, keys_dir, state_dir, server_user, is_upstreams, .. }) =
            converted
        {
            if is_upstreams {
                files::give_to_root(config.parent().unwrap_or(config), 0o755, out)?;
                files::give_to_root(commands, 0o600, out)?;
                files::move_keys(&keys, &keys_dir, out)?;
                if let Some((file, floors)) = &floors {
                    let place = floors::Place { dir: &state_dir, user: &server_user };
                    let new = files::Draft::write(config, &text)?;
                    floors::raise(place, new.path(), floors)?;
                    writeln!(out, "imported floors from {}: {}", file.display(), floors.len())?;
                }
            }
            Backup::of(config).replace(&text, 0o644, out)?;
            // Last: until here the whole import can be run again.
            if let Some((file, _)) = floors {
                Backup::of(&file).set_aside(out)?;
            }
        }
        if let Some(text) = new_commands {
            Backup::of(commands).replace(&text, 0o600, out)?;
        }
        writeln!(out, "Now run: ruroco check")?;
        Ok(())
    }
}

/// Upstream's floors: in `state_dir` or with the keys.
fn find_floors(converted: &Converted) -> anyhow::Result<Option<(PathBuf, Vec<floors::Floor>)>> {
    let dir = &converted.old_state_dir;
    let path = dir.join(UPSTREAM_BLOCKLIST);
    match blocklist::read(&path).context("Nothing was changed")? {
        Some(floors) => Ok(Some((path, floors))),
        None if dir.join(FLOORS).exists() || converted.state_dir.join(FLOORS).exists() => Ok(None),
        None => bail!(
            "there is no {} and no {}, so it is not known which packets have already run. If no knock was \
             ever accepted on this host, create {0} with: printf '\\221\\200' > {0}. Otherwise restore it, \
             or make new keys",
            path.display(),
            dir.join(FLOORS).display(),
        ),
    }
}
