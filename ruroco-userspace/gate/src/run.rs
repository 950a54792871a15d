//! The loop: sets everything up, gives up what is not needed for going on, and then follows links,
//! servers, questions and requests to reload until it is told to end.

use std::{net::IpAddr, os::fd::AsFd, time::Instant};

use anyhow::{Context, bail};
use ruroco_config::{
    Config, Source,
    key_directory::{self, Occasion},
    settings::Settings,
};
use ruroco_daemon::{
    logging,
    service_manager::ServiceManager,
    signals::{Request, Signals},
    wait::wait,
};
use ruroco_files::instance;
use ruroco_ipc::private_socket;
use ruroco_keys::named_key::NamedKey;
use ruroco_messages::plain_error::Plain;
use ruroco_trust::private_directory;
use rustix::process::geteuid;

use super::{
    addresses::Addresses,
    history::{History, Moment},
    interfaces::{Interface, Interfaces},
    privileges,
    program::Program,
    ring_fill,
    ring_socket::RingSocket,
    status::{InterfaceStatus, KeyStatus, Status, StatusSocket},
};

/// Runs the gate until it is told to end, and then opens it.
///
/// # Errors
/// What keeps it from starting, or from going on. An error later than the start leaves the gate
/// closed.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    let Settings { config, keys, server } = settings;
    if config.source == Source::Udp {
        bail!("`source` is \"udp\" in the configuration: there is no gate to run");
    }
    let mut signals = Signals::handle().context("could not handle signals")?;
    let mut service_manager = ServiceManager::of_environment();

    private_directory::prepare(&config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Held before anything is replaced that another gate could be using.
    let _lock = instance::Lock::try_take(&config.socket_dir.join("gate.lock"))?;
    let mut status_socket = StatusSocket::listen(&config.socket_dir, geteuid().as_raw())?;
    let ring_socket = RingSocket::listen(&config.socket_dir, server)?;

    let mut program = Program::load_configured(&config, &keys.usable)?;
    let keys = key_statuses(keys.usable);
    privileges::drop_all_but_needed()?;
    let addresses = Addresses::watch().context("could not list this host's addresses")?;
    // The last step of all that can fail: from here on a gate that crashed has a successor.
    let interfaces = match Interfaces::attach(program.xdp()?, &config.gate) {
        Ok(interfaces) => interfaces,
        Err(error) => {
            program.wipe_keys()?;
            return Err(error);
        }
    };
    let history = History::begin();
    let mut gate =
        Gate { config, server, keys, program, interfaces, addresses, ring_socket, history };
    service_manager.ready(&gate.summary());

    loop {
        if gate.history.note_closed(gate.interfaces.are_closed()) {
            service_manager.status(&gate.summary());
        }
        let [signal, links, addresses] =
            [signals.as_fd(), gate.interfaces.as_fd(), gate.addresses.as_fd()].map(Some);
        let [ring, ring_peer] = gate.ring_socket.descriptors();
        let [status, log] = [status_socket.descriptor(), gate.program.log()];
        let fds = [signal, links, addresses, status, ring, ring_peer, log];
        let wake = [
            status_socket.next_wake(),
            gate.ring_socket.next_wake(),
            gate.history.next_look(),
            service_manager.next_sign_of_life(),
        ];
        wait(fds, wake.into_iter().flatten().min())
            .context("could not wait for something to do")?;
        service_manager.give_sign_of_life(Instant::now());
        match signals.next_request() {
            Some(Request::End) => {
                service_manager.stopping();
                gate.interfaces.detach()?;
                tracing::info!("ending: the gate is open now");
                return gate.program.wipe_keys();
            }
            Some(Request::Reload) => {
                service_manager.reloading();
                let refused = gate.reload().err();
                if let Some(error) = &refused {
                    logging::not_reloaded(error);
                }
                service_manager.ready(&match refused {
                    None => gate.summary(),
                    Some(error) => format!("{}; not reloaded: {error:#}", gate.summary()),
                });
            }
            None => {}
        }
        gate.interfaces.follow(gate.program.xdp()?);
        gate.addresses.follow(&gate.ips());
        let read_keys = || {
            // Where the program has keys, a directory without any is a mistake until a reload.
            let occasion = match gate.keys.is_empty() {
                true => Occasion::Reload,
                false => Occasion::Start,
            };
            let keys = key_directory::read_configured(&gate.config, None, occasion);
            Ok(keys.or_problems()?.usable)
        };
        gate.ring_socket.serve(Instant::now(), gate.program.ring(), read_keys);
        gate.program.flush_log();
        gate.history.tell_refused(Instant::now(), || gate.program.verdicts());
        status_socket.answer(Instant::now(), || gate.status());
    }
}

/// What is in force.
pub(super) struct Gate {
    pub(super) config: Config,
    /// The uid of `server_user`.
    pub(super) server: u32,
    pub(super) keys: Vec<KeyStatus>,
    pub(super) program: Program,
    pub(super) interfaces: Interfaces,
    addresses: Addresses,
    pub(super) ring_socket: RingSocket,
    history: History,
}

impl Gate {
    fn status(&self) -> anyhow::Result<Status> {
        let interface_status = |interface: &Interface| InterfaceStatus {
            name: interface.name.clone(),
            device: self.interfaces.other_name(interface),
            index: interface.attachment.as_ref().map(|on| on.index),
            attached: interface.is_closed(),
            mode: interface.attachment.as_ref().map(|on| on.attached.name().to_owned()),
            problem: interface.problem.as_ref().map(|problem| Plain(problem).to_string()),
        };
        let verdicts = self.program.verdicts()?;
        let millis =
            |since: &Moment| u64::try_from(since.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: self.program.status(),
            start_time_seconds: self.history.start_time(),
            uptime_ms: millis(self.history.started()),
            since: self.history.changed().time.clone(),
            since_ms: millis(self.history.changed()),
            closed: self.interfaces.are_closed(),
            interfaces: self.interfaces.iter().map(interface_status).collect(),
            port: self.config.port,
            ips: self.config.ips.iter().map(ToString::to_string).collect(),
            addresses: self.addresses.statuses(&self.ips()),
            appearance: self.config.gate.appearance.name().to_owned(),
            keys: self.keys.clone(),
            server_connected: self.ring_socket.server_is_connected(),
            server_pid: self.ring_socket.server_pid(),
            ring: ring_fill::of(self.program.ring()).unwrap_or_default(),
            verdicts: verdicts
                .into_iter()
                .map(|(verdict, count)| (verdict.name().to_owned(), count))
                .collect(),
        })
    }

    fn ips(&self) -> Vec<IpAddr> {
        self.config.ips.iter().map(|ip| IpAddr::from(*ip)).collect()
    }

    /// How it is, in a line for the service manager.
    fn summary(&self) -> String {
        let (closed, missing): (Vec<_>, Vec<_>) =
            self.interfaces.iter().partition(|interface| interface.is_closed());
        let names = |of: &[&Interface]| {
            of.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        match (closed.as_slice(), missing.as_slice()) {
            (closed, []) => format!("closed on {}", names(closed)),
            ([], missing) => format!("not on {}", names(missing)),
            (closed, missing) => {
                format!("closed on {}, not on {}", names(closed), names(missing))
            }
        }
    }
}

/// What may be told of keys; their secrets are wiped.
pub(super) fn key_statuses(keys: Vec<NamedKey>) -> Vec<KeyStatus> {
    let status = |named: NamedKey| KeyStatus { name: named.name, id: named.key.id.to_string() };
    keys.into_iter().map(status).collect()
}
