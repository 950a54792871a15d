//! Network cards in place of the veth pair between client and server, for tests in a virtual machine.
//!
//! The machine has two cards on one wire, which are called like the ends of the pair and have their hardware addresses.
//! A card returns from a network namespace that ends, under the same name.

use std::{
    env,
    process::{Command, Stdio},
};

use crate::{
    namespace::Namespace,
    network::{CLIENT_INTERFACE, SERVER_INTERFACE},
    wait,
};

/// Set in the environment if there are such cards.
pub const NICS: &str = "RUROCO_NICS";

/// Gives each host its card, if there are cards; returns whether there are.
///
/// # Panics
/// If a card does not come.
pub fn give(server: &Namespace, client: &Namespace) -> bool {
    if env::var_os(NICS).is_none() {
        return false;
    }
    for (card, host) in [(SERVER_INTERFACE, server), (CLIENT_INTERFACE, client)] {
        // The kernel takes apart the network namespace of an earlier test after the test has ended.
        wait::until("the card to come back from an earlier test", || {
            let mut ip = Command::new("ip");
            ip.args(["link", "set", "dev", card, "mtu", "1500", "netns"]).arg(host.path());
            let status = ip.stderr(Stdio::null()).status().expect("run ip (package iproute2)");
            status.success().then_some(())
        });
    }
    true
}
