//! The command line of `ruroco-client-ui`. It is in this crate so that the manual can be generated without
//! building the window.

use clap::Parser;

/// Send knocks to hosts that show no open port, from a window.
///
/// Shows the hosts in `client.toml`, which `ruroco-client` also uses. Click a command to send a knock.
// It accepts no invitation as an argument: other users of the computer can read the arguments of a program.
#[derive(Debug, Parser)]
#[command(name = "ruroco-client-ui", version)]
pub struct Cli {}
