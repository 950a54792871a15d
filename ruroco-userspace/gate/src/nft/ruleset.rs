//! The text of the table: from doors, leases and whether doors are armed to what `nft -f` reads.
//!
//! The text replaces the whole table in one transaction, so no packet ever meets half of it. The kernel ends leases
//! and a trial by the timeouts of set elements.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    net::IpAddr,
    time::Duration,
};

use ruroco_common::{
    address::Address,
    doors::{DoorState, LeaseKey, MAX_LEASES},
};
use ruroco_config::door::{Door, Transport};

use super::listing::Element;

/// The name of the table, of the family `inet`.
pub(crate) const TABLE: &str = "ruroco";

/// The key of the only element in the sets that say whether doors are armed: a part of every packet.
const ALWAYS: &str = "meta l4proto & 0x0";

/// For how long flows of a revoked lease stay closed after their last packet. The kernel forgets an idle UDP flow much
/// sooner (`net.netfilter.nf_conntrack_udp_timeout_stream`, 120 seconds by default).
const REVOKED: &str = "1h";

/// Most connections that can be counted: the kernel keeps a week in nanoseconds for each of them, in 64 bits.
const MOST_COUNTED: u32 = 30_000;

/// Everything that the table depends on.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    /// The doors that nftables closes.
    pub(crate) doors: &'a [Door],
    /// The host's addresses in the configuration, which may not be those of its interfaces.
    pub(crate) addresses: &'a [Address],
    /// The leases, of which those that have ended are left out.
    pub(crate) leases: &'a BTreeMap<LeaseKey, Element>,
    /// The leases that were revoked a moment ago, whose flows are over.
    pub(crate) revoked: &'a BTreeSet<LeaseKey>,
    /// Whether doors are armed.
    pub(crate) state: DoorState,
    /// The time on the boot clock.
    pub(crate) now: Duration,
}

/// One of the two Internet protocols.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const BOTH: [Self; 2] = [Self::V4, Self::V6];

    fn of(address: Address) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::V4 => "4",
            Self::V6 => "6",
        }
    }

    /// Its name in rules.
    const fn name(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }

    /// The part of a packet's source that a lease of the door is for.
    fn source(self, door: &Door) -> String {
        let every = Address::from(match self {
            Self::V4 => IpAddr::from([u8::MAX; 4]),
            Self::V6 => IpAddr::from([u8::MAX; 16]),
        });
        let mask = crate::door_maps::in_kernel(door).lease_key(every).address;
        match mask == every {
            true => format!("{} saddr", self.name()),
            false => format!("{} saddr & {}", self.name(), IpAddr::from(mask)),
        }
    }
}

/// The set of a door's leases, or of its revoked leases.
fn set(kind: &str, lease: &LeaseKey) -> String {
    format!("{kind}_{}_{}", lease.door, Family::of(lease.address).suffix())
}

/// The script that replaces the table.
pub(crate) fn replacement(content: &Content<'_>) -> String {
    let mut text = format!("add table inet {TABLE}\ndelete table inet {TABLE}\n");
    // A string takes everything.
    let _ = write_table(&mut text, content);
    text
}

/// The script that removes the table, whether or not it exists.
pub(crate) fn removal() -> String {
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// The script that writes a lease, in place of an earlier one.
pub(crate) fn opening(door: &Door, lease: &LeaseKey, element: &Element, now: Duration) -> String {
    let mut text = without("lease", lease);
    if has(door, Transport::Udp) {
        text += &without("revoked", lease);
    }
    if let Some(element) = element_text(lease, element, now) {
        text += &format!("add element inet {TABLE} {} {{ {element} }}\n", set("lease", lease));
    }
    text
}

/// The script that ends leases, each of this door. If they are revoked, their flows end, too.
pub(crate) fn closing(leases: &[(&Door, LeaseKey)], is_revoked: bool) -> String {
    let elements = |kind: &str, leases: &mut dyn Iterator<Item = &LeaseKey>| {
        let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for lease in leases {
            let ip = IpAddr::from(lease.address).to_string();
            sets.entry(set(kind, lease)).or_default().push(ip);
        }
        let element = |(set, ips): (String, Vec<String>)| {
            format!("element inet {TABLE} {set} {{ {} }}\n", ips.join(", "))
        };
        sets.into_iter().map(element).collect::<Vec<_>>()
    };
    let ended = elements("lease", &mut leases.iter().map(|(_, lease)| lease));
    let mut text: String = ended.iter().map(|element| removed(element)).collect();
    if is_revoked {
        let of_udp = leases.iter().filter(|(door, _)| has(door, Transport::Udp));
        let revoked = elements("revoked", &mut of_udp.map(|(_, lease)| lease));
        text.extend(revoked.iter().map(|element| format!("add {element}")));
    }
    text
}

/// The script that arms or disarms doors.
pub(crate) fn arming(state: DoorState, now: Duration) -> String {
    let mut text = format!("flush set inet {TABLE} armed\nflush set inet {TABLE} trial\n");
    let [armed, trial] = arming_elements(state, now);
    for (set, element) in [("armed", armed), ("trial", trial)] {
        if let Some(element) = element {
            text += &format!("add element inet {TABLE} {set} {{ {element} }}\n");
        }
    }
    text
}

fn without(kind: &str, lease: &LeaseKey) -> String {
    let (set, ip) = (set(kind, lease), IpAddr::from(lease.address));
    removed(&format!("element inet {TABLE} {set} {{ {ip} }}\n"))
}

/// What removes elements that may not exist: nft 1.0.6 has no `destroy`.
fn removed(element: &str) -> String {
    format!("add {element}delete {element}")
}

/// The elements of the sets `armed` and `trial`. The comments hold what the elements do not: when this was set, and when
/// a trial ends. The kernel itself adds an element without a comment to `armed` when a connection confirms a trial.
fn arming_elements(state: DoorState, now: Duration) -> [Option<String>; 2] {
    let DoorState { open_from, set_at } = state;
    let left = Duration::from_nanos(open_from).saturating_sub(now);
    match open_from {
        0 => [Some(format!("0 comment \"{set_at}\"")), None],
        _ if left.is_zero() => [None, None],
        _ => [None, Some(format!("0 timeout {} comment \"{set_at} {open_from}\"", span(left)))],
    }
}

/// A time that is at least one of the kernel's ticks.
fn span(time: Duration) -> String {
    format!("{}ms", time.as_millis().max(10))
}

fn element_text(lease: &LeaseKey, element: &Element, now: Duration) -> Option<String> {
    let left = element.until.saturating_sub(now);
    if left.is_zero() || element.left == Some(0) {
        return None;
    }
    let limit = element.left.map(|left| format!(" limit rate 1/week burst {left} packets"));
    let (ip, limit) = (IpAddr::from(lease.address), limit.unwrap_or_default());
    Some(format!("{ip} counter{limit} timeout {} comment \"{}\"", span(left), element.comment()))
}

fn has(door: &Door, transport: Transport) -> bool {
    door.ports.iter().any(|port| port.transport == transport)
}

/// How many connections a lease admits after a knock, if nftables counts them.
pub(crate) fn limit(door: &Door) -> Option<u32> {
    // With XDP in addition, the XDP program counts.
    let counts = !door.backend.has_xdp();
    door.connections.filter(|_| counts).map(|limit| limit.min(MOST_COUNTED))
}

fn write_table(text: &mut String, content: &Content<'_>) -> fmt::Result {
    writeln!(text, "table inet {TABLE} {{")?;
    write_state(text, content)?;
    for door in content.doors {
        write_sets(text, door, content)?;
    }
    write_hook(text, content.doors)?;
    write_shared(text, content.addresses)?;
    for door in content.doors {
        write_door(text, door)?;
    }
    writeln!(text, "}}")
}

/// Whether doors are armed, and which connections were admitted while they are on trial.
fn write_state(text: &mut String, content: &Content<'_>) -> fmt::Result {
    let [armed, trial] = arming_elements(content.state, content.now);
    let elements = |element: Option<String>| {
        element.map(|element| format!(" elements = {{ {element} }}")).unwrap_or_default()
    };
    writeln!(
        text,
        " set armed {{ type inet_proto; flags dynamic; size 16;{} }}\n set trial {{ type inet_proto; flags \
         timeout; size 16;{} }}",
        elements(armed),
        elements(trial)
    )?;
    for family in Family::BOTH {
        writeln!(
            text,
            " set admitted_{} {{ type {} . inet_service; flags dynamic,timeout; timeout 1m; size {MAX_LEASES}; }}",
            family.suffix(),
            family.kind()
        )?;
    }
    Ok(())
}

/// The sets of a door's leases.
fn write_sets(text: &mut String, door: &Door, content: &Content<'_>) -> fmt::Result {
    let limit = limit(door).map(|_| " limit rate 1/week burst 1 packets").unwrap_or_default();
    for family in Family::BOTH {
        let is_here =
            |lease: &LeaseKey| lease.door == door.name && Family::of(lease.address) == family;
        let leases = content.leases.iter().filter(|(lease, _)| is_here(lease));
        let leases = leases.filter_map(|(lease, held)| element_text(lease, held, content.now));
        let (name, kind, suffix) = (door.name, family.kind(), family.suffix());
        write!(
            text,
            " set lease_{name}_{suffix} {{ type {kind}; flags timeout; size {MAX_LEASES}; counter{limit};"
        )?;
        write_elements(text, leases)?;
        if has(door, Transport::Udp) {
            let revoked = content.revoked.iter().filter(|lease| is_here(lease));
            write!(
                text,
                " set revoked_{name}_{suffix} {{ type {kind}; flags dynamic,timeout; timeout {REVOKED}; size \
                 {MAX_LEASES};"
            )?;
            write_elements(text, revoked.map(|lease| IpAddr::from(lease.address).to_string()))?;
        }
    }
    Ok(())
}

fn write_elements(text: &mut String, elements: impl Iterator<Item = String>) -> fmt::Result {
    let elements: Vec<String> = elements.collect();
    if !elements.is_empty() {
        write!(text, " elements = {{ {} }}", elements.join(",\n  "))?;
    }
    writeln!(text, " }}")
}

/// The chain that every packet meets: before DNAT, so that it sees the port that the packet was sent to, and after
/// connection tracking, which knows sessions.
fn write_hook(text: &mut String, doors: &[Door]) -> fmt::Result {
    writeln!(
        text,
        " chain arrivals {{\n  type filter hook prerouting priority -150; policy accept;\n  iifname \"lo\" accept"
    )?;
    for transport in [Transport::Tcp, Transport::Udp] {
        let name = transport.name();
        let ports = doors.iter().flat_map(|door| door.ports.iter().map(move |port| (door, port)));
        let ports = ports.filter(|(_, port)| port.transport == transport);
        let ports = ports.map(|(door, port)| {
            let ends = match port.first == port.last {
                true => port.first.to_string(),
                false => format!("{}-{}", port.first, port.last),
            };
            format!("{ends} : goto {name}_{}", door.name)
        });
        let ports: Vec<String> = ports.collect();
        if !ports.is_empty() {
            writeln!(text, "  {name} dport vmap {{ {} }}", ports.join(", "))?;
        }
    }
    writeln!(text, " }}")
}

/// What all doors share.
fn write_shared(text: &mut String, addresses: &[Address]) -> fmt::Result {
    // Packets that doors do not concern: doors are open, or the packet is for another host.
    writeln!(
        text,
        " chain guard {{\n  {ALWAYS} != @armed {ALWAYS} != @trial accept\n  fib daddr type != unicast return"
    )?;
    for family in Family::BOTH {
        let ours = addresses.iter().filter(|address| Family::of(**address) == family);
        let ours: Vec<String> = ours.map(|address| IpAddr::from(*address).to_string()).collect();
        if !ours.is_empty() {
            writeln!(text, "  {} daddr {{ {} }} return", family.name(), ours.join(", "))?;
        }
    }
    // An admitted SYN. Of those admitted during a trial, the source is remembered.
    writeln!(
        text,
        "  accept\n }}\n chain admitted {{\n  {ALWAYS} == @trial jump note\n  accept\n }}"
    )?;
    writeln!(text, " chain note {{")?;
    for family in Family::BOTH {
        let (name, suffix) = (family.name(), family.suffix());
        writeln!(text, "  update @admitted_{suffix} {{ {name} saddr . tcp sport }}")?;
    }
    // The client's answer to the SYN-ACK of such a connection confirms the trial.
    writeln!(text, " }}\n chain confirmation {{")?;
    for family in Family::BOTH {
        let (name, suffix) = (family.name(), family.suffix());
        writeln!(
            text,
            "  tcp flags & (syn | rst | ack) == ack ct state established {name} saddr . tcp sport \
             @admitted_{suffix} add @armed {{ {ALWAYS} }}"
        )?;
    }
    // Other TCP. Connection tracking knows sessions; one that it does not know has a socket, which is not the
    // unconnected socket of a listener. A RST is never answered.
    writeln!(
        text,
        " }}\n chain tcp_rest {{\n  {ALWAYS} == @trial jump confirmation\n  \
         tcp flags & (syn | ack) == syn counter drop\n  ct state established,related accept\n  \
         tcp flags & (syn | rst) == rst accept\n  tcp flags & (syn | ack) == ack socket wildcard 0 accept\n  \
         counter drop\n }}"
    )
}

/// The chains of a door.
fn write_door(text: &mut String, door: &Door) -> fmt::Result {
    let name = door.name;
    if has(door, Transport::Tcp) {
        writeln!(text, " chain tcp_{name} {{\n  jump guard")?;
        for family in Family::BOTH {
            let (source, suffix) = (family.source(door), family.suffix());
            writeln!(
                text,
                "  tcp flags & (syn | ack) == syn {source} @lease_{name}_{suffix} goto admitted"
            )?;
        }
        writeln!(text, "  goto tcp_rest\n }}")?;
    }
    if has(door, Transport::Udp) {
        writeln!(text, " chain udp_{name} {{\n  jump guard")?;
        for family in Family::BOTH {
            let (source, suffix) = (family.source(door), family.suffix());
            writeln!(
                text,
                "  {source} @revoked_{name}_{suffix} update @revoked_{name}_{suffix} {{ {source} }} counter drop"
            )?;
        }
        writeln!(text, "  ct state established accept")?;
        for family in Family::BOTH {
            let (source, suffix) = (family.source(door), family.suffix());
            writeln!(text, "  {source} @lease_{name}_{suffix} accept")?;
        }
        writeln!(text, "  counter drop\n }}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
