//! A dry run of a knock: does everything except sending, so that any problem shows, and describes the knock.

use std::{net::SocketAddr, time::SystemTime};

use ruroco_common::command::CommandHash;

use super::{
    advice::{self, Advice, Remedy},
    counter::CounterFile,
    effect::{self, Effect, Limit},
    knock::{self, Knock, Unsent, ahead},
    route::Route,
};

/// The knock that would be sent.
#[derive(Debug)]
pub struct Rehearsal {
    /// The source and destination of each datagram; at least one.
    pub paths: Vec<Path>,
    /// The addresses to which there is no route.
    pub not_to: Vec<Unsent>,
    /// The port that the attempt would wait for.
    pub effect: Option<Effect>,
    /// A problem with the clock.
    pub warning: Option<Advice>,
    command: String,
    key: String,
}

/// The source and destination of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// An address of this computer, with an arbitrary port.
    pub from: SocketAddr,
    /// An address of the host.
    pub to: SocketAddr,
}

impl Rehearsal {
    /// Does everything except sending. No counter is used up.
    ///
    /// # Errors
    /// The error that a knock would fail with.
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
        let path = |route: &Route| Some(Path { from: route.from().ok()?, to: route.to() });
        let paths = all.take(used).filter_map(path).collect();
        let now = SystemTime::now();
        let warning = advice::on_clock(ahead(counter.rehearse(now, limit.left())?, now));
        let (command, key) = (&knock.request().command, knock.key());
        Ok(Self {
            paths,
            not_to: routes.not_to,
            effect,
            warning,
            command: format!("{command} (hash {})", CommandHash::of(command)),
            key: format!("{} ({})", key.id, key.cipher.name()),
        })
    }

    /// The same as text, with the client's words for the remedy.
    pub fn lines(&self, host: &str, words: impl FnOnce(Remedy) -> &'static str) -> Vec<String> {
        let mut lines = vec![
            format!("would request {} from {host}", self.command),
            format!("with key id {}", self.key),
        ];
        lines.extend(
            self.paths.iter().map(|path| format!("from {} to {}", path.from.ip(), path.to)),
        );
        lines.extend(self.not_to.iter().map(|unsent| format!("cannot send to {unsent}")));
        lines.extend(self.effect.map(|effect| {
            format!("then wait up to {:?} for port {} to open", effect.limit, effect.port)
        }));
        let warning = self.warning.as_ref().map(|warning| warning.text_with(words));
        lines.extend(warning.map(|warning| format!("Warning: {warning}")));
        lines.push("Nothing was sent, and no counter was used up.".to_owned());
        lines
    }
}
