//! An attempt: a knock, and the look at its effect. The command line and the window both make it
//! here, and tell a person what it comes to.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{
    counter::CounterFile,
    effect::{Effect, Seen},
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
    /// Where the knock went.
    pub sent: Sent,
    /// What was seen of it.
    pub effect: Observation,
}

/// What was seen of a knock.
#[derive(Debug)]
pub enum Observation {
    /// Nothing is known of it: nobody has looked.
    NotLooked,
    /// The port has opened.
    Opened {
        /// The port.
        at: SocketAddr,
        /// How long that took from when the knock was sent.
        after: Duration,
        /// The connection that shows it.
        connection: TcpStream,
    },
    /// The port did not open.
    Shut {
        /// The port.
        at: SocketAddr,
        /// How long it was looked at.
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
    /// If the knock is not on its way.
    pub fn make(
        &self,
        counter: &CounterFile,
        report: &mut dyn FnMut(Progress),
        give_up: &dyn Fn() -> bool,
    ) -> Result<Outcome, knock::Error> {
        report(Progress::LookingUp);
        let addresses = self.knock.addresses()?;
        let begin = Instant::now();
        let sent = self.knock.send(&addresses, counter)?;
        sent.all().for_each(|to| report(Progress::Sent(to)));
        let effect = match self.effect {
            None => Observation::NotLooked,
            Some(effect) => {
                let at = SocketAddr::new(sent.to.ip(), effect.port.get());
                report(Progress::Waiting(at));
                match effect.look(at.ip(), give_up) {
                    Seen::Open(connection) => {
                        Observation::Opened { at, after: begin.elapsed(), connection }
                    }
                    Seen::Shut(error) => Observation::Shut { at, limit: effect.limit, error },
                    Seen::GivenUp => Observation::GivenUp,
                }
            }
        };
        Ok(Outcome { sent, effect })
    }
}
