//! `ruroco-commander`: see [`ruroco_commander`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ruroco_commander::cli::main()
}
