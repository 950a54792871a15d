//! Whether the kernel accepts the XDP program, loaded as the gate would load it for this configuration.
//!
//! A version number does not answer that: the verifier differs between releases, and distributions change it in stable
//! kernels. Nothing is attached, and the program is gone after the check.

use ruroco_config::Config;
use ruroco_gate::program::Program;
use rustix::{io::Errno, process::geteuid};

use super::Finding;

const NAME: &str = "program";

pub(super) fn finding(config: &Config) -> Finding {
    if !geteuid().is_root() {
        return Finding::unknown(NAME, "only root can load the XDP program");
    }
    of(Program::try_configured(config))
}

/// What the result of loading means.
fn of(loaded: anyhow::Result<()>) -> Finding {
    match loaded {
        Ok(()) => Finding::ok(NAME, "the kernel accepts the XDP program of this configuration"),
        // Root in a container may not.
        Err(error) if is_not_permitted(&error) => Finding::unknown(NAME, format!("{error:#}")),
        Err(error) => Finding::problem(
            NAME,
            format!("ruroco-gate cannot start: {error:#}"),
            "install a later kernel (docs/evaluate/kernels.md lists those that were tested). If yours is listed, report \
             the problem with the output of: ruroco doctor --json; uname -a",
        ),
    }
}

/// Whether an error is that of a process without the capabilities. The verifier's EACCES is not.
fn is_not_permitted(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.raw_os_error() == Some(Errno::PERM.raw_os_error()))
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;
    use crate::doctor::State;

    fn after(errno: Errno) -> Finding {
        of(Err(io::Error::from(errno)).context("the kernel rejected the XDP program"))
    }

    #[test]
    fn a_program_that_the_kernel_rejects_is_a_problem_whatever_the_number() {
        for errno in [Errno::INVAL, Errno::ACCESS, Errno::TOOBIG, Errno::NOSPC, Errno::NOMEM] {
            let finding = after(errno);
            assert_eq!(finding.state(), State::Problem, "{finding}");
            assert!(finding.to_string().contains("cannot start: the kernel rejected"), "{finding}");
        }
    }

    #[test]
    fn a_process_that_may_not_load_programs_learns_nothing_of_the_kernel() {
        assert_eq!(after(Errno::PERM).state(), State::Unknown);
    }
}
