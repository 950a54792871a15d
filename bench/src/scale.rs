//! How much is measured: everything well, or enough of it to see in two minutes whether a change
//! has broken something.

use std::time::Duration;

use crate::generator::Rate;

/// The numbers that differ between the two.
pub(crate) struct Scale {
    /// Rounds of [`crate::cost`].
    pub(crate) rounds: u32,
    /// Runs of a program on a packet in a round.
    pub(crate) repeat: u32,
    /// Refusals by the crates in a round.
    pub(crate) refusals: u32,
    /// Packets that are measured one by one.
    pub(crate) singles: usize,
    /// Times that the program is loaded.
    pub(crate) loads: u32,
    /// Times that the client is started.
    pub(crate) starts: u32,
    /// Rates of floods at the gate.
    pub(crate) rates: &'static [Rate],
    /// Rates of floods at whoever has nothing in front of the network stack.
    pub(crate) rates_without_gate: &'static [Rate],
    /// Knocks during a flood.
    pub(crate) knocks: usize,
    /// Knocks during a flood at the maximum, and without one.
    pub(crate) more_knocks: usize,
    /// Of what [`crate::doors`] measures.
    pub(crate) doors: DoorScale,
}

/// The same for doors.
pub(crate) struct DoorScale {
    /// Rounds of floods at a host, and the time of each.
    pub(crate) flood_rounds: u32,
    pub(crate) flood_time: Duration,
    /// Rounds of connections, and the time of each.
    pub(crate) transfer_rounds: usize,
    pub(crate) transfer_time: Duration,
    /// Logins during a flood, and without one.
    pub(crate) logins: usize,
}

impl Scale {
    /// How many knocks there are at a rate.
    pub(crate) fn knocks_at(&self, rate: Rate) -> usize {
        if rate == Rate::Maximum { self.more_knocks } else { self.knocks }
    }

    /// For `docs/evaluate/benchmarks.md`.
    pub(crate) const FULL: Self = Self {
        rounds: 100,
        repeat: 20_000,
        refusals: 1_000,
        singles: 10_000,
        loads: 15,
        starts: 300,
        rates: &[
            Rate::Limited(10_000),
            Rate::Limited(100_000),
            Rate::Limited(1_000_000),
            Rate::Limited(3_000_000),
            Rate::Maximum,
        ],
        rates_without_gate: &[
            Rate::Limited(10_000),
            Rate::Limited(100_000),
            Rate::Limited(500_000),
            Rate::Maximum,
        ],
        knocks: 100,
        more_knocks: 200,
        doors: DoorScale {
            flood_rounds: 9,
            flood_time: Duration::from_millis(250),
            transfer_rounds: 25,
            transfer_time: Duration::from_millis(250),
            logins: 25,
        },
    };

    /// For every day.
    pub(crate) const QUICK: Self = Self {
        rounds: 20,
        repeat: 10_000,
        refusals: 500,
        singles: 2_000,
        loads: 5,
        starts: 50,
        rates: &[Rate::Limited(100_000), Rate::Maximum],
        rates_without_gate: &[Rate::Limited(100_000), Rate::Maximum],
        knocks: 30,
        more_knocks: 30,
        doors: DoorScale {
            flood_rounds: 3,
            flood_time: Duration::from_millis(60),
            transfer_rounds: 5,
            transfer_time: Duration::from_millis(80),
            logins: 3,
        },
    };
}
