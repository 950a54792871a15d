//! Messages of ruroco's programs: [problems] with their file, line and remedy, errors in [plain](plain_error)
//! words, and never a [secret](redaction) or a character that is [hidden](visible).
//!
//! All other crates build their messages with this crate, so it reads no file and depends on no program.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod plain_error;
pub mod problems;
pub mod redaction;
pub mod visible;
