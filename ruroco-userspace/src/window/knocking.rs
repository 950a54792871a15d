//! A knock as the window shows it, while it is under way and after it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::{
    action::Action,
    history,
    icons::Icon,
    notice::{Offer, sentence},
    style::Tone,
};
use crate::{
    client::{
        advice::{self, Remedy},
        attempt::{Observation, Outcome},
        counter, effect, key_store,
        knock::{self, Sent},
    },
    key::Key,
    name::Name,
};

/// The last knock at a host.
#[derive(Debug)]
pub(super) struct Knocking {
    /// Which of all knocks it is: reports about an earlier one come too late.
    pub(super) number: u64,
    pub(super) command: String,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) state: State,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum State {
    LookingUp,
    Sent(Vec<SocketAddr>),
    Waiting { at: SocketAddr, since: Instant },
    Ended(Ended),
}

/// A step of one that is under way.
#[derive(Debug)]
pub(super) enum Step {
    LookingUp,
    Sent(SocketAddr),
    Waiting(SocketAddr),
    Ended(Ended),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) tone: Tone,
    pub(super) icon: Icon,
    pub(super) title: String,
    pub(super) text: String,
    /// Things to look at.
    pub(super) advice: Vec<String>,
    pub(super) offers: Vec<Offer>,
}

impl Knocking {
    /// Nobody wants to know any more.
    pub(super) fn give_up(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let text = match &self.state {
            State::LookingUp => "It was not sent.".to_owned(),
            State::Sent(_) | State::Waiting { .. } => {
                "It was sent; what it does is not watched.".to_owned()
            }
            State::Ended(_) => return,
        };
        self.state = State::Ended(Ended {
            icon: Icon::Cancelled,
            ..Ended::new(Tone::Information, "Stopped", text)
        });
    }

    pub(super) fn take(&mut self, step: Step) {
        let given_up = self.stop.load(Ordering::Relaxed);
        match (step, &mut self.state) {
            (Step::Sent(to), State::Ended(ended)) if given_up => {
                ended.text = format!("It was on its way to {to} already.");
            }
            // What was given up is over, whatever still comes of it.
            (_, State::Ended(_)) if given_up => {}
            (Step::LookingUp, state) => *state = State::LookingUp,
            (Step::Sent(to), State::Sent(addresses)) => addresses.push(to),
            (Step::Sent(to), state) => *state = State::Sent(vec![to]),
            (Step::Waiting(at), state) => *state = State::Waiting { at, since: Instant::now() },
            (Step::Ended(ended), state) => *state = State::Ended(ended),
        }
    }

    /// What can be done about it is done to the host as it is called now.
    pub(super) fn host_renamed(&mut self, old: &Name, name: &Name) {
        let State::Ended(ended) = &mut self.state else { return };
        for offer in &mut ended.offers {
            if offer.action == Action::EditHost(old.clone()) {
                offer.action = Action::EditHost(name.clone());
            }
        }
    }

    pub(super) const fn is_under_way(&self) -> bool {
        !matches!(self.state, State::Ended(_))
    }
}

impl State {
    /// What it is doing, in a few words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::LookingUp => "Looking up the address…".to_owned(),
            Self::Sent(to) => format!("Sent to {}", list(to.iter())),
            Self::Waiting { at, .. } => format!("Sent. Waiting for port {} to open…", at.port()),
            Self::Ended(ended) => ended.title.clone(),
        }
    }

    /// How much of the time to wait is over, from 0 to 1.
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
        let (title, text) = (title.into(), text.into());
        Self { tone, icon: tone.icon(), title, text, advice: Vec::new(), offers: Vec::new() }
    }

    /// Of a knock that is on its way.
    pub(super) fn of(outcome: &Outcome, key: &Key) -> Self {
        let to = list(outcome.sent.all());
        let mut ended = match &outcome.effect {
            Observation::NotLooked => Self {
                icon: Icon::Knock,
                ..Self::new(
                    Tone::Information,
                    format!("Sent to {to}"),
                    "A host never answers. If a port opens, name it in the host's settings, and it \
                     is seen here.",
                )
            },
            Observation::Opened { at, was_open: true, .. } => Self {
                icon: Icon::Door,
                ..Self::new(
                    Tone::Information,
                    format!("Port {} was open before", at.port()),
                    format!("The knock went to {to}. What it did cannot be seen at this port."),
                )
            },
            Observation::Opened { at, after, .. } => Self {
                icon: Icon::Door,
                ..Self::new(
                    Tone::Good,
                    format!("Port {} is open", at.port()),
                    format!("Seen {} ms after the knock to {to}.", after.as_millis()),
                )
            },
            Observation::Shut { at, limit, error } => Self::new(
                Tone::Bad,
                format!("Port {} did not open", at.port()),
                sentence(&format!(
                    "{at} was tried for {} s after the knock to {to}: {error}",
                    limit.as_secs()
                )),
            ),
            Observation::GivenUp => Self {
                icon: Icon::Cancelled,
                ..Self::new(Tone::Information, "Stopped", format!("It was sent to {to}."))
            },
        };
        let advice = advice::on(outcome, key);
        ended.advice = advice.iter().map(|advice| advice.told(words)).collect();
        if advice.iter().any(|advice| advice.remedy == Some(Remedy::Reseed)) {
            ended = ended.offering_reseed();
            if ended.tone == Tone::Information {
                ended.tone = Tone::Warning;
            }
        }
        let unsent =
            outcome.sent.not_to.iter().map(|unsent| format!("It could not be sent to {unsent}."));
        ended.advice.splice(0..0, unsent);
        ended
    }

    /// Of one that is not.
    pub(super) fn not_sent(error: &knock::Error) -> Self {
        let ended = Self::new(Tone::Bad, "Not sent", sentence(&error.to_string()));
        match error {
            knock::Error::Counter(counter::Error::Damaged(path)) => Self {
                text: format!(
                    "The counter in {} is damaged. It makes each knock another one. It can start \
                     anew from this computer's clock: see that the clock is right first.",
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

    /// Of one for which there is no key.
    pub(super) fn without_key(error: &key_store::Error, host: &Name) -> Self {
        let ended = Self::new(Tone::Bad, "Not sent", sentence(&error.to_string()));
        match error {
            key_store::Error::Unknown { name, .. } => Self {
                text: format!(
                    "There is no key “{name}”. Import it, or choose another key for this host."
                ),
                ..ended.offering(Icon::Key, "Import a key", Action::AskImportKey).offering(
                    Icon::Edit,
                    "Edit the host",
                    Action::EditHost(host.clone()),
                )
            },
            key_store::Error::Exists(_)
            | key_store::Error::Exchanged(_)
            | key_store::Error::File(_)
            | key_store::Error::Keyring { .. }
            | key_store::Error::Lock(_)
            | key_store::Error::Marker { .. }
            | key_store::Error::Write { .. }
            | key_store::Error::Remove(..)
            | key_store::Error::List(..) => {
                ended.offering(Icon::Folder, "Open the folder", Action::OpenFolder)
            }
        }
    }

    fn offering_reseed(self) -> Self {
        self.offering(Icon::Undo, "Start the counter anew", Action::Reseed)
    }

    fn offering(mut self, icon: Icon, text: &str, action: Action) -> Self {
        self.offers.push(Offer { icon, text: text.to_owned(), action });
        self
    }
}

/// What can be done about something, in the window.
const fn words(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Reseed => "If the clock is right now, start the counter anew.",
        Remedy::ChooseAddresses => {
            "Choose among them in the host's settings, or have it knock at every address."
        }
        Remedy::MakeKey => "Make one under Keys.",
    }
}

/// What the history says of an outcome.
pub(super) fn result(outcome: &Outcome) -> history::Result {
    match &outcome.effect {
        Observation::NotLooked => history::Result::Sent,
        Observation::Opened { at, was_open: true, .. } => {
            history::Result::WasOpen { port: at.port() }
        }
        Observation::Opened { at, after, .. } => history::Result::Opened {
            port: at.port(),
            milliseconds: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        },
        Observation::Shut { at, .. } => history::Result::NothingOpened { port: at.port() },
        Observation::GivenUp => history::Result::Cancelled,
    }
}

/// All addresses it went to, as a person reads them.
pub(super) fn addresses(sent: &Sent) -> String {
    list(sent.all())
}

fn list(addresses: impl IntoIterator<Item = impl ToString>) -> String {
    addresses.into_iter().map(|address| address.to_string()).collect::<Vec<_>>().join(", ")
}
