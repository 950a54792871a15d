//! An attempt: a knock, and the look at its effect. The command line and the window both make it
//! here, and tell a person what it comes to.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{
    counter::CounterFile,
    effect::{self, EarlierLook, Effect, Seen},
    knock::{self, Knock, Sent},
};

/// A knock, and what it is to do.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The knock.
    pub knock: Knock,
    /// What will be seen of it, if anything.
    pub effect: Option<Effect>,
}

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The host's address is looked up, which can take its time.
    LookingUp,
    /// The knock is on its way to this address.
    Sent(SocketAddr),
    /// It is looked at whether this port opens.
    Waiting(SocketAddr),
}

/// What an attempt came to.
#[derive(Debug)]
pub struct Outcome {
    /// Where the last knock went.
    pub sent: Sent,
    /// How many there were: more than one only if the effect allows that.
    pub knocks: u32,
    /// What was seen of it.
    pub effect: Observation,
    /// The ICMP error that has come back for the last knock. It is only asked for if nothing opens.
    pub objection: Option<io::Error>,
}

/// What was seen of a knock.
#[derive(Debug)]
pub enum Observation {
    /// Nothing is known of it: nobody has looked.
    NotLooked,
    /// The port is open.
    Opened {
        /// The port.
        at: SocketAddr,
        /// How long that took from when the first knock was sent.
        after: Duration,
        /// Whether the port was open before there was a knock.
        was_open: bool,
        /// The connection that shows it.
        connection: TcpStream,
    },
    /// The port did not open.
    Shut {
        /// The port.
        at: SocketAddr,
        /// How long all of it may take.
        limit: Duration,
        /// What the last attempt to connect has met.
        error: io::Error,
    },
    /// The person did not want to wait any longer.
    GivenUp,
}

impl Attempt {
    /// Knocks and looks. `report` is told how far it is; `give_up` is asked now and then whether to
    /// stop looking.
    ///
    /// # Errors
    /// If a knock is not on its way.
    pub fn make(
        &self,
        counter: &CounterFile,
        report: &mut dyn FnMut(Progress),
        give_up: &dyn Fn() -> bool,
    ) -> Result<Outcome, knock::Error> {
        let begun = Instant::now();
        report(Progress::LookingUp);
        let limit = self.effect.map_or(effect::DEFAULT_LIMIT, |effect| effect.limit);
        let addresses = self.knock.addresses(limit)?;
        match self.effect {
            None => {
                let sent = self.knock.send(self.knock.routes(&addresses)?, counter, give_up)?;
                sent.all().for_each(|to| report(Progress::Sent(to)));
                let effect = Observation::NotLooked;
                Ok(Outcome { sent, knocks: 1, effect, objection: None })
            }
            Some(effect) => {
                let mut watch = Watch { attempt: self, effect, begun, counter, report, give_up };
                watch.knock_until_it_opens(&addresses)
            }
        }
    }
}

/// An attempt whose effect is looked at.
struct Watch<'a> {
    attempt: &'a Attempt,
    effect: Effect,
    begun: Instant,
    counter: &'a CounterFile,
    report: &'a mut dyn FnMut(Progress),
    give_up: &'a dyn Fn() -> bool,
}

/// A knock that has been sent, and what is known of its port.
struct Look {
    sent: Sent,
    at: SocketAddr,
    was_open: bool,
    seen: Seen,
}

impl Watch<'_> {
    /// Knocks as often as it may, and each time looks for its share of the time that is left.
    fn knock_until_it_opens(&mut self, addresses: &[SocketAddr]) -> Result<Outcome, knock::Error> {
        let mut first_knock = None;
        let tries = self.effect.tries.get();
        let mut knocks = 1;
        loop {
            let look =
                self.knock_and_look(addresses, tries.saturating_sub(knocks), &mut first_knock)?;
            if knocks < tries && matches!(look.seen, Seen::Shut(_)) {
                knocks = knocks.saturating_add(1);
                continue;
            }
            let after = first_knock.map_or(Duration::ZERO, |at: Instant| at.elapsed());
            let (at, limit) = (look.at, self.effect.limit);
            let effect = match look.seen {
                Seen::Open(connection) => {
                    Observation::Opened { at, after, was_open: look.was_open, connection }
                }
                Seen::Shut(error) => Observation::Shut { at, limit, error },
                Seen::GivenUp => Observation::GivenUp,
            };
            let is_shut = matches!(effect, Observation::Shut { .. });
            let objection = is_shut.then(|| look.sent.objection()).flatten();
            return Ok(Outcome { sent: look.sent, knocks, effect, objection });
        }
    }

    fn knock_and_look(
        &mut self,
        addresses: &[SocketAddr],
        tries_left: u32,
        first_knock: &mut Option<Instant>,
    ) -> Result<Look, knock::Error> {
        let knock = &self.attempt.knock;
        let routes = knock.routes(addresses)?;
        let port_at = |to: SocketAddr| SocketAddr::new(to.ip(), self.effect.port.get());
        let first = port_at(routes.first.to());
        // After a knock, nobody can tell what has opened the port.
        let earlier = first_knock.is_none().then(|| EarlierLook::begin(first)).flatten();
        let sent = knock.send(routes, self.counter, self.give_up)?;
        first_knock.get_or_insert_with(Instant::now);
        sent.all().for_each(|to| (self.report)(Progress::Sent(to)));
        let at = port_at(sent.to);
        let earlier = earlier.filter(|_| at == first);
        (self.report)(Progress::Waiting(at));
        let left = self.effect.limit.saturating_sub(self.begun.elapsed());
        let share = left.checked_div(tries_left.saturating_add(1)).unwrap_or(left);
        let (was_open, seen) = self.look(at, share, earlier);
        Ok(Look { sent, at, was_open, seen })
    }

    fn look(&self, at: SocketAddr, limit: Duration, earlier: Option<EarlierLook>) -> (bool, Seen) {
        let look = || effect::look(at, limit, self.give_up);
        match earlier {
            Some(earlier) if earlier.has_seen_it_open() => {
                (true, earlier.into_connection().map_or_else(|_| look(), Seen::Open))
            }
            earlier => {
                let seen = look();
                (earlier.is_some_and(|earlier| earlier.has_seen_it_open()), seen)
            }
        }
    }
}
