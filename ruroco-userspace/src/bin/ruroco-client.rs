//! `ruroco-client`: see [`ruroco_client`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ruroco_client::main(ruroco_client::cli::main)
}
