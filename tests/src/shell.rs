//! A session of a real `ssh`.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use crate::wait;

/// A shell on the server that returns what it is sent.
#[derive(Debug)]
pub struct Shell {
    ssh: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    from: String,
}

impl Shell {
    /// By a command that is `ssh` with a host.
    ///
    /// # Panics
    /// If it does not come in.
    #[track_caller]
    pub fn start(mut ssh: Command) -> Self {
        let pipes = ssh.arg("echo \"$SSH_CONNECTION\"; exec cat");
        let mut ssh = pipes.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run ssh");
        let input = ssh.stdin.take().expect("it was just piped");
        let output = ssh.stdout.take().expect("it was just piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            let whole = BufReader::new(output).lines().map_while(Result::ok);
            whole.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop);
        });
        let mut shell = Self { ssh, input, lines, from: String::new() };
        shell.from = shell.line().split(' ').next().unwrap_or_default().to_owned();
        shell
    }

    /// The address of the client, as the server sees it.
    pub fn from(&self) -> &str {
        &self.from
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(wait::DEADLINE).expect("the session was cut")
    }

    /// What is sent comes back.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn expect_alive(&mut self) {
        self.input.write_all(b"ping\n").expect("the session was cut");
        assert_eq!(self.line(), "ping");
    }

    /// The session ends by itself.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn expect_cut(&mut self) {
        // As long as it is there, sshd sends nothing, and `ssh` waits.
        let _ = self.input.write_all(b"ping\n");
        let ssh = &mut self.ssh;
        wait::until("the end of a session", || ssh.try_wait().expect("wait for ssh"));
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}
