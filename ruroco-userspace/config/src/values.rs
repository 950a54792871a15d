//! The types that only fields of `config.toml` have.

use std::net::IpAddr;

use ruroco_common::address::Address;
use ruroco_files::toml_file::value::{Item, Value};
use ruroco_messages::problems::Problems;

use crate::interface_name;

/// An IP address that a client can send a knock to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddress(pub Address);

impl Value for HostAddress {
    fn kind() -> String {
        "IP address".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let text = String::read(item, problems)?;
        match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) if is_usable(address) => return Some(Self(Address::from(address))),
            Ok(address) => problems.add(item.problem(format_args!(
                "{address} is not the address of a host. Use the addresses that clients send to"
            ))),
            Err(_) => problems.add(item.problem(format_args!(
                "`{}` is not an IP address. Use single addresses, not networks or names, as in \
                 addresses = [\"192.0.2.1\"]",
                text.escape_debug()
            ))),
        }
        None
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// Whether one host can have this address, and send and receive packets with it.
pub fn is_usable(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || is_broadcast)
}

/// The name of a network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceName(pub String);

impl Value for InterfaceName {
    fn kind() -> String {
        "interface name".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let name = String::read(item, problems)?;
        match interface_name::mistake(&name) {
            None => Some(Self(name)),
            Some(mistake) => {
                problems.add(item.problem(mistake));
                None
            }
        }
    }

    fn show(&self) -> String {
        self.0.show()
    }
}

/// The name of a user of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName(pub String);

impl Value for UserName {
    fn kind() -> String {
        "user name".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        match String::read(item, problems)?.trim() {
            "" => {
                problems.add(item.wrong("the name of a user, such as \"ruroco\""));
                None
            }
            name => Some(Self(name.to_owned())),
        }
    }

    fn show(&self) -> String {
        self.0.show()
    }
}
