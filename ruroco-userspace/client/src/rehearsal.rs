//! A knock that is not sent: everything that could keep it from being sent is tried, and what it would
//! say is told.

use std::{net::SocketAddr, time::SystemTime};

use ruroco_common::command::CommandHash;

use super::{
    advice::{self, Advice, Remedy},
    counter::CounterFile,
    effect::{self, Effect, Limit},
    knock::{self, Knock, Unsent, ahead},
    route::Route,
};

/// What would be sent.
#[derive(Debug)]
pub struct Rehearsal {
    /// From where to where; at least one.
    pub ways: Vec<Way>,
    /// The addresses that there is no way to.
    pub not_to: Vec<Unsent>,
    /// The port that would be waited for.
    pub effect: Option<Effect>,
    /// What is wrong with the clock.
    pub warning: Option<Advice>,
    command: String,
    key: String,
}

/// From where to where a datagram would go.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// An address of this computer's, and some port.
    pub from: SocketAddr,
    /// An address of the host's.
    pub to: SocketAddr,
}

impl Rehearsal {
    /// Does all but sending. No counter is used up.
    ///
    /// # Errors
    /// What a knock would fail with.
    pub fn of(
        knock: &Knock,
        effect: Option<Effect>,
        counter: &CounterFile,
    ) -> Result<Self, knock::Error> {
        let limit = effect.map_or(effect::DEFAULT_LIMIT, |effect| effect.limit);
        let limit = Limit::from_now(limit);
        let routes = knock.routes(&knock.addresses(limit.left())?)?;
        let all = std::iter::once(&routes.first).chain(&routes.others);
        let used = if knock.goes_to_all_addresses() { usize::MAX } else { 1 };
        let way = |route: &Route| Some(Way { from: route.from().ok()?, to: route.to() });
        let ways = all.take(used).filter_map(way).collect();
        let now = SystemTime::now();
        let warning = advice::on_clock(ahead(counter.rehearse(now, limit.left())?, now));
        let (command, key) = (&knock.request().command, knock.key());
        Ok(Self {
            ways,
            not_to: routes.not_to,
            effect,
            warning,
            command: format!("{command} (hash {})", CommandHash::of(command)),
            key: format!("{} ({})", key.id, key.cipher.name()),
        })
    }

    /// The same for a person, with a client's words for what can be done about the warning.
    pub fn lines(&self, host: &str, words: impl FnOnce(Remedy) -> &'static str) -> Vec<String> {
        let mut lines = vec![
            format!("would ask {host} for {}", self.command),
            format!("with the key with the id {}", self.key),
        ];
        lines.extend(self.ways.iter().map(|way| format!("from {} to {}", way.from.ip(), way.to)));
        lines.extend(self.not_to.iter().map(|unsent| format!("could not send to {unsent}")));
        lines.extend(self.effect.map(|effect| {
            format!("and wait for port {} to open, {:?} at most", effect.port, effect.limit)
        }));
        let warning = self.warning.as_ref().map(|warning| warning.told(words));
        lines.extend(warning.map(|warning| format!("Warning: {warning}")));
        lines.push("Nothing was sent, and no counter used up.".to_owned());
        lines
    }
}
