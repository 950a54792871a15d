//! Creates the server's floors with the server's own program, as the server's user, who must own the file.

use std::{
    env,
    fmt::Write as _,
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use ruroco_common::datagram::KeyId;
use ruroco_trust::{private_directory, users};
use rustix::process::{Gid, Uid};

/// The highest counter that was ever accepted from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The key's id.
    pub key: KeyId,
    /// The counter.
    pub counter: u128,
}

/// Where floors are to be, and whose.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// `state_dir`
    pub dir: &'a Path,
    /// The server's user.
    pub user: &'a str,
}

/// Creates the file, unless it exists, for a server with this configuration. Returns the output of the
/// server's program.
///
/// # Errors
/// If the directory or the file cannot be created.
pub fn make(place: Place<'_>, config: &Path) -> anyhow::Result<Vec<u8>> {
    run(place, config, &["--if-missing"], "")
}

/// Makes the file with these floors, or raises those in the file to them.
///
/// # Errors
/// As for [`make`].
pub fn raise(place: Place<'_>, config: &Path, floors: &[Floor]) -> anyhow::Result<()> {
    let mut lines = String::new();
    for Floor { key, counter } in floors {
        let _ = writeln!(lines, "{key} {counter}");
    }
    run(place, config, &["--floors"], &lines).map(drop)
}

fn run(
    place: Place<'_>,
    config: &Path,
    arguments: &[&str],
    input: &str,
) -> anyhow::Result<Vec<u8>> {
    let user = users::find(place.user)?;
    let (uid, gid) = (Uid::from_raw(user.uid.as_raw()), Gid::from_raw(user.gid.as_raw()));
    private_directory::prepare_for(place.dir, 0o700, uid, gid)?;
    let server = env::current_exe().context("cannot determine the path of this program")?;
    let server = server.with_file_name("ruroco-server");
    let mut init = Command::new(&server);
    init.arg("init").args(arguments).arg("--config").arg(config);
    init.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    init.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let cannot_start = || format!("cannot start {}", server.display());
    let mut init = init.spawn().with_context(cannot_start)?;
    if let Some(mut stdin) = init.stdin.take() {
        // A server that does not read ends with an error, which says more.
        let _ = stdin.write_all(input.as_bytes());
    }
    let said = init.wait_with_output().with_context(cannot_start)?;
    if !said.status.success() {
        bail!("ruroco-server init: {}", reason(&said.stderr));
    }
    Ok(said.stdout)
}

/// What a program of ours says before it fails, without what each of its lines begins with: the line
/// that repeats it begins so, too.
pub fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.trim().lines().map(|line| line.strip_prefix("Error: ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("; ")
}
