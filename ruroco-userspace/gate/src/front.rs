//! The front of the gate, which packets meet: the XDP program, the interfaces that it is attached to, and the ring
//! between it and the server.
//!
//! A host whose server has a socket of its own (`source = "udp"`) has no front. There, the gate only opens and
//! closes doors of nftables.

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::Instant,
};

use ruroco_common::verdict::Verdict;
use ruroco_config::{
    Config, Source,
    key_directory::{self, Occasion},
};
use ruroco_keys::named_key::NamedKey;
use ruroco_messages::plain_error::Plain;

use super::{
    addresses::Addresses,
    attachment::Pins,
    door_maps::DoorMaps,
    held_keys::HeldKeys,
    interfaces::{Interface, Interfaces},
    lookup::{self, Lookup},
    netlink,
    program::Program,
    ring_fill,
    ring_socket::RingSocket,
    status::{FrontStatus, InterfaceStatus, ProgramStatus, RingFill},
};

/// A program that the kernel has accepted, attached to no interface yet.
pub(super) struct Loaded {
    pub(super) program: Program,
    pub(super) lookup: Option<Lookup>,
}

/// Loads the program for a configuration, if it needs one, with those of the keys that have not expired; its maps of
/// doors, and the keys without their secrets.
///
/// # Errors
/// If the kernel rejects the program.
pub(super) fn load(
    config: &Config,
    keys: Vec<NamedKey>,
    addresses: &Addresses,
) -> anyhow::Result<(Option<Loaded>, Option<DoorMaps>, HeldKeys)> {
    if config.source == Source::Udp {
        return Ok((None, None, HeldKeys::of(config, &keys)));
    }
    let (mut program, keys) = HeldKeys::load(config, keys)?;
    let mut maps = program.take_doors();
    if let Some(maps) = &mut maps {
        maps.set_addresses(&addresses.destinations())?;
    }
    let lookup = program.attach_lookup()?;
    Ok((Some(Loaded { program, lookup }), maps, keys))
}

/// The program in its place.
pub(super) struct Front {
    pub(super) program: Program,
    pub(super) interfaces: Interfaces,
    /// What has closed doors look like ports without a listener.
    lookup: Option<Lookup>,
    pub(super) ring_socket: RingSocket,
}

impl Front {
    /// Attaches the program to the interfaces of the configuration.
    ///
    /// # Errors
    /// If one of them rejects it. The program then has no keys any more.
    pub(super) fn attach(
        loaded: Loaded,
        config: &Config,
        (pins, ring_socket): (Pins, RingSocket),
    ) -> anyhow::Result<Self> {
        let Loaded { mut program, lookup } = loaded;
        let interfaces = match Interfaces::attach(program.xdp()?, &config.gate, pins) {
            Ok(interfaces) => interfaces,
            Err(error) => {
                program.wipe_keys()?;
                return Err(error);
            }
        };
        let mut front = Self { program, interfaces, lookup: None, ring_socket };
        front.replace_lookup(lookup, &config.gate.pin_dir);
        Ok(front)
    }

    /// Takes the program off all interfaces.
    ///
    /// # Errors
    /// If it stays on one of them.
    pub(super) fn detach(self, pin_dir: &Path) -> anyhow::Result<()> {
        let Self { mut program, interfaces, .. } = self;
        interfaces.detach()?;
        lookup::unpin(pin_dir)?;
        program.wipe_keys()
    }

    /// Follows interfaces that have come, gone or changed.
    ///
    /// # Errors
    /// If the object file holds no such program.
    pub(super) fn follow_interfaces(&mut self) -> anyhow::Result<()> {
        self.interfaces.follow(self.program.xdp()?);
        self.follow_links();
        Ok(())
    }

    /// Goes on with another program that has closed doors look like ports without a listener, or with none.
    pub(super) fn replace_lookup(&mut self, lookup: Option<Lookup>, pin_dir: &Path) {
        // The earlier one hides what it hides until the next one is there.
        let earlier = std::mem::replace(&mut self.lookup, lookup);
        self.follow_links();
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

    /// Gives the ring and the keys to a server that has come.
    pub(super) fn hand_over_ring(&mut self, config: &Config, keys: &HeldKeys) {
        let read_keys = || {
            // Where the program has keys, a directory without any is a mistake until a reload.
            let occasion = match keys.is_empty() {
                true => Occasion::Reload,
                false => Occasion::Start,
            };
            let keys = key_directory::read_configured(config, None, occasion);
            Ok(keys.or_problems()?.usable)
        };
        self.ring_socket.accept(Instant::now(), self.program.ring(), read_keys);
    }

    /// For the operator.
    ///
    /// # Errors
    /// If the kernel does not give the counters.
    pub(super) fn status(&self) -> anyhow::Result<FrontStatus> {
        let interface_status = |interface: &Interface| InterfaceStatus {
            name: interface.name.clone(),
            device: self.interfaces.other_name(interface),
            index: interface.attachment.as_ref().map(|on| on.index),
            attached: interface.is_guarded(),
            mode: interface.attachment.as_ref().map(|on| on.attached.name().to_owned()),
            problem: interface.problem.as_ref().map(|problem| Plain(problem).to_string()),
        };
        let named = |(verdict, count): (Verdict, u64)| (verdict.name().to_owned(), count);
        Ok(FrontStatus {
            program: self.program.status(),
            attached: self.interfaces.are_guarded(),
            interfaces: self.interfaces.iter().map(interface_status).collect(),
            server_connected: self.ring_socket.server_is_connected(),
            server_pid: self.ring_socket.server_pid(),
            ring: ring_fill::of(self.program.ring()).unwrap_or_default(),
            verdicts: self.program.verdicts()?.into_iter().map(named).collect(),
        })
    }
}

impl FrontStatus {
    /// That of a gate without an XDP program: it is on all of no interfaces.
    pub(super) fn of_none() -> Self {
        Self {
            program: ProgramStatus { tag: None, map_memory_bytes: 0 },
            attached: true,
            interfaces: Vec::new(),
            server_connected: false,
            server_pid: None,
            ring: RingFill::default(),
            verdicts: Verdict::ALL.map(|verdict| (verdict.name().to_owned(), 0)).into(),
        }
    }
}

impl AsFd for Front {
    /// Readable when some link has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.interfaces.as_fd()
    }
}
