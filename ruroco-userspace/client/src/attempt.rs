//! An attempt: a knock, and the look at its effect. The command line and the window both make it
//! here, and tell a person what it comes to.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{
    counter::CounterFile,
    effect::{self, EarlierLook, Effect, Limit, Seen},
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
    /// Why there were no more, if there were to be.
    pub not_repeated: Option<knock::Error>,
    /// The host's addresses that no knock went to.
    pub other_addresses: Vec<SocketAddr>,
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
    /// If no knock is on its way. What fails later is a part of the outcome.
    pub fn make(
        &self,
        counter: &CounterFile,
        report: &mut dyn FnMut(Progress),
        give_up: &dyn Fn() -> bool,
    ) -> Result<Outcome, knock::Error> {
        report(Progress::LookingUp);
        let limit = self.effect.map_or(effect::DEFAULT_LIMIT, |effect| effect.limit);
        let limit = Limit::from_now(limit);
        let addresses = self.knock.addresses(limit.left())?;
        match self.effect {
            None => {
                let routes = self.knock.routes(&addresses)?;
                let sent = self.knock.send(routes, counter, limit, give_up)?;
                sent.all().for_each(|to| report(Progress::Sent(to)));
                Ok(Outcome {
                    other_addresses: others(&addresses, &sent.all().collect::<Vec<_>>()),
                    sent,
                    knocks: 1,
                    effect: Observation::NotLooked,
                    not_repeated: None,
                    objection: None,
                })
            }
            Some(effect) => {
                let used = Vec::new();
                let mut watch =
                    Watch { attempt: self, effect, limit, counter, report, give_up, used };
                watch.knock_until_it_opens(&addresses)
            }
        }
    }
}

/// The addresses that are not among those used.
fn others(all: &[SocketAddr], used: &[SocketAddr]) -> Vec<SocketAddr> {
    all.iter().copied().filter(|address| !used.contains(address)).collect()
}

/// An attempt whose effect is looked at.
struct Watch<'a> {
    attempt: &'a Attempt,
    effect: Effect,
    limit: Limit,
    counter: &'a CounterFile,
    report: &'a mut dyn FnMut(Progress),
    give_up: &'a dyn Fn() -> bool,
    used: Vec<SocketAddr>,
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
        let mut not_repeated = None;
        let mut look = self.knock_and_look(addresses, 0, &mut first_knock)?;
        let limit = self.limit;
        let may_knock = |knocks| knocks < tries && !limit.left().is_zero();
        while may_knock(knocks) && matches!(look.seen, Seen::Shut(_)) {
            match self.knock_and_look(addresses, knocks, &mut first_knock) {
                Ok(next) => look = next,
                Err(knock::Error::GivenUp) => {
                    look.seen = Seen::GivenUp;
                    break;
                }
                // One is on its way already, and has the time that this one would have had.
                Err(error) => {
                    not_repeated = Some(error);
                    look.seen = effect::look(look.at, self.limit.left(), self.give_up);
                    break;
                }
            }
            knocks = knocks.saturating_add(1);
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
        let other_addresses = others(addresses, &self.used);
        Ok(Outcome { sent: look.sent, knocks, effect, not_repeated, other_addresses, objection })
    }

    /// The n-th knock, counted from 0, and the look at what it does. It takes the n-th way in turn: there
    /// may be no answer from the host at one of its addresses.
    fn knock_and_look(
        &mut self,
        addresses: &[SocketAddr],
        n: u32,
        first_knock: &mut Option<Instant>,
    ) -> Result<Look, knock::Error> {
        let knock = &self.attempt.knock;
        let turn = usize::try_from(n).unwrap_or_default();
        let routes = knock.routes(addresses)?.beginning_with(turn);
        let port_at = |to: SocketAddr| SocketAddr::new(to.ip(), self.effect.port.get());
        let first = port_at(routes.first.to());
        // After a knock, nobody can tell what has opened the port.
        let earlier = first_knock.is_none().then(|| EarlierLook::begin(first)).flatten();
        let sent = knock.send(routes, self.counter, self.limit, self.give_up)?;
        first_knock.get_or_insert_with(Instant::now);
        sent.all().for_each(|to| (self.report)(Progress::Sent(to)));
        self.used.extend(sent.all());
        let at = port_at(sent.to);
        let earlier = earlier.filter(|_| at == first);
        (self.report)(Progress::Waiting(at));
        let left = self.limit.left();
        let share = left.checked_div(self.effect.tries.get().saturating_sub(n)).unwrap_or(left);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advice::{self, Remedy},
        counter::ACCEPTED_AHEAD,
        knock::tests::knock_at,
    };
    use std::{
        net::{TcpListener, UdpSocket},
        num::NonZero,
        thread,
        time::SystemTime,
    };

    fn watch<'a>(
        attempt: &'a Attempt,
        counter: &'a CounterFile,
        report: &'a mut dyn FnMut(Progress),
    ) -> Watch<'a> {
        let effect = attempt.effect.unwrap();
        let limit = Limit::from_now(effect.limit);
        Watch { attempt, effect, limit, counter, report, give_up: &|| false, used: Vec::new() }
    }

    #[test]
    fn nobody_knocks_once_the_time_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let counter = CounterFile::in_directory(dir.path()).unwrap();
        let host = UdpSocket::bind("127.0.0.1:0").unwrap();
        host.set_nonblocking(true).unwrap();
        let address = host.local_addr().unwrap();
        let shut = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let effect = Effect {
            limit: Duration::from_secs(2),
            tries: NonZero::new(3).unwrap(),
            ..Effect::of(NonZero::new(shut).unwrap())
        };
        let attempt = Attempt { knock: knock_at(address), effect: Some(effect) };
        let limit = Limit::from_now(effect.limit);
        // As if it took all of the time to send the first one.
        let mut report = |progress| {
            while matches!(progress, Progress::Sent(_)) && !limit.left().is_zero() {
                thread::yield_now();
            }
        };
        let mut watch = Watch { limit, ..watch(&attempt, &counter, &mut report) };
        let outcome = watch.knock_until_it_opens(&[address]).unwrap();
        let came = std::iter::from_fn(|| host.recv(&mut [0; 128]).ok()).count();
        assert_eq!((outcome.knocks, came), (1, 1));
        assert!(matches!(outcome.effect, Observation::Shut { .. }));
    }

    #[test]
    fn a_host_that_opens_has_taken_the_counter_however_far_ahead_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let counter = CounterFile::in_directory(dir.path()).unwrap();
        counter.next(SystemTime::now() + ACCEPTED_AHEAD * 49, Duration::MAX).unwrap();
        let host = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = host.local_addr().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let effect = Effect::of(NonZero::new(port.port()).unwrap());
        let attempt = Attempt { knock: knock_at(address), effect: Some(effect) };
        let remedies = || {
            let outcome =
                watch(&attempt, &counter, &mut |_| {}).knock_until_it_opens(&[address]).unwrap();
            let advice = advice::on(&outcome, attempt.knock.key());
            advice.iter().map(|advice| advice.remedy).collect::<Vec<_>>()
        };
        let opening = thread::spawn(move || {
            host.recv(&mut [0; 128]).unwrap();
            TcpListener::bind(port).unwrap()
        });
        assert_eq!(remedies(), []);
        // That it was open before says nothing of the knock.
        let _open = opening.join().unwrap();
        assert_eq!(remedies(), [Some(Remedy::Reseed)]);
    }

    #[test]
    fn each_try_takes_the_next_address_and_those_that_are_left_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let counter = CounterFile::in_directory(dir.path()).unwrap();
        let hosts = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"].map(|at| {
            let host = UdpSocket::bind(at).unwrap();
            host.set_nonblocking(true).unwrap();
            host
        });
        let addresses = hosts.each_ref().map(|host| host.local_addr().unwrap());
        let shut = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for (tries, came) in [(1, [1, 0, 0]), (2, [1, 1, 0]), (4, [2, 1, 1])] {
            let effect = Effect {
                // Enough for four knocks on a disk that is slow.
                limit: Duration::from_secs(2),
                tries: NonZero::new(tries).unwrap(),
                ..Effect::of(NonZero::new(shut).unwrap())
            };
            let attempt = Attempt { knock: knock_at(addresses[0]), effect: Some(effect) };
            let outcome =
                watch(&attempt, &counter, &mut |_| {}).knock_until_it_opens(&addresses).unwrap();
            let come = hosts
                .each_ref()
                .map(|host| std::iter::from_fn(|| host.recv(&mut [0; 2048]).ok()).count());
            assert_eq!(come, came);
            let mut advice = advice::on(&outcome, attempt.knock.key());
            advice.retain(|advice| advice.remedy == Some(Remedy::ChooseAddresses));
            let is_told = advice.iter().any(|advice| advice.told(|_| "").contains("127.0.0.3"));
            assert_eq!(is_told, came[2] == 0, "{advice:?}");
        }
    }
}
