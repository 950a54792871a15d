//! What to check if a knock did not open its port. The host never replies, so the client can only list
//! causes: first what this computer has detected, then what only the user can check, the most likely cause
//! first. The command line and the window each have their own words for a [`Remedy`].

use std::{io, net::SocketAddr, time::Duration};

use ruroco_invite::destination::DEFAULT_PORT;
use ruroco_keys::key::{Cipher, Key};

use super::{
    attempt::{Observation, Outcome},
    counter::ACCEPTED_AHEAD,
    knock,
};

/// One cause to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    text: String,
    /// What the client offers to do about it.
    pub remedy: Option<Remedy>,
}

/// An action that a client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Reset the counter to the clock.
    Reseed,
    /// Choose one of the host's addresses, or all of them.
    ChooseAddresses,
    /// Create a key.
    MakeKey,
}

impl Advice {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), remedy: None }
    }

    fn with(self, remedy: Remedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// The text, followed by the client's words for the remedy.
    pub fn text_with(&self, words: impl FnOnce(Remedy) -> &'static str) -> String {
        let Self { text, remedy } = self;
        remedy.map_or_else(|| text.clone(), |remedy| format!("{text} {}", words(remedy)))
    }
}

/// What to check after a knock.
pub fn on(outcome: &Outcome, key: &Key) -> Vec<Advice> {
    match &outcome.effect {
        Observation::NotOpened { at, error, .. } => on_not_opened(outcome, key, *at, error),
        // The host accepted the counter, so the clock is not a problem.
        Observation::Opened { was_open: false, .. } => Vec::new(),
        Observation::NotChecked | Observation::Opened { .. } | Observation::GivenUp => {
            on_clock(outcome.sent.ahead_of_clock).into_iter().collect()
        }
    }
}

fn on_not_opened(outcome: &Outcome, key: &Key, at: SocketAddr, error: &io::Error) -> Vec<Advice> {
    let sent = &outcome.sent;
    let mut advice = Vec::new();
    advice.extend(on_repetition(outcome.not_repeated.as_ref()));
    advice.extend(on_clock(sent.ahead_of_clock));
    advice.extend(on_icmp_error(sent.to, outcome.icmp_error.as_ref()));
    advice.extend(on_connection(at, error));
    advice.extend(on_other_addresses(&outcome.other_addresses));
    advice.push(on_address(sent.to));
    advice.push(Advice::new(format!(
        "Run `ruroco status` on the host. It lists the ids of the keys that the host accepts (yours is {}) \
         and, for each rejected knock of a known key, the reason.",
        key.id
    )));
    // The gate cannot have accepted a knock to which the host replied, so causes after the gate do not
    // apply.
    if outcome.icmp_error.is_some() {
        return advice;
    }
    advice.extend([
        Advice::new(
            "Check that the command opens this port for the address that you connect from.",
        ),
        Advice::new("A network in between may drop UDP packets. Try another network."),
    ]);
    if sent.ahead_of_clock.is_zero() {
        advice.push(Advice::new(
            "Check this computer's clock. The host rejects knocks older than the last one it \
             accepted, or more than an hour ahead of its own clock.",
        ));
    }
    if key.cipher == Cipher::Aes256GcmSiv {
        let text = "This key is from upstream ruroco. The host's kernel cannot authenticate such keys, so \
                    their knocks may be dropped during a flood.";
        advice.push(Advice::new(text).with(Remedy::MakeKey));
    }
    advice
}

fn on_address(to: SocketAddr) -> Advice {
    let port = match to.port() {
        DEFAULT_PORT => " If you set no port, the default port 80 is used.",
        _ => "",
    };
    Advice::new(format!(
        "Check that {to} is the host's address and UDP port, and that `addresses` in the host's \
         configuration contains this address.{port}"
    ))
}

/// What to check if the counter is ahead of the clock by more than a second. Knocks in quick succession
/// make it less than that.
pub fn on_clock(ahead: Duration) -> Option<Advice> {
    const MOMENT: Duration = Duration::from_secs(1);
    if ahead <= MOMENT {
        return None;
    }
    let ahead_in_words = in_words(ahead);
    Some(if ahead > ACCEPTED_AHEAD {
        let text = format!(
            "The knock counter is {ahead_in_words} ahead of this computer's clock, because the clock was \
             once ahead or has been set back. Hosts reject knocks more than an hour ahead of their own \
             clock."
        );
        Advice::new(text).with(Remedy::Reseed)
    } else {
        Advice::new(format!(
            "This computer's clock has been set back by {ahead_in_words} since an earlier knock. If the \
             clock is correct now, no action is needed."
        ))
    })
}

/// The time in its largest unit.
fn in_words(time: Duration) -> String {
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
            "{host} rejects connections to port {port}. Either no program listens there, or a firewall \
             rejects your address."
        )));
    }
    matches!(error.kind(), HostUnreachable | NetworkUnreachable).then(|| {
        Advice::new(format!(
            "Cannot reach {host}: {error}. Either the host is down, this computer has no network, or a \
             firewall rejects your address."
        ))
    })
}

fn on_icmp_error(to: SocketAddr, error: Option<&io::Error>) -> Option<Advice> {
    let error = error?;
    Some(Advice::new(if error.kind() == io::ErrorKind::ConnectionRefused {
        format!(
            "{} reports that UDP port {} is closed. Either the address or the port is wrong, or ruroco-gate \
             is not running there. (With `appearance = \"closed\"`, the gate also replies like this to \
             rejected knocks.)",
            to.ip(),
            to.port()
        )
    } else {
        format!("The network could not deliver the knock to {to}: {error}.")
    }))
}

fn on_repetition(error: Option<&knock::Error>) -> Option<Advice> {
    error.map(|error| Advice::new(format!("The knock could not be repeated: {error}.")))
}

fn on_other_addresses(others: &[SocketAddr]) -> Option<Advice> {
    let others: Vec<_> = others.iter().map(|other| other.ip().to_string()).collect();
    (!others.is_empty()).then(|| {
        let others = others.join(", ");
        let text =
            format!("The host has other addresses, and no knock was sent to them: {others}.");
        Advice::new(text).with(Remedy::ChooseAddresses)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knock::Sent;
    use ruroco_seal::generate_key;

    /// The advice about a port that refuses connections after a knock.
    fn texts(to: &str, icmp_error: Option<io::ErrorKind>) -> Vec<String> {
        let outcome = Outcome {
            sent: Sent::to(to.parse().unwrap()),
            knocks: 1,
            effect: Observation::NotOpened {
                at: "192.0.2.1:22".parse().unwrap(),
                limit: Duration::from_secs(1),
                error: io::ErrorKind::ConnectionRefused.into(),
            },
            icmp_error: icmp_error.map(io::Error::from),
            not_repeated: None,
            other_addresses: Vec::new(),
        };
        let advice = on(&outcome, &generate_key().unwrap());
        advice.iter().map(|advice| advice.text_with(|_| "")).collect()
    }

    fn place(advice: &[String], words: &str) -> Option<usize> {
        advice.iter().position(|advice| advice.contains(words))
    }

    #[test]
    fn what_is_known_comes_first_and_the_clock_last() {
        let advice = texts("192.0.2.1:62201", None);
        let places: Vec<_> = ["rejects connections", "UDP port", "status", "drop UDP", "clock"]
            .map(|words| place(&advice, words).expect(words))
            .into();
        assert!(places.is_sorted() && places.first() == Some(&0), "{advice:#?}");
        assert_eq!(place(&advice, "default port"), None, "{advice:#?}");
        let advice = texts("192.0.2.1:80", None);
        assert!(place(&advice, "default port").is_some(), "{advice:#?}");
    }

    /// One of its programs has that other name.
    #[test]
    fn the_machine_is_called_a_host() {
        let advice = texts("192.0.2.1:80", None);
        assert_eq!(place(&advice, "erver"), None, "{advice:#?}");
    }

    #[test]
    fn a_knock_that_no_gate_accepted_is_not_explained_by_what_comes_after_the_gate() {
        let advice = texts("192.0.2.1:62201", Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(place(&advice, "192.0.2.1 reports that UDP port 62201 is closed"), Some(0));
        for words in ["clock", "drop UDP", "the command"] {
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
