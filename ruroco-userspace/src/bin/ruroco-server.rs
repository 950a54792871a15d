//! `ruroco-server`: see [`ruroco_server`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ruroco_server::cli::main()
}
