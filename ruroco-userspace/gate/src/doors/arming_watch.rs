//! Whether doors are armed, followed and reported by the gate. The operator, a connection or the end of a trial changes it.

use std::time::{Duration, Instant};

use ruroco_config::Config;
use ruroco_ipc::boot_clock;

use crate::{
    arming::{Arming, Switch},
    status::ArmingStatus,
};

/// How often the gate checks whether a connection has confirmed that doors stay armed.
const INTERVAL: Duration = Duration::from_secs(1);

/// The switch of a host that has had doors, and its position when the gate last looked.
#[derive(Default)]
pub(super) struct ArmingWatch(Option<(Switch, Arming)>);

impl ArmingWatch {
    /// Begins, if a configuration has doors, and again if doors have moved to another part of the kernel. To be called before the program that has them is attached.
    ///
    /// # Errors
    /// If it is unknown whether doors are armed.
    pub(super) fn begin(&mut self, config: &Config, has_moved: bool) -> anyhow::Result<()> {
        if !config.doors.is_empty() && (self.0.is_none() || has_moved) {
            let mut switch = Switch::open(config)?;
            let arming = switch.begin()?;
            report(arming);
            self.0 = Some((switch, arming));
        }
        Ok(())
    }

    /// Ends, because there are no doors any more.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }

    /// Logs a change since the last look.
    pub(super) fn follow(&mut self) {
        let Some((switch, seen)) = &mut self.0 else { return };
        match switch.follow() {
            Ok(arming) if arming != *seen => {
                *seen = arming;
                report(arming);
            }
            Ok(_) => {}
            Err(error) => tracing::error!("could not determine whether doors are armed: {error:#}"),
        }
    }

    /// When to look next: while doors are armed for a time, a connection can confirm it at any moment.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        self.is_on_trial().then(|| now.checked_add(INTERVAL)).flatten()
    }

    /// The switch, if there are doors.
    pub(super) fn switch(&mut self) -> Option<&mut Switch> {
        self.0.as_mut().map(|(switch, _)| switch)
    }

    /// Whether doors are armed until the end of a trial.
    pub(super) fn is_on_trial(&self) -> bool {
        matches!(self.seen(), Arming::ArmedUntil(_))
    }

    fn seen(&self) -> Arming {
        self.0.as_ref().map_or(Arming::Armed, |(_, arming)| *arming)
    }

    /// Whether doors are armed, for the operator.
    pub(super) fn status(&self) -> ArmingStatus {
        let now = boot_clock::now();
        match self.seen() {
            Arming::Armed => ArmingStatus { armed: true, left_ms: None },
            Arming::ArmedUntil(end) => {
                let left_ms = Some(super::millis(end.saturating_sub(now)));
                ArmingStatus { armed: now < end, left_ms }
            }
            Arming::Disarmed => ArmingStatus { armed: false, left_ms: None },
        }
    }
}

fn report(arming: Arming) {
    match arming {
        Arming::Armed => tracing::info!("doors are closed to everyone without a lease"),
        Arming::ArmedUntil(end) => {
            let seconds = end.saturating_sub(boot_clock::now()).as_secs();
            tracing::warn!(
                "doors are closed for {seconds} seconds, and then open to everyone unless a new TCP connection \
                 to this host arrives after a knock, or `ruroco confirm` is run"
            );
        }
        Arming::Disarmed => {
            tracing::warn!("doors are open to everyone. Run `ruroco arm` to close them");
        }
    }
}
