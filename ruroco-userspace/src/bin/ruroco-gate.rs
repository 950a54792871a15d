//! `ruroco-gate`: see [`ruroco_gate`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ruroco_gate::cli::main()
}
