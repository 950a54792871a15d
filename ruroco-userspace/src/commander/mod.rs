//! The commander: runs, as root, what an accepted knock asks for.
//!
//! It is the only part that executes anything, so it knows as little as possible: no network, no
//! packet, no cipher that could use a key. What it gets is an [`Order`](crate::order::Order) from a server
//! that may have been taken over, and what it runs was written down by the operator beforehand.
//!
//! An order's way through these modules:
//!
//! 1. a [private socket](crate::private_socket) lets only the server's user connect;
//! 2. [`serve`] reads one message after the other;
//! 3. [`permit`] judges it by the [`commands`], the [`keys`] and the key's share of the slots; rules come
//!    from what the operator has [approved];
//! 4. the [`queue`] starts no more in a second than the rate limit allows;
//! 5. [`runs`] gives each one a thread, in which [`run`] starts, watches and ends it, with
//!    a [head start](head_start) where floods are to be expected. Nothing of what the commander
//!    [has inherited](inherited) gets into it.
//!
//! What becomes of each goes into the [audit trail](audit). How the commander itself is, its operator can
//! [ask](status).
//!
//! [`daemon`] is the program. What the operator has [approved] can be read without it: whoever checks
//! it before a start is to see what the commander will see.

pub mod approved;
pub mod command_file;
pub mod commands;
pub mod keys;
mod program_file;

#[cfg(feature = "with-commander")]
pub mod arguments;
#[cfg(feature = "with-commander")]
pub mod audit;
#[cfg(feature = "with-commander")]
pub mod audit_file;
#[cfg(feature = "with-commander")]
mod audit_rotation;
#[cfg(feature = "with-commander")]
pub mod daemon;
#[cfg(feature = "with-commander")]
pub mod head_start;
#[cfg(feature = "with-commander")]
pub mod inherited;
#[cfg(feature = "with-commander")]
pub mod json;
#[cfg(feature = "with-commander")]
pub mod left_behind;
#[cfg(feature = "with-commander")]
pub mod outcome;
#[cfg(feature = "with-commander")]
pub mod output;
#[cfg(feature = "with-commander")]
pub mod permit;
#[cfg(feature = "with-commander")]
pub mod queue;
#[cfg(feature = "with-commander")]
pub mod run;
#[cfg(feature = "with-commander")]
pub mod runs;
#[cfg(feature = "with-commander")]
pub mod serve;
#[cfg(feature = "with-commander")]
mod spawn;
#[cfg(feature = "with-commander")]
pub mod status;

/// File name in `socket_dir` of the socket over which the commander says how it is, to root alone.
pub const STATUS_SOCKET: &str = "commander-status.sock";
