//! Doors that nftables closes: a table of our own, `inet ruroco`, which the kernel enforces on all interfaces.
//!
//! - `ruleset` turns doors and leases into the text of the table, a pure function;
//! - `listing` reads the table back from the kernel;
//! - `program` runs `nft(8)`, which does both;
//! - `changes` notices that another program has changed the kernel's tables;
//! - `table` is what the gate does with all of these.
//!
//! Rationale: decision 0039.

pub(crate) mod changes;
pub(crate) mod listing;
mod program;
pub(crate) mod ruleset;
pub(crate) mod table;

/// Makes sure that doors with `backend = "nftables"` can run `nft`.
///
/// # Errors
/// If it is not installed. The message names the command that helps.
pub fn check_installed() -> anyhow::Result<()> {
    program::find().map(drop)
}
