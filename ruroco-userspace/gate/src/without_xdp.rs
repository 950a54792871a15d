//! The gate of a host whose server has a socket of its own, `source = "udp"`: without an XDP program, it only opens and
//! closes doors of nftables.

use std::{fmt, net::IpAddr, os::fd::AsFd, time::Instant};

use anyhow::{Context, bail};
use ruroco_common::{doors::DoorName, verdict::Verdict};
use ruroco_config::{Config, Daemon as Who, OnStop, settings::Settings};
use ruroco_daemon::{
    event_loop::{Daemon, EventLoop, Watched},
    listener::Listener,
    logging,
};
use ruroco_files::instance;
use ruroco_ipc::private_socket;
use ruroco_keys::named_key::NamedKey;
use ruroco_trust::private_directory;
use rustix::process::geteuid;

use super::{
    addresses::Addresses,
    doors::{self, Doors},
    held_keys::HeldKeys,
    history::History,
    privileges,
    status::{self, ProgramStatus, RingFill, Status},
};

/// Runs until a signal ends it.
///
/// # Errors
/// If there are no doors, or why it cannot start.
pub(super) fn run(config: Config, server_uid: u32, keys: &[NamedKey]) -> anyhow::Result<()> {
    if config.doors.is_empty() {
        bail!("`source` is \"udp\" in the configuration, which needs no gate without doors");
    }
    let event_loop = EventLoop::begin()?;
    private_directory::prepare(&config.socket_dir, private_socket::DIRECTORY_MODE)?;
    let _lock = instance::Lock::try_take(&config.socket_dir.join("gate.lock"))?;
    let status_path = config.socket_dir.join(status::SOCKET);
    let status_listener = Listener::listen(&status_path, geteuid().as_raw())?;
    let addresses = Addresses::watch().context("could not list this host's addresses")?;
    let keys = HeldKeys::of(&config, keys);
    let doors = Doors::begin(&config, None, &keys)?;
    privileges::drop_all_but(privileges::FOR_TABLES)?;
    let history = History::begin();
    let mut gate = Gate { config, server_uid, keys, addresses, doors, status_listener, history };
    tracing::info!("gate is ready, without an XDP program");
    event_loop.run(&mut gate)?;
    gate.stop();
    Ok(())
}

/// What is in force.
struct Gate {
    config: Config,
    server_uid: u32,
    keys: HeldKeys,
    addresses: Addresses,
    doors: Doors,
    status_listener: Listener,
    history: History,
}

/// What the gate waits for.
#[derive(Clone, Copy, Debug)]
enum Event {
    Addresses,
    DoorReceiverConnecting,
    DoorReceiverGone,
    StatusQuestion,
    DoorConnecting,
    DoorRequest(usize),
    Tables,
}

const EVENTS: usize = 6 + doors::PLACES;

impl Daemon<EVENTS> for Gate {
    type Event = Event;

    fn watched(&self, now: Instant) -> [Watched<'_, Event>; EVENTS] {
        let request = |place| (Event::DoorRequest(place), self.doors.connection(place));
        [
            (Event::Addresses, Some(self.addresses.as_fd())),
            (Event::StatusQuestion, self.status_listener.descriptor(now)),
            (Event::DoorConnecting, self.doors.descriptor(now)),
            (Event::DoorReceiverGone, self.doors.events().commander()),
            (Event::DoorReceiverConnecting, self.doors.events().descriptor(now)),
            (Event::Tables, self.doors.table_changes()),
            request(0),
            request(1),
            request(2),
            request(3),
        ]
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let wakes = [
            self.status_listener.next_wake(now),
            self.keys.next_wake(now),
            self.doors.next_wake(now),
        ];
        wakes.into_iter().flatten().min()
    }

    fn on(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Addresses => self.addresses.follow(&self.ips()),
            Event::StatusQuestion => self.answer_status(),
            Event::DoorConnecting => self.doors.accept(Instant::now()),
            Event::DoorReceiverConnecting => self.doors.events_mut().accept(Instant::now()),
            Event::DoorReceiverGone => self.doors.events_mut().notice_end(),
            Event::DoorRequest(place) => self.doors.serve(place, &self.keys),
            Event::Tables => self.doors.notice_table(Instant::now()),
        }
        Ok(())
    }

    fn tend(&mut self) -> anyhow::Result<()> {
        let in_force = self.keys.in_force();
        self.keys.expire(None)?;
        if self.keys.in_force() != in_force {
            self.doors.close_unsupported(&self.keys);
        }
        self.doors.tend(Instant::now(), &self.keys);
        Ok(())
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        let settings = Settings::read_anew(&self.config, self.server_uid, Who::Gate);
        let Settings { config, keys, .. } = logging::or_refuse(settings)?;
        let keys = HeldKeys::of(&config, &keys.usable);
        self.doors.prepare_table(&config)?;
        self.doors.begin_arming(&config)?;
        self.doors.add_to_table(&config)?;
        self.config = config;
        self.keys = keys;
        self.doors.change(&self.config, None, &self.keys);
        tracing::info!(keys = self.keys.in_force(), "reloaded");
        Ok(())
    }

    fn summarise(&self, line: &mut dyn fmt::Write) -> fmt::Result {
        let names: Vec<String> = self.config.doors.keys().map(DoorName::to_string).collect();
        write!(line, "nftables closes the doors {}", names.join(", "))
    }
}

impl Gate {
    fn stop(mut self) {
        match self.config.gate.on_stop {
            OnStop::Closed => {
                tracing::warn!("stopped: doors stay closed. `ruroco disarm` opens doors");
            }
            OnStop::Open => {
                self.doors.open_table(&self.config);
                tracing::info!("stopped: doors are open to everyone");
            }
        }
    }

    fn answer_status(&mut self) {
        self.doors.look_again();
        if let Ok(Some(peer)) = self.status_listener.accept(Instant::now()) {
            let status = self.status();
            status::answer(peer.as_fd(), Ok(status));
        }
    }

    fn status(&mut self) -> Status {
        let doors = self.doors.statuses(&self.keys);
        let History { started, start_time, changed, .. } = &self.history;
        let millis =
            |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: ProgramStatus { tag: None, map_memory_bytes: 0 },
            start_time_seconds: *start_time,
            uptime_ms: millis(started.at),
            since: changed.time.clone(),
            since_ms: millis(changed.at),
            attached: true,
            interfaces: Vec::new(),
            port: self.config.port,
            addresses: self.addresses.statuses(&self.ips()),
            appearance: self.config.gate.appearance.name().to_owned(),
            keys: self.keys.statuses(),
            doors,
            arming: self.doors.arming_status(),
            nftables: self.doors.table_status(),
            server_connected: false,
            server_pid: None,
            ring: RingFill::default(),
            verdicts: Verdict::ALL
                .into_iter()
                .map(|verdict| (verdict.name().to_owned(), 0))
                .collect(),
        }
    }

    fn ips(&self) -> Vec<IpAddr> {
        self.config.addresses.iter().map(|ip| IpAddr::from(*ip)).collect()
    }
}
