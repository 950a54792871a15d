//! A switch between client and server that marks what goes to the server with a VLAN tag.
//!
//! Not every kernel has VLAN devices, and this needs none: a tag with the VLAN number 0 gives a priority (IEEE 802.1Q), and
//! Linux delivers the packet like one without a tag.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ruroco_lab::{
    namespace::Namespace,
    network::{CLIENT_INTERFACE, CLIENT_MAC, Network, SERVER_INTERFACE, SERVER_MAC},
    packet::tag,
    packet_socket::{Receiver, Sender},
};

use crate::sshd::run;

/// How long a frame may stay in the switch.
const DELAY: Duration = Duration::from_millis(1);

/// It works as long as it exists.
pub(super) struct Switch {
    over: Arc<AtomicBool>,
    relay: Option<JoinHandle<()>>,
}

impl Switch {
    /// Takes the place of the link between client and server.
    pub(super) fn between(network: &Network) -> Self {
        network.disconnect_client();
        let switch = Namespace::new();
        for (host, interface, mac, port) in [
            (&network.server, SERVER_INTERFACE, "02:00:00:00:01:01", "port1"),
            (&network.client, CLIENT_INTERFACE, "02:00:00:00:01:02", "port2"),
        ] {
            host.ip(&format!(
                "link add {interface} address {mac} type veth peer name {port} netns {}\n",
                switch.path().display()
            ));
            switch.ip(&format!("link set {port} up\n"));
            // As on a real wire: whole checksums, and no packet longer than the MTU.
            let mut ethtool: Command = host.command();
            run(ethtool.args(["ethtool", "-K", interface, "tx", "off", "gso", "off"]));
        }
        network.bring_client_link_up();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let relay = thread::spawn(move || switch.enter(|| relay(&ends)));
        Self { over, relay: Some(relay) }
    }
}

fn relay(over: &AtomicBool) {
    let mut receiver = Receiver::new();
    let [to_server, to_client] = ["port1", "port2"].map(Sender::new);
    while !over.load(Ordering::SeqCst) {
        for frame in receiver.received() {
            if frame[6..12] == CLIENT_MAC {
                to_server.send(&tag(&frame, &[(0x8100, 0)]));
            } else if frame[6..12] == SERVER_MAC {
                to_client.send(&frame);
            }
        }
        thread::park_timeout(DELAY);
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.relay.take().map(JoinHandle::join);
    }
}
