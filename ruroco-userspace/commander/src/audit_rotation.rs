//! Which part of the audit trail is kept when its file is full: the latest lines of each key.
//!
//! If the oldest lines were simply dropped, a frequently used key would displace the runs of all other keys.
//! So if there is no room for all lines, the keys with the most lines lose their oldest ones.

use std::collections::BTreeMap;

/// The lines of `older` and `newer` that are kept in so much room, in their order.
pub(super) fn latest_of_each_key(older: &[u8], newer: &[u8], room: usize) -> Vec<u8> {
    let is_end = |byte: &u8| *byte == b'\n';
    let lines: Vec<&[u8]> =
        older.split_inclusive(is_end).chain(newer.split_inclusive(is_end)).collect();
    let mut sizes = BTreeMap::<&[u8], usize>::new();
    for line in &lines {
        add(&mut sizes, line);
    }
    let share = share(sizes.into_values().collect(), room);
    let mut kept_sizes = BTreeMap::new();
    let latest_first = lines.into_iter().rev();
    let mut kept: Vec<&[u8]> =
        latest_first.filter(|line| add(&mut kept_sizes, line) <= share).collect();
    kept.reverse();
    kept.concat()
}

/// Adds a line to what its key has; how much that is then.
fn add<'a>(sizes: &mut BTreeMap<&'a [u8], usize>, line: &'a [u8]) -> usize {
    let size = sizes.entry(key_of(line)).or_default();
    *size = size.saturating_add(line.len());
    *size
}

/// The key that a line is about, as it stands there; nothing for refusals, which share one part. Quotes in
/// values are escaped, so that no value looks like a field.
fn key_of(line: &[u8]) -> &[u8] {
    const FIELD: &[u8] = b"\"key\":\"";
    let start = line.windows(FIELD.len()).position(|part| part == FIELD);
    let value = start.and_then(|at| line.get(at.saturating_add(FIELD.len())..)).unwrap_or_default();
    value.split(|byte| *byte == b'"').next().unwrap_or_default()
}

/// The greatest size to which each of these can be cut so that all of them find room.
fn share(mut sizes: Vec<usize>, mut room: usize) -> usize {
    sizes.sort_unstable();
    let mut left = sizes.len();
    for size in sizes {
        let even = room.checked_div(left).unwrap_or_default();
        if size > even {
            return even;
        }
        room = room.saturating_sub(size);
        left = left.saturating_sub(1);
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(key: &str, number: usize) -> String {
        format!("{{\"event\":\"running\",\"key\":\"{key}\",\"counter\":\"{number:04}\"}}\n")
    }

    #[test]
    fn nobody_gets_less_than_an_even_part_unless_that_is_all_there_was() {
        assert_eq!(share(vec![10, 1000, 20], 130), 100);
        assert_eq!(share(vec![500, 1000, 700], 300), 100);
        assert_eq!(share(vec![1, 2, 3], 6), usize::MAX);
        assert_eq!(share(Vec::new(), 0), usize::MAX);
    }

    #[test]
    fn a_key_with_a_quote_or_a_field_in_its_name_is_one_key() {
        assert_eq!(
            key_of(br#"{"event":"running","key":"laptop","command":"\"key\":\"x"}"#),
            b"laptop"
        );
        assert_eq!(key_of(br#"{"event":"refused","detail":"the \"key\":\"x\" is unknown"}"#), b"");
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_and_is_the_latest_of_each_key_in_order(
            keys in prop::collection::vec("[abc]", 0..200), cut in 0_usize..200, room in 0_usize..12_000,
        ) {
            let lines: Vec<_> = keys.iter().enumerate().map(|(at, key)| line(key, at)).collect();
            let (older, newer) = lines.split_at(cut.min(lines.len()));
            let kept = latest_of_each_key(older.concat().as_bytes(), newer.concat().as_bytes(), room);
            prop_assert!(kept.len() <= room);
            let kept = String::from_utf8(kept).unwrap();
            let mut in_order = lines.iter();
            for line in kept.split_inclusive('\n') {
                prop_assert!(in_order.any(|other| other == line), "not there, or out of order");
            }
            for key in ["a", "b", "c"] {
                let of_key = |lines: &[String]| -> Vec<String> {
                    let key = format!("\"key\":\"{key}\"");
                    lines.iter().filter(|line| line.contains(&key)).cloned().collect()
                };
                let kept: Vec<_> = kept.split_inclusive('\n').map(str::to_owned).collect();
                prop_assert!(of_key(&lines).ends_with(&of_key(&kept)));
            }
        }
    }
}
