//! The progress and the result of a knock, as the window shows them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use jiff::{Timestamp, Zoned, tz::TimeZone};
use ruroco_client::{
    advice::{self, Remedy},
    attempt::{Observation, Outcome},
    counter, effect, key_store,
    knock::{self, Sent},
    lease::Lease,
};
use ruroco_keys::{key::Key, name::Name};

use super::{
    action::Action,
    history,
    icons::Icon,
    leases,
    notice::{Offer, sentence, shown},
    style::Tone,
};

/// The last knock at a host.
#[derive(Debug)]
pub(super) struct Knocking {
    /// The number of the knock. Reports about an earlier knock are ignored.
    pub(super) number: u64,
    pub(super) command: String,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) state: State,
}

/// The progress of a knock.
#[derive(Debug)]
pub(super) enum State {
    LookingUp,
    Sent(Vec<SocketAddr>),
    Waiting { at: SocketAddr, since: Instant },
    Ended(Ended),
}

/// A report about a knock.
#[derive(Debug)]
pub(super) enum Step {
    LookingUp,
    Sent(SocketAddr),
    Waiting(SocketAddr),
    Ended(Ended),
}

/// A port without a door that was open at a certain time. Only the host knows for how long it stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenOpen {
    pub(super) port: u16,
    pub(super) at: SystemTime,
}

impl SeenOpen {
    /// How long the window shows the port as open.
    const FRESH: Duration = Duration::from_secs(10);

    /// For how long the window may still show the port as open.
    fn fresh_for(self, now: SystemTime) -> Option<Duration> {
        // If the clock was set back, the age is unknown.
        let age = now.duration_since(self.at).ok()?;
        Self::FRESH.checked_sub(age).filter(|left| !left.is_zero())
    }
}

/// Why a knock to a host would fail, and the remedies.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trouble {
    pub(super) text: String,
    pub(super) offers: Vec<Offer>,
}

impl Trouble {
    /// The host's key cannot be used.
    pub(super) fn of_key(error: &key_store::Error, host: &Name) -> Self {
        let offer = |icon, text: &str, action| Offer { icon, text: text.to_owned(), action };
        match error {
            key_store::Error::Unknown { name, .. } => Self {
                text: format!("Key {name} not found. Import it, or choose another key."),
                offers: vec![
                    offer(Icon::Key, "Import a key", Action::AskImportKey),
                    offer(Icon::Edit, "Edit the host", Action::EditHost(host.clone())),
                ],
            },
            key_store::Error::Exists(_)
            | key_store::Error::Exchanged(_)
            | key_store::Error::File(_)
            | key_store::Error::Keyring { .. }
            | key_store::Error::Lock(_)
            | key_store::Error::Marker { .. }
            | key_store::Error::Write { .. }
            | key_store::Error::Remove(..)
            | key_store::Error::List(..) => Self {
                text: sentence(&error.to_string()),
                offers: vec![offer(Icon::Folder, "Open the folder", Action::OpenFolder)],
            },
        }
    }
}

/// The end of a knock.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) tone: Tone,
    pub(super) icon: Icon,
    pub(super) title: String,
    pub(super) text: String,
    /// The port that opened. The title and the tone show it as open only for a while.
    pub(super) seen_open: Option<SeenOpen>,
    /// What the knock should have opened, and until when.
    pub(super) leases: Vec<Lease>,
    /// What to check, the most likely cause first.
    pub(super) advice: Vec<String>,
    pub(super) offers: Vec<Offer>,
}

impl Knocking {
    /// Stops the knock.
    pub(super) fn give_up(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let text = match &self.state {
            State::LookingUp => "Nothing was sent.".to_owned(),
            State::Sent(_) | State::Waiting { .. } => {
                "The knock was sent, but its result is not known.".to_owned()
            }
            State::Ended(_) => return,
        };
        self.state = State::Ended(Ended {
            icon: Icon::Cancelled,
            ..Ended::new(Tone::Information, "Stopped", text)
        });
    }

    pub(super) fn update(&mut self, step: Step) {
        let given_up = self.stop.load(Ordering::Relaxed);
        match (step, &mut self.state) {
            (Step::Sent(to), State::Ended(ended)) if given_up => {
                ended.text = format!("The knock had already been sent to {to}.");
            }
            // Later reports about a stopped knock are ignored.
            (_, State::Ended(_)) if given_up => {}
            (Step::LookingUp, state) => *state = State::LookingUp,
            (Step::Sent(to), State::Sent(addresses)) => addresses.push(to),
            (Step::Sent(to), state) => *state = State::Sent(vec![to]),
            (Step::Waiting(at), state) => *state = State::Waiting { at, since: Instant::now() },
            (Step::Ended(ended), state) => *state = State::Ended(ended),
        }
    }

    /// Updates the host's name in the offers.
    pub(super) fn host_renamed(&mut self, old: &Name, name: &Name) {
        let State::Ended(ended) = &mut self.state else { return };
        for offer in &mut ended.offers {
            if offer.action == Action::EditHost(old.clone()) {
                offer.action = Action::EditHost(name.clone());
            }
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        !matches!(self.state, State::Ended(_))
    }

    /// Whether a new connection needs no further knock for this command: one is under way, or its lease lasts long
    /// enough.
    pub(super) fn admits(&self, command: &str, now: SystemTime) -> bool {
        let is_enough = |lease: &Lease| lease.port.tcp().is_some() && lease.is_enough(now);
        self.command == command
            && match &self.state {
                State::Ended(ended) => ended.leases.iter().any(is_enough),
                State::LookingUp | State::Sent(_) | State::Waiting { .. } => true,
            }
    }

    /// When the result must be shown differently.
    pub(super) fn next_change(&self, now: SystemTime) -> Option<Duration> {
        match &self.state {
            State::Ended(Ended { leases, .. }) if !leases.is_empty() => {
                leases::next_change(leases, now)
            }
            State::Ended(ended) => ended.seen_open?.fresh_for(now),
            State::LookingUp | State::Sent(_) | State::Waiting { .. } => None,
        }
    }
}

impl State {
    /// The progress in a few words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::LookingUp => "Looking up the address…".to_owned(),
            Self::Sent(to) => format!("Sent to {}", list(to.iter())),
            Self::Waiting { at, .. } => format!("Sent. Waiting for port {} to open…", at.port()),
            Self::Ended(ended) => ended.title.clone(),
        }
    }

    /// The elapsed fraction of the time limit, from 0 to 1.
    pub(super) fn fraction(&self) -> Option<f32> {
        match self {
            Self::Waiting { since, .. } => {
                Some(since.elapsed().as_secs_f32() / effect::DEFAULT_LIMIT.as_secs_f32())
            }
            Self::LookingUp | Self::Sent(_) | Self::Ended(_) => None,
        }
    }
}

impl Ended {
    fn new(tone: Tone, title: impl Into<String>, text: impl Into<String>) -> Self {
        let (title, text) = (title.into(), shown(&text.into()));
        let (advice, offers, leases) = (Vec::new(), Vec::new(), Vec::new());
        Self { tone, icon: tone.icon(), title, text, seen_open: None, leases, advice, offers }
    }

    /// The tone and title at this time. A port is not shown as open for longer than its lease or, if it has no door,
    /// than [`SeenOpen::FRESH`].
    pub(super) fn headline(&self, now: SystemTime) -> (Tone, String) {
        if let Some((tone, title)) = leases::headline(&self.leases, now) {
            return (if self.tone == Tone::Warning { Tone::Warning } else { tone }, title);
        }
        match self.seen_open.filter(|seen| seen.fresh_for(now).is_none()) {
            Some(SeenOpen { port, at }) => {
                (Tone::Past, format!("Port {port} was open at {}", clock(at)))
            }
            None => (self.tone, self.title.clone()),
        }
    }

    /// The end of a knock that was sent.
    pub(super) fn of(outcome: &Outcome, key: &Key, now: SystemTime) -> Self {
        let to = list(outcome.sent.all());
        let mut ended = match &outcome.effect {
            Observation::NotChecked => Self {
                icon: Icon::Knock,
                ..Self::new(
                    Tone::Information,
                    format!("Sent to {to}"),
                    "Hosts never reply to a knock. To see the result here, set the port that opens in \
                     the host's settings.",
                )
            },
            Observation::Opened { at, was_open: true, .. } => Self {
                icon: Icon::Door,
                ..Self::new(
                    Tone::Information,
                    format!("Port {} was open before the knock", at.port()),
                    format!("The knock was sent to {to}. This port cannot show its result."),
                )
            },
            Observation::Opened { at, after, .. } => Self {
                icon: Icon::Door,
                seen_open: Some(SeenOpen { port: at.port(), at: now }),
                ..Self::new(
                    Tone::Good,
                    format!("Port {} is open", at.port()),
                    format!("It opened {} ms after the knock to {to}.", after.as_millis()),
                )
            },
            Observation::NotOpened { at, limit, error } => Self::new(
                Tone::Bad,
                format!("Port {} did not open", at.port()),
                sentence(&format!(
                    "Cannot connect to {at}, {} s after the knock to {to}: {error}",
                    limit.as_secs()
                )),
            ),
            Observation::GivenUp => Self {
                icon: Icon::Cancelled,
                ..Self::new(Tone::Information, "Stopped", format!("The knock was sent to {to}."))
            },
        };
        let advice = advice::on(outcome, key);
        ended.advice = advice.iter().map(|advice| advice.text_with(words)).collect();
        if advice.iter().any(|advice| advice.remedy == Some(Remedy::Reseed)) {
            ended = ended.offering_reseed();
            if ended.tone == Tone::Information {
                ended.tone = Tone::Warning;
            }
        }
        let unsent =
            outcome.sent.not_to.iter().map(|unsent| format!("Could not send to {unsent}."));
        ended.advice.splice(0..0, unsent);
        for advice in &mut ended.advice {
            *advice = shown(advice);
        }
        ended
    }

    /// The same end, after which doors should be open.
    pub(super) fn with_leases(self, leases: Vec<Lease>) -> Self {
        if leases.is_empty() {
            return self;
        }
        let text = match self.seen_open {
            Some(_) => self.text,
            None => format!("{} Hosts never reply to a knock.", ended_sentence(&self.title)),
        };
        Self { icon: Icon::Door, text, leases, ..self }
    }

    /// The same end of a knock that closes doors, with what should be closed, in sentences.
    pub(super) fn with_closings(self, closings: &[String]) -> Self {
        if closings.is_empty() {
            return self;
        }
        let text = format!("{} Hosts never reply to a knock.", ended_sentence(&self.title));
        Self { icon: Icon::Door, title: closings.join(", "), text, ..self }
    }

    /// The end of a knock that was not sent.
    pub(super) fn not_sent(error: &knock::Error) -> Self {
        let ended = Self::new(Tone::Bad, "Not sent", sentence(&error.to_string()));
        match error {
            knock::Error::Counter(counter::Error::Damaged(path)) => Self {
                text: format!(
                    "The knock counter in {} is damaged. Check this computer's clock, then reset the \
                     counter to it.",
                    path.display()
                ),
                ..ended.offering_reseed()
            },
            knock::Error::Counter(counter::Error::Exhausted(_)) => ended.offering_reseed(),
            knock::Error::GivenUp => {
                Self { tone: Tone::Information, icon: Icon::Cancelled, ..ended }
            }
            knock::Error::Counter(_)
            | knock::Error::Resolve(_)
            | knock::Error::Seal(_)
            | knock::Error::Unsent(_) => ended,
        }
    }

    /// The end of a knock whose key cannot be used.
    pub(super) fn without_key(error: &key_store::Error, host: &Name) -> Self {
        let Trouble { text, offers } = Trouble::of_key(error, host);
        Self { offers, ..Self::new(Tone::Bad, "Not sent", text) }
    }

    fn offering_reseed(self) -> Self {
        self.offering(Icon::Undo, "Reset the counter", Action::Reseed)
    }

    fn offering(mut self, icon: Icon, text: &str, action: Action) -> Self {
        self.offers.push(Offer { icon, text: text.to_owned(), action });
        self
    }
}

/// Remedies in the words of the window.
const fn words(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Reseed => "If the clock is correct now, reset the counter.",
        Remedy::ChooseAddresses => {
            "In the host's settings, choose an address family or knock at every address."
        }
        Remedy::MakeKey => "Make a new key under Keys.",
    }
}

/// The outcome as an entry of the history.
pub(super) fn result(outcome: &Outcome) -> history::Result {
    match &outcome.effect {
        Observation::NotChecked => history::Result::Sent,
        Observation::Opened { at, was_open: true, .. } => {
            history::Result::WasOpen { port: at.port() }
        }
        Observation::Opened { at, after, .. } => history::Result::Opened {
            port: at.port(),
            milliseconds: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        },
        Observation::NotOpened { at, .. } => history::Result::NothingOpened { port: at.port() },
        Observation::GivenUp => history::Result::Cancelled,
    }
}

/// All addresses to which a knock was sent, as text.
pub(super) fn addresses(sent: &Sent) -> String {
    list(sent.all())
}

/// A time of day, followed by the date unless it is today.
fn clock(at: SystemTime) -> String {
    let Ok(at) = Timestamp::try_from(at) else { return "an unknown time".to_owned() };
    let at = at.to_zoned(TimeZone::system());
    let is_today = at.date() == Zoned::now().date();
    at.strftime(if is_today { "%H:%M" } else { "%H:%M on %-d %B" }).to_string()
}

/// A title as a sentence.
fn ended_sentence(title: &str) -> String {
    format!("{title}.")
}

fn list(addresses: impl IntoIterator<Item = impl ToString>) -> String {
    addresses.into_iter().map(|address| address.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_client::knock::{Sent, Unsent};
    use ruroco_seal::generate_key;

    #[test]
    fn nothing_that_is_told_of_a_knock_has_the_number_of_an_error() {
        let error = std::io::Error::from_raw_os_error;
        let to: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let unsent = || Unsent { to, error: error(101).into() };
        let mut sent = Sent::to(to);
        sent.not_to.push(unsent());
        let outcome = Outcome {
            sent,
            knocks: 1,
            effect: Observation::NotOpened {
                at: "192.0.2.1:22".parse().unwrap(),
                limit: Duration::from_secs(1),
                error: error(113),
            },
            not_repeated: Some(knock::Error::Unsent(vec![unsent()])),
            other_addresses: Vec::new(),
            icmp_error: Some(error(113)),
        };
        let ended = Ended::of(&outcome, &generate_key().unwrap(), SystemTime::now());
        let shown = [vec![ended.title, ended.text], ended.advice].concat().join("\n");
        assert!(shown.contains("No route to host") && shown.contains("Network is unreachable"));
        assert!(!shown.contains("os error"), "{shown}");
    }

    #[test]
    fn a_port_is_shown_as_open_only_for_a_while() {
        let clock = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let at = clock(1_000_000).unwrap();
        let ended = Ended {
            seen_open: Some(SeenOpen { port: 22, at }),
            ..Ended::new(Tone::Good, "Port 22 is open", "")
        };
        let shown = |seconds| ended.headline(clock(seconds).unwrap());
        assert_eq!(shown(1_000_000), (Tone::Good, "Port 22 is open".to_owned()));
        assert_eq!(shown(1_000_009).0, Tone::Good);
        // Later, and by a clock that was set back.
        for (tone, title) in [1_000_010, 2_000_000, 0].map(shown) {
            assert_eq!(tone, Tone::Past);
            assert!(title.starts_with("Port 22 was open at "), "{title}");
        }
    }
}
