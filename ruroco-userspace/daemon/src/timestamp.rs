//! The time of day for people: RFC 3339, in UTC.

use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime},
};

/// Now, as in `2026-01-31T12:00:00.123456Z`.
pub fn now() -> String {
    let mut text = String::new();
    write_now(&mut text);
    text
}

/// The same into a string, which allocates nothing if there is room for it.
pub fn write_now(text: &mut String) {
    // A string takes everything.
    let _ = SystemTime.format_time(&mut Writer::new(text));
}
