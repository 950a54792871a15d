//! Doors: who gets through, and what the program remembers of it.

mod differential;
mod fixture;
mod flows;
mod fragments;
mod gate_maps;
mod leases;
mod sockets;

use aya::{EbpfLoader, programs::Xdp};
use ruroco_common::maps;
use ruroco_gate::program::OBJECT;

#[test]
#[ignore = "prints"]
fn instruction_counts() {
    let object =
        std::env::var("OBJECT").map_or(OBJECT.to_vec(), |path| std::fs::read(path).unwrap());
    for protocols in [0_u8, 1, 2, 3] {
        let mut loader = EbpfLoader::new();
        loader.override_global(maps::DOOR_PROTOCOLS, &protocols, false);
        let mut ebpf = loader.load(&object).unwrap();
        let program: &mut Xdp = ebpf.program_mut(maps::PROGRAM).unwrap().try_into().unwrap();
        let begun = std::time::Instant::now();
        program.load().unwrap();
        let time = begun.elapsed();
        let info = program.info().unwrap();
        println!(
            "{protocols}: {:?} verified, {:?} jited, {:?} xlated in {time:?}",
            info.verified_instruction_count(),
            info.size_jitted(),
            info.size_translated()
        );
    }
}
