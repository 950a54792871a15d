//! A door event: what the gate writes to the commander about leases.
//!
//! Only root can write there, and yet the commander takes no byte on trust. An event is read if, and only if, it is
//! whole, of our version, and says something that can happen to a door and an address that there can be. What is read
//! is what a reader finds that knows nothing but the record's table.

use std::{net::Ipv6Addr, time::Duration};

use ruroco_ipc::door_event::{DoorEvent, Happened, LeaseEvent};

/// The size that the table adds up to.
const SIZE: usize = 91;

/// Takes any bytes for an event.
pub fn door_event(data: &[u8]) -> bool {
    let decoded = DoorEvent::decode(data).ok();
    assert_eq!(decoded.is_some(), is_event(data), "{decoded:?}");
    match decoded {
        Some(DoorEvent::Lease(event)) => check(&event, data),
        Some(DoorEvent::Lost { count, at }) => {
            assert_eq!((at, count), (Duration::from_nanos(number(data, 59)), number(data, 83)));
        }
        None => {}
    }
    if let Some(event) = decoded {
        assert_eq!(DoorEvent::decode(&event.encode()), Ok(event));
    }
    data.len() == SIZE
}

fn check(event: &LeaseEvent, data: &[u8]) {
    assert_eq!(event.door.to_string().as_bytes(), name(data));
    let [at, until] = [59, 67].map(|place| Duration::from_nanos(number(data, place)));
    assert_eq!((event.at, event.until), (at, until));
    assert_eq!(event.connections, number(data, 75));
    assert_eq!((event.prefix, event.key.0.as_slice()), (data[2], &data[35..43]));
    assert_eq!(event.counter.to_be_bytes(), data[43..59]);
    if let Happened::Connected { new } = event.happened {
        assert_eq!(new, number(data, 83));
    }
    // What stands in a line of the audit trail, and in a variable.
    let ip = address(data).to_canonical().to_string();
    let shown = event.source();
    assert_eq!(shown.split('/').next(), Some(ip.as_str()));
    let is_alone = data[2] == if address(data).to_ipv4_mapped().is_some() { 32 } else { 128 };
    assert_eq!(shown.contains('/'), !is_alone, "{shown}");
    let (happened, reason) = match data[1] {
        1 => ("connected", None),
        2 => ("expired", None),
        3 => ("closed", Some("tool")),
        4 => ("closed", Some("key_revoked")),
        5 => ("closed", Some("key_expired")),
        _ => ("closed", Some("door_removed")),
    };
    assert_eq!(event.happened.name(), happened);
    if let Happened::Closed(cause) = event.happened {
        assert_eq!(Some(cause.name()), reason);
    }
}

/// Whether the table knows such an event.
fn is_event(data: &[u8]) -> bool {
    if data.len() != SIZE || data[0] != 1 {
        return false;
    }
    let bits = if address(data).to_ipv4_mapped().is_some() { 32 } else { 128 };
    let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let has_name = !name(data).is_empty()
        && name(data).iter().all(is_plain)
        && data[3 + name(data).len()..19].iter().all(|byte| *byte == 0);
    match data[1] {
        1..=6 => data[2] <= bits && has_name,
        number => number == 7,
    }
}

/// The bytes before the first zero.
fn name(data: &[u8]) -> &[u8] {
    data[3..19].split(|byte| *byte == 0).next().unwrap()
}

fn address(data: &[u8]) -> Ipv6Addr {
    Ipv6Addr::from(<[u8; 16]>::try_from(&data[19..35]).unwrap())
}

fn number(data: &[u8], place: usize) -> u64 {
    u64::from_be_bytes(data[place..place + 8].try_into().unwrap())
}
