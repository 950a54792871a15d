//! The format that the commander, which writes the audit trail, shares with the programs that read it.
//!
//! The trail is a file of lines, each a JSON object; docs/operate/logs.md describes them. When it has become
//! too long, it replaces the old file, and a new one begins.
//!
//! Rationale: decision 0032.

/// Mode for `audit_dir`: only root needs access to it.
pub const DIRECTORY_MODE: u32 = 0o700;

/// File name of the trail in `audit_dir`.
pub const FILE: &str = "audit.jsonl";

/// File name of the lock of the one who writes it.
pub const LOCK: &str = "audit.lock";

/// File name of what the trail was before.
pub const OLD_FILE: &str = "audit.jsonl.1";

/// Most bytes in each of the two files.
pub const MAX_SIZE: u64 = 1 << 20;

/// Most bytes of rejections in each of them, so that an attacker with many rejected knocks cannot displace
/// the records of runs.
pub const MAX_REFUSED_SIZE: u64 = MAX_SIZE / 4;

/// `event` of a line: a command has been started.
pub const RUNNING: &str = "running";

/// `event` of a line: a door has been opened or closed for a run, or could not be.
pub const DOOR: &str = "door";

/// `event` of a line: its run is over.
pub const ENDED: &str = "ended";

/// `event` of a line: orders have been refused.
pub const REFUSED: &str = "refused";
