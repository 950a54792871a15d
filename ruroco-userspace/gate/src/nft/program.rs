//! Runs `nft(8)`.
//!
//! Its input and output are files in memory, so that neither program ever waits for the other in the middle of a
//! text, and the gate does not wait for longer than [`PATIENCE`].

use std::{
    fs::File,
    io::{Read, Seek, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::ruleset::TABLE;

/// Where distributions have it.
const PLACES: [&str; 3] = ["/usr/sbin/nft", "/usr/bin/nft", "/sbin/nft"];

/// How long it may take. A table with thousands of leases takes a fraction of this.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `nft` says of a table that does not exist, in the language that this program sets.
const ABSENT: &str = "No such file or directory";

/// Changes the kernel's tables as a whole, or not at all.
///
/// # Errors
/// If `nft` is not installed, or the kernel rejects the change.
pub(super) fn apply(script: &str) -> anyhow::Result<()> {
    let ended = run(&["-f", "-"], script)?;
    match ended.status.success() {
        true => Ok(()),
        false => bail!("nft could not change the table inet {TABLE}: {}", ended.reason()),
    }
}

/// The table as JSON, if it exists.
///
/// # Errors
/// If `nft` is not installed, or the kernel does not list the table.
pub(super) fn list() -> anyhow::Result<Option<String>> {
    let ended = run(&["-j", "list", "table", "inet", TABLE], "")?;
    match ended.status.success() {
        true => Ok(Some(ended.output)),
        false if ended.errors.contains(ABSENT) => Ok(None),
        false => bail!("nft could not list the table inet {TABLE}: {}", ended.reason()),
    }
}

/// What has become of it.
struct Ended {
    status: ExitStatus,
    output: String,
    errors: String,
}

impl Ended {
    /// Its first complaint. The lines below point into the script.
    fn reason(&self) -> String {
        let first = self.errors.lines().find(|line| !line.trim().is_empty());
        first.map_or_else(|| self.status.to_string(), |line| line.trim().to_owned())
    }
}

/// Where it is.
///
/// # Errors
/// If it is not installed.
pub(super) fn find() -> anyhow::Result<&'static Path> {
    let [usual, ..] = PLACES;
    PLACES.iter().map(Path::new).find(|path| path.exists()).with_context(|| {
        format!("{usual} not found: doors with backend = \"nftables\" need it. Run `apt install nftables`")
    })
}

fn run(arguments: &[&str], input: &str) -> anyhow::Result<Ended> {
    let program = find()?;
    let failed = || format!("could not run {}", program.display());
    let (mut script, output, errors) = (memory()?, memory()?, memory()?);
    script.write_all(input.as_bytes()).and_then(|()| script.rewind()).with_context(failed)?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::from(script))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(errors.try_clone()?))
        .spawn()
        .with_context(failed)?;
    let in_time = ends_in_time(Pid::from_child(&child));
    if !matches!(in_time, Ok(true)) {
        child.kill().with_context(failed)?;
    }
    let status = child.wait().with_context(failed)?;
    if !in_time.with_context(failed)? {
        bail!("{} did not end within {} seconds", program.display(), PATIENCE.as_secs());
    }
    Ok(Ended { status, output: text(output)?, errors: text(errors)? })
}

fn ends_in_time(child: Pid) -> rustix::io::Result<bool> {
    let child = pidfd_open(child, PidfdFlags::empty())?;
    let patience =
        Timespec { tv_sec: PATIENCE.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: 0 };
    let mut waiting = [PollFd::new(&child, PollFlags::IN)];
    loop {
        match poll(&mut waiting, Some(&patience)) {
            Ok(ready) => return Ok(ready != 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn memory() -> anyhow::Result<File> {
    let file = memfd_create("ruroco-nft", MemfdFlags::CLOEXEC);
    Ok(File::from(file.context("could not make a file in memory")?))
}

fn text(mut file: File) -> anyhow::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).context("could not read what nft has printed")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
