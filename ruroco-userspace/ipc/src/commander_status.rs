//! Where the commander says how it is, to root alone.

/// File name of the socket in `socket_dir`.
pub const SOCKET: &str = "commander-status.sock";
