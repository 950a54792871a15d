//! `cargo xtask bench`: builds what is measured and what measures, optimised as a release is, and
//! starts the latter (the workspace's member `bench`).

use anyhow::Result;

use crate::{
    build_ebpf::{self, Logging},
    host::{cargo, require_root, step},
    roles,
    setup::{self, Report, Scope},
    workspace::Workspace,
};

/// Has the crates that the kernel's cipher is compared with take the portable code that they have
/// beside the one for this processor.
const PORTABLE: &str = "--cfg chacha20_backend=\"soft\" --cfg poly1305_backend=\"soft\" \
                        --cfg aes_backend=\"soft\" --cfg polyval_backend=\"soft\"";

/// Builds and measures, with those of these flags that are set.
///
/// # Errors
/// If something could not be built or measured; not if a result is bad.
pub(crate) fn run(workspace: &Workspace, flags: &[(bool, &str)]) -> Result<()> {
    require_root("bench")?;
    let tools = setup::ensure(workspace, Scope::Lab, Report::ChangesOnly)?;
    build_ebpf::build(workspace, &tools, Logging::Off)?;
    build_ebpf::build_flood(workspace, &tools)?;

    let release = ["build", "--release", "--package"];
    let measured = roles::PROGRAMS.into_iter().filter(|(role, _)| *role != roles::WINDOW);
    for (role, program) in measured {
        roles::build_release(workspace, role, program)?;
    }
    let refusals = ["ruroco-bench", "--no-default-features", "--bin", "ruroco-bench-refusals"];
    let mut portable = cargo(workspace, &[&release[..], &refusals].concat());
    portable.env("RUSTFLAGS", PORTABLE).env("CARGO_TARGET_DIR", workspace.bench_target());
    step("portable crates", &mut portable)?;
    let bench = [&release[..], &["ruroco-bench", "--bins"]].concat();
    step("benchmark", &mut cargo(workspace, &bench))?;

    let mut bench = cargo(workspace, &["run", "--quiet", "--release", "--package", "ruroco-bench"]);
    bench.args(["--bin", "ruroco-bench", "--", "--workspace"]).arg(workspace.root());
    bench.args(flags.iter().filter_map(|(is_set, flag)| is_set.then_some(flag)));
    step("measurement", &mut bench)
}
