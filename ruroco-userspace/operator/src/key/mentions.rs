//! Where config.toml and commands.toml mention a key: its rules in `[keys.NAME]`, and `keys` of commands. The rest of
//! the files stays as it is written.

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, fchown},
    path::{Path, PathBuf},
};

use anyhow::Context;
use ruroco_files::durable;
use toml_edit::{Array, DocumentMut, Item, Table, Value};

/// A file that is to change.
pub(super) struct Change {
    path: PathBuf,
    text: String,
}

impl Change {
    /// Writes it: after a crash either the old or the new text is there.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        // A link stays a link.
        let path = fs::canonicalize(&self.path).with_context(failed)?;
        let before = fs::metadata(&path).with_context(failed)?;
        durable::replace_with(&path, |mut file| {
            // The server's group may be allowed to read it.
            fchown(file, Some(before.uid()), Some(before.gid()))?;
            file.set_permissions(before.permissions())?;
            file.write_all(self.text.as_bytes())
        })
        .with_context(failed)?;
        Ok(())
    }

    /// No change: the file as it is now.
    pub(super) fn none(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { path: path.to_owned(), text: read(path)? })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The change of a file, unless it stays as it is.
fn change(
    path: &Path,
    edit: impl FnOnce(&mut DocumentMut) -> bool,
) -> anyhow::Result<Option<Change>> {
    let text = read(path)?;
    let parsed = text.parse::<DocumentMut>();
    let mut document = parsed.with_context(|| format!("cannot change {}", path.display()))?;
    let is_changed = edit(&mut document);
    Ok(is_changed.then(|| Change { path: path.to_owned(), text: document.to_string() }))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What a key may do, as options say: the fields of `[keys.NAME]`.
pub(super) struct Rules(Table);

impl Rules {
    pub(super) fn none() -> Self {
        Self(Table::new())
    }

    pub(super) fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.0.insert(field, Item::Value(value.into()));
    }

    pub(super) fn set_list(&mut self, field: &str, values: &[String]) {
        if !values.is_empty() {
            self.set(field, values.iter().map(String::as_str).collect::<Array>());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Adds rules for a key to config.toml.
pub(super) fn add_rules(config: &Path, key: &str, rules: Rules) -> anyhow::Result<Option<Change>> {
    change(config, |document| {
        if rules.is_empty() {
            return false;
        }
        let keys = document.entry("keys").or_insert_with(|| {
            let mut keys = Table::new();
            // `[keys.NAME]` alone creates it.
            keys.set_implicit(true);
            Item::Table(keys)
        });
        keys.as_table_like_mut().is_some_and(|keys| {
            keys.insert(key, Item::Table(rules.0));
            true
        })
    })
}

/// Removes the rules of a key from config.toml.
pub(super) fn remove_rules(config: &Path, key: &str) -> anyhow::Result<Option<Change>> {
    change(config, |document| {
        let keys = document.get_mut("keys").and_then(Item::as_table_like_mut);
        keys.is_some_and(|keys| keys.remove(key).is_some())
    })
}

/// Gives the rules of a key to the same key under another name.
pub(super) fn rename_rules(config: &Path, key: &str, new: &str) -> anyhow::Result<Option<Change>> {
    change(config, |document| {
        let keys = document.get_mut("keys").and_then(Item::as_table_like_mut);
        keys.is_some_and(|keys| match keys.remove(key) {
            Some(rules) => {
                keys.insert(new, rules);
                true
            }
            None => false,
        })
    })
}

/// Removes a key from `keys` of all commands.
pub(super) fn remove_from_commands(commands: &Path, key: &str) -> anyhow::Result<Option<Change>> {
    change(commands, |document| {
        let mut is_changed = false;
        for_each_list(document, |keys| {
            let before = keys.len();
            keys.retain(|name| name.as_str() != Some(key));
            is_changed |= keys.len() != before;
        });
        is_changed
    })
}

/// Renames a key in `keys` of all commands.
pub(super) fn rename_in_commands(
    commands: &Path,
    key: &str,
    new: &str,
) -> anyhow::Result<Option<Change>> {
    change(commands, |document| {
        let mut is_changed = false;
        for_each_list(document, |keys| {
            for name in keys.iter_mut().filter(|name| name.as_str() == Some(key)) {
                let decor = name.decor().clone();
                *name = Value::from(new);
                *name.decor_mut() = decor;
                is_changed = true;
            }
        });
        is_changed
    })
}

/// `keys` of each command.
fn for_each_list(document: &mut DocumentMut, mut edit: impl FnMut(&mut Array)) {
    let commands = document.get_mut("commands").and_then(Item::as_table_like_mut);
    let Some(commands) = commands else { return };
    for (_, command) in commands.iter_mut() {
        let keys = command.as_table_like_mut().and_then(|command| command.get_mut("keys"));
        if let Some(keys) = keys.and_then(Item::as_array_mut) {
            edit(keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
# ours
addresses = [\"192.0.2.1\"] # outer

[keys.laptop] # of Ann
commands = [\"open\"]

[gate]
interfaces = [\"eth0\"]

[keys.phone]
expires = 2027-01-31
";
    const COMMANDS: &str = "\
[commands.open]
run = [\"true\"]
keys = [ \"laptop\", # Ann
  \"phone\" ]

[commands.all]
run = [\"true\"]
";

    fn of(text: &str, change: impl FnOnce(&Path) -> anyhow::Result<Option<Change>>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.toml");
        fs::write(&path, text).unwrap();
        if let Some(change) = change(&path).unwrap() {
            change.write().unwrap();
        }
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn rules_are_added_in_a_table_of_their_own() {
        let rules = || {
            let mut rules = Rules::none();
            rules.set_list("commands", &["open".to_owned(), "all".to_owned()]);
            rules.set("require_address", true);
            rules
        };
        let table = "\n[keys.tablet]\ncommands = [\"open\", \"all\"]\nrequire_address = true\n";
        let added = of(CONFIG, |path| add_rules(path, "tablet", rules()));
        assert_eq!(added, format!("{CONFIG}{table}"));
        let without = "addresses = [\"192.0.2.1\"]\n";
        assert_eq!(
            of(without, |path| add_rules(path, "tablet", rules())),
            format!("{without}{table}")
        );
        assert_eq!(of(CONFIG, |path| add_rules(path, "tablet", Rules::none())), CONFIG);
    }

    #[test]
    fn a_key_is_removed_and_all_else_stays_as_it_is_written() {
        let (before, rest) = CONFIG.split_once("[keys.laptop]").unwrap();
        let (_, after) = rest.split_once("\n\n").unwrap();
        assert_eq!(of(CONFIG, |path| remove_rules(path, "laptop")), format!("{before}{after}"));
        assert_eq!(of(CONFIG, |path| remove_rules(path, "tablet")), CONFIG);
        let left = of(COMMANDS, |path| remove_from_commands(path, "phone"));
        assert!(left.contains("keys = [ \"laptop\""), "{left}");
        assert!(!left.contains("phone"), "{left}");
        let both = of(&left, |path| remove_from_commands(path, "laptop"));
        let keys: DocumentMut = both.parse().unwrap();
        assert!(keys["commands"]["open"]["keys"].as_array().unwrap().is_empty(), "{both}");
        assert!(both.ends_with("\n[commands.all]\nrun = [\"true\"]\n"), "{both}");
    }

    #[test]
    fn a_key_is_renamed_wherever_it_is_mentioned() {
        let renamed = of(CONFIG, |path| rename_rules(path, "laptop", "desk"));
        assert_eq!(renamed, CONFIG.replace("keys.laptop", "keys.desk"));
        let renamed = of(COMMANDS, |path| rename_in_commands(path, "phone", "desk"));
        assert_eq!(renamed, COMMANDS.replace("phone", "desk"));
    }

    #[test]
    fn a_changed_file_keeps_owner_and_mode() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not tested: giving a file to another group takes root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, CONFIG).unwrap();
        std::os::unix::fs::chown(&path, Some(12_345), Some(54_321)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        fs::set_permissions(&path, mode).unwrap();
        remove_rules(&path, "laptop").unwrap().unwrap().write().unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.uid(), after.gid(), after.mode() & 0o7777), (12_345, 54_321, 0o640));
    }

    #[test]
    fn dotted_and_inline_tables_are_found_too() {
        let dotted = "port = 80\nkeys.laptop.commands = [\"open\"]\nkeys.phone.commands = []\n";
        let without = of(dotted, |path| remove_rules(path, "laptop"));
        assert_eq!(without, "port = 80\nkeys.phone.commands = []\n");
        let inline = "keys = { laptop = { commands = [] } }\n";
        assert!(!of(inline, |path| remove_rules(path, "laptop")).contains("laptop"));
    }
}
