//! All configured interfaces, kept under the program while they come and go.
//!
//! The kernel tells that some link has changed; what has changed is not read from the message but
//! looked up anew, so that a lost or misread message cannot leave the gate open for longer than
//! until the next one.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use anyhow::Context;
use aya::programs::Xdp;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netdevice::name_to_index,
        netlink::SocketAddrNetlink, recv, socket_with,
    },
};

use super::attachment::{self, Attachment};
use crate::config;

/// `RTMGRP_LINK` (linux/rtnetlink.h): links that come, go or change.
const LINK_CHANGES: u32 = 1;

/// The configured interfaces and the program's place on each.
#[derive(Debug)]
pub struct Interfaces {
    interfaces: Vec<Interface>,
    mode: config::Mode,
    pin_dir: PathBuf,
    changes: OwnedFd,
}

/// One configured interface.
#[derive(Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The program on it, while it is there.
    pub attachment: Option<Attachment>,
    /// Why there is none.
    pub problem: Option<String>,
}

impl Interfaces {
    /// Attaches the program to all configured interfaces that exist.
    ///
    /// # Errors
    /// If one of them refuses it; what this call has attached is then taken off again.
    pub fn attach(program: &mut Xdp, config: &config::Gate) -> anyhow::Result<Self> {
        let changes = subscribe().context("could not ask the kernel about changes of links")?;
        let indices: Vec<u32> = config
            .interfaces
            .iter()
            .filter_map(|name| name_to_index(&changes, name).ok())
            .collect();
        let mut found = attachment::take_over(program, &config.pin_dir, config.mode, &indices)?;
        let mut interfaces = Self {
            interfaces: Vec::new(),
            mode: config.mode,
            pin_dir: config.pin_dir.clone(),
            changes,
        };
        for name in &config.interfaces {
            let index = name_to_index(&interfaces.changes, name).ok();
            let place = found.iter().position(|attachment| Some(attachment.index) == index);
            let attachment = place.map(|place| found.swap_remove(place));
            interfaces.interfaces.push(Interface { name: name.clone(), attachment, problem: None });
        }
        let taken_over: Vec<u32> =
            interfaces.attached().map(|attachment| attachment.index).collect();
        interfaces.follow(program);
        let refused = interfaces.interfaces.iter().find_map(|interface| {
            let problem = interface.problem.as_ref()?;
            let exists = name_to_index(&interfaces.changes, &interface.name).is_ok();
            exists.then(|| anyhow::anyhow!("could not close {}: {problem}", interface.name))
        });
        match refused {
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
            if has.is_some() && has == index {
                continue;
            }
            if let Some(gone) = interface.attachment.take() {
                tracing::warn!(interface = %interface.name, "the interface has gone");
                gone.detach();
            }
            let result = match index {
                None => Err(anyhow::anyhow!("there is no such interface; waiting for it")),
                Some(index) => Attachment::new(program, index, self.mode, &self.pin_dir),
            };
            match result {
                Ok(attachment) => {
                    tracing::info!(
                        interface = %interface.name,
                        mode = %attachment.attached.name(),
                        "attached"
                    );
                    interface.problem = None;
                    interface.attachment = Some(attachment);
                }
                Err(error) => {
                    let problem = format!("{error:#}");
                    if interface.problem.as_ref() != Some(&problem) {
                        tracing::warn!(interface = %interface.name, "{problem}");
                    }
                    interface.problem = Some(problem);
                }
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

    fn attached(&self) -> impl Iterator<Item = &Attachment> {
        self.interfaces.iter().filter_map(|interface| interface.attachment.as_ref())
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
