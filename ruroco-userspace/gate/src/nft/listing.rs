//! The table as the kernel has it, from what `nft -j` prints.
//!
//! Only the parts that the gate needs are read, each on its own, so that another version of `nft` cannot keep the gate
//! from finding leases.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use ruroco_common::{
    address::Address,
    datagram::KeyId,
    doors::{DoorName, DoorState, LeaseKey},
};
use serde_json::Value;

/// A lease, as its element in a set holds it. All but `matched` is in the element's comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// When it ends, on the boot clock.
    pub(crate) until: Duration,
    /// When it began.
    pub(crate) since: Duration,
    /// The key of the last knock.
    pub(crate) key: KeyId,
    /// The counter of the last knock.
    pub(crate) counter: u128,
    /// How many connections it had admitted when the element was written.
    pub(crate) base: u64,
    /// How many more it was to admit then; `None` sets no limit.
    pub(crate) left: Option<u32>,
    /// How many packets have matched the element since.
    pub(crate) matched: u64,
}

impl Element {
    /// No lease, for the fields that one does not have.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self {
        until: Duration::ZERO,
        since: Duration::ZERO,
        key: KeyId([0; 8]),
        counter: 0,
        base: 0,
        left: None,
        matched: 0,
    };

    /// Whether both are the same lease after the same knock.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.until, self.key) == (other.until, other.key)
    }

    /// How many connections it has admitted.
    pub(crate) fn connections(&self) -> u64 {
        self.base.saturating_add(self.admitted())
    }

    /// The same since the element was written. Beyond its limit, the element still counts.
    fn admitted(&self) -> u64 {
        self.left.map_or(self.matched, |left| self.matched.min(left.into()))
    }

    /// As an element that is written now, with all that the lease has admitted.
    pub(crate) fn rewritten(self) -> Self {
        let admitted = u32::try_from(self.admitted()).unwrap_or(u32::MAX);
        let left = self.left.map(|left| left.saturating_sub(admitted));
        Self { base: self.connections(), left, matched: 0, ..self }
    }

    /// The element's comment, at most 124 bytes: the kernel keeps 127.
    pub(crate) fn comment(&self) -> String {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let left = self.left.map_or_else(|| "-".to_owned(), |left| left.to_string());
        let Self { until, since, key, counter, base, .. } = self;
        let [until, since] = [*until, *since].map(nanoseconds);
        let key = u64::from_be_bytes(key.0);
        format!("{key:x} {counter:x} {since:x} {until:x} {base:x} {left}")
    }

    fn parse(comment: &str, matched: u64) -> Option<Self> {
        let mut words = comment.split(' ');
        let mut number = || u128::from_str_radix(words.next()?, 16).ok();
        let (key, counter) = (number()?, number()?);
        let [since, until, base] = [number()?, number()?, number()?];
        let left = match words.next()? {
            "-" => None,
            left => Some(left.parse().ok()?),
        };
        let time = |nanoseconds: u128| Some(Duration::from_nanos(nanoseconds.try_into().ok()?));
        Some(Self {
            until: time(until)?,
            since: time(since)?,
            key: KeyId(u64::try_from(key).ok()?.to_be_bytes()),
            counter,
            base: base.try_into().ok()?,
            left,
            matched,
        })
    }
}

/// Whether doors are armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Armed {
    /// As it was set.
    pub(crate) state: DoorState,
    /// Whether a connection has confirmed a trial since.
    pub(crate) is_confirmed: bool,
}

/// What the table holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The leases.
    pub(crate) leases: BTreeMap<LeaseKey, Element>,
    /// The leases whose flows are over.
    pub(crate) revoked: Vec<LeaseKey>,
    /// Whether doors are armed.
    pub(crate) armed: Armed,
    /// How many rules there are, and how many chains with a hook: another program may have flushed a chain.
    pub(crate) rules: usize,
}

impl Listing {
    /// Reads the JSON of `nft -j list table`, libnftables-json(5).
    ///
    /// # Errors
    /// If it is not JSON of this kind.
    pub(crate) fn parse(json: &str) -> anyhow::Result<Self> {
        let top: Value = serde_json::from_str(json)?;
        let objects = top.get("nftables").and_then(Value::as_array).map(Vec::as_slice);
        let objects = objects.unwrap_or_default();
        let of_kind = |kind: &'static str| objects.iter().filter_map(move |one| one.get(kind));
        let (mut leases, mut revoked) = (BTreeMap::new(), Vec::new());
        let [mut armed, mut trial] = [None, None];
        for set in of_kind("set") {
            let name = set.get("name").and_then(Value::as_str).unwrap_or_default();
            let elements = set.get("elem").and_then(Value::as_array).map(Vec::as_slice);
            let elements = elements.unwrap_or_default();
            let comment = || elements.first().map(comment_of);
            match name {
                "armed" => armed = comment(),
                "trial" => trial = comment(),
                _ => {}
            }
            if let Some(door) = door_of(name, "lease_") {
                leases.extend(elements.iter().filter_map(|element| {
                    let matched = attribute(element, "counter").and_then(|one| one.get("packets"));
                    let matched = matched.and_then(Value::as_u64).unwrap_or_default();
                    Some((lease(door, element)?, Element::parse(comment_of(element), matched)?))
                }));
            } else if let Some(door) = door_of(name, "revoked_") {
                revoked.extend(elements.iter().filter_map(|element| lease(door, element)));
            }
        }
        let hooks = of_kind("chain").filter(|chain| chain.get("hook").is_some()).count();
        let rules = of_kind("rule").count().saturating_add(hooks);
        Ok(Self { leases, revoked, armed: armed_of(armed, trial), rules })
    }
}

fn armed_of(armed: Option<&str>, trial: Option<&str>) -> Armed {
    let mut trial = trial.into_iter().flat_map(|comment| comment.split(' '));
    let mut number = || trial.next().and_then(|word| word.parse::<u64>().ok());
    let (trial_set_at, open_from) = (number(), number());
    let state = |open_from, set_at: Option<u64>| DoorState {
        open_from,
        set_at: set_at.unwrap_or_default(),
    };
    match (armed, open_from) {
        // The kernel's elements have no comment.
        (Some(""), _) => Armed { state: state(0, trial_set_at), is_confirmed: true },
        (Some(set_at), _) => Armed { state: state(0, set_at.parse().ok()), is_confirmed: false },
        (None, Some(open_from)) => {
            Armed { state: state(open_from, trial_set_at), is_confirmed: false }
        }
        (None, None) => Armed { state: state(1, None), is_confirmed: false },
    }
}

/// The door in the name of a set.
fn door_of(set: &str, kind: &str) -> Option<DoorName> {
    let name = set.strip_prefix(kind)?;
    DoorName::new(name.strip_suffix("_4").or_else(|| name.strip_suffix("_6"))?)
}

fn lease(door: DoorName, element: &Value) -> Option<LeaseKey> {
    let value = attribute(element, "val").unwrap_or(element);
    let ip: IpAddr = value.as_str()?.parse().ok()?;
    Some(LeaseKey { address: Address::from(ip), door })
}

fn comment_of(element: &Value) -> &str {
    attribute(element, "comment").and_then(Value::as_str).unwrap_or_default()
}

/// Elements without attributes are not wrapped.
fn attribute<'a>(element: &'a Value, name: &str) -> Option<&'a Value> {
    element.get("elem")?.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element() -> Element {
        Element {
            until: Duration::from_nanos(u64::MAX),
            since: Duration::from_nanos(u64::MAX),
            key: KeyId([0xff; 8]),
            counter: u128::MAX,
            base: u64::MAX,
            left: Some(u32::MAX),
            matched: 7,
        }
    }

    #[test]
    fn a_comment_is_read_as_it_was_written_and_fits() {
        for left in [None, Some(u32::MAX)] {
            let element = Element { left, ..element() };
            let comment = element.comment();
            assert!(comment.len() <= 127, "{comment}");
            assert_eq!(Element::parse(&comment, 7), Some(element));
        }
        for comment in ["", "ab", "1 2 3 4 5", "1 2 3 4 5 x", "1ffffffffffffffff 2 3 4 5 -"] {
            assert_eq!(Element::parse(comment, 0), None, "{comment}");
        }
    }

    #[test]
    fn a_limit_is_used_up_across_writings() {
        let first = Element { base: 0, left: Some(3), matched: 2, ..element() };
        let second = first.rewritten();
        assert_eq!((second.base, second.left, second.matched), (2, Some(1), 0));
        // More have tried than were admitted.
        let third = Element { matched: 5, ..second }.rewritten();
        assert_eq!((third.base, third.left, third.connections()), (3, Some(0), 3));
    }

    #[test]
    fn the_kernels_own_element_is_a_confirmation() {
        let state = |open_from, set_at| DoorState { open_from, set_at };
        let armed = |state, is_confirmed| Armed { state, is_confirmed };
        assert_eq!(armed_of(None, None), armed(state(1, 0), false));
        assert_eq!(armed_of(Some("5"), None), armed(state(0, 5), false));
        assert_eq!(armed_of(None, Some("5 900")), armed(state(900, 5), false));
        assert_eq!(armed_of(Some(""), Some("5 900")), armed(state(0, 5), true));
        assert_eq!(armed_of(Some(""), None), armed(state(0, 0), true));
    }

    #[test]
    fn other_tables_and_versions_are_no_error() {
        for json in [
            "{}",
            r#"{"nftables": 5}"#,
            r#"{"nftables": [{"set": {"name": "lease_x_4", "elem": 3}}]}"#,
        ] {
            assert!(Listing::parse(json).unwrap().leases.is_empty(), "{json}");
        }
        assert!(Listing::parse("Error").is_err());
    }
}
