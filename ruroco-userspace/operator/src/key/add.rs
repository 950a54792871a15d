//! `ruroco key add`: a key for a client, its rules, and the invitation.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    num::NonZero,
    path::Path,
};

use anyhow::{Context, bail};
use clap::Args;
use ruroco_commands::approved::Approved;
use ruroco_config::key_directory::Occasion;
use ruroco_files::durable;
use ruroco_keys::name::Name;
use ruroco_seal::generate_key;
use ruroco_trust::private_directory;
use toml_edit::Datetime;

use super::{
    Host,
    mentions::{self, Change, Rules},
    reload::{Outcome, daemons},
};
use crate::{completion, invite};

/// The key to create.
#[derive(Args)]
pub(super) struct Options {
    /// Name of the key: of the person or device that will knock
    #[arg(value_name = "KEY")]
    key: String,
    /// Command that the key may request; repeat for more [default: all that allow the key]
    #[arg(long = "command", value_name = "COMMAND", add = completion::commands())]
    allowed: Vec<String>,
    /// Last day on which the key is accepted, such as 2027-01-31 (UTC) [default: no end]
    #[arg(long, value_name = "DATE")]
    expires: Option<Datetime>,
    /// Network that knocks must come from, such as 203.0.113.0/24; repeat for more [default: any]
    #[arg(long = "source", value_name = "NETWORK")]
    sources: Vec<String>,
    /// Reject knocks that do not name the address they are for
    #[arg(long)]
    require_address: bool,
    /// Address that the client sends to: NAME, NAME:PORT, IP, IP:PORT or `[IPV6]:PORT`
    /// [default: the first of `addresses`]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// TCP port that a knock opens
    #[arg(long, value_name = "PORT", value_parser = ruroco_command_line::port)]
    wait: Option<NonZero<u16>>,
    /// Name of this host at the client [default: the host name]
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
}

impl Options {
    fn rules(&self) -> Rules {
        let mut rules = Rules::none();
        rules.set_list("commands", &self.allowed);
        if let Some(expires) = self.expires {
            rules.set("expires", expires);
        }
        rules.set_list("sources", &self.sources);
        if self.require_address {
            rules.set("require_address", true);
        }
        rules
    }
}

/// Creates the key, puts it into force and shows the invitation.
///
/// # Errors
/// What could not be done. A key that no daemon would accept is not created.
pub(super) fn run(host: &Host, options: Options, out: &mut impl Write) -> anyhow::Result<()> {
    let config = host.config.path();
    let file = host.key_file(&options.key)?;
    let rules = options.rules();
    if !rules.is_empty() && host.config.rules_of(&options.key).is_some() {
        bail!(
            "{} already has rules for {} in [keys.{1}]. Change them there, and run this without options for rules",
            config.display(),
            options.key
        );
    }
    let change = mentions::add_rules(config, &options.key, rules)?;
    create(&file)?;
    if let Err(error) = put_rules(host, change.as_ref()) {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        return Err(error.context(format!("The key {} was not created", options.key)));
    }
    writeln!(out, "created {}", file.display())?;
    if change.is_some() {
        writeln!(out, "added [keys.{}] to {}", options.key, config.display())?;
    }
    for daemon in daemons(&host.config) {
        let outcome = daemon.reload().with_context(|| {
            format!(
                "The key is not in force yet. When you have fixed this, run `{}`",
                daemon.remedy()
            )
        })?;
        match outcome {
            Outcome::Reloaded => writeln!(out, "reloaded {}", daemon.unit())?,
            Outcome::NotRunning => writeln!(
                out,
                "{} is not running; it accepts the key when it starts",
                daemon.unit()
            )?,
        }
    }
    if !io::stdout().is_terminal() {
        // What a program adds goes to the log of that program, which is no place for a key.
        writeln!(
            out,
            "Show the invitation, which contains the key, with: ruroco invite {}",
            options.key
        )?;
        return Ok(());
    }
    writeln!(out)?;
    let Options { key, allowed, address, wait, name, .. } = options;
    let invitation =
        invite::Options::for_new_key(&key, &host.commands, allowed, address, wait, name);
    invite::run(config, invitation, out)
        .with_context(|| format!("The key is in force, but has no invitation yet. Show it later with `ruroco invite {key}`"))
}

fn create(file: &Path) -> anyhow::Result<()> {
    if let Some(dir) = file.parent() {
        private_directory::prepare(dir, 0o700)?;
    }
    let key = generate_key().context("cannot create a key: no random numbers")?;
    match durable::create(file, key.to_line().as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "{} exists already. Choose another name, or revoke the old key with `ruroco key revoke`",
            file.display()
        ),
        written => written.with_context(|| format!("cannot write {}", file.display())),
    }
}

/// Writes the rules, if the daemons would accept all files then.
fn put_rules(host: &Host, change: Option<&Change>) -> anyhow::Result<()> {
    let config = host.config.path();
    let check = || Approved::read(config, &host.commands, Occasion::Reload).or_problems();
    let Some(change) = change else { return Ok(check().map(drop)?) };
    let before = Change::none(config)?;
    change.write()?;
    if let Err(problems) = check() {
        before.write()?;
        return Err(problems.into());
    }
    Ok(())
}
