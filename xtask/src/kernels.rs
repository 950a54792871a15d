//! `cargo xtask test --kernels`: the XDP program on the kernels of several Debian releases, each in a virtual machine.
//!
//! A verifier rejects what another accepts, and drivers differ with the kernel: nothing of that shows on the kernel of the
//! developer's machine. [`packages`] gets each kernel as a package, which is unpacked and never installed; [`image`] makes
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
    machine::Card,
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

/// The programs that tests start.
const PROGRAMS: [&str; 5] =
    ["ruroco", "ruroco-client", "ruroco-commander", "ruroco-gate", "ruroco-server"];

/// What `cargo test` builds for the machines.
const TESTS: [&str; 2] = ["kernel", "end_to_end"];

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
        for card in Card::ALL {
            table.add(run_one(kernel, card, &boot, &root)?);
        }
    }
    table.write(&workspace.root().join(report::PAGE), wanted.is_empty())?;
    print!("{table}");
    match table.failed() {
        0 => Ok(()),
        failed => bail!(
            "{failed} of the runs above did not pass; their output is in {}",
            folder.display()
        ),
    }
}

/// One kernel with one card.
fn run_one(kernel: &Kernel, card: Card, boot: &Boot, root: &Path) -> Result<Row> {
    println!("== {} with {card}", boot.release);
    let printed = machine::run(boot, root, card)?;
    std::fs::write(boot.folder.join(format!("{card}.log")), &printed)
        .context("cannot write what the machine printed")?;
    let row = Row::read(kernel, &boot.release, card, &printed);
    println!("{row}");
    Ok(row)
}

/// Builds programs and tests; the folder with them.
fn build_payload(workspace: &Workspace) -> Result<PathBuf> {
    let payload = workspace.kernels().join("payload");
    if payload.exists() {
        std::fs::remove_dir_all(&payload).context("cannot remove the last payload")?;
    }
    std::fs::create_dir_all(payload.join("bin")).context("cannot make a folder for tests")?;
    let features = crate::test::all_with(crate::test::FEATURES);
    let mut build = cargo(workspace, &[&["build", "--bins"][..], &features].concat());
    process::output(&mut build)?;
    let mut arguments = [&["test", "--no-run", "--message-format=json"][..], &features].concat();
    arguments.extend(TESTS.iter().flat_map(|test| ["--test", test]));
    let messages = process::output(&mut cargo(workspace, &arguments))?;
    for test in TESTS {
        let program = executable(&messages, test);
        strip(
            &program.with_context(|| format!("cargo did not build {test}"))?,
            &payload.join(test),
        )?;
    }
    for program in PROGRAMS {
        strip(&workspace.debug().join(program), &payload.join("bin").join(program))?;
    }
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
