//! The header parser: any frame.
//!
//! It accepts what the independent crate etherparse accepts and finds the same in it, takes nothing
//! for "not ours" in which a lenient reader sees UDP or TCP, reads nothing behind the frame, says nothing
//! that it has not read, and finds nothing better in a frame that was cut short. The properties are
//! those of the parser's own tests.

#[path = "../../ruroco-common/tests/headers/content.rs"]
mod content;
#[path = "../../ruroco-common/tests/headers/oracle.rs"]
mod oracle;
#[path = "../../ruroco-common/tests/headers/properties.rs"]
mod properties;

/// Longest frame that is looked at: longer than any chain of headers that the parser follows to its
/// end, and short enough for every one of its lengths to be tried.
const MAX_FRAME: usize = 600;

/// What stands behind the frame in memory: what would go on looking like headers, if it were read.
const BEHIND: [u8; 64] = [0; 64];

/// Takes any bytes for a frame.
pub fn headers(data: &[u8]) -> bool {
    let frame = &data[..data.len().min(MAX_FRAME)];
    properties::agrees_with_etherparse(frame);
    properties::is_no_way_round(frame);
    properties::tcp_is_other_where_it_is_not_needed(frame);
    properties::stays_within(frame, &BEHIND);
    properties::depends_on_what_it_read(frame, 0xff);
    properties::is_no_better_cut_short(frame);
    true
}
