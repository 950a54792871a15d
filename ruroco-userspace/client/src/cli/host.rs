//! `ruroco-client host`: the hosts in `client.toml`.

use std::{num::NonZero, path::PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use ruroco_invite::destination::Family;
use ruroco_keys::name::Name;
use ruroco_messages::problems::Problems;
use serde_json::{Value, json};

use super::{address::TypedAddress, completion, hosts, manner::Manner, note, say};
use crate::{
    folder::Folder,
    key_store::{KeyReference, KeyStore},
    profiles::{EditError, Host},
    upstream::{self, CommandsList},
};

#[derive(Subcommand)]
pub(super) enum Action {
    /// Add a host
    Add(Box<Add>),
    /// List the hosts, and what is wrong with them
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a host; its key stays
    Remove {
        /// Name of the host
        #[arg(add = completion::hosts())]
        name: String,
    },
    /// Take over the commands that upstream ruroco's window has kept
    ///
    /// Those with one address and the same options become one host, with a name made of the address.
    /// The file stays as it is. Ends with 1 if there is an entry that cannot be taken over.
    Import {
        /// Key that the hosts know: the name of one of yours, or a file; may be left out if you have
        /// one only
        #[arg(short, long, value_name = "KEY", add = completion::keys_and_files())]
        key: Option<KeyReference>,
        /// The file; by default `commands_list.toml` where upstream's client has it
        file: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(super) struct Add {
    /// What to call it
    name: Name,
    /// Where it is: NAME, NAME:PORT, IP, IP:PORT or `[IPV6]:PORT`; the default port is 80
    #[arg(short, long, value_name = "ADDRESS")]
    address: TypedAddress,
    /// Key that it knows: the name of one of yours, or a file
    #[arg(short, long, value_name = "KEY", add = completion::keys_and_files())]
    key: KeyReference,
    /// Command that it can be asked for; again for more
    #[arg(short, long = "command", value_name = "COMMAND")]
    commands: Vec<String>,
    /// Command to ask for where none is named, instead of the first --command
    #[arg(long, value_name = "COMMAND")]
    default: Option<String>,
    /// Command to confirm before it is sent; repeat for more
    #[arg(long, value_name = "COMMAND")]
    confirm: Vec<String>,
    /// TCP port that a knock opens
    #[arg(short, long, value_name = "PORT", value_parser = ruroco_command_line::port)]
    wait: Option<NonZero<u16>>,
    #[command(flatten)]
    manner: Manner,
    /// Replace the host of this name if it exists; options that you do not pass are reset
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
    let Add { name, address, key, commands, default, confirm, wait, manner, replace } = arguments;
    let key = with_whole_path(key)?;
    // A host that cannot be knocked at shows when somebody is in a hurry.
    folder.keys().label(&key)?;
    let host = Host { wait, ..Host::new(address.destination(), key) };
    let host = manner.applied_to(host.that_does(default.into_iter().chain(commands)));
    if let Some(unknown) = host.first_unlisted(confirm.iter().map(String::as_str)) {
        bail!("--confirm {unknown}: not a command of this host; add it with --command {unknown}");
    }
    let host = Host { confirm, ..host };
    let known = hosts(folder)?;
    if let Some(old) = known.get(name.as_str()).filter(|_| replace) {
        let no_longer = old.confirm.iter().filter(|command| !host.asks_before(command));
        no_longer.for_each(|command| {
            note(&format!(
                "Warning: {name} no longer asks before {command}; pass --confirm to keep that"
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
    say(&format!("{done} the host {name} in {}", file.path().display()))
}

/// Where a program is started is nothing that a file may depend on.
fn with_whole_path(key: KeyReference) -> anyhow::Result<KeyReference> {
    match key {
        KeyReference::File(path) => {
            let whole = std::path::absolute(&path);
            let whole =
                whole.with_context(|| format!("could not find out where {} is", path.display()))?;
            Ok(KeyReference::File(whole))
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
        say(&json!({ "hosts": hosts }).to_string())?;
    } else {
        let width = |of: &dyn Fn(&Name, &Host) -> String| {
            profiles.iter().map(|(name, host)| of(name, host).chars().count()).max().unwrap_or(0)
        };
        let name_width = width(&|name, _| name.to_string());
        let address_width = width(&|_, host| host.address.to_string());
        for (name, host) in profiles.iter() {
            let address = host.address.to_string();
            say(&format!("{name:name_width$}  {address:address_width$}  {}", rest(host)))?;
            if let Some(trouble) = trouble(host) {
                say(&format!("{:name_width$}  cannot be knocked at: {trouble}", ""))?;
            }
        }
        if profiles.is_empty() && problems.is_empty() {
            say("there is no host yet; add one with: ruroco-client invite")?;
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.sorted().into()) }
}

/// What there is to say of a host behind its name and address.
fn rest(host: &Host) -> String {
    let Host {
        address: _,
        family,
        all_addresses,
        key,
        command: _,
        commands: _,
        confirm,
        wait,
        ip,
        permissive,
    } = host;
    let commands: Vec<&str> = host.all_commands().collect();
    let mut words = vec![commands.join(" "), format!("(key {key}")];
    words.extend((!confirm.is_empty()).then(|| format!("asks before {}", confirm.join(" "))));
    words.extend(wait.map(|port| format!("port {port}")));
    words.extend(ip.map(|ip| format!("for {ip}")));
    words.extend(permissive.then(|| "permissive".to_owned()));
    words.extend((*family != Family::Any).then(|| family.field().to_owned()));
    words.extend(all_addresses.then(|| "all addresses".to_owned()));
    let (commands, options) = words.split_at(1);
    format!("{}  {})", commands.concat(), options.join(", "))
}

fn to_json(name: &Name, host: &Host, trouble: Option<&str>) -> Value {
    let Host {
        address,
        family,
        all_addresses,
        key,
        command,
        commands: _,
        confirm,
        wait,
        ip,
        permissive,
    } = host;
    json!({
        "name": name.as_str(),
        "address": address.to_string(),
        "family": family.field(),
        "all_addresses": all_addresses,
        "key": key.to_string(),
        "command": command,
        "commands": host.all_commands().collect::<Vec<_>>(),
        "confirm": confirm,
        "wait": wait,
        "ip": ip.map(|ip| ip.to_string()),
        "permissive": permissive,
        "trouble": trouble,
    })
}

fn remove(folder: &Folder, name: &str) -> anyhow::Result<()> {
    let key = hosts(folder)?.get(name).map(|host| host.key.to_string());
    folder.profiles().remove(name)?;
    let rest = key.map(|key| format!("; the key {key} stays")).unwrap_or_default();
    say(&format!("removed the host {}{rest}", name.escape_debug()))
}

fn import(folder: &Folder, key: Option<KeyReference>, file: Option<PathBuf>) -> anyhow::Result<()> {
    let path = file.unwrap_or_else(|| folder.path().join(upstream::FILE));
    let list = CommandsList::read(&path)?;
    let keys = folder.keys();
    let key = match key {
        Some(key) => with_whole_path(key)?,
        None => only_key(&keys)?,
    };
    keys.label(&key)?;
    // Warns of mistakes in client.toml.
    hosts(folder)?;
    let imported = upstream::import(folder, &list.entries, &key)?;
    for name in &imported.added {
        say(&format!("added the host {name}"))?;
    }
    for name in &imported.extended {
        say(&format!("added commands to the host {name}"))?;
    }
    if imported.there > 0 {
        say(&format!("{} entries were there already", imported.there))?;
    }
    say(&format!("{} stays as it is", path.display()))?;
    if list.refused.is_empty() {
        return Ok(());
    }
    let refused: Vec<String> = list.refused.iter().map(ToString::to_string).collect();
    bail!("not taken over of {}:\n{}", path.display(), refused.join("\n"))
}

/// The key that must be meant, because there is no other.
fn only_key(keys: &KeyStore) -> anyhow::Result<KeyReference> {
    match keys.list()?.as_slice() {
        [only] => Ok(KeyReference::Named(only.name.clone())),
        [] => bail!(
            "upstream keeps no key in this file, and you have none here: import it first with \
             `ruroco-client key import NAME FILE`"
        ),
        several => {
            let names: Vec<&str> = several.iter().map(|key| key.name.as_str()).collect();
            bail!("say which key the hosts know: --key, one of {}", names.join(", "))
        }
    }
}
