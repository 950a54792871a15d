//! Every field of a host in `client.toml`: its type, default and meaning.
//!
//! To add a field, add it here, to [`Host`](super::Host) or its doors, which take it, and to the host's `field_values`,
//! from which it is written and listed. The reference page, the names that problems suggest and the dictionary of the
//! fuzzers follow.

use std::net::IpAddr;

use ruroco_files::{
    fields,
    toml_file::{
        field::{Change::Reload, Default},
        one_or_more::OneOrMore,
        value::{Located, OneOf, Port, Time},
    },
};
use ruroco_invite::{destination::Family, door};

use super::values::{AddressFamily, CommandLine, CommandName, DoorPort, HostAddress};
use crate::key_store::KeyReference;

/// The one table of the file, with a table for each host.
pub const HOSTS: &str = "hosts";

/// The one table of a host, with a table for each of its doors.
pub const DOORS: &str = "doors";

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

    /// The command line that `ruroco-client open` runs and the window copies once the port is open. A shell is not
    /// involved.
    CONNECT: CommandLine = "connect",
        Default::Nothing("`ssh` and the host's address, if the host has a door to SSH"), Reload;

    /// The address that the command runs for, instead of the address that the knock comes from.
    IP: IpAddr = "ip", Default::Nothing("none"), Reload;

    /// Whether `ip` may differ from the address that the host sees.
    PERMISSIVE: bool = "permissive", Default::Value(|| false), Reload;
}

/// The fields of a door, in a module of their own: `open` and `close` are what commands do to it.
pub mod door_fields {
    use super::{CommandName, Default, DoorPort, OneOrMore, Reload, Time, door};

    ruroco_files::fields! {
        /// The fields of `[hosts.NAME.doors.NAME]`.
        door_of_host;

        /// The port to connect to: `"tcp/22"` or `"udp/51820"`.
        PORT: DoorPort = "port", Default::Required, Reload;

        /// How long a knock opens the door, according to the host's operator.
        FOR: Time<1, { door::MAX_SECONDS }> = "for", Default::Required, Reload;

        /// The commands that open the door: one or a list.
        OPEN: OneOrMore<CommandName> = "open", Default::Nothing("none"), Reload;

        /// The commands that close the door: one or a list.
        CLOSE: OneOrMore<CommandName> = "close", Default::Nothing("none"), Reload;
    }
}
