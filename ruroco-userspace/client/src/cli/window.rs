//! `ruroco-client-ui`'s command line. It is here so that the manual can be written without building a
//! window.

use clap::Parser;

/// Knock at hosts that show no open port, from a window.
///
/// Shows the hosts of `client.toml`, which ruroco-client uses too, and knocks at a click.
// It takes no invitation: everybody on this computer can read what a program was started with.
#[derive(Debug, Parser)]
#[command(name = "ruroco-client-ui", version)]
pub struct Cli {}
