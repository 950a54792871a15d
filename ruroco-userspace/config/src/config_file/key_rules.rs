//! `[keys.NAME]` in `config.toml`.

use std::collections::BTreeMap;

use ruroco_files::toml_file::{
    field::Info,
    table::{Table, Taken},
    value::Located,
};
use ruroco_messages::problems::Problems;

use crate::{expiry::Expiry, fields, network::Network};

/// `[keys.NAME]`: what a key may do.
#[derive(Debug, Default)]
pub struct KeyRules {
    /// Names of the only commands that knocks with this key may request.
    pub commands: Option<Vec<String>>,
    /// When the key stops to be accepted.
    pub expires: Option<Expiry>,
    /// The networks that knocks may come from and commands may run for.
    pub sources: Option<Vec<Network>>,
    /// Whether knocks have to name the address that their command runs for.
    pub require_address: bool,
}

/// The rules in `[keys]`, by the name of the key.
pub(super) fn of(
    mut keys: Table<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, Located<KeyRules>> {
    let known: Vec<Info> = fields::key();
    let tables = keys.take_tables(problems);
    let rules = |(name, table): (Located<String>, Taken<Table<'_>>)| {
        let mut table = table.ok()?.value;
        let commands = table.take(&fields::COMMANDS, problems).ok().map(|commands| commands.value);
        let expires = table.take(&fields::EXPIRES, problems).ok().map(|expires| expires.value);
        let sources = table.take(&fields::SOURCES, problems).ok().map(|sources| sources.value.0);
        let require_address = table.take_or_default(&fields::REQUIRE_ADDRESS, problems);
        table.reject_unknown(&known, &[], problems);
        let require_address = require_address.is_some_and(|require| require.value);
        let value = KeyRules { commands, expires, sources, require_address };
        Some((name.value, Located { value, at: name.at }))
    };
    tables.into_iter().filter_map(rules).collect()
}
