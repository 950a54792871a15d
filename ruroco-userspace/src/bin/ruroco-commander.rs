//! Runs the commands that accepted knocks ask for: see [`ruroco::commander`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ruroco::commander::daemon::main()
}
