//! The verifier: decides which candidates become orders, and can do nothing else.
//!
//! It runs as a user of its own without a capability, in a [`sandbox`] and, with `source = "xdp"`,
//! without a network socket. A candidate's way through these modules, each step a type that only the step before
//! can make:
//!
//! 1. [`source`] yields [`Candidate`](ruroco_common::candidate::Candidate)s, unauthenticated;
//! 2. [`verifier`] opens one into a `Knock` and judges that into a [`Permit`](verifier::Permit),
//!    or gives a [`Refusal`](refusal::Refusal), with its [`evidence`];
//! 3. [`floor_file`] persists the permit's counter among the [`floors`], as a line of their
//!    [log](floor_log) in one of a file's two slots (`floor_slots`), and makes the permit an
//!    [`AcceptedOrder`](floor_file::AcceptedOrder);
//! 4. [`commander`] forwards the order, if the commander has a slot for the key according to this process's
//!    [`account`]; that is checked before step 3.
//!
//! What a candidate costs does not depend on how many keys there are, and no memory is allocated for
//! it, whether it is refused or accepted.
//!
//! [`cli`] is the way in. [`daemon`] is the program as it runs, with [`pauses`] however much there is to do: it
//! passes what the source yields on to the [`server`], which connects the other steps. Only [`source`],
//! [`floor_file`] and [`commander`] do any I/O for a candidate. Keys come with the ring, or from their
//! [files](ruroco_config::server_keys); how others take their place is in [`reload`]. What was refused to a
//! key holder the operator finds among the [`refusals`].

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod account;
pub mod cli;
pub mod commander;
pub mod daemon;
pub mod evidence;
pub mod floor_file;
pub mod floor_log;
mod floor_slots;
pub mod floors;
pub mod pauses;
pub mod refusal;
pub mod refusals;
pub mod reload;
pub mod sandbox;
pub mod server;
pub mod source;
pub mod verifier;
