//! Every field of `config.toml`: its type, default and meaning, and when a change of it takes effect.
//!
//! To add a field, add it here, and to [`Config`](crate::Config), which takes it. The reference page, the
//! names that problems suggest and the dictionary of the fuzzers follow.

use std::{net::IpAddr, path::PathBuf};

use ruroco_common::doors::SourcePrefix;
use ruroco_files::{
    fields,
    toml_file::{
        field::{
            Change::{Reload, Restart},
            Daemon::{Commander, Gate, Server},
            Default,
        },
        one_or_more::OneOrMore,
        value::{Choice, Count, Filled, Located, OneOf, Port, Time},
    },
};

use crate::{
    door::{Backend, DoorPort, DoorSource},
    expiry::Expiry,
    network::Network,
    values::{HostAddress, InterfaceName, UserName},
};

/// The default port, which is also the default of clients.
pub const DEFAULT_PORT: u16 = 80;

/// `audit_dir` where the file does not say. Unlike `/var/log`, which belongs to the group of the system's
/// logger on some distributions, everything above it belongs to root alone.
pub const AUDIT_DIR: &str = "/var/lib/ruroco-commander";

/// What `audit_dir` was by default in earlier releases.
pub const FORMER_AUDIT_DIR: &str = "/var/log/ruroco";

/// Seconds in a day.
const DAY: u64 = 86_400;

fields! {
    /// The fields at the top of the file.
    top;

    /// The addresses of this host that clients send knocks to. Knocks for other addresses are rejected. Behind
    /// NAT, name both the outer and the inner addresses.
    ADDRESSES: Filled<Located<HostAddress>> = "addresses", Default::Required, Reload;

    /// The UDP port that clients send knocks to.
    PORT: Port = "port", Default::Value(|| Port(DEFAULT_PORT)), Reload;

    /// Where the server gets packets from: `"xdp"` is the ring buffer of the gate, and `"udp"` an ordinary
    /// socket, for hosts without XDP.
    SOURCE: OneOf<Source> = "source", Default::Value(|| OneOf(Source::Xdp)),
        Restart(&[Gate, Server]);

    /// With `source = "udp"`, the local IP address that the server listens on, unless systemd passes a socket.
    /// `"::"` receives IPv4, too.
    LISTEN: IpAddr = "listen", Default::Value(|| IpAddr::from([0_u16; 8])), Restart(&[Server]);

    /// The directory with the keys, each in a file `NAME.key`.
    KEYS_DIR: PathBuf = "keys_dir", Default::Value(|| "/etc/ruroco/keys".into()), Reload;

    /// The directory in which the server keeps the highest counter that it accepted from each key (the
    /// floors), and its record of rejected knocks.
    STATE_DIR: PathBuf = "state_dir", Default::Value(|| "/var/lib/ruroco".into()),
        Restart(&[Server]);

    /// The directory with the sockets between gate, server, commander and the operator's tool. Only root may
    /// be able to write to it.
    SOCKET_DIR: PathBuf = "socket_dir", Default::Value(|| "/run/ruroco".into()),
        Restart(&[Gate, Server, Commander]);

    /// The directory in which the commander keeps the audit trail. Only root may be able to write to it or
    /// to a directory above it.
    AUDIT_DIR_FIELD: PathBuf = "audit_dir", Default::Value(|| AUDIT_DIR.into()),
        Restart(&[Commander]);

    /// The user that the server runs as. Only this user may connect to gate and commander.
    SERVER_USER: UserName = "server_user", Default::Value(|| UserName("ruroco".to_owned())),
        Restart(&[Gate, Commander]);

    /// The number of knocks with one key that are accepted in a second. The gate drops packets of a key
    /// beyond twice this number, or beyond 100 if that is more.
    MAX_KNOCKS_PER_SECOND_PER_KEY: Count = "max_knocks_per_second_per_key",
        Default::Value(|| Count(2)), Reload;

    /// The number of knocks with all keys together that are accepted in a second. Each key has a share of
    /// it; one key alone gets half.
    MAX_KNOCKS_PER_SECOND: Count = "max_knocks_per_second", Default::Value(|| Count(100)), Reload;

    /// How far the clock of a client may be ahead of this host's clock. Knocks that are further ahead are
    /// rejected.
    MAX_CLOCK_SKEW: Time<0, DAY> = "max_clock_skew",
        Default::Value(|| Time(std::time::Duration::from_secs(3600))), Reload;

    /// Whether commands run for addresses that are not public: private, loopback, link-local, shared
    /// (100.64.0.0/10), reserved, and those for documentation and benchmarks.
    ALLOW_NON_PUBLIC_ADDRESSES: bool = "allow_non_public_addresses", Default::Value(|| true),
        Reload;
}

fields! {
    /// The fields of `[gate]`.
    gate;

    /// The interfaces that the XDP program is attached to. The names that `ip -brief link` shows, or
    /// altnames. Required with `source = "xdp"`.
    INTERFACES: Filled<Located<InterfaceName>> = "interfaces", Default::Required, Reload;

    /// How the XDP program is attached: `"native"` is in the driver, `"generic"` in the network stack, which
    /// works with every driver and is slower. `"auto"` tries the driver first on devices of hardware, and uses
    /// generic mode on devices of software, such as bonds.
    MODE: OneOf<Mode> = "mode", Default::Value(|| OneOf(Mode::Auto)), Reload;

    /// The directory in a BPF file system in which the links of the XDP program are pinned, so that it stays
    /// attached if the gate crashes.
    PIN_DIR: PathBuf = "pin_dir", Default::Value(|| "/sys/fs/bpf/ruroco".into()), Restart(&[Gate]);

    /// What the port looks like to others: `"filtered"` drops every packet that is not an authentic knock, and
    /// `"closed"` passes what it rejects to the network stack, which answers as on any closed port.
    APPEARANCE: OneOf<Look> = "appearance", Default::Value(|| OneOf(Look::Filtered)), Reload;

    /// With `appearance = "closed"`, the number of rejected packets that are passed to the network stack in
    /// a second.
    MAX_PASSED_PER_SECOND: Count = "max_passed_per_second",
        Default::Value(|| Count(10_000)), Reload;

    /// What becomes of doors when the gate stops: `"closed"` leaves the XDP program attached, so that doors stay
    /// closed, and `"open"` detaches it, so that everyone can connect. Without doors, the gate always detaches it.
    ON_STOP: OneOf<OnStop> = "on_stop", Default::Value(|| OneOf(OnStop::Closed)), Reload;

    /// The directory in which the gate remembers for the next start of the host that doors are disarmed. Only root
    /// may be able to write to it.
    DOORS_DIR: PathBuf = "doors_dir", Default::Value(|| "/var/lib/ruroco-gate".into()), Restart(&[Gate]);
}

fields! {
    /// The fields of `[keys.NAME]`.
    key;

    /// The commands that knocks with this key may request.
    COMMANDS: Vec<String> = "commands", Default::Nothing("the commands that allow the key"), Reload;

    /// The last day, in UTC, on which knocks with this key are accepted: `expires = 2027-01-31`, without quotes. A
    /// date with a time and an offset names the moment: `2027-01-31T18:00:00Z`. From then on, the gate treats the
    /// key as unknown.
    EXPIRES: Expiry = "expires", Default::Nothing("never"), Reload;

    /// The networks that knocks with this key may come from, such as `["203.0.113.0/24", "2001:db8::/48"]`. The
    /// address that a command runs for must also be in one of them.
    SOURCES: Filled<Network> = "sources", Default::Nothing("any address"), Reload;

    /// Whether a knock with this key must name the address that its command runs for. Then an attacker cannot
    /// use a knock for another address by forwarding it from there before the original arrives.
    REQUIRE_ADDRESS: bool = "require_address", Default::Value(|| false), Reload;
}

fields! {
    /// The fields of `[doors.NAME]`.
    door;

    /// The TCP and UDP ports that the door closes to every address without a lease.
    DOOR_PORT: OneOrMore<Located<DoorPort>> = "port", Default::Required, Reload;

    /// How long a lease lasts after the last knock. Connections that were started before its end go on.
    DOOR_DURATION: Time<1, DAY> = "for",
        Default::Value(|| Time(std::time::Duration::from_secs(30))), Reload;

    /// The number of new connections and flows that a lease admits after each knock. For UDP, and with
    /// `forwarded = true`, at most 64.
    CONNECTIONS: Count = "connections", Default::Nothing("no limit"), Reload;

    /// The addresses that a lease covers: `"address"` is the address that the command runs for, and a prefix its
    /// network. `["/24", "/64"]` sets a prefix for IPv4 (16 to 32) and one for IPv6 (48 to 128).
    DOOR_SOURCE: DoorSource = "source", Default::Value(|| DoorSource(SourcePrefix::ADDRESS)), Reload;

    /// Whether this host forwards the connections, for example to a container, instead of accepting them itself.
    FORWARDED: bool = "forwarded", Default::Value(|| false), Reload;

    /// What closes the door: `"xdp"` is the XDP program, on the interfaces in `interfaces`, and `"nftables"` a table
    /// `inet ruroco` of the kernel's packet filter, on all interfaces, also those without Ethernet. It needs the
    /// program `nft`. `["xdp", "nftables"]` uses both. Required as `"nftables"` with `source = "udp"`.
    BACKEND: Backend = "backend", Default::Value(|| Backend::Xdp), Reload;
}

/// `source`: where the server gets its candidates from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The ring buffer that the gate hands over.
    Xdp,
    /// An ordinary socket, for hosts without XDP.
    Udp,
}

impl Source {
    /// The name it has in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Udp => "udp",
        }
    }
}

impl Choice for Source {
    const CHOICES: &'static [(&'static str, Self)] = &[("xdp", Self::Xdp), ("udp", Self::Udp)];
}

/// `mode`: how the program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, or not at all.
    Native,
    /// In the network stack.
    Generic,
    /// Native where the driver supports it and the device is hardware, otherwise generic.
    Auto,
}

impl Mode {
    /// The name it has in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Auto => "auto",
        }
    }
}

impl Choice for Mode {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("native", Self::Native), ("generic", Self::Generic), ("auto", Self::Auto)];
}

/// `on_stop`: what becomes of doors when the gate stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// They stay closed.
    Closed,
    /// They are open to everyone.
    Open,
}

impl Choice for OnStop {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("closed", Self::Closed), ("open", Self::Open)];
}

/// `appearance`, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// `"filtered"`
    Filtered,
    /// `"closed"`
    Closed,
}

impl Choice for Look {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("filtered", Self::Filtered), ("closed", Self::Closed)];
}
