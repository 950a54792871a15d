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
    fs::{File, OpenOptions},
    io::{self, PipeReader},
    os::{fd::AsRawFd, unix::process::CommandExt},
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

/// Starts the command.
///
/// With a `user`, the standard library drops all supplementary groups and takes none of that user:
/// a command that needs a group names it.
pub(super) fn spawn(permitted: &Permitted, program: &Program) -> io::Result<Started> {
    let command = permitted.command();
    let (output, writer) = lasting_pipe(command)?;
    let mut process = std::process::Command::new(&program.path);
    process
        .args(&program.arguments)
        .env_clear()
        .env("PATH", SAFE_PATH)
        .envs(&command.env)
        .env("RUROCO_IP", permitted.ip().to_string())
        .env("RUROCO_KEY", permitted.key())
        .env("RUROCO_COMMAND", &command.name)
        .current_dir(&command.cwd)
        .stdin(Stdio::null())
        // One pipe for both, so that lines stay in the order they were printed in.
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let opened: Vec<String> = command.task.opens().map(|door| door.to_string()).collect();
    if !opened.is_empty() {
        process.env("RUROCO_DOORS", opened.join(" "));
    }
    if let Some(gid) = command.gid {
        process.gid(gid);
    }
    if let Some(uid) = command.uid {
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
        let (program, cwd) = (&program.path, command.cwd.display());
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
fn lasting_pipe(command: &Command) -> io::Result<(PipeReader, File)> {
    let (output, writer) = io::pipe()?;
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let writer = OpenOptions::new().read(true).write(true).open(path)?;
    // Whoever the command runs as may open it again, as `/dev/stderr`. Where that cannot be had
    // (CAP_CHOWN), printing works all the same.
    let (user, group) = (command.uid.map(Uid::from_raw), command.gid.map(Gid::from_raw));
    let _ = fchown(&writer, user, group);
    Ok((output, writer))
}
