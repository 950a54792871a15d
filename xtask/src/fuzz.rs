//! `cargo xtask fuzz`: looks for input that breaks what must hold of ruroco's readers.
//!
//! The targets are in `fuzz/`. cargo-fuzz, a release of it that belongs to this checkout, compiles
//! them so that libFuzzer sees which branches an input takes; [`crate::libfuzzer`] runs each as a
//! process of its own, as many at a time as there are processors. What they learn stays in
//! `target/fuzz`, and the next run goes on from there.

use std::{
    env,
    ffi::OsString,
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::{
    cargo_tool::CARGO_FUZZ,
    host::step,
    libfuzzer::{self, Outcome, Target},
    packages::{self, Wants},
    process,
    workspace::Workspace,
};

/// How a person calls this.
const TASK: &str = "cargo xtask fuzz";

/// Installs what is missing, builds, and runs `chosen`, or all if none is, each for `seconds`.
///
/// # Errors
/// If anything is missing, or anything is found; says where, and how to see it again.
pub(crate) fn run(workspace: &Workspace, chosen: &[String], seconds: u32) -> Result<()> {
    let names = choose(chosen, all(workspace)?)?;
    ensure_compiler()?;
    let programs = build(workspace, &CARGO_FUZZ.ensure(workspace)?)?;
    let target = |name| Target::new(workspace, &programs, name);
    let targets = names.into_iter().map(target).collect::<Result<Vec<_>>>()?;
    let outcomes = run_side_by_side(workspace, &targets, seconds)?;
    println!("\n{}", libfuzzer::table(&outcomes));
    let findings: Vec<String> =
        outcomes.iter().filter_map(|outcome| outcome.finding(workspace)).collect();
    ensure!(findings.is_empty(), "something was found\n{}", findings.join("\n"));
    Ok(())
}

/// The names of all targets, sorted.
fn all(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.fuzz().join("fuzz_targets");
    let read = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(read)? {
        let file = entry.with_context(read)?.file_name();
        names.extend(file.to_str().and_then(|name| name.strip_suffix(".rs")).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Those of `all` that are `wanted`, or all of them.
fn choose(wanted: &[String], all: Vec<String>) -> Result<Vec<String>> {
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("there is no fuzz target `{unknown}`; there are {}", all.join(", "));
    }
    Ok(all.into_iter().filter(|name| wanted.is_empty() || wanted.contains(name)).collect())
}

/// libFuzzer is in C++ and compiled along.
fn ensure_compiler() -> Result<()> {
    if env::var_os("CXX").is_some() || process::find("c++", &process::program_folders()).is_some() {
        return Ok(());
    }
    packages::install(&Wants { packages: vec!["g++"], ..Wants::default() }, TASK)
}

/// Builds all targets; the folder with their programs.
fn build(workspace: &Workspace, cargo_fuzz: &Path) -> Result<PathBuf> {
    let host = rustc(workspace, "host-tuple")?;
    let folder = workspace.fuzz_target().join("build");
    let mut build = Command::new(cargo_fuzz);
    build.current_dir(workspace.root()).args(["build", "--features", "libfuzzer"]);
    build.arg("--fuzz-dir").arg(workspace.fuzz());
    build.arg("--target-dir").arg(&folder).args(["--target", &host]);
    // What is fuzzed is what is shipped.
    build.arg("--no-cfg-fuzzing");
    // The release profile would have every program optimised as a whole, and stripped of the names
    // that a report is made of.
    build.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_STRIP", "none");
    if has_address_sanitizer(Path::new(&rustc(workspace, "target-libdir")?)) {
        // Lets a stable compiler take `-Z sanitizer`.
        build.args(["--sanitizer", "address"]).env("RUSTC_BOOTSTRAP", "1");
    } else {
        println!("this rustc comes without AddressSanitizer, so memory errors may go unnoticed");
        build.args(["--sanitizer", "none"]);
    }
    step("fuzz targets", &mut build)?;
    Ok(folder.join(host).join("release"))
}

/// What the workspace's compiler says about itself.
fn rustc(workspace: &Workspace, what: &str) -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let mut rustc = Command::new(rustc);
    let answer = process::output(rustc.current_dir(workspace.root()).args(["--print", what]))?;
    Ok(answer.trim().to_owned())
}

/// Whether the sanitizer's runtime is among the libraries that came with a compiler, which not every
/// distribution's has.
fn has_address_sanitizer(libraries: &Path) -> bool {
    let Ok(mut libraries) = fs::read_dir(libraries) else { return false };
    libraries.any(|file| file.is_ok_and(|f| f.file_name().to_string_lossy().contains("_rt.asan.")))
}

/// Runs the targets, as many at a time as there are processors; their outcomes, in the same order.
fn run_side_by_side(
    workspace: &Workspace,
    targets: &[Target],
    seconds: u32,
) -> Result<Vec<Outcome>> {
    let at_a_time = thread::available_parallelism().map_or(1, NonZero::get);
    let rounds = targets.len().div_ceil(at_a_time);
    println!(
        "== running {} targets, {at_a_time} at a time, {seconds} s each: {rounds} rounds",
        targets.len()
    );
    let queue = Mutex::new(targets.iter());
    let next = || queue.lock().ok()?.next();
    let work = || -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        while let Some(target) = next() {
            println!("{:<21} log in {}", target.name(), workspace.relative(target.log()).display());
            outcomes.push(target.run(seconds)?);
        }
        Ok(outcomes)
    };
    let workers = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let mut outcomes = Vec::new();
    for worker in workers {
        outcomes.extend(worker.map_err(|_| anyhow!("a thread has panicked"))??);
    }
    outcomes.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn without_a_choice_all_targets_run() {
        let all = names(&["config", "headers", "order"]);
        assert_eq!(choose(&[], all.clone()).unwrap(), all);
        assert_eq!(choose(&names(&["order"]), all).unwrap(), names(&["order"]));
    }

    #[test]
    fn a_misspelt_target_is_met_with_those_there_are() {
        let error = choose(&names(&["header"]), names(&["config", "headers"])).unwrap_err();
        assert!(error.to_string().ends_with("there are config, headers"), "{error}");
    }

    #[test]
    fn the_sanitizer_of_a_stable_and_of_a_nightly_compiler_is_found() {
        for runtime in ["librustc-stable_rt.asan.a", "librustc-nightly_rt.asan.a"] {
            let folder = tempfile::tempdir().unwrap();
            assert!(!has_address_sanitizer(folder.path()));
            fs::write(folder.path().join(runtime), "").unwrap();
            assert!(has_address_sanitizer(folder.path()));
        }
    }
}
