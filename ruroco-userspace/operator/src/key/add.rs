//! `ruroco key add`: a key for a client, its rules, and the invitation.

use std::{
    io::{self, IsTerminal, Write},
    num::NonZero,
    path::Path,
};

use anyhow::{Context, bail};
use clap::Args;
use ruroco_commands::approved::Approved;
use ruroco_config::key_directory::Occasion;
use ruroco_files::{durable, toml_file::nearest};
use ruroco_keys::name::Name;
use ruroco_seal::generate_key;
use toml_edit::Datetime;

use super::{
    Host,
    mentions::{self, Change, Rules},
    reload::{OnFailure, reload},
    tell,
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
    #[arg(long, value_name = "DATE", value_parser = date)]
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
    let file = host.new_key_file(&options.key)?;
    let rules = options.rules();
    if !rules.is_empty() && host.config.rules_of(&options.key).is_some() {
        bail!(
            "{} already has rules for {} in [keys.{1}]. Change them there, and run this without options for rules",
            config.display(),
            options.key
        );
    }
    if file.symlink_metadata().is_ok() {
        return Err(exists(&file));
    }
    expect_commands(host, &options.allowed)?;
    let change = mentions::add_rules(config, &options.key, rules)?;
    create_with_rules(host, &file, change.as_ref())
        .with_context(|| format!("The key {} was not created", options.key))?;
    tell(out, format_args!("created {}", file.display()));
    if change.is_some() {
        tell(out, format_args!("added [keys.{}] to {}", options.key, config.display()));
    }
    reload(host, OnFailure::Stop, out).with_context(|| {
        format!(
            "The key is not in force yet. Show its invitation later with `ruroco invite {}`",
            options.key
        )
    })?;
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

/// A day, as `expires` has it.
fn date(text: &str) -> Result<Datetime, &'static str> {
    let date = text.parse().ok();
    date.filter(|date: &Datetime| {
        date.date.is_some() && date.time.is_none() && date.offset.is_none()
    })
    .ok_or("use a date such as 2027-01-31")
}

/// Makes sure that these commands exist: a key that may request only a misspelt command can do nothing. Files with
/// errors are reported later.
fn expect_commands(host: &Host, wanted: &[String]) -> anyhow::Result<()> {
    let approved = Approved::read(host.config.path(), &host.commands, Occasion::Reload);
    let Ok(Approved { commands, .. }) = approved.or_problems() else { return Ok(()) };
    let mut known: Vec<&str> = commands.names().collect();
    known.sort_unstable();
    let Some(unknown) = wanted.iter().find(|wanted| !known.contains(&wanted.as_str())) else {
        return Ok(());
    };
    let file = host.commands.display();
    let meant = nearest(unknown, known.iter().copied());
    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    bail!("there is no command {unknown} in {file}{meant}\nCommands: {}", known.join(" "))
}

/// Creates the key, if the daemons would accept all files then. Its rules come first: without them it could do more.
fn create_with_rules(host: &Host, file: &Path, change: Option<&Change>) -> anyhow::Result<()> {
    let config = host.config.path();
    let before = Change::none(config)?;
    if let Some(change) = change {
        change.write()?;
    }
    let created = create(file).and_then(|()| {
        let approved = Approved::read(config, &host.commands, Occasion::Reload).or_problems();
        approved.map(drop).map_err(|problems| {
            let _ = durable::remove(file);
            problems.into()
        })
    });
    if created.is_err() && change.is_some() {
        before.write()?;
    }
    created
}

fn create(file: &Path) -> anyhow::Result<()> {
    let key = generate_key().context("cannot create a key: no random numbers")?;
    match durable::create(file, key.to_line().as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(file)),
        written => written.with_context(|| format!("cannot write {}", file.display())),
    }
}

fn exists(file: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{} exists already. Choose another name, or revoke the old key with `ruroco key revoke`",
        file.display()
    )
}
