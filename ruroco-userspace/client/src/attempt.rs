//! An attempt: sends a knock, and checks its effect. The command line and the window both use it and present
//! its outcome.

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

/// A knock, and the effect to check.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The knock.
    pub knock: Knock,
    /// The port to check; none to send the knock only.
    pub effect: Option<Effect>,
}

/// The progress of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The host's address is being looked up, which can take seconds.
    LookingUp,
    /// A knock was sent to this address.
    Sent(SocketAddr),
    /// The attempt waits for this port to open.
    Waiting(SocketAddr),
}

/// The outcome of an attempt.
#[derive(Debug)]
pub struct Outcome {
    /// The last knock that was sent.
    pub sent: Sent,
    /// The number of knocks: more than one only if the effect allows it.
    pub knocks: u32,
    /// The observed effect.
    pub effect: Observation,
    /// Why a further knock failed, if one did.
    pub not_repeated: Option<knock::Error>,
    /// The host's addresses to which no knock was sent.
    pub other_addresses: Vec<SocketAddr>,
    /// The ICMP error that the network returned for the last knock. It is read only if the port did not open.
    pub icmp_error: Option<io::Error>,
}

/// The observed effect of a knock.
#[derive(Debug)]
pub enum Observation {
    /// Unknown: no port was checked.
    NotChecked,
    /// The port is open.
    Opened {
        /// The port.
        at: SocketAddr,
        /// The time since the first knock.
        after: Duration,
        /// Whether the port was open before the first knock.
        was_open: bool,
        /// The connection to the port.
        connection: TcpStream,
    },
    /// The port did not open.
    NotOpened {
        /// The port.
        at: SocketAddr,
        /// The time limit of the attempt.
        limit: Duration,
        /// The error of the last connection attempt.
        error: io::Error,
    },
    /// The user stopped the attempt.
    GivenUp,
}

impl Attempt {
    /// Sends the knock and checks its effect. Calls `report` with the progress, and `give_up` repeatedly
    /// to learn whether to stop.
    ///
    /// # Errors
    /// If no knock was sent. Later failures are part of the outcome.
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
                    effect: Observation::NotChecked,
                    not_repeated: None,
                    icmp_error: None,
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

/// An attempt whose effect is checked.
struct Watch<'a> {
    attempt: &'a Attempt,
    effect: Effect,
    limit: Limit,
    counter: &'a CounterFile,
    report: &'a mut dyn FnMut(Progress),
    give_up: &'a dyn Fn() -> bool,
    used: Vec<SocketAddr>,
}

/// A knock that was sent, and the state of its port.
struct Look {
    sent: Sent,
    at: SocketAddr,
    was_open: bool,
    seen: Seen,
}

impl Watch<'_> {
    /// Sends up to `tries` knocks. After each, waits for its share of the remaining time.
    fn knock_until_it_opens(&mut self, addresses: &[SocketAddr]) -> Result<Outcome, knock::Error> {
        let mut first_knock = None;
        let tries = self.effect.tries.get();
        let mut knocks = 1;
        let mut not_repeated = None;
        let mut look = self.knock_and_look(addresses, 0, &mut first_knock)?;
        let limit = self.limit;
        let may_knock = |knocks| knocks < tries && !limit.left().is_zero();
        while may_knock(knocks) && matches!(look.seen, Seen::NotOpened(_)) {
            match self.knock_and_look(addresses, knocks, &mut first_knock) {
                Ok(next) => look = next,
                Err(knock::Error::GivenUp) => {
                    look.seen = Seen::GivenUp;
                    break;
                }
                // An earlier knock was sent: wait for it for the time that this one would have had.
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
            Seen::NotOpened(error) => Observation::NotOpened { at, limit, error },
            Seen::GivenUp => Observation::GivenUp,
        };
        let is_shut = matches!(effect, Observation::NotOpened { .. });
        let icmp_error = is_shut.then(|| look.sent.icmp_error()).flatten();
        let other_addresses = others(addresses, &self.used);
        Ok(Outcome { sent: look.sent, knocks, effect, not_repeated, other_addresses, icmp_error })
    }

    /// Sends the n-th knock, counted from 0, and checks its effect. It uses the n-th route in turn,
    /// because the host may be unreachable at one of its addresses.
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
        // After a knock, an open port does not show whether it was open before.
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
        assert!(matches!(outcome.effect, Observation::NotOpened { .. }));
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
            let is_told =
                advice.iter().any(|advice| advice.text_with(|_| "").contains("127.0.0.3"));
            assert_eq!(is_told, came[2] == 0, "{advice:?}");
        }
    }
}
