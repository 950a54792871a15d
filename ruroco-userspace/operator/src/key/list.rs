//! `ruroco key list`: each key, when it was last used, what it may request, and its rules.

use std::{collections::BTreeMap, io::Write};

use anyhow::bail;
use ruroco_commands::approved::Approved;
use ruroco_common::command::CommandHash;
use ruroco_config::{KeyRules, key_directory::Occasion};
use ruroco_messages::problems::{Level, Problems};
use serde::Serialize;

use super::Host;
use crate::knocks::{self, Knock};

/// A key as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    id: String,
    /// When its last command ran, if the audit trail has one.
    last_used: Option<String>,
    last_command: Option<String>,
    commands: Vec<String>,
    expires: Option<String>,
    expired: bool,
    sources: Vec<String>,
    require_address: bool,
}

/// Shows the keys.
///
/// # Errors
/// If the keys or the audit trail cannot be read.
pub(super) fn run(host: &Host, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let config = host.config.path();
    let approved = Approved::read(config, &host.commands, Occasion::Reload);
    let said = approved.problems().to_string();
    let has_errors = approved.problems().count(Level::Error) > 0;
    let Some(approved) = Problems::default().good_of(approved) else { bail!("{said}") };
    let trail = knocks::read(&approved.config.audit_dir, usize::MAX)?;
    let keys = shown(&approved, &trail.knocks);
    if json {
        serde_json::to_writer(&mut *out, &keys)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", table(&keys))?;
    }
    if has_errors {
        bail!("the files have errors, so the daemons may have other keys and rules:\n{said}");
    }
    Ok(())
}

fn shown(approved: &Approved, knocks: &[Knock]) -> Vec<Shown> {
    let mut last: BTreeMap<&str, &Knock> = BTreeMap::new();
    for knock in knocks {
        // The latest comes first.
        last.entry(&knock.key).or_insert(knock);
    }
    let mut names: Vec<&str> = approved.keys.all_names().collect();
    names.sort_unstable();
    let shown = |name: &str| {
        let id = approved.keys.id(name)?;
        let rules = approved.config.rules_of(name);
        let policy = approved.config.policy_of(name, CommandHash::of);
        let commands = approved.commands.allowed(id);
        let commands = commands.filter(|command| policy.allows(CommandHash::of(command)));
        let last = last.get(name);
        let expires = rules.and_then(|rules| rules.expires);
        Some(Shown {
            name: name.to_owned(),
            id: id.to_string(),
            last_used: last.map(|knock| knock.time.clone()),
            last_command: last.map(|knock| knock.command.clone()),
            commands: commands.map(str::to_owned).collect(),
            expires: expires.map(|expires| expires.to_string()),
            expired: expires.is_some_and(|expires| expires.is_past_now()),
            sources: rules.map(networks).unwrap_or_default(),
            require_address: rules.is_some_and(|rules| rules.require_address),
        })
    };
    names.into_iter().filter_map(shown).collect()
}

fn networks(rules: &KeyRules) -> Vec<String> {
    rules.sources.iter().flatten().map(ToString::to_string).collect()
}

impl Shown {
    /// Its cells in the table.
    fn cells(&self) -> [String; 5] {
        // Microseconds are for programs.
        let seconds = |time: &String| {
            let seconds = time.split_once('.').map_or(time.as_str(), |(seconds, _)| seconds);
            seconds.replace('T', " ")
        };
        let nothing = || "-".to_owned();
        let last_used = self.last_used.as_ref().map_or_else(nothing, seconds);
        let last_command = self.last_command.clone().unwrap_or_else(nothing);
        let commands = match self.commands.as_slice() {
            [] => "nothing".to_owned(),
            commands => commands.join(" "),
        };
        let mut rules = Vec::new();
        if let Some(expires) = &self.expires {
            rules.push(format!("{} {expires}", if self.expired { "EXPIRED" } else { "expires" }));
        }
        if !self.sources.is_empty() {
            rules.push(format!("from {}", self.sources.join(" ")));
        }
        if self.require_address {
            rules.push("must name an address".to_owned());
        }
        [self.name.clone(), last_used, last_command, commands, rules.join(", ")]
    }
}

/// The keys as a table for a terminal.
fn table(keys: &[Shown]) -> String {
    let head =
        ["KEY", "LAST USED (UTC)", "LAST COMMAND", "MAY REQUEST", "RULES"].map(str::to_owned);
    let rows: Vec<[String; 5]> = [head].into_iter().chain(keys.iter().map(Shown::cells)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if keys.iter().any(|key| key.last_used.is_none()) {
        text.push_str("\n-: no command of this key is in the audit trail\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, last: Option<(&str, &str)>) -> Shown {
        Shown {
            name: name.to_owned(),
            id: String::new(),
            last_used: last.map(|(time, _)| time.to_owned()),
            last_command: last.map(|(_, command)| command.to_owned()),
            commands: vec!["open_ssh".to_owned()],
            expires: None,
            expired: false,
            sources: Vec::new(),
            require_address: name == "phone",
        }
    }

    #[test]
    fn each_column_has_what_its_head_says() {
        let last = ("2026-11-30T06:42:36.123456Z", "open_ssh");
        let expected = "\
KEY     LAST USED (UTC)      LAST COMMAND  MAY REQUEST  RULES
laptop  2026-11-30 06:42:36  open_ssh      open_ssh
phone   -                    -             open_ssh     must name an address

-: no command of this key is in the audit trail
";
        assert_eq!(table(&[key("laptop", Some(last)), key("phone", None)]), expected);
    }
}
