//! The gate as a whole. It sets everything up, drops the privileges that it no longer needs, and then follows
//! interfaces, addresses and servers, and answers requests, until a signal ends it.

use std::{fmt, net::IpAddr, os::fd::AsFd, time::Instant};

use anyhow::Context;
use ruroco_config::{
    Config, OnStop, Source,
    key_directory::{self, Occasion},
    settings::Settings,
};
use ruroco_daemon::{
    event_loop::{Daemon, EventLoop, Watched},
    listener::Listener,
};
use ruroco_files::instance;
use ruroco_ipc::private_socket;
use ruroco_messages::plain_error::Plain;
use ruroco_trust::private_directory;
use rustix::process::geteuid;

use super::{
    addresses::Addresses,
    attachment::Pins,
    doors::{self, Doors},
    held_keys::HeldKeys,
    history::{History, Moment},
    interfaces::{Interface, Interfaces},
    lookup::{self, Lookup},
    netlink, privileges,
    program::Program,
    ring_fill,
    ring_socket::RingSocket,
    status::{self, InterfaceStatus, Status},
    without_xdp,
};

/// Runs the gate until a signal ends it, and then detaches the program.
///
/// # Errors
/// Why it cannot start or continue. If the error comes after the start, the program stays attached.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    let Settings { config, keys, server_uid } = settings;
    if config.source == Source::Udp {
        return without_xdp::run(config, server_uid, &keys.usable);
    }
    let event_loop = EventLoop::begin()?;
    private_directory::prepare(&config.socket_dir, private_socket::DIRECTORY_MODE)?;
    // Held before anything is replaced that another gate could be using.
    let _lock = instance::Lock::try_take(&config.socket_dir.join("gate.lock"))?;
    let status_path = config.socket_dir.join(status::SOCKET);
    let status_listener = Listener::listen(&status_path, geteuid().as_raw())?;
    let ring_socket = RingSocket::listen(&config.socket_dir, server_uid)?;

    let addresses = Addresses::watch().context("could not list this host's addresses")?;
    let pins = Pins::take(&config.gate.pin_dir)?;
    let (mut program, keys) = HeldKeys::load(&config, keys.usable)?;
    if let Some(maps) = program.doors() {
        maps.set_addresses(&addresses.destinations())?;
    }
    let doors = Doors::begin(&config, program.take_doors(), &keys)?;
    let lookup = program.attach_lookup()?;
    privileges::drop_all_but(privileges::FOR_XDP)?;
    // The last step of all that can fail: from here on a gate that crashed has a successor.
    let interfaces = match Interfaces::attach(program.xdp()?, &config.gate, pins) {
        Ok(interfaces) => interfaces,
        Err(error) => {
            program.wipe_keys()?;
            return Err(error);
        }
    };
    let history = History::begin();
    let mut gate = Gate {
        config,
        server_uid,
        keys,
        program,
        interfaces,
        addresses,
        doors,
        lookup: None,
        ring_socket,
        status_listener,
        history,
    };
    gate.replace_lookup(lookup);
    event_loop.run(&mut gate)?;
    gate.stop()
}

/// What is in force.
pub(super) struct Gate {
    pub(super) config: Config,
    /// The uid of `server_user`.
    pub(super) server_uid: u32,
    pub(super) keys: HeldKeys,
    pub(super) program: Program,
    pub(super) interfaces: Interfaces,
    pub(super) addresses: Addresses,
    pub(super) doors: Doors,
    /// What has closed doors look like ports without a listener.
    lookup: Option<Lookup>,
    pub(super) ring_socket: RingSocket,
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
        [
            (Event::Links, Some(self.interfaces.as_fd())),
            (Event::Addresses, Some(self.addresses.as_fd())),
            (Event::ServerGone, self.ring_socket.server()),
            (Event::ServerConnecting, self.ring_socket.descriptor(now)),
            (Event::StatusQuestion, self.status_listener.descriptor(now)),
            (Event::ProgramLog, self.program.log()),
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
        let wakes = [
            self.ring_socket.next_wake(now),
            self.status_listener.next_wake(now),
            self.history.next_look(),
            self.keys.next_wake(now),
            self.doors.next_wake(now),
        ];
        wakes.into_iter().flatten().min()
    }

    fn on(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Links => {
                self.interfaces.follow(self.program.xdp()?);
                self.follow_links();
            }
            Event::Addresses => self.follow_addresses(),
            Event::ServerGone => self.ring_socket.notice_end(),
            Event::ServerConnecting => self.hand_over_ring(),
            Event::StatusQuestion => self.answer_status(),
            Event::ProgramLog => self.program.flush_log(),
            Event::DoorConnecting => self.doors.accept(Instant::now()),
            Event::DoorReceiverConnecting => self.doors.events_mut().accept(Instant::now()),
            Event::DoorReceiverGone => self.doors.events_mut().notice_end(),
            Event::DoorRequest(place) => self.doors.serve(place, &self.keys),
            Event::Tables => self.doors.notice_table(Instant::now()),
        }
        Ok(())
    }

    fn tend(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        self.history.note_attached(self.interfaces.are_guarded());
        self.history.tell_refused(now, || self.program.verdicts());
        self.ring_socket.tend(now);
        let in_force = self.keys.in_force();
        if let Err(error) = self.keys.expire(Some(&mut self.program)) {
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
        let names = |guarded: bool| {
            let of = self.interfaces.iter().filter(|interface| interface.is_guarded() == guarded);
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
    /// Takes the program off the interfaces, unless doors are to stay closed.
    fn stop(mut self) -> anyhow::Result<()> {
        let stay_closed = !self.doors.is_empty() && self.config.gate.on_stop == OnStop::Closed;
        if stay_closed {
            tracing::warn!(
                "stopped: doors stay closed, and the XDP program stays attached. `ruroco disarm` opens doors"
            );
        } else {
            self.doors.open_table(&self.config);
            self.interfaces.detach()?;
            lookup::unpin(&self.config.gate.pin_dir)?;
            tracing::info!("stopped: the XDP program is detached");
        }
        self.program.wipe_keys()
    }

    fn hand_over_ring(&mut self) {
        let read_keys = || {
            // Where the program has keys, a directory without any is a mistake until a reload.
            let occasion = match self.keys.is_empty() {
                true => Occasion::Reload,
                false => Occasion::Start,
            };
            let keys = key_directory::read_configured(&self.config, None, occasion);
            Ok(keys.or_problems()?.usable)
        };
        self.ring_socket.accept(Instant::now(), self.program.ring(), read_keys);
    }

    /// Goes on with another program that has closed doors look like ports without a listener, or with none.
    pub(super) fn replace_lookup(&mut self, lookup: Option<Lookup>) {
        // The earlier one hides what it hides until the next one is there.
        let earlier = std::mem::replace(&mut self.lookup, lookup);
        self.follow_links();
        let pin_dir = &self.config.gate.pin_dir;
        let pinned = match &mut self.lookup {
            Some(lookup) => lookup.pin(pin_dir),
            None => lookup::unpin(pin_dir),
        };
        if let Err(error) = pinned {
            tracing::error!("{error:#}");
        }
        drop(earlier);
    }

    /// Has doors look the same on interfaces above those that are guarded.
    fn follow_links(&mut self) {
        let Some(lookup) = &mut self.lookup else { return };
        match netlink::links() {
            Ok(links) => lookup.follow(self.interfaces.indices(), &links),
            Err(error) => tracing::error!("could not list the interfaces: {error}"),
        }
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
        let interface_status = |interface: &Interface| InterfaceStatus {
            name: interface.name.clone(),
            device: self.interfaces.other_name(interface),
            index: interface.attachment.as_ref().map(|on| on.index),
            attached: interface.is_guarded(),
            mode: interface.attachment.as_ref().map(|on| on.attached.name().to_owned()),
            problem: interface.problem.as_ref().map(|problem| Plain(problem).to_string()),
        };
        let verdicts = self.program.verdicts()?;
        let millis =
            |since: &Moment| u64::try_from(since.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: self.program.status(),
            start_time_seconds: self.history.start_time,
            uptime_ms: millis(&self.history.started),
            since: self.history.changed.time.clone(),
            since_ms: millis(&self.history.changed),
            attached: self.interfaces.are_guarded(),
            interfaces: self.interfaces.iter().map(interface_status).collect(),
            port: self.config.port,
            addresses: self.addresses.statuses(&self.ips()),
            appearance: self.config.gate.appearance.name().to_owned(),
            keys: self.keys.statuses(),
            doors,
            arming: self.doors.arming_status(),
            nftables: self.doors.table_status(),
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
        self.config.addresses.iter().map(|ip| IpAddr::from(*ip)).collect()
    }
}
