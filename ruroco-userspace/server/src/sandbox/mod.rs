//! What the server gives up before it reads the first packet.
//!
//! An attacker who exploits an error in the verifier gets a process that can only do what the server does
//! after its start. [`enter`] takes these steps, in this order:
//!
//! 1. **no-new-privs**: no program that this process executes gets more privileges. Without it, the kernel
//!    allows steps 4 and 5 only to root.
//! 2. **not dumpable**: other processes of the same user cannot read the keys in its memory.
//! 3. **capabilities**: all of them; first those of the bounding set, which needs one of them.
//! 4. **Landlock**: files outside the directories in [`Needs`], TCP, abstract Unix sockets and signals to
//!    other processes. Its rules need directories that are opened now, so it comes before step 5.
//! 5. **seccomp**: all system calls except those that the server makes from now on. This is the last step
//!    because it forbids the other four.
//!
//! Every supported kernel can do the first three, so a failure of one of them ends the start. For the others,
//! the [`Report`] lists what is enforced; [`Policy`] decides whether it is sufficient.
//!
//! Steps 1, 3 and 4 apply to the thread that takes them and to the threads that it starts. The server has
//! only one thread.

mod landlock;
mod privileges;
mod report;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod seccomp;

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

use anyhow::bail;
use ruroco_config::{Config, server_keys};
use rustix::param::page_size;

pub use self::{
    privileges::refuse_root,
    report::{Measure, Report, State},
};

/// System calls have other names elsewhere, and `seccompiler` does not know these architectures.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
mod seccomp {
    pub(super) fn restrict(_: &super::Needs<'_>) -> super::State {
        super::State::not("ruroco has no list of system calls for this architecture")
    }
}

/// `--sandbox`: what becomes of a server that can have less than the whole sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It does not run.
    Strict,
    /// It runs, and the log says what is missing.
    BestEffort,
}

impl Policy {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::BestEffort => "best-effort",
        }
    }

    /// The policy of this name, of which there are no others on a command line that was parsed.
    pub(crate) fn named(name: &OsStr) -> Self {
        if name == Self::BestEffort.name() { Self::BestEffort } else { Self::Strict }
    }
}

/// What the server needs to reach after it has entered the sandbox.
#[derive(Debug)]
pub struct Needs<'a> {
    /// Directories with files to be read again.
    pub read: BTreeSet<PathBuf>,
    /// The directory whose files are rewritten.
    pub write: PathBuf,
    /// A socket of the network, to be received from.
    pub network: Option<BorrowedFd<'a>>,
    /// Whether a service manager wants to be told how the server is: a datagram for each time.
    pub service_manager: bool,
}

/// Where a service manager listens (sd_notify(3)).
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

impl<'a> Needs<'a> {
    /// What a server with this configuration needs. The configuration may be replaced by rename, and
    /// so may keys, so it is their directories that stay readable; where a symbolic link leads
    /// elsewhere, also the directory of its target.
    pub fn of(config: &Config, network: Option<BorrowedFd<'a>>) -> Self {
        let directory = |file: &Path| match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let is_key = |file: &PathBuf| file.extension().is_some_and(|suffix| suffix == "key");
        let keys_in = server_keys::directory(config);
        let entries = keys_in.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
        let keys = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_key);
        let targets = keys.chain([config.path().to_owned()]).filter_map(|file| {
            let is_link = fs::symlink_metadata(&file).is_ok_and(|file| file.is_symlink());
            is_link.then(|| fs::canonicalize(&file).ok()).flatten()
        });
        let mut read: BTreeSet<_> = targets.map(|target| directory(&target)).collect();
        read.extend(keys_in.into_iter().chain([directory(config.path())]));
        Self {
            read,
            write: config.state_dir.clone(),
            network,
            service_manager: env::var_os(NOTIFY_SOCKET).is_some(),
        }
    }
}

/// Enters the sandbox, for good, and logs which parts are enforced.
///
/// # Errors
/// If the kernel rejects one of the first three steps or, with [`Policy::Strict`], does not support another
/// part. This process must then end, because only a part of the sandbox is in force.
pub fn enter(policy: Policy, needs: &Needs<'_>) -> anyhow::Result<Report> {
    // What rustix asks the kernel once, when it first needs it, and not without it goes on.
    let _ = page_size();
    privileges::refuse_new()?;
    privileges::close_memory()?;
    let bounding_set = privileges::empty_bounding_set();
    privileges::drop_capabilities()?;
    let landlock = landlock::restrict(needs);
    let system_calls = seccomp::restrict(needs);
    let report = Report {
        no_new_privileges: State::Enforced,
        memory: State::Enforced,
        capabilities: State::Enforced,
        bounding_set,
        files: landlock.files,
        tcp: landlock.tcp,
        scopes: landlock.scopes,
        system_calls,
    };
    if report.is_whole() {
        tracing::info!("sandbox: {report}");
    } else if policy == Policy::BestEffort {
        tracing::warn!("sandbox: {report}");
    } else {
        bail!(
            "the sandbox is incomplete, and `--sandbox strict` requires all of it: {report}. Run ruroco-server on a \
            kernel with these features, or with `--sandbox best-effort`"
        );
    }
    Ok(report)
}
