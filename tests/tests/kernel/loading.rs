//! The verifier accepts the program in every configuration in which the gate loads it, and this is what that takes.
//!
//! Each line that begins with `loading:` is for the table that `cargo xtask test --kernels` writes.

use std::time::{Duration, Instant};

use aya::programs::{ProgramInfo, SkLookup};
use ruroco_common::maps;

use crate::kernel::Kernel;

/// Each way to have doors, with the words for it.
const CONFIGURATIONS: [(&str, u8, bool); 5] = [
    ("no doors", 0, false),
    ("TCP doors", maps::TCP_DOORS, false),
    ("UDP doors", maps::UDP_DOORS, false),
    ("TCP and UDP doors", maps::TCP_DOORS | maps::UDP_DOORS, false),
    ("doors that look closed", maps::TCP_DOORS | maps::UDP_DOORS, true),
];

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_verifier_accepts_the_program_with_every_kind_of_door() {
    for (words, protocols, look_closed) in CONFIGURATIONS {
        let begun = Instant::now();
        let kernel = Kernel::with_doors(protocols, look_closed);
        report(words, begun.elapsed(), &kernel.program().info().unwrap());
    }
}

/// The gate says so before it attaches anything: see the end-to-end tests.
#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_verifier_accepts_the_lookup_program_from_linux_5_17_on_and_not_before() {
    let mut kernel = Kernel::with_doors(maps::TCP_DOORS, true);
    let program: &mut SkLookup = kernel.program_mut(maps::LOOKUP).try_into().unwrap();
    let begun = Instant::now();
    let loaded = program.load();
    assert_eq!(loaded.is_ok(), is_at_least(5, 17), "{loaded:?}");
    if loaded.is_ok() {
        report("lookup program", begun.elapsed(), &program.info().unwrap());
    }
}

/// Whether the running kernel is this release or a later one.
fn is_at_least(major: u32, minor: u32) -> bool {
    let system = rustix::system::uname();
    let release = system.release().to_str().unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (major, minor)
}

/// Kernels before 5.16 do not tell the number of instructions.
#[expect(clippy::print_stdout, reason = "for the table")]
fn report(words: &str, took: Duration, program: &ProgramInfo) {
    let instructions = program.verified_instruction_count();
    let instructions = instructions.map_or_else(|| "?".to_owned(), |count| count.to_string());
    println!("loading: {words}: {instructions} instructions, {} ms", took.as_millis());
}
