//! All configured interfaces. The gate keeps the program attached to them while they come and go.
//!
//! The kernel reports that a link has changed. The gate does not read the change from the message, but reads
//! the state of all interfaces again. So after a lost or misread message, an interface stays unfiltered until
//! the next message at most.
//!
//! Rationale: decisions 0028 and 0034.

pub mod devices;
mod elsewhere;
mod naming;
mod succession;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, anyhow};
use aya::programs::Xdp;
use ruroco_config as config;
use rustix::net::netdevice::index_to_name;

use self::{
    devices::Device,
    elsewhere::{Elsewhere, Kept},
    naming::Named,
};
use super::{
    attachment::{Attachment, Pin, Pins},
    netlink::{self, Link},
};

/// `RTMGRP_LINK` (linux/rtnetlink.h): links that come, go or change.
const LINK_CHANGES: u32 = 1;

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
    /// Its name in the configuration: that of the device, or one of its altnames.
    pub name: String,
    /// The program on it, while it is there.
    pub attachment: Option<Attachment>,
    /// The interface before it in the list that is the same device, and has the attachment.
    pub same_as: Option<String>,
    /// What is not as it should be.
    pub problem: Option<String>,
}

impl Interfaces {
    /// Attaches the program to all configured interfaces that exist. If a crashed gate has left its program,
    /// this program replaces it last of all: until no step can fail any more, the old program continues with
    /// its keys, and its ring has a reader. Only if the kernel rejects this program on an interface below
    /// because of the old one, the old one gives way first (`elsewhere`).
    ///
    /// # Errors
    /// If an interface rejects the program, or the pins cannot be read. Nothing has changed then, except
    /// programs that gave way.
    pub fn attach(program: &mut Xdp, config: &config::Gate, pins: Pins) -> anyhow::Result<Self> {
        let changes = netlink::subscribe(LINK_CHANGES)
            .context("could not read changes of interfaces from the kernel")?;
        let mut left = pins.list()?;
        let interfaces = config.interfaces.iter().map(|name| Interface::new(name)).collect();
        let mut interfaces = Self { interfaces, mode: config.mode, pins, changes };
        let left_on: Vec<u32> = left.iter().map(|pin| pin.index).collect();
        let devices = interfaces.devices();
        interfaces.guard(devices, &left_on, program, &mut left);
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
        netlink::drain(&self.changes);
        let devices = self.devices();
        let named: Vec<Option<u32>> = devices.iter().map(Device::index).collect();
        // First, as a new one may be one of ours that had another name.
        self.follow_names(&named);
        let mut kept = Kept::of(&self.interfaces);
        self.guard(devices, &[], program, &mut kept);
    }

    /// Attaches the program to those of these devices, one for each interface, that it is not on. Those
    /// with the excepted indices are not touched.
    fn guard(
        &mut self,
        devices: Vec<Device>,
        excepted: &[u32],
        program: &mut Xdp,
        elsewhere: &mut dyn Elsewhere,
    ) {
        let is_excepted =
            |device: &Device| device.index().is_some_and(|index| excepted.contains(&index));
        let missing =
            self.interfaces.iter_mut().zip(devices).filter(|(interface, device)| {
                interface.attachment.is_none() && !is_excepted(device)
            });
        guard_all(missing.collect(), program, &self.pins, self.mode, elsewhere);
    }

    /// What the name of each interface means now.
    fn devices(&self) -> Vec<Device> {
        devices::of_names(&self.changes, self.interfaces.iter().map(|one| one.name.as_str()))
    }

    /// Keeps each attachment under the current name of its device, and removes attachments of devices that
    /// are no longer configured.
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
                tracing::info!(interface = %interface.name, "it was renamed from {old_name} and stays attached");
                interface.attachment = Some(attachment);
            }
            let Some(held) = next else { continue };
            match name_of(held).filter(|_| *named != next) {
                None => interface.problem = interface.mode_problem(self.mode),
                Some(name) => {
                    interface.report(format!("it was renamed to {name} and stays attached"));
                }
            }
        }
        for (interface, attachment) in moved {
            match name_of(attachment.index) {
                None => tracing::warn!(%interface, "the interface has gone"),
                Some(name) => tracing::warn!(
                    %interface,
                    "another interface has this name now: {name}, which had it, is not attached"
                ),
            }
            if let Err(error) = attachment.detach() {
                tracing::error!("{error:#}");
            }
        }
    }

    /// The name that `ip link` shows for an interface, if the configuration has another one.
    pub fn other_name(&self, interface: &Interface) -> Option<String> {
        let index = interface.attachment.as_ref()?.index;
        index_to_name(&self.changes, index).ok().filter(|name| *name != interface.name)
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

    /// The indices of the devices that the program is on.
    pub fn indices(&self) -> impl Iterator<Item = u32> {
        self.interfaces.iter().filter_map(|one| Some(one.attachment.as_ref()?.index))
    }

    /// Whether the program is on every one of them.
    pub fn are_guarded(&self) -> bool {
        self.interfaces.iter().all(Interface::is_guarded)
    }

    /// Why one of these interfaces, which exists, could not be attached to.
    fn refused(&self, interfaces: &[Interface]) -> Option<anyhow::Error> {
        interfaces.iter().find_map(|interface| {
            let problem = interface.problem.as_ref().filter(|_| !interface.is_guarded())?;
            let exists = devices::index(&self.changes, &interface.name).is_some();
            exists.then(|| anyhow!("could not attach to {}: {problem}", interface.name))
        })
    }

    /// Takes the places of a program that a gate has left; those on interfaces that are no longer
    /// configured are opened.
    fn take_over(&mut self, left: Vec<Pin>, program: &mut Xdp) {
        for pin in left {
            let is_meant = |interface: &Interface| {
                devices::index(&self.changes, &interface.name) == Some(pin.index)
            };
            let mut interfaces = self.interfaces.iter_mut();
            let wanted = interfaces.find(|interface| is_meant(interface));
            let Some(interface) = wanted else {
                // Without its device it holds nothing any more.
                if let Ok(name) = index_to_name(&self.changes, pin.index) {
                    tracing::warn!(
                        interface = %name,
                        "attached by an earlier gate, but not configured by this name: detached"
                    );
                }
                pin.remove();
                continue;
            };
            let kind = netlink::link(&interface.name).ok().flatten().and_then(|link| link.kind);
            match pin.take_over(program, kind) {
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
}

impl Interface {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attachment: None, same_as: None, problem: None }
    }

    /// Whether the program is on its device.
    pub fn is_guarded(&self) -> bool {
        self.attachment.is_some() || self.same_as.is_some()
    }

    /// Whether the program is on the device with this index, for this interface.
    fn is_on(&self, device: u32) -> bool {
        self.attachment.as_ref().is_some_and(|attachment| attachment.index == device)
    }

    /// Puts the program on it, or reports why not.
    fn guard(
        &mut self,
        program: &mut Xdp,
        pins: &Pins,
        link: anyhow::Result<Option<Link>>,
        mode: config::Mode,
        elsewhere: &mut dyn Elsewhere,
    ) {
        let attached = link.and_then(|link| {
            let link = link.context("this interface does not exist; the gate waits for it")?;
            elsewhere::attach(program, pins, &link, mode, elsewhere)
        });
        match attached {
            Ok(attachment) => {
                tracing::info!(interface = %self.name, mode = %attachment.attached, "attached");
                self.problem = None;
                self.attachment = Some(attachment);
            }
            Err(error) => self.report(format!("{error:#}")),
        }
    }

    /// Why the interface's mode, which comes from an earlier gate, differs from the configured mode.
    fn mode_problem(&self, wanted: config::Mode) -> Option<String> {
        let attachment = self.attachment.as_ref()?;
        let reason = attachment.mode_problem(wanted)?;
        Some(format!(
            "{reason}. To change the mode, run `systemctl stop ruroco-gate` and then `systemctl start \
             ruroco-gate`; packets are not filtered in between. On a host with doors, before that, set `on_stop = \
             \"open\"` in [gate] and run `systemctl reload ruroco-gate`, because a stop leaves the program attached; \
             doors are open to everyone until the gate has started"
        ))
    }

    /// Logs a problem that is new.
    fn report(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::warn!(interface = %self.name, "{problem}");
        }
        self.problem = Some(problem);
    }
}

/// Puts the program on these interfaces, or reports why not.
fn guard_all(
    interfaces: Vec<(&mut Interface, Device)>,
    program: &mut Xdp,
    pins: &Pins,
    mode: config::Mode,
    elsewhere: &mut dyn Elsewhere,
) {
    let mut found = Vec::new();
    for (interface, device) in interfaces {
        interface.same_as = None;
        if let Device::SameAs(other) = device {
            interface.report(format!("the same device as {other}. Remove one of the two names"));
            interface.same_as = Some(other);
            continue;
        }
        let link =
            netlink::link(&interface.name).context("could not read the state of the interface");
        found.push((interface, link));
    }
    found.sort_by_key(|(_, link)| devices::order(link.as_ref().ok().and_then(Option::as_ref)));
    for (interface, link) in found {
        interface.guard(program, pins, link, mode, elsewhere);
    }
}

impl AsFd for Interfaces {
    /// Readable when some link has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}
