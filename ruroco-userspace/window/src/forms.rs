//! The forms for hosts and keys, and their validation.

use std::{net::IpAddr, num::NonZero};

use ruroco_client::{
    key_store::KeyReference,
    profiles::{Host, Profiles, values::CommandLine},
};
use ruroco_invite::{
    destination::{Destination, Family},
    door::Doors,
};
use ruroco_keys::{
    command_name::{self, DEFAULT_COMMAND, NotACommand},
    key::Key,
    name::{Name, NotAName},
};

use super::{
    keys::KeyRow,
    notice::sentence,
    secret_field::{SecretField, check_length},
};

/// A host as the user edits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostForm {
    /// The name before editing; none for a new host.
    pub(super) original: Option<Name>,
    pub(super) name: String,
    pub(super) address: String,
    pub(super) key: String,
    /// The preselected key of a new host.
    proposed: String,
    /// Separated by commas. The first is the default command.
    pub(super) commands: String,
    /// The commands that require a confirmation, separated by commas.
    pub(super) confirm: String,
    /// The commands before editing; none for a new host.
    known: Option<KnownCommands>,
    pub(super) wait: String,
    /// The command line that connects to the host; empty for the usual one.
    pub(super) connect: String,
    /// The host's doors, which the form does not change.
    pub(super) doors: Doors,
    /// The usual command line that connects to the host, if there is one.
    pub(super) usual_connect: Option<String>,
    pub(super) ip: String,
    pub(super) permissive: bool,
    pub(super) family: Family,
    pub(super) all_addresses: bool,
    /// Whether errors are shown: only after the user has tried to save.
    pub(super) tried: bool,
    /// The name under which it is being saved.
    pub(super) saving: Option<Name>,
    /// Whether the additional settings are shown.
    pub(super) more: bool,
    /// Whether the first field has received the keyboard focus.
    pub(super) entered: bool,
}

/// Names of commands before editing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KnownNames {
    /// The initial text of the field.
    text: String,
    all: Vec<String>,
}

/// The commands of a host before editing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KnownCommands {
    /// The default one first.
    commands: KnownNames,
    confirm: KnownNames,
}

impl KnownNames {
    fn of(all: Vec<String>) -> Self {
        Self { text: all.join(", "), all }
    }

    /// Whether the field can express the names: not if one contains a comma, or begins or ends with a space.
    fn can_be_written(&self) -> bool {
        self.text.is_empty() || commands_in(&self.text) == self.all
    }

    /// The names in the field. If the text was not changed, these are exactly the names in the file.
    fn changed_to(&self, text: &str) -> Result<Vec<String>, NotACommand> {
        if self.text == text { Ok(self.all.clone()) } else { checked_commands_in(text) }
    }
}

impl KnownCommands {
    fn of(host: &Host) -> Self {
        let all: Vec<String> = host.all_commands().map(str::to_owned).collect();
        let commands = if all == [DEFAULT_COMMAND] {
            KnownNames { text: String::new(), all }
        } else {
            KnownNames::of(all)
        };
        Self { commands, confirm: KnownNames::of(host.confirm.clone()) }
    }
}

/// The errors in a host's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostFaults {
    pub(super) name: Option<String>,
    pub(super) address: Option<String>,
    pub(super) key: Option<String>,
    pub(super) commands: Option<String>,
    pub(super) confirm: Option<String>,
    pub(super) wait: Option<String>,
    pub(super) connect: Option<String>,
    pub(super) ip: Option<String>,
}

impl HostForm {
    pub(super) fn new(key: Option<&Name>) -> Self {
        Self::proposing(key.map(ToString::to_string).unwrap_or_default())
    }

    fn proposing(key: String) -> Self {
        Self {
            original: None,
            name: String::new(),
            address: String::new(),
            key: key.clone(),
            proposed: key,
            commands: String::new(),
            confirm: String::new(),
            known: None,
            wait: String::new(),
            connect: String::new(),
            doors: Doors::new(),
            usual_connect: None,
            ip: String::new(),
            permissive: false,
            family: Family::Any,
            all_addresses: false,
            tried: false,
            saving: None,
            more: false,
            entered: false,
        }
    }

    pub(super) fn of(name: &Name, host: &Host) -> Self {
        let known = KnownCommands::of(host);
        Self {
            original: Some(name.clone()),
            name: name.to_string(),
            address: host.address.to_string(),
            key: host.key.to_string(),
            commands: known.commands.text.clone(),
            confirm: known.confirm.text.clone(),
            known: Some(known),
            wait: host.wait.map(|port| port.to_string()).unwrap_or_default(),
            connect: host.connect.clone().unwrap_or_default(),
            doors: host.doors.clone(),
            usual_connect: host.usual_connecting(),
            ip: host.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            permissive: host.permissive,
            family: host.family,
            all_addresses: host.all_addresses,
            more: host.ip.is_some() || host.all_addresses || host.family != Family::Any,
            ..Self::new(None)
        }
    }

    /// Whether the form contains unsaved changes.
    pub(super) fn has_changes(&self, hosts: &Profiles) -> bool {
        let known = self.original.as_ref().and_then(|name| Some((name, hosts.get(name.as_str())?)));
        let before = known.map_or_else(
            || Self::proposing(self.proposed.clone()),
            |(name, host)| Self::of(name, host),
        );
        // Ignores how the form is displayed.
        let before = Self {
            known: self.known.clone(),
            tried: self.tried,
            saving: self.saving.clone(),
            more: self.more,
            entered: self.entered,
            ..before
        };
        *self != before
    }

    /// The host that the form describes.
    ///
    /// # Errors
    /// The errors, by field.
    pub(super) fn check(&self, hosts: &Profiles) -> Result<(Name, Host), Box<HostFaults>> {
        let mut faults = Box::<HostFaults>::default();
        let name = self.name.trim().parse::<Name>().map_err(|error| {
            if self.name.trim().is_empty() {
                "Enter a name.".to_owned()
            } else {
                sentence(&error.to_string())
            }
        });
        let name = name.and_then(|name| {
            let taken = self.original.as_ref() != Some(&name) && hosts.get(name.as_str()).is_some();
            if taken { Err(format!("Host {name} already exists.")) } else { Ok(name) }
        });
        let name = kept(name, &mut faults.name);
        let address = match self.address.trim() {
            "" => Err("Enter the host's name or address.".to_owned()),
            address => address.parse::<Destination>().map_err(|error| sentence(&error.to_string())),
        };
        let address = kept(address, &mut faults.address);
        let key = match self.key.trim() {
            "" => Err("Choose a key, or make one.".to_owned()),
            key => key.parse::<KeyReference>().map_err(|error| sentence(&error.to_string())),
        };
        let key = kept(key, &mut faults.key);
        let wait = optional(&self.wait, "Enter a port from 1 to 65535, or leave this empty.");
        let wait: Option<Option<NonZero<u16>>> = kept(wait, &mut faults.wait);
        let connect =
            optional(&self.connect, "Enter a program and its arguments, or leave this empty.");
        let connect: Option<Option<CommandLine>> = kept(connect, &mut faults.connect);
        let ip = optional(&self.ip, "Enter an IPv4 or IPv6 address, or leave this empty.");
        let ip: Option<Option<IpAddr>> = kept(ip, &mut faults.ip);
        let in_words = |error: NotACommand| sentence(&error.to_string());
        let commands =
            self.commands_or_known(|known| &known.commands, &self.commands).map_err(in_words);
        let commands = kept(commands, &mut faults.commands);
        let confirm =
            self.commands_or_known(|known| &known.confirm, &self.confirm).map_err(in_words);
        let confirm = kept(confirm, &mut faults.confirm);
        let all = (name, address, key, wait, connect, ip, commands, confirm);
        let (
            Some(name),
            Some(address),
            Some(key),
            Some(wait),
            Some(connect),
            Some(ip),
            Some(commands),
            Some(confirm),
        ) = all
        else {
            return Err(faults);
        };
        let host = Host {
            family: self.family,
            all_addresses: self.all_addresses,
            wait,
            doors: self.doors.clone(),
            connect: connect.map(|line| line.0),
            ip,
            permissive: self.permissive && ip.is_some(),
            ..Host::new(address, key).with_commands(commands)
        };
        if let Some(unknown) = host.first_unlisted(confirm.iter().map(String::as_str)) {
            let fault = format!("“{unknown}” is not one of the commands.");
            faults.confirm = Some(fault);
            return Err(faults);
        }
        Ok((name, Host { confirm, ..host }))
    }

    /// Whether the commands can be edited in the form.
    pub(super) fn can_write_commands(&self) -> bool {
        let fits = |known: &KnownCommands| {
            known.commands.can_be_written() && known.confirm.can_be_written()
        };
        self.known.as_ref().is_none_or(fits)
    }

    fn commands_or_known(
        &self,
        of: impl Fn(&KnownCommands) -> &KnownNames,
        text: &str,
    ) -> Result<Vec<String>, NotACommand> {
        match &self.known {
            Some(known) => of(known).changed_to(text),
            None => checked_commands_in(text),
        }
    }
}

/// The names in a text, in their order.
fn commands_in(text: &str) -> Vec<String> {
    let named = text.split(',').map(str::trim).filter(|command| !command.is_empty());
    named.map(str::to_owned).collect()
}

/// The same names, if each is valid for a command.
fn checked_commands_in(text: &str) -> Result<Vec<String>, NotACommand> {
    commands_in(text).into_iter().map(command_name::check).collect()
}

fn kept<T>(checked: Result<T, String>, fault: &mut Option<String>) -> Option<T> {
    checked.map_err(|error| *fault = Some(error)).ok()
}

fn optional<T: std::str::FromStr>(text: &str, fault: &str) -> Result<Option<T>, String> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| fault.to_owned()),
    }
}

/// The form for a new or imported key.
#[derive(Debug, Default)]
pub(super) struct KeyForm {
    pub(super) name: String,
    /// The key to import.
    pub(super) secret: SecretField,
    pub(super) tried: bool,
    /// The name under which it is being saved.
    pub(super) saving: Option<Name>,
    pub(super) entered: bool,
}

impl KeyForm {
    /// # Errors
    /// Why the name cannot be used.
    pub(super) fn name(&self, keys: &[KeyRow]) -> Result<Name, String> {
        match self.name.trim() {
            "" => Err("Enter a name.".to_owned()),
            name => {
                free(name.parse().map_err(|error: NotAName| sentence(&error.to_string()))?, keys)
            }
        }
    }

    /// # Errors
    /// Why the text is not a key.
    pub(super) fn key(&self) -> Result<Key, String> {
        let text = check_length(&self.secret.text).map_err(|error| sentence(&error.to_string()))?;
        Key::parse(text).map_err(|error| sentence(&error.to_string()))
    }

    /// # Errors
    /// The first error.
    pub(super) fn check(&self, keys: &[KeyRow]) -> Result<(Name, Key), String> {
        Ok((self.name(keys)?, self.key()?))
    }
}

fn free(name: Name, keys: &[KeyRow]) -> Result<Name, String> {
    if keys.iter().any(|key| key.name == name) {
        return Err(format!("Key {name} already exists. Enter another name."));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_common::doors::DoorName;
    use ruroco_invite::door::Door;
    use std::time::Duration;

    fn form() -> HostForm {
        HostForm {
            name: "home".to_owned(),
            address: "203.0.113.5".to_owned(),
            key: "laptop".to_owned(),
            ..HostForm::new(None)
        }
    }

    #[test]
    fn a_host_survives_being_edited() {
        for commands in ["", "open_ssh", "open_ssh, close_ssh"] {
            let form = HostForm {
                commands: commands.to_owned(),
                wait: "22".to_owned(),
                ip: "2001:db8::1".to_owned(),
                permissive: true,
                ..form()
            };
            let (name, host) = form.check(&Profiles::default()).unwrap();
            let door = Door::new("tcp/22".parse().unwrap(), Duration::from_secs(30));
            let doors = Doors::from([(DoorName::new("ssh").unwrap(), door)]);
            let host = Host { doors, connect: Some("ssh me@home".to_owned()), ..host };
            let (_, again) = HostForm::of(&name, &host).check(&Profiles::default()).unwrap();
            assert_eq!(host, again);
        }
    }

    #[test]
    fn commands_that_the_field_cannot_say_stay_as_they_are() {
        let (name, host) = form().check(&Profiles::default()).unwrap();
        for command in ["open, then close", " open", ""] {
            let host = host.clone().with_commands([command, "close"].map(str::to_owned));
            let form = HostForm { wait: "22".to_owned(), ..HostForm::of(&name, &host) };
            assert!(!form.can_write_commands(), "{command:?}");
            let (_, after) = form.check(&Profiles::default()).unwrap();
            assert_eq!((after.command, after.commands), (host.command, host.commands));
        }
    }

    #[test]
    fn only_a_command_of_the_host_can_ask_before_it_is_sent() {
        let form = HostForm {
            commands: "open_ssh, shut_down".to_owned(),
            confirm: "shut_down".to_owned(),
            ..form()
        };
        let (name, host) = form.check(&Profiles::default()).unwrap();
        assert!(host.needs_confirmation("shut_down") && !host.needs_confirmation("open_ssh"));
        assert_eq!(HostForm::of(&name, &host).confirm, "shut_down");
        let wrong = HostForm { confirm: "shut_donw".to_owned(), ..form };
        let fault = wrong.check(&Profiles::default()).unwrap_err().confirm;
        assert_eq!(fault.as_deref(), Some("“shut_donw” is not one of the commands."));
    }

    #[test]
    fn each_field_says_what_is_wrong_with_it() {
        let wrong = HostForm {
            name: "a b".to_owned(),
            address: "host:0".to_owned(),
            key: String::new(),
            wait: "0".to_owned(),
            ip: "10.0.0.0/8".to_owned(),
            ..form()
        };
        let faults = wrong.check(&Profiles::default()).unwrap_err();
        for fault in [faults.name, faults.address, faults.key, faults.wait, faults.ip] {
            assert!(fault.unwrap().ends_with('.'));
        }
    }

    #[test]
    fn a_command_name_that_no_file_may_contain_is_a_fault_of_its_field() {
        // As it is pasted: with a no-break space in it, or an invisible one.
        for name in ["open\u{a0}ssh", "open\u{200b}ssh"] {
            for known in [None, Some("close_ssh")] {
                let (commands, confirm) = (format!("status, {name}"), name.to_owned());
                let before = HostForm { commands: known.unwrap_or_default().to_owned(), ..form() };
                let (host_name, host) = before.check(&Profiles::default()).unwrap();
                let before = if known.is_some() { HostForm::of(&host_name, &host) } else { form() };
                let form = HostForm { commands, confirm, ..before };
                let faults = form.check(&Profiles::default()).unwrap_err();
                for fault in [faults.commands, faults.confirm] {
                    let fault = fault.unwrap();
                    assert!(fault.starts_with("A command name must not"), "{fault}");
                }
            }
        }
    }
}
