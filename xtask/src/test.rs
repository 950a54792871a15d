//! `cargo xtask test`: everything that must hold before a change lands, in the order of what fails
//! fastest.

use std::{num::NonZero, thread};

use anyhow::Result;
use ruroco_lab::guest;

use crate::{
    book,
    build_ebpf::{self, Logging},
    debian, dist,
    host::{cargo, require_root, step},
    prove, python, roles,
    setup::{self, Report, Scope},
    workspace::Workspace,
};

/// Members that are programs for the kernel, or for no machine at all.
const NOT_THE_HOSTS: [&str; 6] =
    ["--exclude", "ruroco-ebpf", "--exclude", "ruroco-flood", "--exclude", "ruroco-proofs"];

/// Formatting, lints, all tests (unit, property, kernel and end-to-end), and the proof; with `system`, those of
/// the packages, too.
///
/// # Errors
/// If anything is missing, or the first step that fails.
pub(crate) fn run(workspace: &Workspace, system: bool) -> Result<()> {
    require_root("test")?;
    let scope = if system { Scope::System } else { Scope::Lab };
    let tools = setup::ensure(workspace, scope, Report::ChangesOnly)?;
    build_ebpf::build(workspace, &tools, Logging::Off)?;

    step("format", &mut cargo(workspace, &["fmt", "--all", "--check"]))?;
    // The same for each step, so that nothing is built twice.
    let everything = all_with(FEATURES);
    let deny = ["--", "--deny", "warnings"];
    let lint = [&["clippy", "--all-targets"][..], &everything, &deny].concat();
    step("lints", &mut cargo(workspace, &lint))?;
    lint_bare(workspace)?;
    roles::check_each_alone(workspace)?;
    roles::check_daemons(workspace)?;
    roles::check_client_elsewhere(workspace)?;
    document(workspace, &everything)?;
    let python = python::ensure(workspace)?;
    let mut tests = cargo(workspace, &[&["test", "--no-fail-fast"][..], &everything].concat());
    tests.env("RUROCO_PYTHON", python);
    step("tests", tests.env("RUST_TEST_THREADS", threads().to_string()))?;
    // What takes more than `cargo test` may ask of a machine, and setup has seen to.
    let keyring = [&["test"][..], &everything, &["--test", "client", "--", "--ignored"]].concat();
    step("keyring", &mut cargo(workspace, &keyring))?;
    prove::run(workspace, &tools)?;
    if system {
        book::build(workspace)?;
        test_packages(workspace)?;
    }
    Ok(())
}

/// Installs the packages on a booted Debian, and sees how they live there.
fn test_packages(workspace: &Workspace) -> Result<()> {
    dist::run(workspace)?;
    let base = debian::ensure(workspace)?;
    let everything =
        all_with("ruroco-lab/lab,ruroco-lab/window,ruroco-userspace/with-gui,ruroco-lab/system");
    let mut tests = cargo(workspace, &[&["test"][..], &everything, &["--test", "system"]].concat());
    tests.env(guest::BASE, base).env(guest::PACKAGES, workspace.dist());
    step("packages", &mut tests)
}

/// The features of everything.
pub(crate) const FEATURES: &str = "ruroco-lab/lab,ruroco-lab/window,ruroco-userspace/with-gui";

/// What says to cargo that all members for the host are meant, with these features.
pub(crate) fn all_with(features: &str) -> Vec<&str> {
    [&["--workspace"][..], &NOT_THE_HOSTS, &["--features", features]].concat()
}

/// Twice as many tests at a time as there are processors: most of them wait for processes.
fn threads() -> usize {
    thread::available_parallelism().map_or(2, NonZero::get).saturating_mul(2)
}

/// What is built without a standard library. The toolchain that builds it may have no clippy, so the host's looks at it, as at a
/// program for the host: without a standard library that could unwind. The flag has a target folder
/// of its own, or it would have everything else built anew.
fn lint_bare(workspace: &Workspace) -> Result<()> {
    let packages =
        ["--package", "ruroco-ebpf", "--package", "ruroco-flood", "--package", "ruroco-proofs"];
    let lint = [&["clippy"][..], &packages, &["--", "--deny", "warnings"]].concat();
    let mut lint = cargo(workspace, &lint);
    lint.env("RUSTFLAGS", "-Cpanic=abort").env("CARGO_TARGET_DIR", workspace.lint_target());
    step("lints of bare programs", &mut lint)
}

/// Links in the documentation, of private items too, lead somewhere.
fn document(workspace: &Workspace, everything: &[&str]) -> Result<()> {
    let whole = ["doc", "--no-deps", "--document-private-items"];
    let mut document = cargo(workspace, &[&whole, everything].concat());
    step("documentation", document.env("RUSTDOCFLAGS", "--deny warnings"))
}
