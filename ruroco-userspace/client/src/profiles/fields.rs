//! Every field of a host in `client.toml`: its type, default and meaning.
//!
//! To add a field, add it here, and to [`Host`](super::Host), which takes it. The reference page, the names
//! that problems suggest and the dictionary of the fuzzers follow.

use std::net::IpAddr;

use ruroco_files::{
    fields,
    toml_file::{
        field::{Change::Reload, Default},
        value::{Located, OneOf, Port},
    },
};
use ruroco_invite::destination::Family;

use super::values::{AddressFamily, CommandName, HostAddress};
use crate::key_store::KeyReference;

/// The one table of the file, with a table for each host.
pub const HOSTS: &str = "hosts";

fields! {
    /// The fields of `[hosts.NAME]`.
    host;

    /// The address that knocks are sent to: `"NAME"`, `"NAME:PORT"`, `"IP"`, `"IP:PORT"` or `"[IPV6]:PORT"`.
    /// The default port is 80.
    ADDRESS: HostAddress = "address", Default::Required, Reload;

    /// The addresses of a name that may be used.
    FAMILY: OneOf<AddressFamily> = "family", Default::Value(|| OneOf(AddressFamily(Family::Any))),
        Reload;

    /// Whether to send a knock to every address of a name. The command then runs once for each address that a
    /// knock reaches.
    ALL_ADDRESSES: bool = "all_addresses", Default::Value(|| false), Reload;

    /// The name of a key, or the absolute path of a key file. A relative path is rejected: the key must not
    /// depend on the folder that a program is started in.
    KEY: KeyReference = "key", Default::Required, Reload;

    /// The command that a knock requests if you name none.
    COMMAND: CommandName = "command",
        Default::Nothing("the first of `commands`, else `\"default\"`"), Reload;

    /// The commands that the host offers.
    COMMANDS: Vec<CommandName> = "commands", Default::Value(Vec::new), Reload;

    /// The commands of the host that require a confirmation before they are sent.
    CONFIRM: Vec<Located<String>> = "confirm", Default::Value(Vec::new), Reload;

    /// The TCP port that a knock opens.
    WAIT: Port = "wait", Default::Nothing("none"), Reload;

    /// The address that the command runs for, instead of the address that the knock comes from.
    IP: IpAddr = "ip", Default::Nothing("none"), Reload;

    /// Whether `ip` may differ from the address that the host sees.
    PERMISSIVE: bool = "permissive", Default::Value(|| false), Reload;
}
