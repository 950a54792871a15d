//! What the distribution can contribute, and installing it.
//!
//! On Debian and its relatives everything this workspace needs beyond its own Rust toolchain is a
//! package away, but under names that move: which rustc comes with source, which LLVM is new
//! enough. So apt is asked what it has rather than told what to fetch. Elsewhere, and for whoever
//! is not root, the result is the list of commands to run, and nothing is changed.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Context, Result, anyhow};

use crate::{
    llvm::{self, SUPPORTED},
    process,
    toolchain::{OLDEST, Release},
};

/// Packages that would start something, and their units.
const SERVICES: [(&str, &[&str]); 1] = [("openssh-server", &["ssh.service", "ssh.socket"])];

/// What is missing on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// A rustc with source, and its cargo.
    pub(crate) rust: bool,
    /// An LLVM to build bpf-linker against.
    pub(crate) llvm: Option<WantedLlvm>,
    /// Packages that the names of missing programs stand for.
    pub(crate) packages: Vec<&'static str>,
}

/// How new a missing LLVM has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WantedLlvm {
    /// As new as a rustc that is still to be installed, so the newest there is.
    Newest,
    /// At least as new as the LLVM of an installed rustc.
    For(llvm::Version),
}

/// Installs what is wanted, if this is a Debian and we are root.
///
/// # Errors
/// Else, or if apt fails or does not have it, with the commands to run by hand, `then` the last of
/// them.
pub(crate) fn install(wants: &Wants, then: &str) -> Result<()> {
    if !is_debian_like(&fs::read_to_string("/etc/os-release").unwrap_or_default()) {
        return Err(anyhow!("{}", by_hand(wants, then)));
    }
    if !rustix::process::geteuid().is_root() {
        let packages = Offer::of_apt()?.packages(wants)?;
        let as_root = [update(), install_command(&packages)];
        let lines = as_root.map(|command| format!("\n    sudo {}", process::line(&command)));
        return Err(anyhow!(
            "something is missing and only root can install it; nothing was changed. Run\
             {}\n    {then}",
            lines.concat()
        ));
    }
    println!("updating              apt's package lists");
    process::output(&mut update())?;
    let packages = Offer::of_apt()?.packages(wants)?;
    keep_from_starting(&packages)?;
    let mut install = install_command(&packages);
    println!("installing            {}", process::line(&install));
    process::output(&mut install).map(drop)
}

/// Debian starts a service as it installs it. The tests start what they need in namespaces of their own,
/// and a developer's machine is not to be open for more than before.
fn keep_from_starting(packages: &[String]) -> Result<()> {
    // sd_booted(3)
    let is_booted = Path::new("/run/systemd/system").is_dir();
    for (package, units) in SERVICES {
        if is_booted && packages.iter().any(|wanted| wanted == package) {
            let mut mask = process::command("systemctl");
            mask.arg("mask").args(units);
            println!("masking               {}, for it not to start here", units.join(" "));
            process::output(&mut mask)?;
        }
    }
    Ok(())
}

fn update() -> Command {
    apt(&["apt-get", "update"])
}

fn install_command(packages: &[String]) -> Command {
    // A distribution's rustc may conflict with packages of its user's; those are not ours to remove.
    let mut command =
        apt(&["apt-get", "install", "--yes", "--no-install-recommends", "--no-remove"]);
    command.args(packages);
    command
}

fn apt(words: &[&str]) -> Command {
    let mut words = words.iter();
    let mut command = process::command(words.next().copied().unwrap_or_default());
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    command
}

/// Reads os-release(5).
fn is_debian_like(os_release: &str) -> bool {
    let values = |name: &str| {
        let mut lines = os_release.lines();
        let value = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let (id, relatives) = (values("ID"), values("ID_LIKE"));
    [id.as_str()]
        .into_iter()
        .chain(relatives.split_whitespace())
        .any(|name| name == "debian" || name == "ubuntu")
}

/// What apt could install.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Offer {
    /// The suffix of the best rustc's name: empty, `-web` (Debian), `-1.89` (Ubuntu).
    rust: Option<String>,
    /// N of every `llvm-N-dev`.
    llvms: Vec<u32>,
}

impl Offer {
    fn of_apt() -> Result<Self> {
        let search = ["apt-cache", "search", "--names-only"];
        let compilers = "^rustc(-web|-1[.][0-9]+)?$";
        let compilers = process::output(apt(&search).arg(compilers))?;
        let compilers: Vec<&str> = first_words(&compilers).collect();
        let policy = if compilers.is_empty() {
            String::new()
        } else {
            process::output(apt(&["apt-cache", "policy"]).args(compilers))?
        };
        let llvms = process::output(apt(&search).arg("^llvm-[0-9]+-dev$"))?;
        Ok(Self {
            rust: newest_rust(&policy),
            llvms: first_words(&llvms).filter_map(major).collect(),
        })
    }

    /// The packages that bring what is wanted.
    fn packages(&self, wants: &Wants) -> Result<Vec<String>> {
        let mut packages: Vec<String> =
            wants.packages.iter().map(|&name| name.to_owned()).collect();
        let mut rust = wants.rust;
        match &wants.llvm {
            None => {}
            Some(WantedLlvm::Newest) => packages.push(self.newest_llvm(0)?),
            Some(WantedLlvm::For(rustc)) => {
                packages.push(self.newest_llvm(rustc.major).or_else(|_| {
                    // The distribution's own rustc is no newer than its LLVM.
                    rust = true;
                    self.newest_llvm(0)
                })?);
            }
        }
        if rust {
            let suffix = self.rust.as_ref().with_context(|| {
                format!(
                    "apt has no rustc from {OLDEST} on. If `apt-get update` does not change that, \
                     run `rustup toolchain install nightly --profile minimal --component rust-src` \
                     and then `cargo xtask setup`"
                )
            })?;
            packages.extend([
                format!("rustc{suffix}"),
                format!("cargo{suffix}"),
                format!("rust{suffix}-src"),
            ]);
        }
        Ok(packages)
    }

    fn newest_llvm(&self, at_least: u32) -> Result<String> {
        let fitting = self.llvms.iter().filter(|llvm| SUPPORTED.contains(llvm));
        let newest = fitting.filter(|llvm| **llvm >= at_least).max().with_context(|| {
            format!(
                "apt has no llvm-N-dev with N from {} to {}. If `apt-get update` does not change \
                 that, add a source that has one (https://apt.llvm.org) and run \
                 `cargo xtask setup` again",
                at_least.max(*SUPPORTED.start()),
                SUPPORTED.end()
            )
        })?;
        Ok(format!("llvm-{newest}-dev"))
    }
}

fn first_words(lines: &str) -> impl Iterator<Item = &str> {
    lines.lines().filter_map(|line| line.split_whitespace().next())
}

fn major(llvm_package: &str) -> Option<u32> {
    llvm_package.strip_prefix("llvm-")?.strip_suffix("-dev")?.parse().ok()
}

/// Reads `apt-cache policy` of several rustc packages: the suffix of the newest that is not too old.
fn newest_rust(policy: &str) -> Option<String> {
    let oldest: Release = OLDEST.parse().ok()?;
    let mut newest: Option<(Release, &str)> = None;
    let mut package = "";
    for line in policy.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| name.starts_with("rustc")) {
            package = name;
        } else if let Some(version) = line.trim().strip_prefix("Candidate: ") {
            // `(none)` is not a version, and nothing to install.
            let Ok(release) = version.parse::<Release>() else { continue };
            if release >= oldest && newest.is_none_or(|(best, _)| release > best) {
                newest = Some((release, package));
            }
        }
    }
    newest.and_then(|(_, package)| package.strip_prefix("rustc")).map(str::to_owned)
}

/// What to do where apt is not.
fn by_hand(wants: &Wants, then: &str) -> String {
    let mut text = String::from(
        "something is missing, and this is no Debian or Ubuntu whose packages are known; nothing \
         was changed. Run or install",
    );
    let mut step = |step: &str| {
        // Writing to a string does not fail.
        let _ = write!(text, "\n    {step}");
    };
    if wants.rust {
        step("rustup toolchain install nightly --profile minimal --component rust-src");
    }
    if let Some(llvm) = &wants.llvm {
        let at_least = match llvm {
            WantedLlvm::Newest => *SUPPORTED.start(),
            WantedLlvm::For(rustc) => rustc.major,
        };
        step(&format!(
            "the development package of an LLVM from {at_least} to {}, with llvm-config on PATH",
            SUPPORTED.end()
        ));
    }
    for package in &wants.packages {
        step(&format!("the package that Debian calls {package}"));
    }
    step(then);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "\
rustc-web:
  Installed: (none)
  Candidate: 1.96.0+dfsg1-1~deb12u2
  Version table:
     1.96.0+dfsg1-1~deb12u2 500
rustc:
  Installed: (none)
  Candidate: 1.63.0+dfsg1-2
  Version table:
     1.63.0+dfsg1-2 500
rustc-1.99:
  Installed: (none)
  Candidate: (none)
";

    fn offer() -> Offer {
        Offer { rust: newest_rust(POLICY), llvms: vec![14, 19, 22, 24] }
    }

    fn for_rustc(llvm: &str) -> Option<WantedLlvm> {
        Some(WantedLlvm::For(llvm::Version::parse(llvm).unwrap()))
    }

    #[test]
    fn debian_ubuntu_and_their_relatives_are_recognised_quoted_or_not() {
        assert!(is_debian_like("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"));
        assert!(is_debian_like("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(is_debian_like("ID=\"ubuntu\"\n"));
    }

    #[test]
    fn others_are_not_taken_for_debian() {
        assert!(!is_debian_like("ID=fedora\nVARIANT_ID=debian\n"));
        assert!(!is_debian_like("ID=arch\nBUG_REPORT_URL=https://debian.org\n"));
        assert!(!is_debian_like(""));
    }

    #[test]
    fn the_newest_rustc_that_is_not_too_old_is_taken_with_its_cargo_and_source() {
        let wants = Wants { rust: true, ..Wants::default() };
        assert_eq!(offer().packages(&wants).unwrap(), ["rustc-web", "cargo-web", "rust-web-src"]);
    }

    #[test]
    fn a_distribution_with_only_an_old_rustc_is_told_about_rustup() {
        let old = Offer { rust: newest_rust("rustc:\n  Candidate: 1.63.0\n"), llvms: vec![22] };
        let error = old.packages(&Wants { rust: true, ..Wants::default() }).unwrap_err();
        assert!(error.to_string().contains("rustup toolchain install nightly"), "{error}");
    }

    #[test]
    fn the_newest_llvm_that_bpf_linker_knows_is_taken() {
        let wants = Wants { llvm: Some(WantedLlvm::Newest), ..Wants::default() };
        assert_eq!(offer().packages(&wants).unwrap(), ["llvm-22-dev"]);
        let wants = Wants { llvm: for_rustc("21.1.0"), ..Wants::default() };
        assert_eq!(offer().packages(&wants).unwrap(), ["llvm-22-dev"]);
    }

    #[test]
    fn a_rustc_too_new_for_every_llvm_is_joined_by_the_distributions_own() {
        let wants = Wants { llvm: for_rustc("23.1.0"), ..Wants::default() };
        let packages = offer().packages(&wants).unwrap();
        assert_eq!(packages, ["llvm-22-dev", "rustc-web", "cargo-web", "rust-web-src"]);
    }

    #[test]
    fn only_what_is_missing_is_installed() {
        let wants = Wants { packages: vec!["nftables"], ..Wants::default() };
        assert_eq!(offer().packages(&wants).unwrap(), ["nftables"]);
    }

    #[test]
    fn packages_are_never_removed_to_make_room() {
        let line = process::line(&install_command(&["nftables".to_owned()]));
        assert!(line.contains("--no-remove"), "{line}");
    }

    #[test]
    fn elsewhere_every_missing_thing_is_named() {
        let wants = Wants { rust: true, llvm: for_rustc("22.1.8"), packages: vec!["strace"] };
        let text = by_hand(&wants, "cargo xtask setup");
        for part in ["--component rust-src", "from 22 to 23", "strace", "cargo xtask setup"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
