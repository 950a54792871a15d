//! `cargo xtask test`: everything that must hold before a change lands, in the order of what fails
//! fastest.

use anyhow::Result;

use crate::{
    build_ebpf::{self, Logging},
    host::{cargo, require_root, step},
    setup::{self, Report, Scope},
    workspace::Workspace,
};

/// The roles that `ruroco-userspace` is cut into; each must build without the others.
const ROLES: [&str; 4] = ["with-client", "with-gate", "with-server", "with-commander"];

/// Formatting, lints, and all tests: unit, property, kernel and end-to-end.
///
/// # Errors
/// If anything is missing, or the first step that fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    require_root("test")?;
    let tools = setup::ensure(workspace, Scope::Everything, Report::ChangesOnly)?;
    build_ebpf::build(workspace, &tools, Logging::Off)?;

    step("format", &mut cargo(workspace, &["fmt", "--all", "--check"]))?;
    let everything = ["--workspace", "--exclude", "ruroco-ebpf", "--features", "ruroco-lab/lab"];
    let deny = ["--", "--deny", "warnings"];
    let lint = [&["clippy", "--all-targets"][..], &everything, &deny].concat();
    step("lints", &mut cargo(workspace, &lint))?;
    for role in ROLES {
        let only = ["clippy", "--package", "ruroco-userspace", "--no-default-features"];
        let lint = [&only[..], &["--features", role], &deny].concat();
        step(role, &mut cargo(workspace, &lint))?;
    }
    // The end-to-end tests start the binaries that a user would.
    step("binaries", &mut cargo(workspace, &["build", "--workspace", "--exclude", "ruroco-ebpf"]))?;
    step("tests", &mut cargo(workspace, &[&["test"][..], &everything].concat()))
}
