//! The gate as a whole. It sets everything up, drops the privileges that it no longer needs, and then follows
//! interfaces, addresses and servers, and answers requests, until a signal ends it.

use std::{fmt, net::IpAddr, os::fd::AsFd, time::Instant};

use anyhow::{Context, bail};
use ruroco_common::doors::DoorName;
use ruroco_config::{Config, Source, settings::Settings};
use ruroco_daemon::{
    event_loop::{Daemon, EventLoop, Watched},
    listener::Listener,
};
use ruroco_files::instance;
use ruroco_ipc::private_socket;
use ruroco_trust::private_directory;
use rustix::process::geteuid;

use super::{
    addresses::Addresses,
    attachment::Pins,
    doors::{self, Doors},
    front::{self, Front},
    held_keys::HeldKeys,
    history::{History, Moment},
    privileges,
    ring_socket::RingSocket,
    status::{self, FrontStatus, Status},
};

/// Runs the gate until a signal ends it, and then detaches the program.
///
/// # Errors
/// Why it cannot start or continue. If the error comes after the start, the program stays attached.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    let Settings { config, keys, server_uid } = settings;
    let has_front = config.source == Source::Xdp;
    if !has_front && config.doors.is_empty() {
        bail!("`source` is \"udp\" in the configuration, which needs no gate without doors");
    }
    let event_loop = EventLoop::begin()?;
    private_directory::prepare(&config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Held before anything is replaced that another gate could be using.
    let _lock = instance::Lock::try_take(&config.socket_dir.join("gate.lock"))?;
    let status_path = config.socket_dir.join(status::SOCKET);
    let status_listener = Listener::listen(&status_path, geteuid().as_raw())?;
    let addresses = Addresses::watch().context("could not list this host's addresses")?;
    let place = has_front.then(|| -> anyhow::Result<_> {
        Ok((Pins::take(&config.gate.pin_dir)?, RingSocket::listen(&config.socket_dir, server_uid)?))
    });
    let place = place.transpose()?;
    let (loaded, maps, keys) = front::load(&config, keys.usable, &addresses)?;
    let doors = Doors::begin(&config, maps, &keys)?;
    privileges::drop_all_but(match has_front {
        true => privileges::FOR_XDP,
        false => privileges::FOR_TABLES,
    })?;
    // The last step of all that can fail: from here on a gate that crashed has a successor.
    let attach = |(loaded, place)| Front::attach(loaded, &config, place);
    let front = loaded.zip(place).map(attach).transpose()?;
    let history = History::begin();
    let mut gate =
        Gate { config, server_uid, keys, addresses, doors, front, status_listener, history };
    if gate.front.is_none() {
        tracing::info!("gate is ready, without an XDP program");
    }
    event_loop.run(&mut gate)?;
    gate.stop()
}

/// What is in force.
pub(super) struct Gate {
    pub(super) config: Config,
    /// The uid of `server_user`.
    pub(super) server_uid: u32,
    pub(super) keys: HeldKeys,
    pub(super) addresses: Addresses,
    pub(super) doors: Doors,
    /// What packets meet, with `source = "xdp"`.
    pub(super) front: Option<Front>,
    /// Where the operator asks for the status.
    status_listener: Listener,
    history: History,
}

/// What the gate waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A network interface has come, gone or changed.
    Links,
    /// An address of this host has come or gone.
    Addresses,
    /// The server that has the ring has gone.
    ServerGone,
    /// A server has come for the ring.
    ServerConnecting,
    /// The operator asks for the status.
    StatusQuestion,
    /// The commander has connected, to open or close a door.
    DoorConnecting,
    /// The connection in this place has a request concerning a door.
    DoorRequest(usize),
    /// The commander has connected, to learn what becomes of leases.
    DoorReceiverConnecting,
    /// The commander that learns it has gone.
    DoorReceiverGone,
    /// The program has written to its debug log.
    ProgramLog,
    /// Some table of nftables has changed.
    Tables,
}

/// How many events the gate waits for: ten, and requests on each connection for doors.
const EVENTS: usize = 10 + doors::PLACES;

impl Daemon<EVENTS> for Gate {
    type Event = Event;

    fn watched(&self, now: Instant) -> [Watched<'_, Event>; EVENTS] {
        let request = |place| (Event::DoorRequest(place), self.doors.connection(place));
        let front = self.front.as_ref();
        let ring_socket = front.map(|front| &front.ring_socket);
        [
            (Event::Links, front.map(AsFd::as_fd)),
            (Event::Addresses, Some(self.addresses.as_fd())),
            (Event::ServerGone, ring_socket.and_then(RingSocket::server)),
            (Event::ServerConnecting, ring_socket.and_then(|socket| socket.descriptor(now))),
            (Event::StatusQuestion, self.status_listener.descriptor(now)),
            (Event::ProgramLog, front.and_then(|front| front.program.log())),
            (Event::DoorConnecting, self.doors.descriptor(now)),
            (Event::Tables, self.doors.table_changes()),
            (Event::DoorReceiverGone, self.doors.events().commander()),
            (Event::DoorReceiverConnecting, self.doors.events().descriptor(now)),
            request(0),
            request(1),
            request(2),
            request(3),
        ]
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let front = self.front.as_ref();
        let wakes = [
            front.and_then(|front| front.ring_socket.next_wake(now)),
            front.and_then(|_| self.history.next_look()),
            self.status_listener.next_wake(now),
            self.keys.next_wake(now),
            self.doors.next_wake(now),
        ];
        wakes.into_iter().flatten().min()
    }

    fn on(&mut self, event: Event) -> anyhow::Result<()> {
        let front = self.front.as_mut();
        match (event, front) {
            (Event::Links, Some(front)) => front.follow_interfaces()?,
            (Event::ServerGone, Some(front)) => front.ring_socket.notice_end(),
            (Event::ServerConnecting, Some(front)) => {
                front.hand_over_ring(&self.config, &self.keys);
            }
            (Event::ProgramLog, Some(front)) => front.program.flush_log(),
            (
                Event::Links | Event::ServerGone | Event::ServerConnecting | Event::ProgramLog,
                None,
            ) => {}
            (Event::Addresses, _) => self.follow_addresses(),
            (Event::StatusQuestion, _) => self.answer_status(),
            (Event::DoorConnecting, _) => self.doors.accept(Instant::now()),
            (Event::DoorReceiverConnecting, _) => self.doors.events_mut().accept(Instant::now()),
            (Event::DoorReceiverGone, _) => self.doors.events_mut().notice_end(),
            (Event::DoorRequest(place), _) => self.doors.serve(place, &self.keys),
            (Event::Tables, _) => self.doors.notice_table(Instant::now()),
        }
        Ok(())
    }

    fn tend(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if let Some(front) = &mut self.front {
            self.history.note_attached(front.interfaces.are_guarded());
            self.history.tell_refused(now, || front.program.verdicts());
            front.ring_socket.tend(now);
        }
        let in_force = self.keys.in_force();
        let program = self.front.as_mut().map(|front| &mut front.program);
        if let Err(error) = self.keys.expire(program) {
            tracing::error!("{error:#}");
        }
        if self.keys.in_force() != in_force {
            self.doors.close_unsupported(&self.keys);
        }
        self.doors.tend(now, &self.keys);
        Ok(())
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        self.succeed()?;
        self.follow_addresses();
        Ok(())
    }

    fn summarise(&self, line: &mut dyn fmt::Write) -> fmt::Result {
        let Some(front) = &self.front else {
            let names: Vec<String> = self.config.doors.keys().map(DoorName::to_string).collect();
            return write!(line, "nftables closes the doors {}", names.join(", "));
        };
        let names = |guarded: bool| {
            let of = front.interfaces.iter().filter(|interface| interface.is_guarded() == guarded);
            of.map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        match (names(true).as_str(), names(false).as_str()) {
            (guarded, "") => write!(line, "attached to {guarded}"),
            ("", missing) => write!(line, "not attached to {missing}"),
            (guarded, missing) => write!(line, "attached to {guarded}, not to {missing}"),
        }
    }
}

impl Gate {
    /// Opens doors and takes the program off the interfaces, unless doors are to stay closed.
    fn stop(mut self) -> anyhow::Result<()> {
        let stay_closed = self.config.keeps_doors_closed();
        if !stay_closed {
            self.doors.open_table(&self.config);
        }
        match (self.front, stay_closed) {
            (Some(mut front), true) => {
                tracing::warn!(
                    "stopped: doors stay closed, and the XDP program stays attached. `ruroco disarm` opens doors"
                );
                front.program.wipe_keys()?;
            }
            (Some(front), false) => {
                front.detach(&self.config.gate.pin_dir)?;
                tracing::info!("stopped: the XDP program is detached");
            }
            (None, true) => {
                tracing::warn!("stopped: doors stay closed. `ruroco disarm` opens doors");
            }
            (None, false) => tracing::info!("stopped: doors are open to everyone"),
        }
        Ok(())
    }

    /// Has doors guard the addresses that the host has now.
    fn follow_addresses(&mut self) {
        self.addresses.follow(&self.ips());
        self.doors.guard(&self.addresses.destinations());
    }

    fn answer_status(&mut self) {
        self.doors.look_again();
        if let Ok(Some(peer)) = self.status_listener.accept(Instant::now()) {
            let status = self.status();
            status::answer(peer.as_fd(), status);
        }
    }

    fn status(&mut self) -> anyhow::Result<Status> {
        let doors = self.doors.statuses(&self.keys);
        let millis =
            |since: &Moment| u64::try_from(since.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            front: self.front.as_ref().map_or_else(|| Ok(FrontStatus::of_none()), Front::status)?,
            start_time_seconds: self.history.start_time,
            uptime_ms: millis(&self.history.started),
            since: self.history.changed.time.clone(),
            since_ms: millis(&self.history.changed),
            port: self.config.port,
            addresses: self.addresses.statuses(&self.ips()),
            appearance: self.config.gate.appearance.name().to_owned(),
            keys: self.keys.statuses(),
            doors,
            arming: self.doors.arming_status(),
            nftables: self.doors.table_status(),
        })
    }

    fn ips(&self) -> Vec<IpAddr> {
        self.config.addresses.iter().map(|ip| IpAddr::from(*ip)).collect()
    }
}
