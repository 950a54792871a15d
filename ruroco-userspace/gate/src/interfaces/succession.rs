//! Replaces one program by another on all interfaces, or on none.
//!
//! On each interface that stays, the exchange is one atomic step: the old or the new program processes each
//! packet, and no packet passes between them. All steps that are likely to fail come before the first of
//! these steps.

use anyhow::bail;
use aya::programs::Xdp;
use ruroco_config as config;
use rustix::net::netdevice::index_to_name;

use super::{Attachment, Interface, Interfaces, devices, elsewhere::Running, guard_all};

impl Interfaces {
    /// Puts `new` into the place of `old`, with the interfaces of another configuration: first on
    /// those that are new, then on those that stay. Then `old` is taken off those that are no longer
    /// configured, or before, where it has the kernel reject `new` on an interface below.
    ///
    /// # Errors
    /// If one rejects `new`. `old` is then where it was, and `new` nowhere.
    pub fn hand_over(
        &mut self,
        old: &mut Xdp,
        new: &mut Xdp,
        config: &config::Gate,
    ) -> anyhow::Result<()> {
        // What is known of the interfaces is to be true of this moment.
        self.follow(old);
        let staying = self.staying(&config.interfaces);
        let mut next: Vec<Interface> =
            config.interfaces.iter().map(|name| Interface::new(name)).collect();
        let names = config.interfaces.iter().map(String::as_str);
        let meant = devices::of_names(&self.changes, names);
        let all = next.iter_mut().zip(meant).zip(&staying);
        let coming = all.filter(|(_, stays)| stays.is_none()).map(|(one, _)| one);
        let mut running = Running(&mut self.interfaces);
        guard_all(coming.collect(), new, &self.pins, config.mode, &mut running);
        let refused = self.refused(&next).map_or(Ok(()), Err);
        if let Err(error) = refused.and_then(|()| self.exchange(&staying, old, new)) {
            for interface in next {
                detach(interface.attachment);
            }
            // Where it has given way.
            self.follow(old);
            return Err(error);
        }

        self.mode = config.mode;
        for (interface, place) in next.iter_mut().zip(staying) {
            let predecessor = place.and_then(|place| self.interfaces.get_mut(place));
            if let Some(attachment) = predecessor.and_then(|one| one.attachment.take()) {
                interface.attachment = Some(attachment);
                interface.problem = interface.mode_problem(self.mode);
            }
        }
        for interface in std::mem::replace(&mut self.interfaces, next) {
            if interface.attachment.is_some() {
                tracing::warn!(interface = %interface.name, "no longer configured: detached");
                detach(interface.attachment);
            }
        }
        self.follow(new);
        Ok(())
    }

    /// For each of these names, the place of the interface that it means, if the program is attached there:
    /// the interface that has the name, or had it before it was renamed.
    fn staying(&self, names: &[String]) -> Vec<Option<usize>> {
        let place =
            |index: u32| self.interfaces.iter().position(|interface| interface.is_on(index));
        let index = |name: &String| devices::index(&self.changes, name);
        let mut places: Vec<Option<usize>> =
            names.iter().map(|name| index(name).and_then(place)).collect();
        for at in 0..places.len() {
            let Some(name) = names.get(at).filter(|name| index(name).is_none()) else { continue };
            let renamed = self
                .interfaces
                .iter()
                .position(|interface| interface.name == *name && interface.attachment.is_some());
            if renamed.is_some()
                && !places.contains(&renamed)
                && let Some(place) = places.get_mut(at)
            {
                *place = renamed;
            }
        }
        places
    }

    /// Exchanges the programs on all interfaces in these places, or on none.
    fn exchange(
        &mut self,
        places: &[Option<usize>],
        old: &mut Xdp,
        new: &mut Xdp,
    ) -> anyhow::Result<()> {
        let mut exchanged = Vec::new();
        for place in places.iter().flatten() {
            let Some(interface) = self.interfaces.get_mut(*place) else { continue };
            let Some(attachment) = &mut interface.attachment else { continue };
            match attachment.exchange(new) {
                Ok(()) => exchanged.push(*place),
                // It has gone in this moment; `follow` sees to that.
                Err(_) if index_to_name(&self.changes, attachment.index).is_err() => {}
                Err(error) => {
                    let name = interface.name.clone();
                    self.go_back(&exchanged, old);
                    bail!("could not exchange the programs on {name}: {error:#}");
                }
            }
        }
        Ok(())
    }

    /// Puts the old program back.
    fn go_back(&mut self, places: &[usize], old: &mut Xdp) {
        for place in places {
            let Some(interface) = self.interfaces.get_mut(*place) else { continue };
            let Some(attachment) = &mut interface.attachment else { continue };
            if let Err(error) = attachment.exchange(old)
                && index_to_name(&self.changes, attachment.index).is_ok()
            {
                interface.report(format!(
                    "it accepts no knocks: a reload failed half-way and could not be undone here. Restart ruroco-gate \
                    ({error:#})"
                ));
            }
        }
    }
}

/// Takes the program off an interface, if it is on it.
fn detach(attachment: Option<Attachment>) {
    if let Some(Err(error)) = attachment.map(Attachment::detach) {
        tracing::error!("{error:#}");
    }
}
