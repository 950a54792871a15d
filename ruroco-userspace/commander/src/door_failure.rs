//! Why a door was not opened or closed, with its name in the log and the audit trail, and what to do.

use std::io;

use ruroco_ipc::{lease::Answer, order::MAX_WAIT};

/// Why a door was not opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The gate has rejected the request.
    #[error("{}", remedy(*.0))]
    Rejected(Answer),
    /// No gate accepts connections.
    #[error(
        "ruroco-gate accepted no request within {} seconds of the knock ({}). Run: systemctl status ruroco-gate",
        MAX_WAIT.as_secs(), .0
    )]
    Away(io::Error),
    /// The gate has accepted the request and does not answer it.
    #[error(
        "ruroco-gate did not answer within {} seconds of the knock. Run: systemctl status ruroco-gate",
        MAX_WAIT.as_secs()
    )]
    Silent,
    /// A gate has received the request and has ended, and so has the time for which the door was to be open.
    #[error(
        "ruroco-gate ended before it had answered, and the time of the lease is over; knock again"
    )]
    Unanswered,
    /// The gate is of a release with other answers.
    #[error(
        "ruroco-gate gave an unknown answer: it is of another release. Run: systemctl restart ruroco-gate \
         ruroco-commander"
    )]
    UnknownAnswer,
    /// The gate's socket cannot be used.
    #[error("could not use the socket of ruroco-gate: {0}. Run: ruroco doctor")]
    Unreachable(io::Error),
    /// The commander ends.
    #[error("the commander stopped before ruroco-gate had answered; knock again")]
    Stopping,
}

impl Failure {
    /// Its one name.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Rejected(answer) => answer.name(),
            Self::Away(_) => "gate_away",
            Self::Silent | Self::Unanswered => "gate_silent",
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
        Answer::Opened | Answer::Renewed | Answer::Closed | Answer::WasClosed => "",
    }
}
