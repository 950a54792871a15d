//! `ruroco-client proxy`: what `ssh` starts as its `ProxyCommand`, so that plain `ssh host` knocks by
//! itself. Standard output belongs to ssh; the few things that there are to say go to standard error,
//! which ssh shows.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    num::NonZero,
    thread,
};

use anyhow::{Context, bail};
use clap::Args;

use super::{
    completion,
    exit::{self, Exit},
    hosts,
    target::Asked,
    waiting::{self, Waiting},
};
use crate::{attempt::Attempt, folder::Folder};

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    /// Name or address of a host of yours: %h, or %n for the name as it was typed
    #[arg(value_name = "HOST", add = completion::hosts())]
    host: String,
    /// TCP port to connect to once it is open: %p
    #[arg(value_name = "PORT", value_parser = ruroco_command_line::port)]
    port: NonZero<u16>,
    /// Name of the command to ask for, if it is not the host's first
    #[arg(short, long, value_name = "COMMAND", add = completion::commands())]
    command: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
    /// Hand the connection over to ssh and end: for `ProxyUseFdpass yes`
    #[cfg(unix)]
    #[arg(long)]
    fdpass: bool,
}

pub(super) fn run(arguments: Arguments, folder: &Folder) -> anyhow::Result<Exit> {
    let asked = asked(&arguments.host, arguments.command, folder)?;
    let effect = Some(arguments.waiting.effect(arguments.port));
    let attempt = Attempt { knock: asked.knock(folder)?, effect };
    let outcome = waiting::knock(&attempt, folder, &mut |_| {})?;
    Ok(waiting::once_open(outcome, &attempt.knock, |connection| {
        #[cfg(unix)]
        if arguments.fdpass {
            hand_over(&connection)
                .context("could not hand the connection over on standard output")?;
            return Ok(Exit::Done);
        }
        relay(connection)?;
        Ok(Exit::Done)
    }))
}

/// What `client.toml` says of a host that ssh knows by one name or another.
fn asked(host: &str, command: Option<String>, folder: &Folder) -> anyhow::Result<Asked> {
    let file = folder.profiles();
    let profiles = hosts(folder)?;
    let (name, known) = profiles.find(host)?.with_context(|| {
        format!(
            "no host in {} has the name or the address {host}; add it with: ruroco-client host add, \
             or have ssh pass the host's name: %n in place of %h",
            file.path().display()
        )
    })?;
    let known = known.clone();
    let command = command.unwrap_or_else(|| known.command.clone());
    let asked = Asked { name: Some(name.to_string()), host: known, command };
    let Asked { host, command, .. } = &asked;
    let path = file.path().display();
    asked
        .check_spelling(&format!("to request {command} anyway, add it to `commands` in {path}"))?;
    // Standard input is ssh's, and nobody looks at every `ssh` that a script starts.
    if host.asks_before(command) {
        let name = asked.called();
        let quoted = shlex::try_quote(command)?;
        bail!(
            "`confirm` in {path} lists {command}, and `proxy` cannot ask; send it with: ruroco-client \
             send {name} {quoted}"
        );
    }
    Ok(asked)
}

/// Carries bytes both ways until both ends have said all they have to.
fn relay(connection: TcpStream) -> anyhow::Result<()> {
    // ssh wants its packets sent when it has written them.
    connection.set_nodelay(true).context("could not set up the connection")?;
    let mut from_host = connection.try_clone().context("could not share the connection")?;
    let mut to_host = connection;
    let there = thread::spawn(move || {
        let carried = carry(&mut io::stdin().lock(), &mut to_host);
        // Else the host would wait for more for ever. It may have gone already.
        let _ = to_host.shutdown(Shutdown::Write);
        carried
    });
    carry(&mut from_host, &mut io::stdout().lock()).context("the connection broke off")?;
    // Whoever reads the output is to see its end, even if the host still listens.
    close_output();
    match there.join() {
        Ok(carried) => carried.context("the connection broke off"),
        Err(_) => anyhow::bail!("the connection broke off"),
    }
}

/// Carries bytes until there are no more. That nobody takes them any more is an end like another.
fn carry(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
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

/// Ends standard output, where a process can.
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
