//! `ruroco invite`: an [`invitation`](ruroco_invite::invitation) for a key of this host, with all other
//! values that a client needs. `ruroco init` ends with one.

use std::{
    io::Write,
    net::IpAddr,
    num::NonZero,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use ruroco_commands::{approved::Approved, commands};
use ruroco_common::{command::CommandHash, doors::DoorName};
use ruroco_config::{
    Config,
    door::Transport,
    key_directory::{self, Occasion},
};
use ruroco_files::toml_file::nearest;
use ruroco_invite::{
    destination::Destination,
    door::{Door, Doors, Port},
    invitation::Invitation,
    qr,
};
use ruroco_keys::{command_name::DEFAULT_COMMAND, key::Key, name::Name};
use ruroco_messages::problems::shell_word;
use rustix::system::uname;

use super::completion;

/// The key of the invitation, and the fields that the host cannot determine itself.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Name of the key
    #[arg(value_name = "KEY", add = completion::keys())]
    key: String,
    /// Address that the client sends to: NAME, NAME:PORT, IP, IP:PORT or `[IPV6]:PORT`
    /// [default: the first of `addresses`, and the gate's port]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Command that the client may request; repeat for more. The first is the client's default
    /// [default: all that the key may request]
    #[arg(long = "command", value_name = "COMMAND", add = completion::commands())]
    commands: Vec<String>,
    /// TCP port that a knock opens [default: the first of the doors that the client's default command opens]
    #[arg(long, value_name = "PORT", value_parser = ruroco_command_line::port)]
    wait: Option<NonZero<u16>>,
    /// Leave out the doors, for a client of a version that does not know them
    #[arg(long)]
    no_doors: bool,
    /// Name of this host at the client [default: the host name]
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// File with the commands
    #[arg(long = "commands", value_name = "PATH", default_value = commands::DEFAULT_PATH)]
    commands_file: PathBuf,
}

impl Options {
    /// For a key, with the values that the host can determine itself.
    pub(super) fn usual(key: &str, commands_file: &Path) -> Self {
        Self {
            key: key.to_owned(),
            address: None,
            commands: Vec::new(),
            wait: None,
            no_doors: false,
            name: None,
            commands_file: commands_file.to_owned(),
        }
    }

    /// For a key that was created with these options.
    pub(super) fn for_new_key(
        key: &str,
        commands_file: &Path,
        commands: Vec<String>,
        address: Option<String>,
        wait: Option<NonZero<u16>>,
        name: Option<Name>,
    ) -> Self {
        Self { address, commands, wait, name, ..Self::usual(key, commands_file) }
    }
}

/// Shows it, as a QR code and as a line.
///
/// # Errors
/// If there is no such key, it may not request an offered command, or the files have errors.
pub fn run(config: &Path, options: Options, out: &mut impl Write) -> anyhow::Result<()> {
    let approved = Approved::read(config, &options.commands_file, Occasion::Start).or_problems()?;
    let key = find_key(&approved, &options.key)?;
    let commands = offered(&approved, &options.key, &key, options.commands)?;
    let opened = commands.first().and_then(|command| opened_port(&approved, command));
    let doors = if options.no_doors { Doors::new() } else { doors_of(&approved, &commands) };
    let invitation = Invitation {
        name: options.name.clone().unwrap_or_else(own_name),
        address: address(&approved.config, options.address.as_deref())?,
        commands,
        wait: options.wait.or(opened),
        doors,
        key,
    };
    let is_own_name = options.name.is_none();
    let text = invitation.to_text();
    Invitation::parse(&text)
        .context("clients would reject the invitation. Choose what it offers with --command")?;
    match qr::for_terminal(&text) {
        Ok(code) => writeln!(out, "{}\n", &*code)?,
        Err(error) => writeln!(
            out,
            "The invitation is too large for a QR code ({error}). Offer fewer commands with --command\n"
        )?,
    }
    writeln!(
        out,
        "{}\n\nIt contains the key {}: anyone who sees it can knock. On the client, run:\n\n  ruroco-client join       \
        # and paste the line above\n  ruroco-client knock {}",
        &*text, options.key, invitation.name
    )?;
    if is_own_name {
        writeln!(
            out,
            "\nThe client will call this host {}, after its host name. To choose another name, run: ruroco invite {} \
             --name NAME",
            invitation.name,
            shell_word(Path::new(&options.key))
        )?;
    }
    Ok(())
}

fn find_key(approved: &Approved, name: &str) -> anyhow::Result<Key> {
    if approved.keys.id(name).is_none() {
        let meant = nearest(name, approved.keys.all_names());
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        let directory = approved.config.keys_dir.display();
        bail!("there is no key {name} in {directory}{meant}");
    }
    Ok(key_directory::read_one(&approved.config.keys_dir, name)?)
}

/// The commands that a client may request with this key. The first is its default.
fn offered(
    approved: &Approved,
    name: &str,
    key: &Key,
    chosen: Vec<String>,
) -> anyhow::Result<Vec<String>> {
    let rules = approved.config.rules_of(name).and_then(|rules| rules.commands.as_ref());
    let mut allowed: Vec<String> = approved
        .commands
        .allowed(key.id)
        .filter(|command| rules.is_none_or(|rules| rules.iter().any(|rule| rule == command)))
        .map(str::to_owned)
        .collect();
    if let Some(other) = chosen.iter().find(|command| !allowed.contains(command)) {
        bail!("the key {name} may not request {other}. It may request: {}", allowed.join(" "));
    }
    allowed.sort_by_key(|command| (command != DEFAULT_COMMAND, command.clone()));
    match allowed.as_slice() {
        _ if !chosen.is_empty() => Ok(chosen),
        [] => bail!(
            "the key {name} may request no command. See `keys` in commands.toml and `commands` in \
            [keys.{name}]"
        ),
        [first, _, ..] if first != DEFAULT_COMMAND => bail!(
            "the key {name} may request several commands. Pass --command for each that the client needs, its default \
            first, from: {}",
            allowed.join(" ")
        ),
        _ => Ok(allowed),
    }
}

/// The first TCP port of the doors that a command opens.
fn opened_port(approved: &Approved, command: &str) -> Option<NonZero<u16>> {
    let command = approved.commands.get(CommandHash::of(command))?;
    let doors = command.task.opens().filter_map(|door| approved.config.doors.get(&door));
    let mut ports = doors.flat_map(|door| &door.ports);
    NonZero::new(ports.find(|port| port.transport == Transport::Tcp)?.first)
}

/// The doors that these commands open and close.
fn doors_of(approved: &Approved, commands: &[String]) -> Doors {
    let mut doors = Doors::new();
    for command in commands {
        let Some(known) = approved.commands.get(CommandHash::of(command)) else { continue };
        for name in known.task.opens() {
            if let Some(door) = door(approved, &mut doors, name) {
                door.open.push(command.clone());
            }
        }
        for name in known.task.closes() {
            if let Some(door) = door(approved, &mut doors, name) {
                door.close.push(command.clone());
            }
        }
    }
    doors
}

/// The door of this name among those of the invitation.
fn door<'a>(approved: &Approved, doors: &'a mut Doors, name: DoorName) -> Option<&'a mut Door> {
    let configured = approved.config.doors.get(&name)?;
    let tcp = configured.ports.iter().find(|port| port.transport == Transport::Tcp);
    let first = tcp.or_else(|| configured.ports.first())?;
    let number = NonZero::new(first.first)?;
    let port = match first.transport {
        Transport::Tcp => Port::Tcp(number),
        Transport::Udp => Port::Udp(number),
    };
    Some(doors.entry(name).or_insert_with(|| Door::new(port, configured.duration)))
}

/// Where clients send to.
fn address(config: &Config, said: Option<&str>) -> anyhow::Result<Destination> {
    let Some(said) = said else {
        let ip = config.addresses.first().context("`addresses` contains no address")?;
        return Ok(Destination::Address((IpAddr::from(*ip), config.port).into()));
    };
    let address = Destination::parse(said, config.port)
        .with_context(|| format!("--address {said} is not an address"))?;
    if let Destination::Address(socket) = &address
        && !config.addresses.contains(&socket.ip().into())
    {
        bail!(
            "{} is not in `addresses`, so the server would reject knocks to it. If this host is behind NAT, add the \
            outer address to `addresses`",
            socket.ip()
        );
    }
    Ok(address)
}

/// The host name, as far as it can be one of ours.
fn own_name() -> Name {
    Name::like(&uname().nodename().to_string_lossy(), "host")
}
