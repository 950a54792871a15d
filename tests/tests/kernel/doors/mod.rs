//! Doors: who gets through, and what the program remembers of it.

mod answered;
mod differential;
mod fixture;
mod flows;
mod fragments;
mod gate_maps;
mod leases;
mod sockets;

use crate::kernel::Kernel;

/// The kernel's verifier takes no program for which it has to look at more instructions than a million
/// (`BPF_COMPLEXITY_LIMIT_INSNS`, linux/bpf.h), and older kernels look at more of the same program.
#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_verifier_has_room_left() {
    for (protocols, look_closed) in [(0, false), (1, false), (2, false), (3, false), (1, true)] {
        let kernel = Kernel::with_doors(protocols, look_closed);
        let count = kernel.program().info().unwrap().verified_instruction_count().unwrap();
        assert!(
            count < 600_000,
            "{count} instructions with doors for {protocols:#b}, which look closed: {look_closed}"
        );
    }
}
