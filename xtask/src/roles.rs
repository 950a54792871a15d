//! The roles that `ruroco-userspace` is cut into: each builds without the others, and the
//! commander, which runs as root, links nothing that it has no business with.
//!
//! Rationale: decision 0019.

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

/// Crates for ciphers, random numbers, BPF and networks, by the beginning of their names.
const NOT_FOR_THE_COMMANDER: [&str; 16] = [
    "aead",
    "aes",
    "aya",
    "chacha20",
    "cipher",
    "getrandom",
    "hyper",
    "listenfd",
    "mio",
    "openssl",
    "poly1305",
    "polyval",
    "rand",
    "ring",
    "socket2",
    "tokio",
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

/// Checks what the commander links.
///
/// # Errors
/// If there is something that it must not have, or another role needs less than it.
pub(crate) fn check_commander_tree(workspace: &Workspace) -> Result<()> {
    let commander = crates(workspace, "with-commander")?;
    for name in &commander {
        let unwanted = NOT_FOR_THE_COMMANDER.iter().any(|start| name.starts_with(start));
        ensure!(!unwanted, "ruroco-commander links {name}, which it must not");
    }
    for role in ["with-gate", "with-server"] {
        let other = crates(workspace, role)?.len();
        ensure!(
            commander.len() < other,
            "ruroco-commander links {} crates, {role} only {other}; its tree shall be the smallest",
            commander.len()
        );
    }
    println!("== commander: links {} crates, no cipher and no network among them", commander.len());
    Ok(())
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

fn crates(workspace: &Workspace, role: &str) -> Result<Vec<String>> {
    crates_on(workspace, role, &[])
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
