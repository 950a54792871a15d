//! All configured interfaces, kept under the program while they come and go.
//!
//! The kernel tells that some link has changed; what has changed is not read from the message but
//! looked up anew, so that a lost or misread message cannot leave the gate open for longer than
//! until the next one.

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

use super::attachment::{Attachment, Pins};
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
    /// Attaches the program to all configured interfaces that exist.
    ///
    /// # Errors
    /// If one of them refuses it; what this call has attached is then taken off again, and what was
    /// attached before stays.
    pub fn attach(program: &mut Xdp, config: &config::Gate) -> anyhow::Result<Self> {
        let changes = subscribe().context("could not ask the kernel about changes of links")?;
        let pins = Pins::take(&config.pin_dir)?;
        let index_of = |name: &String| name_to_index(&changes, name).ok();
        let indices: Vec<u32> = config.interfaces.iter().filter_map(index_of).collect();
        let mut found = pins.take_over(program, &indices)?;
        let taken_over: Vec<u32> = found.iter().map(|attachment| attachment.index).collect();
        let interface = |name: &String| {
            let index = index_of(name);
            let place = found.iter().position(|attachment| Some(attachment.index) == index);
            let attachment = place.map(|place| found.swap_remove(place));
            Interface { name: name.clone(), attachment, problem: None }
        };
        let interfaces = config.interfaces.iter().map(interface).collect();
        let mut interfaces = Self { interfaces, mode: config.mode, pins, changes };
        interfaces.report_taken_over();
        interfaces.follow(program);
        match interfaces.refused() {
            None => Ok(interfaces),
            Some(error) => {
                interfaces.detach_all(|attachment| !taken_over.contains(&attachment.index));
                Err(error)
            }
        }
    }

    /// Attaches the program to what has come, and forgets what has gone.
    pub fn follow(&mut self, program: &mut Xdp) {
        self.drain_changes();
        for interface in &mut self.interfaces {
            let index = name_to_index(&self.changes, &interface.name).ok();
            let has = interface.attachment.as_ref().map(|attachment| attachment.index);
            match has {
                Some(has) if Some(has) == index => {
                    interface.problem = interface.mode_problem(self.mode);
                    continue;
                }
                // Renamed: it is still the interface that was to be closed.
                Some(has) if index.is_none() => {
                    if let Ok(name) = index_to_name(&self.changes, has) {
                        interface.report(format!("it is called {name} now and stays closed"));
                        continue;
                    }
                }
                _ => {}
            }
            if let Some(gone) = interface.attachment.take() {
                tracing::warn!(interface = %interface.name, "the interface has gone");
                gone.detach();
            }
            match attach(program, &self.pins, &interface.name, index, self.mode) {
                Ok(attachment) => {
                    let mode = attachment.attached;
                    tracing::info!(interface = %interface.name, %mode, "attached");
                    interface.problem = None;
                    interface.attachment = Some(attachment);
                }
                Err(error) => interface.report(format!("{error:#}")),
            }
        }
    }

    /// Takes the program off all interfaces.
    pub fn detach(mut self) {
        self.detach_all(|_| true);
    }

    /// The interfaces, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter()
    }

    /// Whether the program is on every one of them.
    pub fn are_closed(&self) -> bool {
        self.interfaces.iter().all(|interface| interface.attachment.is_some())
    }

    /// Why an interface that exists could not be closed.
    fn refused(&self) -> Option<anyhow::Error> {
        self.interfaces.iter().find_map(|interface| {
            let problem = interface.problem.as_ref().filter(|_| interface.attachment.is_none())?;
            let exists = name_to_index(&self.changes, &interface.name).is_ok();
            exists.then(|| anyhow!("could not close {}: {problem}", interface.name))
        })
    }

    fn report_taken_over(&mut self) {
        for interface in &mut self.interfaces {
            if let Some(attachment) = &interface.attachment {
                let mode = attachment.attached;
                tracing::info!(interface = %interface.name, %mode, "taken over, attached");
            }
            if let Some(problem) = interface.mode_problem(self.mode) {
                interface.report(problem);
            }
        }
    }

    fn detach_all(&mut self, which: impl Fn(&Attachment) -> bool) {
        for interface in &mut self.interfaces {
            if let Some(attachment) = interface.attachment.take_if(|attachment| which(attachment)) {
                attachment.detach();
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
    Ok(kind.is_some_and(|kind| ETHERNET_LIKE.contains(&kind)))
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
