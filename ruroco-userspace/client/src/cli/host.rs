//! `ruroco-client host`: the hosts in `client.toml`.

use std::{num::NonZero, path::PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use ruroco_common::doors::DoorName;
use ruroco_invite::door::{Door, in_words};
use ruroco_keys::name::Name;
use ruroco_messages::problems::Problems;
use serde_json::{Map, Value, json};

use super::{
    address::TypedAddress, completion, hosts, knock_options::KnockOptions, print_line, print_note,
};
use crate::{
    folder::Folder,
    key_store::{KeyReference, KeyStore},
    profiles::{
        EditError, Host,
        field_values::{FieldValue, HostField},
    },
    upstream::{self, CommandsList},
};

#[derive(Subcommand)]
pub(super) enum Action {
    /// Add a host
    Add(Box<Add>),
    /// List the hosts and any problems with them
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a host, but keep its key
    Remove {
        /// Name of the host
        #[arg(add = completion::hosts())]
        name: String,
    },
    /// Import the saved commands of upstream ruroco's window
    ///
    /// Entries with the same address and the same options become one host, which is named after the address.
    /// The file is not changed. Exits with 1 if an entry cannot be imported.
    Import {
        /// Key for these hosts: the name of a key, or a file. Optional if you have only one key
        #[arg(short, long, value_name = "KEY", add = completion::keys_and_files())]
        key: Option<KeyReference>,
        /// File to import [default: `commands_list.toml` in the folder of upstream's client]
        file: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(super) struct Add {
    /// Name for the host
    name: Name,
    /// Address of the host: NAME, NAME:PORT, IP, IP:PORT or `[IPV6]:PORT`. The default port is 80
    #[arg(short, long, value_name = "ADDRESS")]
    address: TypedAddress,
    /// Key to knock with: the name of a key, or a file
    #[arg(short, long, value_name = "KEY", add = completion::keys_and_files())]
    key: KeyReference,
    /// Command that the host offers. Repeat the option to add more
    #[arg(short, long = "command", value_name = "COMMAND")]
    commands: Vec<String>,
    /// Command to request if `knock` names none [default: the first --command]
    #[arg(long, value_name = "COMMAND")]
    default: Option<String>,
    /// Command that requires a confirmation before it is sent. Repeat the option to add more
    #[arg(long, value_name = "COMMAND")]
    confirm: Vec<String>,
    /// TCP port that a knock opens
    #[arg(short, long, value_name = "PORT", value_parser = ruroco_command_line::port)]
    wait: Option<NonZero<u16>>,
    #[command(flatten)]
    options: KnockOptions,
    /// If the host exists, replace it. Options that you do not pass are reset to their defaults
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(action: Action, folder: &Folder) -> anyhow::Result<()> {
    match action {
        Action::Add(arguments) => add(*arguments, folder),
        Action::List { json } => list(folder, json),
        Action::Remove { name } => remove(folder, &name),
        Action::Import { key, file } => import(folder, key, file),
    }
}

fn add(arguments: Add, folder: &Folder) -> anyhow::Result<()> {
    let Add { name, address, key, commands, default, confirm, wait, options, replace } = arguments;
    let key = with_absolute_path(key)?;
    // An unusable key must be reported now, not when the user needs the host.
    folder.keys().label(&key)?;
    let host = Host { wait, ..Host::new(address.destination(), key) };
    let host = options.applied_to(host.with_commands(default.into_iter().chain(commands)));
    if let Some(unknown) = host.first_unlisted(confirm.iter().map(String::as_str)) {
        bail!(
            "--confirm {unknown}: not a command of this host. To add it, pass --command {unknown}"
        );
    }
    let host = Host { confirm, ..host };
    let known = hosts(folder)?;
    if let Some(old) = known.get(name.as_str()).filter(|_| replace) {
        let no_longer = old.confirm.iter().filter(|command| !host.needs_confirmation(command));
        no_longer.for_each(|command| {
            print_note(&format!(
                "Warning: host {name} no longer requires a confirmation for {command}. To keep it, pass --confirm \
                 {command}"
            ));
        });
    }
    let file = folder.profiles();
    let done = if replace {
        match file.replace(&name, &host) {
            Err(EditError::Unknown(_)) => file.add(&name, &host).map(|()| "added"),
            changed => changed.map(|()| "changed"),
        }
    } else {
        file.add(&name, &host).map(|()| "added")
    }?;
    print_line(&format!("{done} host {name} in {}", file.path().display()))
}

/// Makes the path of a key file absolute, so that `client.toml` does not depend on the current directory.
fn with_absolute_path(key: KeyReference) -> anyhow::Result<KeyReference> {
    match key {
        KeyReference::File(path) => {
            let absolute = std::path::absolute(&path)
                .with_context(|| format!("cannot make {} an absolute path", path.display()))?;
            Ok(KeyReference::File(absolute))
        }
        KeyReference::Named(_) => Ok(key),
    }
}

fn list(folder: &Folder, as_json: bool) -> anyhow::Result<()> {
    let (file, keys) = (folder.profiles(), folder.keys());
    let mut problems = Problems::default();
    let profiles = problems.good_of(file.read()).unwrap_or_default();
    let trouble = |host: &Host| keys.label(&host.key).err().map(|error| error.to_string());
    if as_json {
        let hosts: Vec<Value> = profiles
            .iter()
            .map(|(name, host)| to_json(name, host, trouble(host).as_deref()))
            .collect();
        print_line(&json!({ "hosts": hosts }).to_string())?;
    } else {
        let width = |of: &dyn Fn(&Name, &Host) -> String| {
            profiles.iter().map(|(name, host)| of(name, host).chars().count()).max().unwrap_or(0)
        };
        let name_width = width(&|name, _| name.to_string());
        let address_width = width(&|_, host| host.address.to_string());
        for (name, host) in profiles.iter() {
            let address = host.address.to_string();
            print_line(&format!(
                "{name:name_width$}  {address:address_width$}  {}",
                commands_and_options(host)
            ))?;
            if let Some(trouble) = trouble(host) {
                print_line(&format!("{:name_width$}  cannot knock: {trouble}", ""))?;
            }
        }
        if profiles.is_empty() && problems.is_empty() {
            print_line("No hosts yet. To add one from an invitation, run `ruroco-client join`.")?;
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.sorted().into()) }
}

/// The commands and options of a host, which are listed after its name and address.
fn commands_and_options(host: &Host) -> String {
    let commands: Vec<&str> = host.all_commands().collect();
    let kind = if commands.len() == 1 { "command" } else { "commands" };
    let options: Vec<String> = host.fields().iter().flat_map(option).collect();
    format!("{kind} {}  ({})", commands.join(" "), options.join(", "))
}

/// How a field with another value than the default one is listed.
fn option(field: &HostField<'_>) -> Vec<String> {
    let Some(word) = field.word.filter(|_| !field.is_default) else { return Vec::new() };
    let with = |value: &str| format!("{word} {value}").trim_start().to_owned();
    match &field.value {
        FieldValue::Nothing => Vec::new(),
        FieldValue::Flag(_) => vec![word.to_owned()],
        FieldValue::Number(number) => vec![with(&number.to_string())],
        FieldValue::Text(text) => vec![with(text)],
        FieldValue::Texts(texts) => vec![with(&texts.join(" "))],
        FieldValue::Doors(doors) => {
            let door = |(name, Door { port, duration, .. }): (&DoorName, &Door)| {
                with(&format!("{name} {port} for {}", in_words(*duration)))
            };
            doors.iter().map(door).collect()
        }
    }
}

fn to_json(name: &Name, host: &Host, trouble: Option<&str>) -> Value {
    let fields = host.fields().map(|field| (field.name.to_owned(), value_to_json(field.value)));
    let mut all = Map::from_iter([("name".to_owned(), name.as_str().into())]);
    all.extend(fields);
    all.insert("trouble".to_owned(), trouble.into());
    Value::Object(all)
}

fn value_to_json(value: FieldValue<'_>) -> Value {
    match value {
        FieldValue::Nothing => Value::Null,
        FieldValue::Flag(flag) => flag.into(),
        FieldValue::Number(number) => number.into(),
        FieldValue::Text(text) => text.into(),
        FieldValue::Texts(texts) => texts.into(),
        FieldValue::Doors(doors) => {
            let door = |(name, Door { port, duration, open, close }): (&DoorName, &Door)| {
                json!({
                    "name": name.to_string(),
                    "port": port.to_string(),
                    "seconds": duration.as_secs(),
                    "open": open,
                    "close": close,
                })
            };
            doors.iter().map(door).collect()
        }
    }
}

fn remove(folder: &Folder, name: &str) -> anyhow::Result<()> {
    let (known, keys) = (hosts(folder)?, folder.keys());
    let key = known.get(name).map(|host| &host.key);
    folder.profiles().remove(name)?;
    let rest = key.map(|key| format!("; its key {key} was kept")).unwrap_or_default();
    print_line(&format!("removed host {}{rest}", name.escape_debug()))?;
    let Some(KeyReference::Named(key)) = key else { return Ok(()) };
    let mut others = known.iter().filter(|(other, _)| other.as_str() != name);
    if keys.place(key).is_err() || others.any(|(_, host)| keys.is_meant(key, &host.key)) {
        return Ok(());
    }
    print_line(&format!("To delete the key too, run: ruroco-client key remove {key}"))
}

fn import(folder: &Folder, key: Option<KeyReference>, file: Option<PathBuf>) -> anyhow::Result<()> {
    let path = file.unwrap_or_else(|| folder.path().join(upstream::FILE));
    let list = CommandsList::read(&path)?;
    let keys = folder.keys();
    let key = match key {
        Some(key) => with_absolute_path(key)?,
        None => only_key(&keys)?,
    };
    keys.label(&key)?;
    // Prints warnings about errors in client.toml.
    hosts(folder)?;
    let imported = upstream::import(folder, &list.entries, &key)?;
    for name in &imported.added {
        print_line(&format!("added host {name}"))?;
    }
    for name in &imported.extended {
        print_line(&format!("added commands to host {name}"))?;
    }
    if imported.unchanged > 0 {
        print_line(&format!("{} entries had already been imported", imported.unchanged))?;
    }
    print_line(&format!("{} was not changed", path.display()))?;
    if list.rejected.is_empty() {
        return Ok(());
    }
    let rejected: Vec<String> = list.rejected.iter().map(ToString::to_string).collect();
    bail!("cannot import these entries of {}:\n{}", path.display(), rejected.join("\n"))
}

/// The user's only key.
fn only_key(keys: &KeyStore) -> anyhow::Result<KeyReference> {
    match keys.list()?.as_slice() {
        [only] => Ok(KeyReference::Named(only.name.clone())),
        [] => bail!(
            "you have no key yet, and this file contains none. Import the key first: `ruroco-client key import \
             NAME FILE`"
        ),
        several => {
            let names: Vec<&str> = several.iter().map(|key| key.name.as_str()).collect();
            bail!("you have more than one key. Pass --key with one of: {}", names.join(", "))
        }
    }
}
