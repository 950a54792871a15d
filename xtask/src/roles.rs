//! The programs of `ruroco-userspace`: each builds without the others, and each daemon links exactly the
//! third-party crates that are listed here, so that a new one is a decision. Which of our own crates a program
//! may use is for Cargo to enforce: what is not among its dependencies cannot be named.
//!
//! Rationale of how programs are optimised: decision 0019.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::{
    host::{cargo, step},
    process,
    workspace::Workspace,
};

const CLIENT: &str = "with-client";

/// The role that draws, and has most crates by far.
pub(crate) const WINDOW: &str = "with-gui";

const CLIENTS: [&str; 2] = [CLIENT, WINDOW];

/// The roles, and the program of each.
pub(crate) const PROGRAMS: [(&str, &str); 6] = [
    (CLIENT, "ruroco-client"),
    (WINDOW, "ruroco-client-ui"),
    ("with-gate", "ruroco-gate"),
    ("with-server", "ruroco-server"),
    ("with-commander", "ruroco-commander"),
    ("with-operator", "ruroco"),
];

/// Third-party crates that every daemon links: files, errors, its command line, the log, the service manager.
const EVERY_DAEMON: &[&str] = &[
    "anyhow",
    "base64ct",
    "bitflags",
    "cfg-if",
    "errno",
    "lazy_static",
    "lexopt",
    "libc",
    "linux-raw-sys",
    "nix",
    "once_cell",
    "pin-project-lite",
    "rustix",
    "sd-notify",
    "serde_spanned",
    "sharded-slab",
    "signal-hook",
    "signal-hook-registry",
    "strsim",
    "thiserror",
    "thread_local",
    "toml",
    "toml_datetime",
    "toml_parser",
    "tracing",
    "tracing-core",
    "tracing-subscriber",
    "winnow",
    "zerocopy",
    "zeroize",
];

/// What the commander links besides: the hash of command names.
const COMMANDER: &[&str] = &[
    "blake2",
    "block-buffer",
    "cmov",
    "crypto-common",
    "ctutils",
    "digest",
    "hybrid-array",
    "typenum",
];

/// What the gate links besides: BPF, and its status as JSON.
const GATE: &[&str] = &[
    "assert_matches",
    "aya",
    "aya-log",
    "aya-log-common",
    "aya-obj",
    "bytes",
    "crc32fast",
    "equivalent",
    "foldhash",
    "hashbrown",
    "indexmap",
    "itoa",
    "log",
    "memchr",
    "num_enum",
    "object",
    "scopeguard",
    "serde",
    "serde_core",
    "serde_json",
    "zmij",
];

/// What the server links besides: ciphers, its sandbox, and the hash of command names.
const SERVER: &[&str] = &[
    "aead",
    "aes",
    "aes-gcm-siv",
    "blake2",
    "block-buffer",
    "chacha20",
    "chacha20poly1305",
    "cipher",
    "cmov",
    "cpubits",
    "cpufeatures",
    "crypto-common",
    "ctr",
    "ctutils",
    "digest",
    "enumflags2",
    "getrandom",
    "hybrid-array",
    "inout",
    "landlock",
    "listenfd",
    "poly1305",
    "polyval",
    "rand_core",
    "seccompiler",
    "typenum",
    "universal-hash",
];

/// Other systems that the client is for, beside Linux.
const OTHER_SYSTEMS: [&str; 2] = ["x86_64-apple-darwin", "x86_64-pc-windows-msvc"];

/// Crates for Linux alone, by the beginning of their names.
const NOT_FOR_OTHER_SYSTEMS: [&str; 9] = [
    "aya",
    "inotify",
    "landlock",
    "libsystemd",
    "linux-keyutils",
    "sd-notify",
    "seccompiler",
    "secret-service",
    "zbus",
];

/// Builds a role's program as it is given to others, among the releases.
///
/// # Errors
/// If it does not build.
pub(crate) fn build_release(workspace: &Workspace, role: &str, program: &str) -> Result<()> {
    let alone = ["build", "--release", "--package", "ruroco-userspace", "--no-default-features"];
    let own = ["--features", role, "--bin", program];
    let mut build = cargo(workspace, &[&alone[..], &own].concat());
    if CLIENTS.contains(&role) {
        // Optimised crate by crate: what more would gain is not worth minutes of one processor
        // (docs/develop/decisions/0019-release-profile.md).
        build.env("CARGO_PROFILE_RELEASE_LTO", "off");
        build.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    }
    step(program, &mut build)
}

/// Checks each role alone with clippy.
///
/// # Errors
/// If one of them does not build, or has a warning.
pub(crate) fn check_each_alone(workspace: &Workspace) -> Result<()> {
    for (role, _) in PROGRAMS {
        let alone = only(role);
        let lint = [&["clippy"][..], &alone, &["--", "--deny", "warnings"]].concat();
        step(role, &mut cargo(workspace, &lint))?;
    }
    Ok(())
}

/// Checks what each daemon links.
///
/// # Errors
/// If a daemon links a crate that is not listed, or no longer links one that is, or if the commander's tree is
/// not the smallest.
pub(crate) fn check_daemons(workspace: &Workspace) -> Result<()> {
    let mut smallest = usize::MAX;
    for (role, own) in [("with-gate", GATE), ("with-server", SERVER), ("with-commander", COMMANDER)]
    {
        let linked = third_party(workspace, role)?;
        let listed: BTreeSet<&str> = EVERY_DAEMON.iter().chain(own).copied().collect();
        let new = linked.iter().find(|name| !listed.contains(name.as_str()));
        ensure!(new.is_none(), "{role} links {new:?}, which xtask/src/roles.rs does not list");
        let gone = listed.iter().find(|name| !linked.contains(**name));
        ensure!(
            gone.is_none(),
            "{role} no longer links {gone:?}: remove it from xtask/src/roles.rs"
        );
        ensure!(
            linked.len() < smallest || role != "with-commander",
            "the commander's tree is not the smallest"
        );
        smallest = smallest.min(linked.len());
        println!("== {role}: links {} third-party crates, all of them listed", linked.len());
    }
    Ok(())
}

fn third_party(workspace: &Workspace, role: &str) -> Result<BTreeSet<String>> {
    let names = crates_on(workspace, role, &[])?.into_iter();
    Ok(names.filter(|name| !name.starts_with("ruroco-")).collect())
}

/// Checks what the client would link on other systems. That it builds there is more than this says.
///
/// # Errors
/// If there is something that is for Linux alone.
pub(crate) fn check_client_elsewhere(workspace: &Workspace) -> Result<()> {
    for system in OTHER_SYSTEMS {
        let linked = crates_on(workspace, "with-client", &["--target", system])?;
        let only_linux =
            |name: &&String| NOT_FOR_OTHER_SYSTEMS.iter().any(|start| name.starts_with(start));
        let found = linked.iter().find(only_linux);
        ensure!(found.is_none(), "ruroco-client would link {found:?} on {system}");
        println!("== client: would link {} crates on {system}, none for Linux alone", linked.len());
    }
    Ok(())
}

fn crates_on(workspace: &Workspace, role: &str, target: &[&str]) -> Result<Vec<String>> {
    let linked = ["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"];
    let tree = [&["tree"][..], &only(role), &linked, target].concat();
    let tree = process::output(&mut cargo(workspace, &tree))?;
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn only(role: &str) -> [&str; 5] {
    ["--package", "ruroco-userspace", "--no-default-features", "--features", role]
}
