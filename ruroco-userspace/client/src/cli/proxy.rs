//! `ruroco-client proxy`: `ssh` starts it as its `ProxyCommand`, so that plain `ssh host` sends a knock
//! first. Standard output carries the connection. Messages go to standard error, which ssh shows.

use std::{
    io::{self, IsTerminal, Read, Write},
    net::{Shutdown, TcpStream},
    num::NonZero,
    thread,
    time::SystemTime,
};

use anyhow::{Context, bail};
use clap::Args;

use super::{
    completion,
    exit::{self, Exit},
    hosts, leases, print_note,
    target::Target,
    waiting::{self, Waiting},
};
use crate::{attempt::Attempt, folder::Folder};

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    /// Name or address of a host. In ~/.ssh/config, pass %n (the name as typed) or %h
    #[arg(value_name = "HOST", add = completion::hosts())]
    host: String,
    /// TCP port to connect to when it is open. In ~/.ssh/config, pass %p
    #[arg(value_name = "PORT", value_parser = ruroco_command_line::port)]
    port: NonZero<u16>,
    /// Command to request [default: the host's first command]
    #[arg(short, long, value_name = "COMMAND", add = completion::commands())]
    command: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
    /// Pass the open connection to ssh and exit. Use it with `ProxyUseFdpass yes`
    #[cfg(unix)]
    #[arg(long)]
    fdpass: bool,
}

pub(super) fn run(arguments: Arguments, folder: &Folder) -> anyhow::Result<Exit> {
    let (port, is_passed) = (arguments.port, arguments.is_passed());
    let target = target(&arguments.host, arguments.command, folder)?;
    let serve = |connection| if is_passed { pass(&connection) } else { relay(connection) };
    if let Some((connection, lease)) = leases::connect(&target, port, folder) {
        print_lease(&lease.sentence(SystemTime::now()));
        return Ok(waiting::exit_of(serve(connection).map(|()| Exit::Done)));
    }
    let effect = Some(arguments.waiting.effect(port));
    let attempt = Attempt { knock: target.knock(folder)?, effect };
    let (outcome, result) = waiting::knock(&attempt, &target, folder, &mut |_| {})?;
    Ok(waiting::once_open(outcome, &attempt.knock, |connection| {
        result.sentences().for_each(|sentence| print_lease(&sentence));
        serve(connection)?;
        Ok(Exit::Done)
    }))
}

impl Arguments {
    #[cfg(unix)]
    const fn is_passed(&self) -> bool {
        self.fdpass
    }

    #[cfg(not(unix))]
    const fn is_passed(&self) -> bool {
        false
    }
}

/// Prints a lease on a terminal. A script that starts `git` or `scp` expects no such line.
fn print_lease(sentence: &str) {
    if io::stderr().is_terminal() {
        print_note(sentence);
    }
}

/// Passes the connection to ssh.
fn pass(connection: &TcpStream) -> anyhow::Result<()> {
    #[cfg(unix)]
    let passed = hand_over(connection);
    #[cfg(not(unix))]
    let passed = Err(io::Error::from(io::ErrorKind::Unsupported));
    passed.context("cannot pass the connection to ssh on standard output")
}

/// The host that ssh passes by its name or its address.
fn target(host: &str, command: Option<String>, folder: &Folder) -> anyhow::Result<Target> {
    let file = folder.profiles();
    let profiles = hosts(folder)?;
    let (name, known) = profiles.find(host)?.with_context(|| {
        format!(
            "no host in {} has the name or address {host}. To add it, run `ruroco-client host add`. If it has \
             another name there, pass that name: %n instead of %h in ~/.ssh/config",
            file.path().display()
        )
    })?;
    let known = known.clone();
    let command = command.unwrap_or_else(|| known.command.clone());
    let target = Target { name: Some(name.to_string()), host: known, command };
    let Target { host, command, .. } = &target;
    let path = file.path().display();
    target
        .check_spelling(&format!("to request {command} anyway, add it to `commands` in {path}"))?;
    // Standard input belongs to ssh, and `ssh` may be started by a script.
    if host.needs_confirmation(command) {
        let name = target.label();
        let quoted = shlex::try_quote(command)?;
        bail!(
            "{command} requires a confirmation (`confirm` in {path}), and `proxy` cannot prompt. To send it, \
             run: ruroco-client knock {name} {quoted}"
        );
    }
    Ok(target)
}

/// Copies bytes in both directions until both ends have finished.
fn relay(connection: TcpStream) -> anyhow::Result<()> {
    // ssh expects each packet to be sent as soon as it writes it.
    connection.set_nodelay(true).context("cannot configure the connection")?;
    let mut from_host = connection.try_clone().context("cannot duplicate the connection")?;
    let mut to_host = connection;
    let sending = thread::spawn(move || {
        let copied = copy(&mut io::stdin().lock(), &mut to_host);
        // Otherwise the host would wait for more data forever. It may have closed the connection already.
        let _ = to_host.shutdown(Shutdown::Write);
        copied
    });
    copy(&mut from_host, &mut io::stdout().lock()).context("the connection was interrupted")?;
    // The reader of standard output must see its end, even if the host keeps the connection open.
    close_output();
    match sending.join() {
        Ok(copied) => copied.context("the connection was interrupted"),
        Err(_) => anyhow::bail!("the connection was interrupted"),
    }
}

/// Copies bytes until the end of the input. A closed pipe on the output is a normal end, too.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = [0; 32 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        match to.write_all(bytes).and_then(|()| to.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
}

/// Closes standard output, on systems where a process can.
fn close_output() {
    #[cfg(unix)]
    if let Ok(nothing) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nothing);
    }
}

/// Passes the connection over standard output, a Unix socket that ssh has made for it, with one byte
/// as ssh expects it (`mm_send_fd` in OpenSSH's monitor_fdpass.c).
#[cfg(unix)]
fn hand_over(connection: &TcpStream) -> io::Result<()> {
    use std::os::fd::AsFd;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    let descriptors = [connection.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(io::stdout(), &[io::IoSlice::new(b"\0")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}
