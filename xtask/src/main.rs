//! `cargo xtask`: everything a developer does here that plain cargo cannot.
//!
//! The XDP program needs a compiler, a linker and flags that the rest of the workspace must not
//! see, and which of them a machine has differs from one to the next. This program finds them out
//! or installs them, so that nobody has to know. [`toolchain`], [`llvm`] and [`linker`] each find
//! one part, [`packages`] installs what the distribution has, [`setup`] puts them together and
//! [`build_ebpf`] uses the result. [`demo`] shows
//! the result at work, [`mod@bench`] measures it, and [`mod@test`] is what CI runs,
//! [`roles`] a part of it; [`host`] calls the workspace's own cargo. [`prove`] proves what no test can try, with a
//! [`python`]. [`fuzz`] looks for what no test has thought of, with [`libfuzzer`]. [`mod@dist`] makes packages, with a
//! [`cargo_tool`], and they are tested on a [`debian`]. [`screenshots`], [`recording`] and [`structure`] are for the
//! documentation. [`book`] makes the book, and tests what it says.
//! [`kernels`] tests on the kernels of other releases.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a developer's terminal; losing it to a closed pipe costs nothing"
)]

mod bench;
mod book;
mod build_ebpf;
mod cargo_tool;
mod debian;
mod demo;
mod dist;
#[path = "../../ruroco-userspace/gate/ebpf_sources.rs"]
mod ebpf_sources;
mod fuzz;
mod host;
mod kernels;
mod libfuzzer;
mod linker;
mod llvm;
mod packages;
mod process;
mod prove;
mod python;
mod recording;
mod roles;
mod screenshots;
mod setup;
mod structure;
mod test;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    build_ebpf::Logging,
    setup::{Report, Scope},
    workspace::Workspace,
};

/// Tasks of the ruroco workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find the eBPF toolchain and the lab's tools; install what is missing.
    Setup {
        /// Only report; exit with 1 if something is missing.
        #[arg(long)]
        check: bool,
    },
    /// Build the XDP program into target/ebpf/ruroco.bpf.o.
    BuildEbpf {
        /// Let the program log every verdict. Not for production.
        #[arg(long)]
        debug_log: bool,
    },
    /// Show one real knock on its way, beside junk, in a lab of network namespaces.
    Demo,
    /// Measure cost, size, floods and growth in the lab, beside what others take.
    Bench {
        /// In less than two minutes: fewer rounds, rates and knocks.
        #[arg(long)]
        quick: bool,
        /// Only doors.
        #[arg(long)]
        doors: bool,
        /// Put the result into docs/evaluate/benchmarks.md.
        #[arg(long)]
        write_docs: bool,
    },
    /// Make Debian packages, tarballs and checksums in target/dist.
    Dist,
    /// Make the book in target/book.
    Book,
    /// Record the README's terminal session into docs/images/recording.svg.
    Recording,
    /// Draw the crates and their dependencies into docs/images/structure.svg.
    Structure,
    /// Photograph the client's window into docs/images.
    Screenshots,
    /// Check formatting and lints and run all tests: unit, property, kernel and end-to-end.
    Test {
        /// And those of the packages, on a booted Debian; and make the book.
        #[arg(long)]
        system: bool,
        /// Instead, only what depends on the kernel, in virtual machines: on these kernels, such as 5.10,6.1; on all without
        /// a value.
        #[arg(long, num_args = 0.., value_delimiter = ',', conflicts_with = "system")]
        kernels: Option<Vec<String>>,
    },
    /// Prove that the header parser agrees with etherparse on every frame up to a length.
    Prove,
    /// Look for input that breaks what must hold of every reader of others' bytes.
    Fuzz {
        /// Which; all if none is named.
        targets: Vec<String>,
        /// How long each of them runs.
        #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    let workspace = Workspace::of_this_build()?;
    match task {
        Task::Setup { check: true } => setup::check(&workspace, Scope::System),
        Task::Setup { check: false } => {
            setup::ensure(&workspace, Scope::System, Report::Full).map(drop)
        }
        Task::BuildEbpf { debug_log } => {
            let tools = setup::ensure(&workspace, Scope::Build, Report::ChangesOnly)?;
            let logging = if *debug_log { Logging::EveryVerdict } else { Logging::Off };
            build_ebpf::build(&workspace, &tools, logging).map(drop)
        }
        Task::Demo => demo::run(&workspace),
        Task::Bench { quick, doors, write_docs } => {
            let flags = [(*quick, "--quick"), (*doors, "--doors"), (*write_docs, "--write-docs")];
            bench::run(&workspace, &flags)
        }
        Task::Dist => dist::run(&workspace),
        Task::Book => book::build(&workspace),
        Task::Recording => recording::run(&workspace),
        Task::Structure => structure::run(&workspace),
        Task::Screenshots => screenshots::run(&workspace),
        Task::Test { kernels: Some(kernels), .. } => kernels::run(&workspace, kernels),
        Task::Test { system, .. } => test::run(&workspace, *system),
        Task::Prove => {
            let tools = setup::ensure(&workspace, Scope::Proof, Report::ChangesOnly)?;
            prove::run(&workspace, &tools)
        }
        Task::Fuzz { targets, seconds } => fuzz::run(&workspace, targets, *seconds),
    }
}
