//! The knocking side: seals one datagram, sends it and expects nothing back.
//!
//! Nothing in here is particular to Linux. What a person has is in a [`folder`]: hosts
//! ([`profiles`]), keys ([`key_store`]) and the [`counter`]. From a host comes a [`knock`], from the
//! host's name its [`destination`](crate::destination) and the [`route`] there, from a knock and the
//! look at its [`effect`] an [`attempt`], and from one that failed, [`advice`]. [`cli`] and the window show all this and do nothing of it
//! themselves.

pub mod advice;
pub mod attempt;
pub mod cli;
pub mod counter;
pub mod effect;
pub mod folder;
pub mod key_store;
pub mod knock;
#[cfg(feature = "picture")]
pub mod picture;
mod private_folder;
pub mod profiles;
pub mod rehearsal;
pub mod route;
