//! What a person can do when nothing opens. The server says nothing, so this lists what keeps a knock
//! from being heard: first what this computer has found out itself, then what is left to look at,
//! the likeliest first. How to do with a client what it says, that client knows: the words are the command
//! line's or the window's own.

use std::{io, net::SocketAddr, time::Duration};

use super::{
    attempt::{Observation, Outcome},
    counter::ACCEPTED_AHEAD,
    knock,
};
use crate::key::{Cipher, Key};

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    text: String,
    /// What a client can do about it.
    pub remedy: Option<Remedy>,
}

/// Something that a client can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// To have the counter follow the clock again, if that is right.
    Reseed,
    /// To choose among a host's addresses.
    ChooseAddresses,
    /// To make a key.
    MakeKey,
}

impl Advice {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), remedy: None }
    }

    fn with(self, remedy: Remedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// All of it, with a client's words for what can be done about it.
    pub fn told(&self, words: impl FnOnce(Remedy) -> &'static str) -> String {
        let Self { text, remedy } = self;
        remedy.map_or_else(|| text.clone(), |remedy| format!("{text} {}", words(remedy)))
    }
}

/// Things to look at, for somebody whose knock was not seen to do what it is for.
pub fn on(outcome: &Outcome, key: &Key) -> Vec<Advice> {
    match &outcome.effect {
        Observation::Shut { at, error, .. } => on_shut(outcome, key, *at, error),
        // The host has taken the counter as it is, and takes none that is less.
        Observation::Opened { was_open: false, .. } => Vec::new(),
        Observation::NotLooked | Observation::Opened { .. } | Observation::GivenUp => {
            on_clock(outcome.sent.ahead_of_clock).into_iter().collect()
        }
    }
}

fn on_shut(outcome: &Outcome, key: &Key, at: SocketAddr, error: &io::Error) -> Vec<Advice> {
    let mut advice = Vec::new();
    advice.extend(on_repetition(outcome.not_repeated.as_ref()));
    advice.extend(on_clock(outcome.sent.ahead_of_clock));
    advice.extend(on_connection(at, error));
    advice.extend(on_objection(outcome.sent.to, outcome.objection.as_ref()));
    advice.extend(on_other_addresses(&outcome.other_addresses));
    if outcome.sent.ahead_of_clock.is_zero() {
        advice.push(Advice::new(
            "Is this computer's clock right? A knock from the past or far in the future is refused.",
        ));
    }
    advice.extend([
        Advice::new(format!(
            "Does the host have the key with the id {}? Look there with: ruroco-gate status",
            key.id
        )),
        Advice::new(format!(
            "Is {} the host's address and UDP port, and an address that the host knows as its own \
             (`ips`)?",
            outcome.sent.to
        )),
        Advice::new("Does a network in between drop UDP? Try another network."),
        Advice::new("Does the command open this port, and for the address that you come from?"),
    ]);
    if key.cipher == Cipher::Aes256GcmSiv {
        let text = "The key is one of upstream ruroco. Under a flood such keys are throttled; a new key \
                    is not.";
        advice.push(Advice::new(text).with(Remedy::MakeKey));
    }
    advice
}

/// What a counter that is ahead of the clock means, if it is more than a moment ahead: counters of
/// knocks at the same moment are so, too. It is known before anybody has waited.
pub fn on_clock(ahead: Duration) -> Option<Advice> {
    const MOMENT: Duration = Duration::from_secs(1);
    if ahead <= MOMENT {
        return None;
    }
    let told = told(ahead);
    Some(if ahead > ACCEPTED_AHEAD {
        let text = format!(
            "This computer's clock was {told} ahead once, or has been set back since, and the \
             counter still is. A host refuses what is more than an hour ahead of its own clock."
        );
        Advice::new(text).with(Remedy::Reseed)
    } else {
        Advice::new(format!(
            "This computer's clock has been set back by {told} since an earlier knock. That alone \
             does no harm; is it right now?"
        ))
    })
}

/// In the largest unit of which there is one.
fn told(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let fitting = units.iter().find_map(|(size, name)| {
        let count = seconds.checked_div(*size).filter(|count| *count > 0)?;
        Some(format!("{count} {name}{}", if count == 1 { "" } else { "s" }))
    });
    fitting.unwrap_or_else(|| "less than a second".to_owned())
}

fn on_connection(at: SocketAddr, error: &io::Error) -> Option<Advice> {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let (host, port, kind) = (at.ip(), at.port(), error.kind());
    if kind == ConnectionRefused {
        Some(Advice::new(format!(
            "{host} answers, and refuses connections to port {port}: either nothing listens there, \
             or a firewall rejects them for you."
        )))
    } else if [HostUnreachable, NetworkUnreachable].contains(&kind) {
        Some(Advice::new(format!(
            "There is no way to {host} from here, or it is down: {error}. Is this computer connected?"
        )))
    } else {
        None
    }
}

fn on_objection(to: SocketAddr, error: Option<&io::Error>) -> Option<Advice> {
    let error = error?;
    Some(Advice::new(if error.kind() == io::ErrorKind::ConnectionRefused {
        format!(
            "{} answers that nothing listens on UDP port {}: the wrong port or host, or its gate does \
             not run. (A gate with `appearance = \"closed\"` says so, too.)",
            to.ip(),
            to.port()
        )
    } else {
        format!("The network has returned the knock to {to}: {error}.")
    }))
}

fn on_repetition(error: Option<&knock::Error>) -> Option<Advice> {
    error.map(|error| Advice::new(format!("The knock could not be repeated: {error}.")))
}

fn on_other_addresses(others: &[SocketAddr]) -> Option<Advice> {
    let others: Vec<_> = others.iter().map(|other| other.ip().to_string()).collect();
    (!others.is_empty()).then(|| {
        let others = others.join(", ");
        let text = format!("The host has other addresses that no knock went to: {others}.");
        Advice::new(text).with(Remedy::ChooseAddresses)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_told_and_what_to_do_if_that_matters() {
        assert_eq!(on_clock(Duration::ZERO), None);
        assert_eq!(on_clock(Duration::from_millis(900)), None);
        let little = on_clock(ACCEPTED_AHEAD).unwrap();
        assert!(little.text.contains("1 hour ") && little.remedy.is_none(), "{little:?}");
        let much = on_clock(ACCEPTED_AHEAD * 49).unwrap();
        assert!(much.text.contains("2 days"), "{much:?}");
        assert_eq!(much.remedy, Some(Remedy::Reseed));
    }
}
