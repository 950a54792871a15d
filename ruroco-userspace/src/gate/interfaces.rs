//! All configured interfaces, kept under the program while they come and go.
//!
//! The kernel tells that some link has changed; what has changed is not read from the message but
//! looked up anew, so that a lost or misread message cannot leave the gate open for longer than
//! until the next one.

mod naming;
mod succession;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use anyhow::{Context, anyhow, bail};
use aya::programs::Xdp;
use nix::ifaddrs::getifaddrs;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind,
        netdevice::{index_to_name, name_to_index},
        netlink::SocketAddrNetlink,
        recv, socket_with,
    },
};

use self::naming::Named;
use super::attachment::{Attachment, Pin, Pins};
use crate::config;

/// `RTMGRP_LINK` (linux/rtnetlink.h): links that come, go or change.
const LINK_CHANGES: u32 = 1;

/// Link types (`ARPHRD_*`, linux/if_arp.h) on which a frame begins with an Ethernet header.
const ETHERNET_LIKE: [u16; 2] = [1, 772]; // Ethernet, loopback

/// The configured interfaces and the program's place on each.
#[derive(Debug)]
pub struct Interfaces {
    interfaces: Vec<Interface>,
    mode: config::Mode,
    pins: Pins,
    changes: OwnedFd,
}

/// One configured interface.
#[derive(Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The program on it, while it is there.
    pub attachment: Option<Attachment>,
    /// What is not as it should be.
    pub problem: Option<String>,
}

impl Interfaces {
    /// Attaches the program to all configured interfaces that exist. Where a gate that crashed has
    /// left its program, this one takes its place last of all: until nothing can fail any more,
    /// that one goes on with its keys, and its ring has a reader.
    ///
    /// # Errors
    /// If an interface refuses the program, or the pins cannot be read; nothing has changed then.
    pub fn attach(program: &mut Xdp, config: &config::Gate) -> anyhow::Result<Self> {
        let changes = subscribe().context("could not ask the kernel about changes of links")?;
        let pins = Pins::take(&config.pin_dir)?;
        let left = pins.list()?;
        let interfaces = config.interfaces.iter().map(|name| Interface::new(name)).collect();
        let mut interfaces = Self { interfaces, mode: config.mode, pins, changes };
        let left_on: Vec<u32> = left.iter().map(|pin| pin.index).collect();
        interfaces.follow_but(&left_on, program);
        if let Some(error) = interfaces.refused(&interfaces.interfaces) {
            // The refusal says more than what could be added here.
            let _ = interfaces.detach();
            return Err(error);
        }
        interfaces.take_over(left, program);
        interfaces.follow(program);
        Ok(interfaces)
    }

    /// Attaches the program to what has come, and forgets what has gone.
    pub fn follow(&mut self, program: &mut Xdp) {
        self.follow_but(&[], program);
    }

    /// The same, without touching the interfaces with these indices.
    fn follow_but(&mut self, excepted: &[u32], program: &mut Xdp) {
        self.drain_changes();
        let named: Vec<Option<u32>> = self.interfaces.iter().map(|one| self.index(one)).collect();
        // First, as what is to be closed may be one of ours that had another name.
        self.follow_names(&named);
        for (interface, index) in self.interfaces.iter_mut().zip(named) {
            let is_excepted = index.is_some_and(|index| excepted.contains(&index));
            if interface.attachment.is_none() && !is_excepted {
                interface.close(program, &self.pins, index, self.mode);
            }
        }
    }

    /// Keeps each attachment under the name that its device has now, and lets go those whose device is
    /// none of ours any more.
    fn follow_names(&mut self, named: &[Option<u32>]) {
        let name_of = |index| index_to_name(&self.changes, index).ok();
        let mut before = Vec::new();
        for (interface, named) in self.interfaces.iter().zip(named) {
            let held = interface.attachment.as_ref().map(|attachment| attachment.index);
            before.push(Named { named: *named, held });
        }
        let after = naming::assign(&before, |index| name_of(index).is_some());
        let mut moved: Vec<(String, Attachment)> = Vec::new();
        for ((interface, Named { held, .. }), next) in
            self.interfaces.iter_mut().zip(&before).zip(&after)
        {
            if held != next {
                let attachment = interface.attachment.take();
                moved.extend(attachment.map(|one| (interface.name.clone(), one)));
            }
        }
        for ((interface, named), next) in self.interfaces.iter_mut().zip(named).zip(after) {
            if let Some(at) = moved.iter().position(|(_, one)| Some(one.index) == next) {
                let (old_name, attachment) = moved.swap_remove(at);
                tracing::info!(interface = %interface.name, "it was {old_name} and stays closed");
                interface.attachment = Some(attachment);
            }
            let Some(held) = next else { continue };
            match name_of(held).filter(|_| *named != next) {
                None => interface.problem = interface.mode_problem(self.mode),
                Some(name) => {
                    interface.report(format!("it is called {name} now and stays closed"));
                }
            }
        }
        for (interface, attachment) in moved {
            match name_of(attachment.index) {
                None => tracing::warn!(%interface, "the interface has gone"),
                Some(name) => tracing::warn!(
                    %interface,
                    "another interface has this name now: {name}, which had it, is open"
                ),
            }
            if let Err(error) = attachment.detach() {
                tracing::error!("{error:#}");
            }
        }
    }

    /// The index of the device that has the name of an interface.
    fn index(&self, interface: &Interface) -> Option<u32> {
        name_to_index(&self.changes, &interface.name).ok()
    }

    /// Takes the program off all interfaces.
    ///
    /// # Errors
    /// If it stays on one of them; it was then taken off the others.
    pub fn detach(mut self) -> anyhow::Result<()> {
        let attachments = self.interfaces.iter_mut().filter_map(|one| one.attachment.take());
        let outcomes: Vec<_> = attachments.map(Attachment::detach).collect();
        outcomes.into_iter().collect()
    }

    /// The interfaces, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter()
    }

    /// Whether the program is on every one of them.
    pub fn are_closed(&self) -> bool {
        self.interfaces.iter().all(|interface| interface.attachment.is_some())
    }

    /// Why one of these interfaces, which exists, could not be closed.
    fn refused(&self, interfaces: &[Interface]) -> Option<anyhow::Error> {
        interfaces.iter().find_map(|interface| {
            let problem = interface.problem.as_ref().filter(|_| interface.attachment.is_none())?;
            let exists = name_to_index(&self.changes, &interface.name).is_ok();
            exists.then(|| anyhow!("could not close {}: {problem}", interface.name))
        })
    }

    /// Takes the places of a program that a gate has left; those on interfaces that are no longer
    /// configured are opened.
    fn take_over(&mut self, left: Vec<Pin>, program: &mut Xdp) {
        for pin in left {
            let index_of = |interface: &Interface| name_to_index(&self.changes, &interface.name);
            let mut interfaces = self.interfaces.iter_mut();
            let wanted = interfaces.find(|interface| index_of(interface) == Ok(pin.index));
            let Some(interface) = wanted else {
                // Without its device it holds nothing any more.
                if let Ok(name) = index_to_name(&self.changes, pin.index) {
                    tracing::warn!(
                        interface = %name,
                        "closed by an earlier gate, and not configured by this name: it is open"
                    );
                }
                pin.remove();
                continue;
            };
            match pin.take_over(program) {
                Ok(attachment) => {
                    let mode = attachment.attached;
                    tracing::info!(interface = %interface.name, %mode, "taken over, attached");
                    interface.attachment = Some(attachment);
                    if let Some(problem) = interface.mode_problem(self.mode) {
                        interface.report(problem);
                    }
                }
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
    }

    fn drain_changes(&self) {
        let mut unread = [0_u8; 8192];
        // A lost message (ENOBUFS) is as good as one: everything is looked up anew.
        while let Ok(_) | Err(Errno::INTR | Errno::NOBUFS) =
            recv(&self.changes, &mut unread, RecvFlags::DONTWAIT)
        {}
    }
}

impl Interface {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attachment: None, problem: None }
    }

    /// Puts the program on it, or reports why not.
    fn close(&mut self, program: &mut Xdp, pins: &Pins, index: Option<u32>, mode: config::Mode) {
        match attach(program, pins, &self.name, index, mode) {
            Ok(attachment) => {
                tracing::info!(interface = %self.name, mode = %attachment.attached, "attached");
                self.problem = None;
                self.attachment = Some(attachment);
            }
            Err(error) => self.report(format!("{error:#}")),
        }
    }

    /// What is to be said about the mode that a crashed gate has left it in.
    fn mode_problem(&self, wanted: config::Mode) -> Option<String> {
        let has = self.attachment.as_ref()?.attached;
        (!has.satisfies(wanted)).then(|| {
            format!(
                "it is in {has} mode, as a gate that crashed has left it; stop the gate with SIGTERM \
                 and start it again to change that"
            )
        })
    }

    /// Logs a problem that is new.
    fn report(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!(interface = %self.name, "{problem}");
        }
        self.problem = Some(problem);
    }
}

fn attach(
    program: &mut Xdp,
    pins: &Pins,
    name: &str,
    index: Option<u32>,
    mode: config::Mode,
) -> anyhow::Result<Attachment> {
    let index = index.context("there is no such interface; waiting for it")?;
    if !is_ethernet(name).context("could not find out what kind of interface it is")? {
        bail!(
            "it is not an Ethernet interface: its packets have no Ethernet header, so the program \
             could not read them"
        );
    }
    pins.attach(program, name, index, mode)
}

fn is_ethernet(name: &str) -> io::Result<bool> {
    let mut links = getifaddrs()?.filter(|entry| entry.interface_name == name);
    let kind = links.find_map(|entry| Some(entry.address?.as_link_addr()?.hatype()));
    Ok(kind.is_some_and(has_ethernet_frames))
}

/// Whether the program can read the packets of an interface of this link type (`ARPHRD_*`).
pub(super) fn has_ethernet_frames(kind: u16) -> bool {
    ETHERNET_LIKE.contains(&kind)
}

impl AsFd for Interfaces {
    /// Readable when some link has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

fn subscribe() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // No protocol is protocol 0, NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, LINK_CHANGES))?;
    Ok(socket)
}
