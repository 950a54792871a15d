//! `ruroco`, the operator's tool: see [`ruroco_operator`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ruroco_operator::cli::main()
}
