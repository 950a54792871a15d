//! `cargo xtask prove`: proves that the header parser never panics, reads nothing but its frame, and
//! agrees with etherparse, for every frame up to a length.
//!
//! Builds `proofs` for a RISC-V machine without an operating system, by the same compiler as the XDP
//! program, and has `proofs/prover` follow every path through it. An executable of that machine is
//! simple enough to be interpreted with symbols; and it is what the compiler has made of the source,
//! with all checks that Rust adds.
//!
//! Rationale: decision 0035.

use std::process::Command;

use anyhow::Result;

use crate::{host::step, process, python, setup::Tools, workspace::Workspace};

/// The workspace's member that is proved, and its binary.
const PACKAGE: &str = "ruroco-proofs";

/// 64 bits, multiplication, and no compressed instructions.
const TARGET: &str = "riscv64im-unknown-none-elf";

/// Also the name of the folder that cargo builds it in.
const PROFILE: &str = "proofs";

const FLAGS: [&str; 5] = [
    "-Clinker=ld.lld",
    // The two functions that the prover calls; the program has no entry point.
    "-Clink-arg=--undefined=ours",
    "-Clink-arg=--undefined=theirs",
    // Each branch doubles the paths. These have two values computed and one chosen, where that can
    // replace a branch.
    "-Ctarget-feature=+zicond",
    "-Cllvm-args=-jump-is-expensive -phi-node-folding-threshold=1000 \
     -two-entry-phi-node-folding-threshold=1000 -speculate-one-expensive-inst",
];

/// Builds what is to be proved, and proves it.
///
/// # Errors
/// If anything is missing, or with what the prover has found.
pub(crate) fn run(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let python = python::ensure(workspace)?;
    step("proofs", &mut build(workspace, tools))?;
    let program = workspace.proofs_target().join(TARGET).join(PROFILE).join(PACKAGE);
    let mut prover = process::command(python);
    // Without files of its own in the source.
    prover.current_dir(workspace.root()).args(["-B", "proofs/prover"]).arg(program);
    step("prover", &mut prover)
}

fn build(workspace: &Workspace, tools: &Tools) -> Command {
    let mut cargo = tools.toolchain.cargo_from_source(workspace.root());
    cargo.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    cargo.args(["build", "--package", PACKAGE, "--profile", PROFILE]);
    cargo.args(["-Z", "build-std=core", "--target", TARGET]);
    cargo.arg("--target-dir").arg(workspace.proofs_target());
    cargo
}
