//! `ruroco-client-ui`: see [`ruroco_window`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ruroco_client::main(ruroco_window::main)
}
