//! `[doors.NAME]` in `config.toml`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ruroco_common::doors::{DoorName, MAX_DOORS, MAX_FLOWS_PER_LEASE};
use ruroco_files::toml_file::{
    Source as File,
    table::{Table, Taken},
    value::{Count, Located},
};
use ruroco_messages::problems::{Problem, Problems};

use super::{Appearance, Places};
use crate::{
    door::{self, Backend, Door, DoorPort, DoorSource, Transport},
    fields::{self, Source},
};

/// What else of the file doors must agree with.
pub(super) struct Rest {
    /// The port of knocks.
    pub port: u16,
    /// Where the server gets its packets from.
    pub source: Source,
    /// What ports without a knock look like.
    pub appearance: Appearance,
}

/// A port and the door that it belongs to.
type Port<'a> = (DoorName, &'a Located<DoorPort>);

/// The doors in `[doors]`, by name. Notes where they stand, those with errors, too.
pub(super) fn of(
    mut doors: Table<'_>,
    rest: &Rest,
    places: &mut Places,
    problems: &mut Problems,
) -> BTreeMap<DoorName, Door> {
    let file = doors.file();
    let tables = doors.take_tables(problems);
    places.doors = tables.iter().map(|(name, _)| (name.value.clone(), name.at.clone())).collect();
    check_count(file, places, problems);
    let mut ports = Vec::new();
    let read = |(name, table): (Located<String>, Taken<Table<'_>>)| {
        let (door, its_ports) = read_door(&name, table.ok()?.value, rest.appearance, problems)?;
        problems.extend(needs_gate(file, rest, &door, &name));
        ports.extend(its_ports.into_iter().map(|port| (door.name, port)));
        Some((door.name, door))
    };
    let doors = tables.into_iter().filter_map(read).collect();
    let mut ports: Vec<Port<'_>> = ports.iter().map(|(name, port)| (*name, port)).collect();
    check_knock_port(file, rest.port, &ports, problems);
    ports.sort_by_key(|(_, port)| port.at.start);
    check_distinct(file, ports, problems);
    doors
}

/// Makes sure that each door can have a number.
fn check_count(file: &File, places: &Places, problems: &mut Problems) {
    let mut starts: Vec<_> = places.doors.values().cloned().collect();
    starts.sort_by_key(|at| at.start);
    if starts.is_empty() {
        return;
    }
    if let Some(excess) = starts.get(MAX_DOORS) {
        let message = format!("there are more than {MAX_DOORS} doors. Remove some");
        problems.add(file.error(excess.clone(), message));
    }
}

/// Without the XDP program, it can close no door.
fn needs_gate(file: &File, rest: &Rest, door: &Door, name: &Located<String>) -> Option<Problem> {
    let needs = rest.source == Source::Udp && door.backend.has_xdp();
    needs.then(|| {
        let message = format!(
            "door {} is closed by the XDP program, which does not run with source = \"udp\". Set backend = \
             \"nftables\" below [doors.{0}]",
            door.name
        );
        file.error(name.at.clone(), message)
    })
}

/// nftables counts connections of TCP, because only a SYN starts one. It cannot tell the first packet of a UDP flow
/// from the next one before this host has answered.
fn cannot_count(file: &File, door: &Door, connections: &Located<Count>) -> Option<Problem> {
    let has_udp = door.ports.iter().any(|port| port.transport == Transport::Udp);
    (door.backend == Backend::Nftables && has_udp).then(|| {
        let message = "`connections` cannot limit UDP with backend = \"nftables\", which does not count flows. Remove \
                       `connections`, or set backend = \"xdp\"";
        file.error(connections.at.clone(), message)
    })
}

/// A door and where its ports stand.
fn read_door(
    name: &Located<String>,
    mut table: Table<'_>,
    appearance: Appearance,
    problems: &mut Problems,
) -> Option<(Door, Vec<Located<DoorPort>>)> {
    let file = table.file();
    let ports = table.take(&fields::DOOR_PORT, problems);
    let duration = table.take_or_default(&fields::DOOR_DURATION, problems);
    let connections = table.take(&fields::CONNECTIONS, problems).ok();
    let source = table.take_or_default(&fields::DOOR_SOURCE, problems);
    let is_forwarded = table.take_or_default(&fields::FORWARDED, problems);
    let backend = table.take_or_default(&fields::BACKEND, problems);
    table.reject_unknown(&fields::door(), &[], problems);
    if let (Appearance::Closed { .. }, Some(forwarded)) = (appearance, &is_forwarded)
        && forwarded.value
    {
        let message = "a door with `forwarded` cannot look closed: another host or container would answer. Set \
                       appearance = \"filtered\" in [gate]";
        problems.add(file.error(forwarded.at.clone(), message));
    }
    if let (Appearance::Closed { .. }, Some(backend)) = (appearance, &backend)
        && backend.value.has_nftables()
    {
        let message = "a door that nftables closes cannot look closed: it drops packets. Set appearance = \
                       \"filtered\" in [gate], or backend = \"xdp\"";
        problems.add(file.error(backend.at.clone(), message));
    }
    let shown = name.value.escape_debug();
    if ports.is_absent() {
        let message = format!("door `{shown}` has no `port`. Set, for example, port = \"tcp/22\"");
        problems.add(file.error(name.at.clone(), message));
    }
    let ports = ports.ok().map(|ports| ports.value.0).unwrap_or_default();
    if let Appearance::Closed { .. } = appearance {
        let of_udp = ports.iter().filter(|port| port.value.transport == Transport::Udp);
        problems.extend(of_udp.map(|port| {
            let message = "a UDP door cannot look closed: the gate would have to pass its packets to the network stack. \
                           Set appearance = \"filtered\" in [gate]";
            file.error(port.at.clone(), message)
        }));
    }
    let Some(door_name) = DoorName::new(&name.value) else {
        problems.add(file.error(name.at.clone(), door::bad_name(&name.value)));
        return None;
    };
    let DoorSource(source) = source?.value;
    let door = Door {
        name: door_name,
        ports: ports.iter().map(|port| port.value).collect(),
        duration: duration?.value.0,
        connections: connections.as_ref().map(|connections| connections.value.0),
        source,
        is_forwarded: is_forwarded?.value,
        backend: backend?.value,
    };
    problems.extend(connections.as_ref().and_then(|limit| cannot_count(file, &door, limit)));
    let in_vain = connections.filter(|connections| is_in_vain(&door, connections.value));
    problems.extend(in_vain.map(|connections| {
        let message = format!(
            "after each knock, an address starts at most {MAX_FLOWS_PER_LEASE} flows of UDP or of forwarded \
             connections, so a higher limit has no effect on them. Set connections = {MAX_FLOWS_PER_LEASE} or \
             lower"
        );
        file.error(connections.at, message).as_warning()
    }));
    Some((door, ports))
}

fn is_in_vain(door: &Door, connections: Count) -> bool {
    door.backend.has_xdp() && door.has_flows() && connections.0 > MAX_FLOWS_PER_LEASE
}

/// A door on the port of knocks would close it to them.
fn check_knock_port(file: &File, port: u16, ports: &[Port<'_>], problems: &mut Problems) {
    let is_of_knocks = |(_, at): &&Port<'_>| at.value.contains(Transport::Udp, port);
    problems.extend(ports.iter().filter(is_of_knocks).map(|(_, at)| {
        let message =
            format!("udp/{port} is the port that clients send knocks to. Remove it from this door");
        file.error(at.at.clone(), message)
    }));
}

/// Makes sure that each port is named once. `ports` are in the order of the file.
fn check_distinct(file: &File, ports: Vec<Port<'_>>, problems: &mut Problems) {
    let mut owners = BTreeMap::new();
    for (door, port) in ports {
        // Of ranges that do not overlap, only the last one that begins before the end of this one can.
        let DoorPort { transport, first, last } = port.value;
        let earlier = owners.range(..=(transport, last)).next_back();
        let earlier: Option<(DoorName, DoorPort)> = earlier.map(|(_, earlier)| *earlier);
        let common = earlier.and_then(|(owner, range)| Some((owner, range.common(port.value)?)));
        match common {
            None => _ = owners.insert((transport, first), (door, port.value)),
            Some((owner, common)) => {
                let message = format!(
                    "{common} belongs to the door {owner} already. Remove it from one place"
                );
                problems.add(file.error(port.at.clone(), message));
            }
        }
    }
}
