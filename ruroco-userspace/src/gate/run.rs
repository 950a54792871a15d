//! The loop: sets everything up, gives up what is not needed for going on, and then follows links,
//! servers and questions until it is told to end.

use std::{os::fd::AsFd, time::Instant};

use anyhow::{Context, bail};
use ruroco_common::guarded::Guarded;
use rustix::process::geteuid;

use super::{
    interfaces::{Interface, Interfaces},
    privileges,
    program::Program,
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
    let keys = key_directory::read_configured(config, None)?;

    private_directory::prepare(&config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Held before anything is replaced that another gate could be using.
    let _lock = instance::Lock::try_take(&config.socket_dir.join("gate.lock"))?;
    let status_socket = StatusSocket::listen(&config.socket_dir, geteuid().as_raw())?;
    let mut ring_socket = RingSocket::listen(&config.socket_dir, server)?;

    let guarded = Guarded::new(config.port, &config.ips, config.gate.appearance.pass_refused());
    let mut program = Program::load(guarded.context("too many addresses in `ips`")?, &keys)?;
    let keys: Vec<KeyStatus> = keys
        .into_iter()
        .map(|named| KeyStatus { name: named.name, id: named.key.id.to_string() })
        .collect();
    privileges::drop_all_but_needed()?;
    // The last step of all that can fail: from here on a gate that crashed has a successor.
    let mut interfaces = match Interfaces::attach(program.xdp()?, &config.gate) {
        Ok(interfaces) => interfaces,
        Err(error) => {
            program.wipe_keys()?;
            return Err(error);
        }
    };
    let mut was_closed = false;

    loop {
        if interfaces.are_closed() != was_closed {
            was_closed = !was_closed;
            match was_closed {
                true => tracing::info!("gate is closed"),
                false => tracing::warn!("gate is not on all of its interfaces"),
            }
        }
        let [first, second, third] =
            [shutdown.as_fd(), interfaces.as_fd(), status_socket.as_fd()].map(Some);
        let [ring, ring_peer] = ring_socket.descriptors();
        let fds = [first, second, third, ring, ring_peer, program.log()];
        wait(fds, ring_socket.next_notice()).context("could not wait for something to do")?;
        if shutdown.is_requested() {
            interfaces.detach()?;
            tracing::info!("ending: the gate is open now");
            return program.wipe_keys();
        }
        interfaces.follow(program.xdp()?);
        ring_socket
            .serve(Instant::now(), program.ring(), || key_directory::read_configured(config, None));
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
        appearance: config.gate.appearance.name().to_owned(),
        keys: keys.to_vec(),
        server_connected: ring_socket.server_is_connected(),
        verdicts: verdicts
            .into_iter()
            .map(|(verdict, count)| (verdict.name().to_owned(), count))
            .collect(),
    })
}
