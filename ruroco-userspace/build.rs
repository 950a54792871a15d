//! Embeds the XDP program into the gate, if it has been built.
//!
//! `cargo build` has to work where no eBPF toolchain is. The gate is then complete but for the
//! program, and says so when it is started.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    println!("cargo::rustc-check-cfg=cfg(xdp_program)");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let object = root.join("target/ebpf/ruroco.bpf.o");
    println!("cargo::rerun-if-changed={}", object.display());
    if object.exists() {
        let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
        fs::copy(&object, out.join("ruroco.bpf.o"))?;
        println!("cargo::rustc-cfg=xdp_program");
    }
    Ok(())
}
