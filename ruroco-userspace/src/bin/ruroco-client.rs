//! `ruroco-client`: see [`ruroco::client`].

use std::process::ExitCode;

use ruroco::{client::cli, qr::reader};

fn main() -> ExitCode {
    reader::serve().unwrap_or_else(cli::main)
}
