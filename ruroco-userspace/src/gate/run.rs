//! The loop: sets everything up, gives up what is not needed for going on, and then follows links,
//! servers and questions until it is told to end.

use std::{os::fd::AsFd, time::Instant};

use anyhow::{Context, bail};
use ruroco_common::datagram::KeyId;
use rustix::process::geteuid;

use super::{
    interfaces::{Interface, Interfaces},
    privileges,
    program::{Guarded, Program},
    ring_socket::RingSocket,
    status::{InterfaceStatus, KeyStatus, Status, StatusSocket},
};
use crate::{
    config::{Config, Source},
    instance, key_directory, private_directory, private_socket,
    shutdown::Shutdown,
    users,
    wait::wait,
};

/// Runs the gate until it is told to end, and then opens it.
///
/// # Errors
/// What keeps it from starting, or from going on. An error later than the start leaves the gate
/// closed.
pub fn run(config: &Config) -> anyhow::Result<()> {
    if config.source == Source::Udp {
        bail!("`source` is \"udp\" in the configuration: there is no gate to run");
    }
    let mut shutdown = Shutdown::on_signals().context("could not handle signals")?;
    let server = users::find(&config.socket_user)?.uid.as_raw();
    let keys = key_directory::read_configured(config, Some(server))?;
    let key_ids: Vec<KeyId> = keys.iter().map(|named| named.key.id).collect();
    let keys: Vec<KeyStatus> = keys
        .into_iter()
        .map(|named| KeyStatus { name: named.name, id: named.key.id.to_string() })
        .collect();

    private_directory::prepare(&config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Held before anything is replaced that another gate could be using.
    let _lock = instance::Lock::try_take(&config.socket_dir.join("gate.lock"))?;
    let status_socket = StatusSocket::listen(&config.socket_dir, geteuid().as_raw())?;
    let mut ring_socket = RingSocket::listen(&config.socket_dir, server)?;

    let mut program =
        Program::load(&Guarded { ips: &config.ips, port: config.port, keys: &key_ids })?;
    let mut interfaces = Interfaces::attach(program.xdp()?, &config.gate)?;
    privileges::drop_all_but_needed()?;
    let mut was_closed = false;

    loop {
        if interfaces.are_closed() != was_closed {
            was_closed = !was_closed;
            match was_closed {
                true => tracing::info!("gate is closed"),
                false => tracing::warn!("gate is not on all of its interfaces"),
            }
        }
        let own = [shutdown.as_fd(), interfaces.as_fd(), status_socket.as_fd()];
        let fds: Vec<_> = own
            .into_iter()
            .chain(ring_socket.descriptors())
            .chain(program.log())
            .map(Some)
            .collect();
        wait(&fds, ring_socket.next_notice()).context("could not wait for something to do")?;
        if shutdown.is_requested() {
            tracing::info!("ending: the gate is open now");
            interfaces.detach();
            return Ok(());
        }
        interfaces.follow(program.xdp()?);
        ring_socket.serve(Instant::now(), program.ring());
        program.flush_log();
        status_socket.answer(|| status(config, &keys, &interfaces, &ring_socket, &program));
    }
}

fn status(
    config: &Config,
    keys: &[KeyStatus],
    interfaces: &Interfaces,
    ring_socket: &RingSocket,
    program: &Program,
) -> anyhow::Result<Status> {
    let interface_status = |interface: &Interface| InterfaceStatus {
        name: interface.name.clone(),
        attached: interface.attachment.is_some(),
        mode: interface.attachment.as_ref().map(|on| on.attached.name().to_owned()),
        problem: interface.problem.clone(),
    };
    let verdicts = program.verdicts()?;
    Ok(Status {
        closed: interfaces.are_closed(),
        interfaces: interfaces.iter().map(interface_status).collect(),
        port: config.port,
        ips: config.ips.iter().map(ToString::to_string).collect(),
        keys: keys.to_vec(),
        server_connected: ring_socket.server_is_connected(),
        verdicts: verdicts
            .into_iter()
            .map(|(verdict, count)| (verdict.name().to_owned(), count))
            .collect(),
    })
}
