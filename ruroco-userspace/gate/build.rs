//! Embeds the XDP program into the gate, if it has been built from the sources that are there now.
//!
//! `cargo build` has to work where no eBPF toolchain is. The gate is then complete but for the
//! program, and says so when it is started. So it is with a program built from other sources: a
//! gate that parses packets unlike the server beside it would be worse than none. Nothing about
//! the object makes the build fail, because `cargo xtask`, which builds it, is built with this.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use ebpf_sources::Built;

#[path = "ebpf_sources.rs"]
mod ebpf_sources;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(xdp_program)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=ebpf_sources.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    let object = root.join("target/ebpf/ruroco.bpf.o");
    for path in [&object, &Built::file(&object)] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    if !object.exists() {
        return;
    }
    for source in ebpf_sources::SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    match embed(&root, &object) {
        Ok(built) => {
            println!("cargo::rustc-cfg=xdp_program");
            if built.debug_log {
                println!(
                    "cargo::warning=the XDP program in this ruroco-gate logs every verdict, which \
                     is not for production; `cargo xtask build-ebpf` builds the one that does not"
                );
            }
        }
        Err(reason) => println!(
            "cargo::warning=ruroco-gate is built without the XDP program, because {reason}; run \
             `cargo xtask build-ebpf` and build again"
        ),
    }
}

/// Puts the object where the gate includes it, or says why not.
fn embed(root: &Path, object: &Path) -> Result<Built, String> {
    let file = Built::file(object);
    let text = fs::read_to_string(&file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let digest = ebpf_sources::digest(root)
        .map_err(|error| format!("its sources cannot be read: {error}"))?;
    let built = [false, true]
        .map(|debug_log| Built { digest, debug_log })
        .into_iter()
        .find(|built| built.to_text() == text)
        .ok_or("it was built from other sources than these")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::copy(object, out.join("ruroco.bpf.o"))
        .map_err(|error| format!("{} cannot be copied: {error}", object.display()))?;
    Ok(built)
}
