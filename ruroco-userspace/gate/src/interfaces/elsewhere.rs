//! An interface below another one with an XDP program: the kernel rejects a program there.
//!
//! If the program above is the gate's own, it must not prevent what the configuration now requires, such as
//! the ports of a bond in place of the bond. So it gives way. The kernel offers no single step for this:
//! packets that arrive through the interface below are not filtered between the two steps, which is logged.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use aya::programs::Xdp;
use ruroco_config::Mode;

use super::{Attachment, Interface, devices};
use crate::{
    attachment::{self, Pin, Pins},
    netlink::{self, Link},
};

/// How long the kernel may take to detach a program that nothing refers to any more. It has work of its
/// own to do that (`bpf_link_put`, kernel/bpf/syscall.c).
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(1);

/// Where the gate's program is already.
pub(super) trait Elsewhere {
    /// Whether it is on the device with this index.
    fn has(&self, device: u32) -> bool;

    /// Takes it off that device, where that is possible now. Whether it is.
    ///
    /// # Errors
    /// If it stays there.
    fn release(&mut self, device: u32) -> anyhow::Result<bool>;
}

/// Attaches the program to an interface. A program of ours on a device above it gives way.
///
/// # Errors
/// Why the program is not on the interface.
pub(super) fn attach(
    program: &mut Xdp,
    pins: &Pins,
    link: &Link,
    mode: Mode,
    elsewhere: &mut dyn Elsewhere,
) -> anyhow::Result<Attachment> {
    if let Some(blindness) = devices::blindness(link) {
        bail!(blindness);
    }
    match pins.attach(program, link, mode) {
        Err(error) if attachment::is_occupied(&error) => {
            let links = netlink::links().context("could not list the interfaces")?;
            match *devices::in_the_way(link, &links) {
                [] => return Err(error),
                ref in_the_way => make_way(link, in_the_way, elsewhere)?,
            }
            attach_once_free(program, pins, link, mode)
        }
        attached => attached,
    }
}

fn attach_once_free(
    program: &mut Xdp,
    pins: &Pins,
    link: &Link,
    mode: Mode,
) -> anyhow::Result<Attachment> {
    let end = Instant::now().checked_add(PATIENCE);
    loop {
        match pins.attach(program, link, mode) {
            Err(error)
                if attachment::is_occupied(&error)
                    && end.is_some_and(|end| Instant::now() < end) =>
            {
                thread::sleep(PAUSE);
            }
            attached => return attached,
        }
    }
}

/// Takes our program off all of these devices, unless there is one of others among them.
fn make_way(
    link: &Link,
    in_the_way: &[&Link],
    elsewhere: &mut dyn Elsewhere,
) -> anyhow::Result<()> {
    if let Some(other) = in_the_way.iter().find(|device| !elsewhere.has(device.index)) {
        let above = if other.index == link.index { "" } else { ", which lies above it" };
        bail!(
            "another XDP program is attached to {name}{above}, and ruroco-gate does not replace that. If \
             `bpftool link list` shows an xdp link for {name}, stop the process that owns it; otherwise run \
             `{removal}`",
            name = other.name,
            removal = attachment::removal(&other.name, other.xdp_mode)
        );
    }
    for device in in_the_way {
        if !elsewhere.release(device.index)? {
            bail!(
                "the kernel rejects the program here while that of ruroco-gate is on {}, which lies above \
                 it. Run `systemctl reload ruroco-gate`; packets are not filtered for a moment then",
                device.name
            );
        }
        tracing::warn!(
            interface = %device.name,
            "detached, because the kernel then accepts the program on {}, which lies below; packets that \
             arrive in between are not filtered",
            link.name
        );
    }
    Ok(())
}

/// What the running gate holds and does not give up.
pub(super) struct Kept(Vec<u32>);

impl Kept {
    pub(super) fn of(interfaces: &[Interface]) -> Self {
        let held = interfaces.iter().filter_map(|interface| interface.attachment.as_ref());
        Self(held.map(|attachment| attachment.index).collect())
    }
}

impl Elsewhere for Kept {
    fn has(&self, device: u32) -> bool {
        self.0.contains(&device)
    }

    fn release(&mut self, _: u32) -> anyhow::Result<bool> {
        Ok(false)
    }
}

/// What an earlier gate has left.
impl Elsewhere for Vec<Pin> {
    fn has(&self, device: u32) -> bool {
        self.iter().any(|pin| pin.index == device)
    }

    fn release(&mut self, device: u32) -> anyhow::Result<bool> {
        self.extract_if(.., |pin| pin.index == device).for_each(Pin::remove);
        Ok(true)
    }
}

/// The attachments to hand over.
pub(super) struct Running<'a>(pub(super) &'a mut [Interface]);

impl Elsewhere for Running<'_> {
    fn has(&self, device: u32) -> bool {
        self.0.iter().any(|interface| interface.is_on(device))
    }

    fn release(&mut self, device: u32) -> anyhow::Result<bool> {
        let held = self.0.iter_mut().filter(|interface| interface.is_on(device));
        let attachments: Vec<_> = held.filter_map(|one| one.attachment.take()).collect();
        attachments.into_iter().try_for_each(Attachment::detach)?;
        Ok(true)
    }
}
