//! `cargo xtask setup`: makes this machine able to build and to test ruroco.
//!
//! A rustc with source, a bpf-linker that can read what that rustc writes, and the few programs the
//! lab's network namespaces are made with: each is looked for, and only what is not there is
//! installed. Which compiler and which linker go together is decided in one place,
//! [`Survey::choice`]; the tasks that build get the pair as [`Tools`] and look no further.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{
    linker::{self, Linker, Linkers},
    llvm::{self, Llvm},
    packages::{self, WantedLlvm, Wants},
    process,
    toolchain::{self, Toolchain, Toolchains},
    workspace::Workspace,
};

/// The pair that builds the XDP program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tools {
    /// A compiler with source, and its cargo.
    pub(crate) toolchain: Toolchain,
    /// A bpf-linker that reads its bitcode.
    pub(crate) linker: Linker,
}

/// How much of it a task needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What building the XDP program takes.
    Build,
    /// What making packages takes.
    Dist,
    /// What the lab's network takes: no service, and nothing that could start one.
    Demo,
    /// What the proof takes.
    Proof,
    /// What virtual machines with other kernels take.
    Kernels,
    /// What all tests in the lab take, and the proof.
    Lab,
    /// Everything: packages, and a Debian to try them on in the lab.
    System,
}

/// How much is said about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// Everything found.
    Full,
    /// Only what is installed or built.
    ChangesOnly,
}

/// A program, and the package that has it on Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Program {
    name: &'static str,
    packages: &'static [&'static str],
    /// Who needs it.
    scopes: &'static [Scope],
}

const ALL: &[Scope] = &[
    Scope::Build,
    Scope::Dist,
    Scope::Demo,
    Scope::Proof,
    Scope::Kernels,
    Scope::Lab,
    Scope::System,
];
const NETWORK: &[Scope] = &[Scope::Demo, Scope::Lab, Scope::System];
const DIST: &[Scope] = &[Scope::Dist, Scope::System];
const PROOF: &[Scope] = &[Scope::Proof, Scope::Lab, Scope::System];
const LAB: &[Scope] = &[Scope::Lab, Scope::System];
const BASE: &[Scope] = &[Scope::Kernels, Scope::System];
const KERNELS: &[Scope] = &[Scope::Kernels];
const SYSTEM: &[Scope] = &[Scope::System];

/// A screen in memory, and the libraries that the window loads there.
const SCREEN: [&str; 7] = [
    "xvfb",
    "libegl1",
    "libfontconfig1",
    "libgl1",
    "libgl1-mesa-dri",
    "libxcursor1",
    "libxkbcommon-x11-0",
];

const PROGRAMS: [Program; 27] = [
    Program { name: "cc", packages: &["gcc", "libc6-dev"], scopes: ALL },
    Program { name: "ip", packages: &["iproute2"], scopes: NETWORK },
    Program { name: "ethtool", packages: &["ethtool"], scopes: LAB },
    Program { name: "nsenter", packages: &["util-linux"], scopes: NETWORK },
    Program { name: "setpriv", packages: &["util-linux"], scopes: NETWORK },
    Program { name: "strace", packages: &["strace"], scopes: LAB },
    Program { name: "nft", packages: &["nftables"], scopes: LAB },
    Program { name: "nmap", packages: &["nmap"], scopes: LAB },
    Program { name: "ssh", packages: &["openssh-client"], scopes: LAB },
    Program { name: "sshd", packages: &["openssh-server"], scopes: LAB },
    Program { name: "wireguard-go", packages: &["wireguard-go"], scopes: LAB },
    Program { name: "dnsmasq", packages: &["dnsmasq-base"], scopes: LAB },
    Program { name: "dbus-run-session", packages: &["dbus-daemon"], scopes: LAB },
    Program { name: "gnome-keyring-daemon", packages: &["gnome-keyring"], scopes: LAB },
    Program { name: "python3", packages: &["python3", "python3-venv"], scopes: PROOF },
    Program { name: "ld.lld", packages: &["lld"], scopes: PROOF },
    Program { name: "Xvfb", packages: &SCREEN, scopes: LAB },
    Program { name: "xdotool", packages: &["xdotool"], scopes: LAB },
    Program { name: "dpkg-shlibdeps", packages: &["dpkg-dev"], scopes: DIST },
    Program { name: "lintian", packages: &["lintian"], scopes: DIST },
    Program { name: "debootstrap", packages: &["debootstrap"], scopes: BASE },
    Program { name: "systemd-nspawn", packages: &["systemd-container"], scopes: SYSTEM },
    Program { name: "qemu-system-x86_64", packages: &["qemu-system-x86"], scopes: KERNELS },
    Program { name: "busybox", packages: &["busybox-static"], scopes: KERNELS },
    Program { name: "mke2fs", packages: &["e2fsprogs"], scopes: KERNELS },
    Program { name: "xz", packages: &["xz-utils"], scopes: KERNELS },
    Program { name: "strip", packages: &["binutils"], scopes: KERNELS },
];

/// Reports what is there and changes nothing.
///
/// # Errors
/// If anything is missing.
pub(crate) fn check(workspace: &Workspace, scope: Scope) -> Result<()> {
    let survey = Survey::take(workspace, scope);
    survey.print(workspace);
    if survey.is_complete() {
        return Ok(());
    }
    bail!("something is missing; `cargo xtask setup` installs it, or says how")
}

/// Finds the tools, and installs what of them is missing.
///
/// # Errors
/// If something is missing that cannot be installed; says what to do about it.
pub(crate) fn ensure(workspace: &Workspace, scope: Scope, report: Report) -> Result<Tools> {
    let mut survey = Survey::take(workspace, scope);
    if let Some(wants) = survey.wants() {
        if let Err(error) = packages::install(&wants, "cargo xtask setup") {
            survey.print(workspace);
            return Err(error);
        }
        survey = Survey::take(workspace, scope);
    }
    if let Choice::Buildable(toolchain, llvm) = survey.choice() {
        println!(
            "building              bpf-linker {} against LLVM {} in {}; takes a minute or two",
            linker::VERSION,
            llvm.version,
            llvm.prefix.display()
        );
        linker::build(workspace, toolchain, llvm)?;
        survey = Survey::take(workspace, scope);
    }
    if report == Report::Full || !survey.is_complete() {
        survey.print(workspace);
    }
    if let Choice::Ready(toolchain, linker) = survey.choice()
        && survey.is_complete()
    {
        return Ok(Tools { toolchain: toolchain.clone(), linker: linker.clone() });
    }
    bail!(
        "installing went through, and yet something is missing; the lines above say what was found \
         and why it does not do"
    )
}

/// What is on this machine.
#[derive(Debug)]
struct Survey {
    toolchains: Toolchains,
    linkers: Linkers,
    llvms: Vec<Llvm>,
    programs: Vec<(Program, Option<PathBuf>)>,
}

/// Which compiler and linker to use, or what stands in the way.
#[derive(Debug, PartialEq, Eq)]
enum Choice<'a> {
    /// Both are there and fit.
    Ready(&'a Toolchain, &'a Linker),
    /// The compiler is there, and an LLVM to build its linker against.
    Buildable(&'a Toolchain, &'a Llvm),
    /// The compiler is there, and nothing to build its linker against.
    NoLlvm(&'a Toolchain),
    /// No compiler with source.
    NoCompiler,
}

impl Survey {
    fn take(workspace: &Workspace, scope: Scope) -> Self {
        let folders = process::program_folders();
        let needed = PROGRAMS.into_iter();
        let needed = needed.filter(|program| program.scopes.contains(&scope));
        Self {
            toolchains: toolchain::installed(&folders),
            linkers: linker::installed(workspace, &folders),
            llvms: llvm::installed(&folders),
            programs: needed.map(|p| (p, process::find(p.name, &folders))).collect(),
        }
    }

    /// The best pair: one that is there beats one that has to be built, and of several the better
    /// compiler wins.
    fn choice(&self) -> Choice<'_> {
        let compilers = &self.toolchains.usable;
        let ready = compilers.iter().find_map(|compiler| {
            let linker = linker::fitting(&self.linkers.running, &compiler.version.llvm)?;
            Some(Choice::Ready(compiler, linker))
        });
        let buildable = || {
            compilers.iter().find_map(|compiler| {
                let llvm = llvm::fitting(&self.llvms, &compiler.version.llvm)?;
                Some(Choice::Buildable(compiler, llvm))
            })
        };
        let without = || compilers.first().map(Choice::NoLlvm);
        ready.or_else(buildable).or_else(without).unwrap_or(Choice::NoCompiler)
    }

    fn is_complete(&self) -> bool {
        matches!(self.choice(), Choice::Ready(..))
            && self.programs.iter().all(|(_, path)| path.is_some())
    }

    /// What packages have to bring; nothing if the rest can be built.
    fn wants(&self) -> Option<Wants> {
        let (rust, llvm) = match self.choice() {
            Choice::Ready(..) | Choice::Buildable(..) => (false, None),
            Choice::NoLlvm(compiler) => {
                (false, Some(WantedLlvm::For(compiler.version.llvm.clone())))
            }
            Choice::NoCompiler => (true, Some(WantedLlvm::Newest)),
        };
        let absent = self.programs.iter().filter(|(_, path)| path.is_none());
        let mut packages: Vec<&str> = absent.flat_map(|(p, _)| p.packages).copied().collect();
        packages.dedup();
        let wants = Wants { rust, llvm, packages };
        (wants != Wants::default()).then_some(wants)
    }

    fn print(&self, workspace: &Workspace) {
        for (what, state) in self.lines(workspace) {
            println!("{what:<21} {state}");
        }
    }

    fn lines(&self, workspace: &Workspace) -> Vec<(&'static str, String)> {
        let mut lines = vec![("rustc with rust-src", self.compiler_line())];
        lines.push(("bpf-linker", self.linker_line(workspace)));
        for (program, path) in &self.programs {
            let state = match path {
                Some(path) => path.display().to_string(),
                None => format!("missing (Debian: {})", program.packages.join(", ")),
            };
            lines.push((program.name, state));
        }
        lines
    }

    fn compiler_line(&self) -> String {
        match self.choice() {
            Choice::Ready(compiler, _)
            | Choice::Buildable(compiler, _)
            | Choice::NoLlvm(compiler) => {
                let (path, version) = (compiler.rustc.display(), &compiler.version);
                format!("{path} {} (LLVM {})", version.release, version.llvm)
            }
            Choice::NoCompiler => format!("missing{}", because(&self.toolchains.refused)),
        }
    }

    fn linker_line(&self, workspace: &Workspace) -> String {
        let unfit = || {
            let old = self.linkers.running.iter();
            let old = old.map(|l| format!("{}: its LLVM is {}", l.path.display(), l.llvm));
            because(&old.chain(self.linkers.refused.iter().cloned()).collect::<Vec<_>>())
        };
        match self.choice() {
            Choice::Ready(_, linker) => {
                let path = workspace.relative(&linker.path).display();
                format!("{path} {} (LLVM {})", linker.release, linker.llvm)
            }
            Choice::Buildable(_, llvm) => {
                let prefix = llvm.prefix.display();
                format!("to be built against LLVM {} in {prefix}{}", llvm.version, unfit())
            }
            Choice::NoLlvm(compiler) => {
                let wanted = &compiler.version.llvm;
                format!("missing, and no LLVM from {wanted} on to build it against{}", unfit())
            }
            Choice::NoCompiler => "depends on rustc".to_owned(),
        }
    }
}

/// The candidates that were refused, one to a line under what is missing.
fn because(refused: &[String]) -> String {
    refused.iter().map(|reason| format!("\n{:22}not {reason}", "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::RustcVersion;

    fn version(text: &str) -> llvm::Version {
        llvm::Version::parse(text).unwrap()
    }

    fn compiler(release: &str, llvm: &str) -> Toolchain {
        let version = RustcVersion { release: release.to_owned(), llvm: version(llvm) };
        Toolchain { rustc: PathBuf::from("rustc"), cargo: PathBuf::from("cargo"), version }
    }

    fn linker(llvm: &str) -> Linker {
        let release = linker::VERSION.to_owned();
        Linker { path: PathBuf::from("bpf-linker"), release, llvm: version(llvm) }
    }

    fn installed_llvm(text: &str) -> Llvm {
        Llvm { prefix: PathBuf::from("/usr/lib/llvm"), version: version(text) }
    }

    fn survey(compilers: &[Toolchain], linkers: &[Linker], llvms: &[Llvm]) -> Survey {
        Survey {
            toolchains: Toolchains { usable: compilers.to_vec(), refused: Vec::new() },
            linkers: Linkers { running: linkers.to_vec(), refused: Vec::new() },
            llvms: llvms.to_vec(),
            programs: Vec::new(),
        }
    }

    #[test]
    fn a_compiler_whose_linker_is_there_beats_a_better_one_whose_linker_is_not() {
        let (nightly, debian) =
            (compiler("1.99.0-nightly", "23.1.0"), compiler("1.96.0", "22.1.8"));
        let survey = survey(&[nightly, debian.clone()], &[linker("22.1.8")], &[]);
        assert_eq!(survey.choice(), Choice::Ready(&debian, &linker("22.1.8")));
        assert_eq!(survey.wants(), None);
    }

    #[test]
    fn a_linker_with_too_old_an_llvm_is_built_anew() {
        let debian = compiler("1.96.0", "22.1.8");
        let survey =
            survey(std::slice::from_ref(&debian), &[linker("21.1.0")], &[installed_llvm("22.1.8")]);
        assert_eq!(survey.choice(), Choice::Buildable(&debian, &installed_llvm("22.1.8")));
        assert!(!survey.is_complete());
        assert_eq!(survey.wants(), None);
    }

    #[test]
    fn without_an_llvm_for_the_linker_one_as_new_as_the_compilers_is_wanted() {
        let survey = survey(&[compiler("1.96.0", "22.1.8")], &[], &[installed_llvm("14.0.6")]);
        let llvm = Some(WantedLlvm::For(version("22.1.8")));
        assert_eq!(survey.wants(), Some(Wants { llvm, ..Wants::default() }));
    }

    #[test]
    fn without_a_compiler_both_are_wanted() {
        let wants = survey(&[], &[linker("22.1.8")], &[]).wants().unwrap();
        assert_eq!((wants.rust, wants.llvm), (true, Some(WantedLlvm::Newest)));
    }

    #[test]
    fn a_package_that_has_two_missing_programs_is_wanted_once() {
        let mut survey = survey(&[compiler("1.96.0", "22.1.8")], &[linker("22.1.8")], &[]);
        survey.programs = PROGRAMS.map(|program| (program, None)).to_vec();
        let wants = survey.wants().unwrap();
        let expected = [
            "gcc",
            "libc6-dev",
            "iproute2",
            "ethtool",
            "util-linux",
            "strace",
            "nftables",
            "nmap",
            "openssh-client",
            "openssh-server",
            "wireguard-go",
            "dnsmasq-base",
            "dbus-daemon",
            "gnome-keyring",
            "python3",
            "python3-venv",
            "lld",
            "xvfb",
            "libegl1",
            "libfontconfig1",
            "libgl1",
            "libgl1-mesa-dri",
            "libxcursor1",
            "libxkbcommon-x11-0",
            "xdotool",
            "dpkg-dev",
            "lintian",
            "debootstrap",
            "systemd-container",
            "qemu-system-x86",
            "busybox-static",
            "e2fsprogs",
            "xz-utils",
            "binutils",
        ];
        assert_eq!(wants.packages, expected);
        assert!(!survey.is_complete());
    }

    #[test]
    fn the_demonstration_wants_only_what_its_network_is_made_with() {
        let wanted = PROGRAMS.into_iter().filter(|program| program.scopes.contains(&Scope::Demo));
        let packages: Vec<&str> = wanted.flat_map(|program| program.packages).copied().collect();
        assert_eq!(packages, ["gcc", "libc6-dev", "iproute2", "util-linux", "util-linux"]);
    }

    #[test]
    fn what_was_refused_is_shown_with_its_reason() {
        let mut survey = survey(&[], &[], &[]);
        survey.toolchains.refused = vec!["/opt/bin/rustc: no rust-src in /opt".to_owned()];
        let workspace = Workspace::of_this_build().unwrap();
        let lines = survey.lines(&workspace);
        let compiler = &lines[0].1;
        assert!(compiler.starts_with("missing\n"), "{compiler}");
        assert!(compiler.contains("not /opt/bin/rustc: no rust-src in /opt"), "{compiler}");
    }
}
