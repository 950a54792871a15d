//! SIGHUP: changes configuration and keys, without a gap.
//!
//! A map cannot be changed as a whole, so the gate changes none. It loads a successor of the program, with
//! maps of its own, which replaces the program on the interfaces
//! ([`Interfaces::hand_over`](super::interfaces::Interfaces::hand_over)). The gate detects all errors before
//! that. The server empties the predecessor's ring, the successor's counters continue from the predecessor's,
//! and the gate wipes the predecessor's keys.
//!
//! Rationale: decision 0013.

use std::{
    mem,
    os::fd::BorrowedFd,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use ruroco_config::{Config, Daemon, settings::Settings};
use ruroco_daemon::logging;
use ruroco_messages::problems::Problems;
use rustix::thread::{MembarrierCommand, membarrier};

use super::{gate::Gate, held_keys::HeldKeys, program::Program};

/// How long a packet may take to be judged where the kernel does not tell when all have been:
/// thousands of times as long as it does.
const GRACE: Duration = Duration::from_millis(100);

impl Gate {
    /// Puts the current content of the files into force.
    ///
    /// # Errors
    /// The errors in the files, or why the successor could not be attached. The earlier state stays in force
    /// then.
    pub(super) fn succeed(&mut self) -> anyhow::Result<()> {
        let settings = Settings::read_anew(&self.config, self.server_uid, Daemon::Gate)
            .and(|settings| self.check_mode(&settings.config));
        let Settings { config, keys, .. } = logging::or_refuse(settings)?;
        let old_ring = BorrowedFd::try_clone_to_owned(&self.program.ring())
            .context("could not keep the ring")?;
        let (mut successor, keys) = HeldKeys::load(&config, keys.usable)?;
        self.doors.prepare_table(&config)?;
        self.doors.begin_arming(&config)?;
        if let Some(maps) = successor.doors() {
            maps.set_addresses(&self.addresses.destinations())?;
        }
        let lookup = successor.attach_lookup()?;
        self.doors.add_to_table(&config)?;
        if let Err(error) = self.hand_over(&mut successor, &config) {
            self.doors.write_table_or_retry(&self.config);
            forget_keys(&mut successor);
            return Err(error);
        }

        let mut predecessor = mem::replace(&mut self.program, successor);
        self.keys = keys;
        self.config = config;
        self.doors.change(&self.config, self.program.take_doors(), &self.keys);
        self.replace_lookup(lookup);
        wait_for_packets_under_way();
        // From here on nothing is judged by the predecessor, counted by it or written to its ring.
        match predecessor.verdicts() {
            Ok(counted) => self.program.count_on(&counted),
            Err(error) => tracing::warn!("the counters start again from 0: {error:#}"),
        }
        self.ring_socket.retire(old_ring, Instant::now());
        predecessor.flush_log();
        forget_keys(&mut predecessor);
        tracing::info!(keys = self.keys.in_force(), "reloaded");
        Ok(())
    }

    fn hand_over(&mut self, successor: &mut Program, config: &Config) -> anyhow::Result<()> {
        self.interfaces.hand_over(self.program.xdp()?, successor.xdp()?, &config.gate)
    }

    /// The mode of an interface can change only while the program is not attached to it.
    fn check_mode(&self, config: &Config) -> Problems {
        let mut problems = Problems::default();
        let (old, new) = (self.config.gate.mode, config.gate.mode);
        for interface in self.interfaces.iter().filter(|_| old != new) {
            if let Some(attachment) = &interface.attachment
                && config.gate.interfaces.contains(&interface.name)
                && !attachment.attached.satisfies(new)
            {
                problems.add(config.mode_is_fixed(&interface.name, attachment.attached.name()));
            }
        }
        problems
    }
}

/// Waits until every CPU that had begun to judge a packet, for example by the predecessor, is done with it.
///
/// An XDP program runs within what the kernel calls an RCU read-side critical section, and this
/// command waits for all of those that are under way (`sys_membarrier`, kernel/sched/membarrier.c).
/// A kernel with `nohz_full` CPUs does not offer it.
pub(super) fn wait_for_packets_under_way() {
    if membarrier(MembarrierCommand::Global).is_err() {
        thread::sleep(GRACE);
    }
}

/// A program that is nowhere any more needs none.
fn forget_keys(program: &mut Program) {
    if let Err(error) = program.wipe_keys() {
        tracing::error!("{error:#}");
    }
}
