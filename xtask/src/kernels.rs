//! `cargo xtask test --kernels`: the XDP program on the kernels of several Debian releases, each in a virtual machine.
//!
//! A verifier rejects what another accepts, which does not show on the kernel of the developer's machine. [`packages`] gets each kernel as a package, which is unpacked and never installed; [`image`] makes
//! what it boots from; [`machine`] runs QEMU, which emulates the processor and needs no permission; [`report`] reads what
//! the tests print there, and writes it into the documentation.

mod image;
mod machine;
mod packages;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use self::{
    image::Boot,
    packages::Kernel,
    report::{Row, Table},
};
use crate::{
    build_ebpf::{self, Logging},
    host::{cargo, require_root},
    process,
    setup::{self, Report, Scope},
    workspace::Workspace,
};

/// What `cargo test` builds for the machines.
const TEST: &str = "kernel";

/// Runs the tests on these kernels, or on all of them if none is named.
///
/// # Errors
/// If something is missing, a machine does not start, or a test fails.
pub(crate) fn run(workspace: &Workspace, wanted: &[String]) -> Result<()> {
    require_root("test --kernels")?;
    let kernels = packages::named(wanted)?;
    let tools = setup::ensure(workspace, Scope::Kernels, Report::ChangesOnly)?;
    build_ebpf::build(workspace, &tools, Logging::Off)?;
    let payload = build_payload(workspace)?;
    let folder = workspace.kernels();
    let root = image::root(&folder)?;
    let mut table = Table::default();
    for kernel in kernels {
        let unpacked = packages::ensure(&folder, kernel)?;
        let boot = image::boot(&folder, kernel, &unpacked, &payload)?;
        table.add(run_one(kernel, &boot, &root)?);
    }
    if wanted.is_empty() {
        table.write(&workspace.root().join(report::PAGE))?;
    }
    print!("{table}");
    match table.failed() {
        0 => Ok(()),
        failed => bail!(
            "{failed} of the kernels above did not pass; their output is in {}",
            folder.display()
        ),
    }
}

/// One kernel.
fn run_one(kernel: &Kernel, boot: &Boot, root: &Path) -> Result<Row> {
    println!("== {}", boot.release);
    let printed = machine::run(boot, root)?;
    std::fs::write(boot.folder.join("printed.log"), &printed)
        .context("cannot write what the machine printed")?;
    let row = Row::read(kernel, &boot.release, &printed);
    println!("{row}");
    Ok(row)
}

/// Builds the tests; the folder with them.
fn build_payload(workspace: &Workspace) -> Result<PathBuf> {
    let payload = workspace.kernels().join("payload");
    if payload.exists() {
        std::fs::remove_dir_all(&payload).context("cannot remove the last payload")?;
    }
    std::fs::create_dir_all(&payload).context("cannot make a folder for tests")?;
    let features = crate::test::all_with(crate::test::FEATURES);
    let arguments = ["test", "--no-run", "--message-format=json", "--test", TEST];
    let messages = process::output(&mut cargo(workspace, &[&arguments[..], &features].concat()))?;
    let program = executable(&messages, TEST);
    strip(&program.with_context(|| format!("cargo did not build {TEST}"))?, &payload.join(TEST))?;
    Ok(payload)
}

/// Where cargo's messages say that a test is.
fn executable(messages: &str, test: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut of_test =
        messages.filter(|message| message.pointer("/target/name").is_some_and(|name| name == test));
    of_test.find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
}

/// Copies a program without what only debuggers read: the machine keeps it in memory.
fn strip(program: &Path, to: &Path) -> Result<()> {
    let mut strip = process::command("strip");
    process::output(strip.args(["--strip-debug", "-o"]).arg(to).arg(program)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_test_is_found_among_cargos_messages() {
        let messages = r#"not json
{"reason":"compiler-artifact","target":{"name":"kernel"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"window"},"executable":"/w"}
{"reason":"compiler-artifact","target":{"name":"kernel"},"executable":"/k"}"#;
        assert_eq!(executable(messages, "kernel"), Some(PathBuf::from("/k")));
        assert_eq!(executable(messages, "end_to_end"), None);
    }
}
