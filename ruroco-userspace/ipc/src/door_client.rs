//! The client of the gate's `doors.sock`: it sends a request and waits for the answer.
//!
//! Each attempt has a connection of its own. If the gate restarts or is busy, the client tries again until its time is
//! up. A request may reach the gate twice, if the gate ends between request and answer: then both must have the same end,
//! so that the second one does not extend the lease of the first.

use std::{
    io::{self, ErrorKind},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use crate::{
    lease::{Answer, Request},
    private_socket::connect,
    wait::wait,
};

/// How long to wait before the next attempt to reach the gate.
const AGAIN: Duration = Duration::from_millis(100);

/// The errors of a gate that is away, busy, or about to end.
const PASSING: [ErrorKind; 6] = [
    ErrorKind::NotFound,
    ErrorKind::ConnectionRefused,
    ErrorKind::ConnectionReset,
    ErrorKind::BrokenPipe,
    ErrorKind::WouldBlock,
    ErrorKind::Interrupted,
];

/// Why a door was not opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The gate has rejected the request.
    #[error("{}", remedy(*.0))]
    Rejected(Answer),
    /// No gate accepts connections.
    #[error("ruroco-gate accepted no request in time ({0}). Run: systemctl status ruroco-gate")]
    Away(io::Error),
    /// The gate has accepted the request and does not answer it.
    #[error("ruroco-gate did not answer in time. Run: systemctl status ruroco-gate")]
    Silent,
    /// The gate is of a release with other answers.
    #[error(
        "ruroco-gate gave an unknown answer: it is of another release. Run: systemctl restart ruroco-gate \
         ruroco-commander"
    )]
    UnknownAnswer,
    /// The gate's socket cannot be used.
    #[error("could not use the socket of ruroco-gate: {0}. Run: ruroco doctor")]
    Unreachable(io::Error),
    /// The client's program ends.
    #[error("the commander stopped before ruroco-gate had answered; knock again")]
    Stopping,
}

impl Failure {
    /// Its one name.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Rejected(answer) => answer.name(),
            Self::Away(_) => "gate_away",
            Self::Silent => "gate_silent",
            Self::UnknownAnswer => "unknown_answer",
            Self::Unreachable(_) => "gate_unreachable",
            Self::Stopping => "stopping",
        }
    }
}

/// Why the gate has rejected a request, and what to do.
const fn remedy(answer: Answer) -> &'static str {
    match answer {
        Answer::UnknownDoor => {
            "the running ruroco-gate has no such door. Run: systemctl reload ruroco-gate"
        }
        Answer::UnknownKey => {
            "the running ruroco-gate has no such key. Run: systemctl reload ruroco-gate"
        }
        Answer::TooLong => {
            "the running ruroco-gate allows a shorter time (`for` of the door). Run: systemctl reload ruroco-gate \
             ruroco-commander"
        }
        Answer::TooManyOfKey => {
            "the key has as many leases as one key may have. Wait until one ends, or close a door"
        }
        Answer::Full => {
            "there are as many leases as the kernel has room for. Wait until one ends, or close a door"
        }
        Answer::Failed => "the kernel rejected the change. Run: journalctl -u ruroco-gate",
        Answer::Malformed => {
            "ruroco-gate is of another release. Run: systemctl restart ruroco-gate ruroco-commander"
        }
        Answer::TooLate => {
            "the time of the lease ended before ruroco-gate answered, and the door may have been open meanwhile. Knock \
             again; if this repeats itself, the gate restarts. Run: systemctl status ruroco-gate"
        }
        Answer::Opened | Answer::Renewed | Answer::Closed | Answer::WasClosed => "",
    }
}

/// The gate, as one of its clients sees it.
#[derive(Clone, Copy, Debug)]
pub struct DoorClient<'a> {
    /// The path of the gate's socket.
    pub socket: &'a Path,
    /// Readable or closed when the client's program is to end, if anything tells it.
    pub stop: Option<BorrowedFd<'a>>,
    /// When to give up.
    pub deadline: Instant,
}

/// Why an attempt gave no answer.
enum Trouble {
    /// The next one may.
    Passing(io::Error),
    /// None will.
    Lasting(Failure),
}

impl From<Errno> for Trouble {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match PASSING.contains(&error.kind()) {
            true => Self::Passing(error),
            false => Self::Lasting(Failure::Unreachable(error)),
        }
    }
}

impl DoorClient<'_> {
    /// Sends a request, as `make` makes it for each attempt that reaches a gate, until the gate answers.
    ///
    /// # Errors
    /// Why what was requested is not so.
    pub fn request(&self, mut make: impl FnMut() -> Request) -> Result<Answer, Failure> {
        loop {
            let passing = match self.attempt(&mut make) {
                Ok(answer) if answer.is_success() => return Ok(answer),
                Ok(answer) => return Err(Failure::Rejected(answer)),
                Err(Trouble::Lasting(failure)) => return Err(failure),
                Err(Trouble::Passing(error)) => error,
            };
            let now = Instant::now();
            if self.deadline <= now {
                return Err(Failure::Away(passing));
            }
            let next = now.checked_add(AGAIN).map_or(self.deadline, |next| next.min(self.deadline));
            let [is_stopped] = wait([self.stop], Some(next)).map_err(Failure::Unreachable)?;
            if is_stopped {
                return Err(Failure::Stopping);
            }
        }
    }

    /// Sends one request and waits for the answer.
    fn attempt(&self, make: &mut impl FnMut() -> Request) -> Result<Answer, Trouble> {
        let gate = connect(self.socket)?;
        send(&gate, &make().encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        loop {
            let [has_come, is_stopped] =
                wait([Some(gate.as_fd()), self.stop], Some(self.deadline))?;
            if has_come {
                return receive(&gate);
            }
            if is_stopped {
                return Err(Trouble::Lasting(Failure::Stopping));
            }
            if self.deadline <= Instant::now() {
                return Err(Trouble::Lasting(Failure::Silent));
            }
        }
    }
}

fn receive(gate: &OwnedFd) -> Result<Answer, Trouble> {
    // One byte more than an answer, so that one which is too long does not look right.
    let mut answer = [0; 2];
    match recv(gate, &mut answer, RecvFlags::DONTWAIT)? {
        (0, _) => Err(Trouble::Passing(io::Error::other("it closed the connection"))),
        (1, _) => Answer::decode(answer[0]).ok_or(Trouble::Lasting(Failure::UnknownAnswer)),
        _ => Err(Trouble::Lasting(Failure::UnknownAnswer)),
    }
}
