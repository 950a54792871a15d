//! `cargo xtask dist`: the release files. Debian packages and tarballs of the host's side, the client's
//! command line and the client's window, and their checksums, in `target/dist`.
//!
//! Each program is built with the features of its own role and nothing else, so that no binary
//! carries what it must not have. What goes where is said in `ruroco-userspace/Cargo.toml`
//! (`package.metadata.deb`); the tarballs hold what the packages hold.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    build_ebpf::{self, Logging},
    cargo_tool::CARGO_DEB,
    host::{cargo, step},
    process, roles,
    setup::{self, Report, Scope},
    workspace::Workspace,
};

/// A package.
#[derive(Clone, Copy, Debug)]
struct Package {
    name: &'static str,
    /// Its variant in `Cargo.toml`.
    variant: Option<&'static str>,
}

const PACKAGES: [Package; 3] = [
    Package { name: "ruroco", variant: Some("server") },
    Package { name: "ruroco-client", variant: None },
    Package { name: "ruroco-client-ui", variant: Some("window") },
];

/// Builds all of it.
///
/// # Errors
/// If something cannot be built, or lintian finds an error in a package.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let packages = build(workspace)?;
    for package in &packages {
        lint(package)?;
    }
    let folder = workspace.dist();
    let mut names = Vec::new();
    for package in &packages {
        names.push(file_name(package)?);
        names.push(tarball(&folder, package)?);
    }
    let sums = process::output(Command::new("sha256sum").args(&names).current_dir(&folder))?;
    let path = folder.join("SHA256SUMS");
    fs::write(&path, &sums).with_context(|| format!("cannot write {}", path.display()))?;
    print!("{sums}");
    println!("in {}", folder.display());
    Ok(())
}

fn build(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let tools = setup::ensure(workspace, Scope::Dist, Report::ChangesOnly)?;
    let cargo_deb = CARGO_DEB.ensure(workspace)?;
    build_ebpf::build(workspace, &tools, Logging::Off)?;
    let folder = workspace.dist();
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;

    for (role, program) in roles::PROGRAMS {
        roles::build_release(workspace, role, program)?;
    }
    let mut manual = cargo(workspace, &["run", "--quiet", "--package", "ruroco-manual", "--"]);
    // Where cargo-deb looks for what was built.
    let pages = workspace.release().join("manual");
    let _ = fs::remove_dir_all(&pages);
    step("manual", manual.arg(&pages))?;
    compress(&pages.join("man"))?;
    PACKAGES.iter().map(|package| deb(workspace, &cargo_deb, *package)).collect()
}

fn deb(workspace: &Workspace, cargo_deb: &Path, package: Package) -> Result<PathBuf> {
    let folder = workspace.dist();
    let mut deb = process::command(cargo_deb);
    deb.current_dir(workspace.root()).args(["--no-build", "--package", "ruroco-userspace"]);
    // They are stripped already.
    deb.args(["--no-strip", "--deb-revision", "1"]);
    deb.args(package.variant.iter().flat_map(|variant| ["--variant", variant]));
    let output = folder.join(package.name).with_extension("deb");
    deb.arg("--output").arg(&output);
    step(package.name, &mut deb)?;
    // Named as apt and others know it, by what it says of itself.
    let field = |name| {
        let mut field = Command::new("dpkg-deb");
        process::output(field.arg("--field").arg(&output).arg(name))
    };
    let (version, architecture) = (field("Version")?, field("Architecture")?);
    let name = format!("{}_{}_{}.deb", package.name, version.trim(), architecture.trim());
    let path = folder.join(name);
    fs::rename(&output, &path).with_context(|| format!("cannot rename {}", output.display()))?;
    Ok(path)
}

/// Man pages are installed compressed, and the same ones as the same bytes.
fn compress(folder: &Path) -> Result<()> {
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "--no-name", "--recursive"]).arg(folder);
    process::output(&mut gzip).map(drop)
}

/// # Errors
/// If lintian has one to tell.
fn lint(package: &Path) -> Result<()> {
    let mut lintian = Command::new("lintian");
    // As root, as which the lab is tested anyway.
    lintian.args(["--allow-root", "--fail-on", "error"]).arg(package);
    step("lintian", &mut lintian)
}

/// What a package installs, for hosts without dpkg; its name.
fn tarball(folder: &Path, package: &Path) -> Result<String> {
    let name = file_name(package)?;
    let stem = name.strip_suffix(".deb").context("not a package")?.replace('_', "-");
    let tree = folder.join(&stem);
    let mut unpack = Command::new("dpkg-deb");
    process::output(unpack.arg("--extract").arg(package).arg(&tree))?;
    let tarball = format!("{stem}.tar.gz");
    let mut tar = Command::new("tar");
    tar.current_dir(folder).args(["--create", "--gzip", "--sort=name", "--owner=0", "--group=0"]);
    process::output(tar.args(["--numeric-owner", "--file", &tarball, &stem]))?;
    fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    Ok(tarball)
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    ensure!(name.is_some(), "{} has no name", path.display());
    Ok(name.unwrap_or_default().to_owned())
}
