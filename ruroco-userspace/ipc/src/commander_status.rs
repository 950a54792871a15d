//! The socket on which the commander reports its state, to root alone.

/// File name of the socket in `socket_dir`.
pub const SOCKET: &str = "commander-status.sock";
