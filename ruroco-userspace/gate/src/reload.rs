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
    os::fd::{BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use ruroco_config::{Config, Daemon, settings::Settings};
use ruroco_daemon::logging;
use ruroco_messages::problems::Problems;
use rustix::thread::{MembarrierCommand, membarrier};

use super::{
    front::{self, Front, Loaded},
    gate::Gate,
    program::Program,
};

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
        let settings = Settings::read_anew(&self.config, self.server_uid, Daemon::Gate);
        let settings = settings.and(|settings| {
            let front = self.front.as_ref();
            front.map(|front| front.check_mode(&self.config, &settings.config)).unwrap_or_default()
        });
        let Settings { config, keys, .. } = logging::or_refuse(settings)?;
        let (successor, maps, keys) = front::load(&config, keys.usable, &self.addresses)?;
        self.doors.prepare_table(&config)?;
        self.doors.begin_arming(&config)?;
        self.doors.add_to_table(&config)?;
        let exchanged = self.front.as_mut().zip(successor);
        let exchanged = exchanged.map(|(front, successor)| front.hand_over(successor, &config));
        let predecessor = match exchanged.transpose() {
            Ok(predecessor) => predecessor,
            Err(error) => {
                self.doors.write_table_or_retry(&self.config);
                return Err(error);
            }
        };
        self.keys = keys;
        self.config = config;
        self.doors.change(&self.config, maps, &self.keys);
        if let Some((front, predecessor)) = self.front.as_mut().zip(predecessor) {
            front.retire(predecessor);
        }
        tracing::info!(keys = self.keys.in_force(), "reloaded");
        Ok(())
    }
}

/// A program that is on no interface any more, but may still be judging packets.
struct Predecessor {
    program: Program,
    ring: OwnedFd,
}

impl Front {
    /// Puts another program into the place of this one.
    ///
    /// # Errors
    /// If an interface rejects it. Nothing has changed then.
    fn hand_over(&mut self, mut successor: Loaded, config: &Config) -> anyhow::Result<Predecessor> {
        let ring = BorrowedFd::try_clone_to_owned(&self.program.ring());
        let ring = ring.context("could not keep the ring")?;
        if let Err(error) = self.exchange(&mut successor.program, config) {
            forget_keys(&mut successor.program);
            return Err(error);
        }
        let program = mem::replace(&mut self.program, successor.program);
        self.replace_lookup(successor.lookup, &config.gate.pin_dir);
        Ok(Predecessor { program, ring })
    }

    fn exchange(&mut self, successor: &mut Program, config: &Config) -> anyhow::Result<()> {
        self.interfaces.hand_over(self.program.xdp()?, successor.xdp()?, &config.gate)
    }

    /// Takes over what the predecessor has counted, and has the server empty its ring.
    fn retire(&mut self, predecessor: Predecessor) {
        let Predecessor { mut program, ring } = predecessor;
        wait_for_packets_under_way();
        // From here on nothing is judged by the predecessor, counted by it or written to its ring.
        match program.verdicts() {
            Ok(counted) => self.program.count_on(&counted),
            Err(error) => tracing::warn!("the counters start again from 0: {error:#}"),
        }
        self.ring_socket.retire(ring, Instant::now());
        program.flush_log();
        forget_keys(&mut program);
    }

    /// The mode of an interface can change only while the program is not attached to it.
    fn check_mode(&self, running: &Config, config: &Config) -> Problems {
        let mut problems = Problems::default();
        let (old, new) = (running.gate.mode, config.gate.mode);
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
