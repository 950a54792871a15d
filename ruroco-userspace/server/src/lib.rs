//! The verifier: decides which candidates become orders, and can do nothing else.
//!
//! It runs as a separate user without capabilities, in a [`sandbox`] and, with `source = "xdp"`, without a
//! network socket. A candidate passes through these modules. Each step uses a type that only the step before
//! can create:
//!
//! 1. [`source`] yields [`Candidate`](ruroco_common::candidate::Candidate)s, unauthenticated;
//! 2. [`verifier`] opens one into a `Knock` and judges that into a [`Permit`](verifier::Permit), or gives a
//!    [`Refusal`](refusal::Refusal), with its [`evidence`];
//! 3. [`floor_file`] persists the permit's counter among the [`floors`], as a line of their [log](floor_log)
//!    in one of a file's two slots (`floor_slots`), and turns the permit into an
//!    [`AcceptedOrder`](floor_file::AcceptedOrder);
//! 4. [`commander`] forwards the order, if the commander has a slot for the key according to this process's
//!    [`account`]; that is checked before step 3.
//!
//! The cost of a candidate does not depend on the number of keys, and it allocates no memory, whether it is
//! accepted or rejected.
//!
//! [`cli`] is the entry point. [`daemon`] is the running program, with [`pauses`] even under load: it passes
//! candidates from the source to the [`server`], which connects the other steps. Only [`source`],
//! [`floor_file`] and [`commander`] do any I/O for a candidate. Keys come with the ring, or from their
//! [files](ruroco_config::server_keys); [`reload`] describes how new keys replace them. The operator finds
//! the rejected knocks of key holders in the [`refusal_log`].

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
pub mod refusal_log;
pub mod reload;
pub mod sandbox;
pub mod server;
pub mod source;
pub mod verifier;
