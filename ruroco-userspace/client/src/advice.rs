//! What to check when a knock did not open its port. The server never answers, so this is a list: first
//! what this computer has found out, then what only the person can check, the most frequent cause first.
//! Each client has its own words for what it can do about a cause.

use std::{io, net::SocketAddr, time::Duration};

use ruroco_invite::destination::DEFAULT_PORT;
use ruroco_keys::key::{Cipher, Key};

use super::{
    attempt::{Observation, Outcome},
    counter::ACCEPTED_AHEAD,
    knock,
};

/// Something to check.
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

/// What to check after a knock that was not seen to open its port.
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
    let sent = &outcome.sent;
    let mut advice = Vec::new();
    advice.extend(on_repetition(outcome.not_repeated.as_ref()));
    advice.extend(on_clock(sent.ahead_of_clock));
    advice.extend(on_objection(sent.to, outcome.objection.as_ref()));
    advice.extend(on_connection(at, error));
    advice.extend(on_other_addresses(&outcome.other_addresses));
    advice.push(on_address(sent.to));
    advice.push(Advice::new(format!(
        "Run `ruroco status` on the host. It lists the ids of the keys that the host accepts (yours \
         is {}) and, for each knock of a known key that it rejected, the reason.",
        key.id
    )));
    // No gate has accepted a knock that the host answers: what comes after the gate is beside the point.
    if outcome.objection.is_some() {
        return advice;
    }
    advice.extend([
        Advice::new("Check that the command opens this port for the address you connect from."),
        Advice::new("Check whether a network in between drops UDP: try another network."),
    ]);
    if sent.ahead_of_clock.is_zero() {
        advice.push(Advice::new(
            "Check this computer's clock. The host rejects knocks older than the last one it \
             accepted, or more than an hour ahead of its own clock.",
        ));
    }
    if key.cipher == Cipher::Aes256GcmSiv {
        let text = "This key is from upstream ruroco. The kernel cannot authenticate such keys, so \
                    their knocks are throttled in a flood.";
        advice.push(Advice::new(text).with(Remedy::MakeKey));
    }
    advice
}

fn on_address(to: SocketAddr) -> Advice {
    let port = match to.port() {
        DEFAULT_PORT => " The default port, 80, is used if none is given.",
        _ => "",
    };
    Advice::new(format!(
        "Check that {to} is the host's address and UDP port, and that `ips` in the host's \
         configuration lists this address.{port}"
    ))
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
            "The knock counter is {told} ahead of this computer's clock, because the clock was once \
             ahead or has been set back. A host rejects knocks more than an hour ahead of its own clock."
        );
        Advice::new(text).with(Remedy::Reseed)
    } else {
        Advice::new(format!(
            "This computer's clock has been set back by {told} since an earlier knock. That does no \
             harm if the clock is correct now."
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
    let (host, port) = (at.ip(), at.port());
    if error.kind() == ConnectionRefused {
        return Some(Advice::new(format!(
            "{host} rejects connections to port {port}: either no program listens there, or a firewall \
             rejects your address."
        )));
    }
    matches!(error.kind(), HostUnreachable | NetworkUnreachable).then(|| {
        Advice::new(format!(
            "{host} cannot be reached: {error}. Either it is down, this computer has no network, or a \
             firewall rejects your address."
        ))
    })
}

fn on_objection(to: SocketAddr, error: Option<&io::Error>) -> Option<Advice> {
    let error = error?;
    Some(Advice::new(if error.kind() == io::ErrorKind::ConnectionRefused {
        format!(
            "{} reports that UDP port {} is closed. Either the port or the host is wrong, or its gate is \
             not running. (A gate with `appearance = \"closed\"` answers rejected packets like this, \
             too.)",
            to.ip(),
            to.port()
        )
    } else {
        format!("The network returned the knock to {to}: {error}.")
    }))
}

fn on_repetition(error: Option<&knock::Error>) -> Option<Advice> {
    error.map(|error| Advice::new(format!("Cannot repeat the knock: {error}.")))
}

fn on_other_addresses(others: &[SocketAddr]) -> Option<Advice> {
    let others: Vec<_> = others.iter().map(|other| other.ip().to_string()).collect();
    (!others.is_empty()).then(|| {
        let others = others.join(", ");
        let text = format!("The host has other addresses, to which no knock was sent: {others}.");
        Advice::new(text).with(Remedy::ChooseAddresses)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knock::Sent;
    use ruroco_seal::generate_key;

    /// What is said of a port that refuses connections after a knock.
    fn told(to: &str, objection: Option<io::ErrorKind>) -> Vec<String> {
        let outcome = Outcome {
            sent: Sent::to(to.parse().unwrap()),
            knocks: 1,
            effect: Observation::Shut {
                at: "192.0.2.1:22".parse().unwrap(),
                limit: Duration::from_secs(1),
                error: io::ErrorKind::ConnectionRefused.into(),
            },
            objection: objection.map(io::Error::from),
            not_repeated: None,
            other_addresses: Vec::new(),
        };
        let advice = on(&outcome, &generate_key().unwrap());
        advice.iter().map(|advice| advice.told(|_| "")).collect()
    }

    fn place(advice: &[String], words: &str) -> Option<usize> {
        advice.iter().position(|advice| advice.contains(words))
    }

    #[test]
    fn what_is_known_comes_first_and_the_clock_last() {
        let advice = told("192.0.2.1:62201", None);
        let places: Vec<_> = ["rejects connections", "UDP port", "status", "drops UDP", "clock"]
            .map(|words| place(&advice, words).expect(words))
            .into();
        assert!(places.is_sorted() && places.first() == Some(&0), "{advice:#?}");
        assert_eq!(place(&advice, "default port"), None, "{advice:#?}");
        let advice = told("192.0.2.1:80", None);
        assert!(place(&advice, "default port").is_some(), "{advice:#?}");
    }

    #[test]
    fn a_knock_that_no_gate_accepted_is_not_explained_by_what_comes_after_the_gate() {
        let advice = told("192.0.2.1:62201", Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(place(&advice, "192.0.2.1 reports that UDP port 62201 is closed"), Some(0));
        for words in ["clock", "drops UDP", "the command"] {
            assert_eq!(place(&advice, words), None, "{advice:#?}");
        }
    }

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
