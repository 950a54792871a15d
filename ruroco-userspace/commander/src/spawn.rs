//! How a command is started: with the environment that docs/operate/configuration.md lists, and nothing else
//! from the commander.
//!
//! **A session of its own.** A process that shares the session of a terminal can open `/dev/tty` and put
//! characters into its input (`TIOCSTI`), which the shell behind that terminal then reads: root's shell, if
//! root started the commander by hand. A new session has no terminal, and the leader of a session leads a
//! process group as well.
//!
//! **An output that does not break.** Processes in the background have the pipe of the command as their
//! output, and must be able to print after the commander has stopped reading, or has ended. So the command's
//! end of the pipe is open for reading as well: as long as a process has it, the pipe has a reader, and no
//! process gets `SIGPIPE`. If no process empties a pipe, it is full at 64 KiB; see
//! [`left_behind`](super::left_behind).

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, PipeReader},
    os::{fd::AsRawFd, unix::process::CommandExt},
    path::Path,
    process::{Child, Stdio},
};

use ruroco_commands::{
    commands::{Command, SAFE_PATH},
    task::Program,
};
use rustix::{
    fs::{Gid, Uid, fchown},
    process::setsid,
};

use super::{head_start::HeadStart, inherited::leave_session_keyring, rules::Permitted};

/// A command that has begun.
pub(super) struct Started {
    pub(super) output: PipeReader,
    pub(super) child: Child,
    pub(super) head_start: Option<HeadStart>,
}

/// What is started, and how.
pub(super) struct Start<'a> {
    pub(super) program: &'a Program,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) cwd: &'a Path,
    pub(super) env: &'a BTreeMap<String, String>,
    /// Variables that the commander sets.
    pub(super) variables: &'a [(String, String)],
    /// What it reads; nothing by default.
    pub(super) input: Option<PipeReader>,
}

/// Starts the program of a command.
pub(super) fn spawn(permitted: &Permitted, program: &Program) -> io::Result<Started> {
    let Command { name, task, uid, gid, cwd, env, .. } = permitted.command();
    let mut variables = vec![
        ("RUROCO_IP".to_owned(), permitted.ip().to_string()),
        ("RUROCO_KEY".to_owned(), permitted.key().to_owned()),
        ("RUROCO_COMMAND".to_owned(), name.clone()),
    ];
    let opened: Vec<String> = task.opens().map(|door| door.to_string()).collect();
    if !opened.is_empty() {
        variables.push(("RUROCO_DOORS".to_owned(), opened.join(" ")));
    }
    let (uid, gid) = (*uid, *gid);
    start(Start { program, uid, gid, cwd, env, variables: &variables, input: None })
}

/// Starts a program.
///
/// With a `user`, the standard library drops all supplementary groups and takes none of that user:
/// a command that needs a group names it.
pub(super) fn start(how: Start<'_>) -> io::Result<Started> {
    let Start { program, uid, gid, cwd, env, variables, input } = how;
    let (output, writer) = lasting_pipe(uid, gid)?;
    let mut process = std::process::Command::new(&program.path);
    process
        .args(&program.arguments)
        .env_clear()
        .env("PATH", SAFE_PATH)
        .envs(env)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(cwd)
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        // One pipe for both, so that lines stay in the order they were printed in.
        .stdout(writer.try_clone()?)
        .stderr(writer);
    if let Some(gid) = gid {
        process.gid(gid);
    }
    if let Some(uid) = uid {
        process.uid(uid);
    }
    let leave = || {
        leave_session_keyring()?;
        setsid()?;
        Ok(())
    };
    // SAFETY: between fork and exec there are two system calls; no memory is allocated.
    unsafe { process.pre_exec(leave) };
    let head_start = HeadStart::prepare(&mut process);
    // Our copies of the pipe's writing end go with `process`, or reading would never end.
    let child = process.spawn().map_err(|error| {
        let (program, cwd) = (&program.path, cwd.display());
        let why = match error.raw_os_error() {
            // Of the steps of a start only a keyring takes a part of a quota.
            Some(libc::EDQUOT) => {
                "the command's user has as many kernel keys as the kernel allows (kernel.keys.maxkeys, \
                kernel.keys.maxbytes), so it gets no session keyring"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), format!("could not start {program} in {cwd}: {why}"))
    })?;
    Ok(Started { output, child, head_start })
}

/// A pipe to print into that is its own reader.
fn lasting_pipe(uid: Option<u32>, gid: Option<u32>) -> io::Result<(PipeReader, File)> {
    let (output, writer) = io::pipe()?;
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let writer = OpenOptions::new().read(true).write(true).open(path)?;
    // Whoever the command runs as may open it again, as `/dev/stderr`. Where that cannot be had
    // (CAP_CHOWN), printing works all the same.
    let (user, group) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    let _ = fchown(&writer, user, group);
    Ok((output, writer))
}
