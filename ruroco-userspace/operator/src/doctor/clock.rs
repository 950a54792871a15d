//! The clock, with which the counters of knocks are compared.

use std::{io, mem, time::Duration};

use super::Finding;

const NAME: &str = "clock";

/// Whether the kernel knows its clock to be right (adjtimex(2)); `max_skew` is how far a knock may
/// be ahead of it.
pub(crate) fn finding(max_skew: Duration) -> Finding {
    of(max_error(), max_skew)
}

fn of(max_error: io::Result<Option<Duration>>, max_skew: Duration) -> Finding {
    let skew = format!("{} s", max_skew.as_secs());
    match max_error {
        Err(error) => Finding::unknown(NAME, error),
        Ok(None) => Finding::warning(
            NAME,
            format!(
                "the system clock is not synchronised by NTP: knocks more than {skew} ahead of it are \
                 rejected (future_counter)"
            ),
            "run `timedatectl set-ntp true`, or install chrony",
        ),
        Ok(Some(error)) if error >= max_skew => Finding::warning(
            NAME,
            format!(
                "the system clock is synchronised, but may be wrong by {error:.0?}; `max_clock_skew` is {skew}"
            ),
            "check the NTP client with `chronyc tracking` or `timedatectl timesync-status`",
        ),
        Ok(Some(error)) => Finding::ok(
            NAME,
            format!(
                "the system clock is synchronised, and wrong by {error:.0?} at most; {skew} are allowed"
            ),
        ),
    }
}

/// How wrong the clock may be at most, if it is synchronised.
fn max_error() -> io::Result<Option<Duration>> {
    // SAFETY: a struct of integers, for which all zeros are values.
    let mut state: libc::timex = unsafe { mem::zeroed() };
    // SAFETY: without modes it changes nothing but `state`, which is there.
    let clock = unsafe { libc::adjtimex(&raw mut state) };
    match clock {
        -1 => Err(io::Error::last_os_error()),
        libc::TIME_ERROR => Ok(None),
        _ if state.status & libc::STA_UNSYNC != 0 => Ok(None),
        _ => Ok(Some(Duration::from_micros(u64::try_from(state.maxerror).unwrap_or(u64::MAX)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_clock_that_may_be_wrong_by_what_is_allowed_is_a_warning() {
        let allowed = Duration::from_secs(60);
        let just_right = allowed.checked_sub(Duration::from_micros(1));
        for (max_error, state, told) in [
            (Ok(just_right), State::Ok, "60 s are allowed"),
            (Ok(Some(allowed)), State::Warning, "may be wrong by 60s"),
            (Ok(None), State::Warning, "timedatectl set-ntp true"),
            (Err(io::ErrorKind::PermissionDenied.into()), State::Unknown, "could not check"),
        ] {
            let finding = of(max_error, allowed);
            assert_eq!(finding.state(), state, "{finding}");
            assert!(finding.to_string().contains(told), "{finding}");
        }
    }
}
