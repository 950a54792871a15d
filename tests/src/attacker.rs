//! A fourth host, with a link of its own to the server, for those who flood it.
//!
//! Were it the client's link, knocks would be lost in the queue in front of the gate, and what was
//! measured would be the length of that queue.

use std::{fs, io, mem, net::UdpSocket, os::fd::AsRawFd, path::Path};

use nix::{
    mount::{MsFlags, mount},
    net::if_::if_nametoindex,
};

use crate::{mount, namespace::Namespace, network::Network};

/// The attacker's interface.
pub const ATTACKER_INTERFACE: &str = "attack0";
/// The server's interface towards the attacker.
pub const ATTACKED_INTERFACE: &str = "attack1";
/// An interface of the attacker's that leads nowhere, to attach programs to.
pub const SPARE_INTERFACE: &str = "spare0";
/// Hardware address of the attacker's interface.
pub const ATTACKER_MAC: [u8; 6] = [0x02, 0, 0, 0, 3, 2];
/// Hardware address of the server's interface towards the attacker.
pub const ATTACKED_MAC: [u8; 6] = [0x02, 0, 0, 0, 3, 1];

/// The host that floods.
#[derive(Debug)]
pub struct Attacker {
    /// Where its packets come from.
    pub namespace: Namespace,
}

impl Attacker {
    /// Makes the host and joins it to the server.
    ///
    /// # Panics
    /// If a step fails.
    pub fn join(network: &Network) -> Self {
        let attacker = Self { namespace: Namespace::new() };
        // It may claim any source, and the server takes whatever it claims.
        network.server.sysctl(&[
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/default/disable_ipv6", "1"),
        ]);
        network.server.ip(&format!(
            "link add attack1 address 02:00:00:00:03:01 type veth \
             peer name attack0 address 02:00:00:00:03:02 netns {}\n\
             link set attack1 up\n\
             addr add 203.0.113.1/24 dev attack1\n\
             neigh replace 203.0.113.2 lladdr 02:00:00:00:03:02 dev attack1 nud permanent\n",
            attacker.namespace.path().display()
        ));
        attacker.namespace.ip("link add spare0 type veth peer name spare1\n\
             link set attack0 up\n\
             addr add 203.0.113.2/24 dev attack0\n\
             neigh replace 203.0.113.1 lladdr 02:00:00:00:03:01 dev attack0 nud permanent\n\
             route add default via 203.0.113.1\n");
        attacker
    }
}

/// The index of an interface of a host.
///
/// # Panics
/// If there is none of this name.
pub fn interface_index(host: &Namespace, name: &str) -> u32 {
    host.enter(|| if_nametoindex(name)).unwrap_or_else(|e| panic!("look for {name}: {e}"))
}

/// What an interface does in place of the network stack (`ethtool -K`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Joins packets that it receives (GRO). Without an XDP program, this has a veth polled (NAPI).
    Gro,
    /// Takes packets that are still to be cut into segments (GSO).
    Gso,
    /// The same for TCP (TSO).
    Tso,
    /// Takes packets without a checksum.
    Checksums,
}

impl Offload {
    /// The command that sets it (linux/ethtool.h).
    const fn command(self) -> u32 {
        match self {
            Self::Checksums => 0x17, // ETHTOOL_STXCSUM
            Self::Tso => 0x1f,       // ETHTOOL_STSO
            Self::Gso => 0x24,       // ETHTOOL_SGSO
            Self::Gro => 0x2c,       // ETHTOOL_SGRO
        }
    }
}

/// Has an interface's packets polled (NAPI) without an XDP program on it, by turning GRO on.
///
/// # Panics
/// If it cannot.
pub fn poll(host: &Namespace, interface: &str) {
    set_offload(host, interface, Offload::Gro, true);
}

/// Turns something on or off that an interface does (`ethtool -K INTERFACE gro on`).
///
/// # Panics
/// If it cannot.
pub fn set_offload(host: &Namespace, interface: &str, offload: Offload, on: bool) {
    /// `struct ethtool_value` (linux/ethtool.h).
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    const SIOCETHTOOL: libc::Ioctl = 0x8946; // linux/sockios.h
    let socket = host.enter(|| UdpSocket::bind("0.0.0.0:0")).expect("make a UDP socket");
    let mut value = Value { command: offload.command(), data: on.into() };
    // SAFETY: a structure of numbers and pointers, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request names an interface, with a zero behind it, and points to a value of the
    // command's type; both are there until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    let error = io::Error::last_os_error();
    assert_eq!(result, 0, "set {offload:?} of {interface} to {on}: {error}");
}

/// Has an interface's packets received by kernel threads of their own, rather than on the CPU of
/// whoever sends; the process ids of these threads. The interface must already be one that is
/// polled (NAPI): with an XDP program on it, or with GRO.
///
/// # Panics
/// If the kernel cannot (Linux 5.12), or nothing polls.
pub fn receive_on_threads(host: &Namespace, interface: &str) -> Vec<u32> {
    let prefix = format!("napi/{interface}-");
    let before = kernel_threads(&prefix);
    write_sysfs(host, &format!("class/net/{interface}/threaded"), "1");
    let mut threads = kernel_threads(&prefix);
    threads.retain(|thread| !before.contains(thread));
    assert!(!threads.is_empty(), "nothing polls {interface}");
    threads
}

/// The kernel's threads whose names begin so; those of all namespaces.
fn kernel_threads(prefix: &str) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("list the processes").filter_map(Result::ok);
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has_name = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with(prefix))
    };
    processes.filter(has_name).collect()
}

/// Writes a file of the host's `/sys`, which shows the interfaces of who has mounted it.
fn write_sysfs(host: &Namespace, path: &str, text: &str) {
    host.enter(|| {
        mount::keep_to_this_thread();
        let none: Option<&str> = None;
        mount(none, "/sys", Some("sysfs"), MsFlags::empty(), none).expect("mount /sys");
        let path = Path::new("/sys").join(path);
        fs::write(&path, text)
            .unwrap_or_else(|e| panic!("write {text} to {}: {e}", path.display()));
    });
}
