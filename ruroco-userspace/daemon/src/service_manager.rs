//! What a daemon reports to the service manager that started it: `sd_notify(3)`, for units with `Type=notify`
//! or `notify-reload`. Without `NOTIFY_SOCKET`, it reports nothing.
//!
//! A failure to report does not stop the daemon: it is logged, and the unit determines what the service
//! manager does without a report.

use std::{
    io,
    time::{Duration, Instant},
};

use ruroco_messages::plain_error::Plain;
use sd_notify::NotifyState;

/// Most bytes of a status. systemd drops a message of more than 4096 as a whole, and with it that we
/// are ready (`NOTIFY_BUFFER_MAX`, src/basic/constants.h); the whole story is in the log.
const MAX_STATUS: usize = 1024;

/// The service manager, if there is one.
#[derive(Debug)]
pub struct ServiceManager {
    watchdog: Option<Watchdog>,
}

/// It wants to hear from us again and again, or takes us for stuck.
#[derive(Debug)]
struct Watchdog {
    /// Half of the time after which it does (`WATCHDOG_USEC`), as sd_watchdog_enabled(3) advises.
    interval: Duration,
    due: Instant,
}

impl ServiceManager {
    /// Who is named in the environment. A watchdog's first sign of life is due at once.
    pub fn of_environment() -> Self {
        let interval = sd_notify::watchdog_enabled().and_then(|period| period.checked_div(2));
        let interval = interval.filter(|interval| !interval.is_zero());
        let watchdog = interval.map(|interval| Watchdog { interval, due: Instant::now() });
        Self { watchdog }
    }

    /// We do what we are there for, from now on or again; `status` says what that is, for a person.
    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// The daemon reads its files again. [`ServiceManager::ready`] must follow, whatever the result.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => complain(&error),
        }
    }

    /// We are about to end.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// How we are, for a person.
    pub fn status(&self, status: &str) {
        tell(&[NotifyState::Status(&one_line(status))]);
    }

    /// Gives a sign of life if one is due. Only the loop itself is to do this: what it shows is that
    /// the loop goes round.
    pub fn give_sign_of_life(&mut self, now: Instant) {
        if let Some(watchdog) = &mut self.watchdog
            && watchdog.due <= now
        {
            tell(&[NotifyState::Watchdog]);
            watchdog.due = now.checked_add(watchdog.interval).unwrap_or(now);
        }
    }

    /// When the next sign of life is due, if any ever is.
    pub fn next_sign_of_life(&self) -> Option<Instant> {
        self.watchdog.as_ref().map(|watchdog| watchdog.due)
    }
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        complain(&error);
    }
}

fn complain(error: &io::Error) {
    tracing::warn!("could not report the state of this service to systemd: {error}");
}

/// A line end would begin another message, and a message has a greatest length.
fn one_line(text: &str) -> String {
    let text = Plain(text).to_string().lines().collect::<Vec<_>>().join("; ");
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > MAX_STATUS {
        line.truncate(line.floor_char_boundary(MAX_STATUS));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_message_whatever_it_says() {
        assert_eq!(one_line("a\nMAINPID=1\r\tb"), "a; MAINPID=1  b");
    }

    #[test]
    fn a_status_is_never_so_long_that_the_message_is_dropped() {
        let fits = "é".repeat(MAX_STATUS / 2);
        assert_eq!(one_line(&fits), fits);
        let cut = one_line(&format!("a{fits}\n{fits}"));
        assert_eq!(cut, format!("a{}…", "é".repeat(MAX_STATUS / 2 - 1)));
    }

    #[test]
    fn signs_of_life_come_at_their_interval() {
        let (start, interval) = (Instant::now(), Duration::from_secs(5));
        let mut manager = ServiceManager { watchdog: Some(Watchdog { interval, due: start }) };
        manager.give_sign_of_life(start);
        assert_eq!(manager.next_sign_of_life(), Some(start + interval));
        manager.give_sign_of_life(start + interval / 2);
        assert_eq!(manager.next_sign_of_life(), Some(start + interval));
        manager.give_sign_of_life(start + interval);
        assert_eq!(manager.next_sign_of_life(), Some(start + interval * 2));
    }
}
