//! From when on a key is no longer accepted: `expires` in `[keys.NAME]`.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ruroco_files::toml_file::{
    datetime::{Date, Datetime, Offset, Time},
    value::{Item, Value},
};
use ruroco_messages::problems::Problems;

/// The end of a key's life. A date stands for the end of that day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The first moment at which the key is no longer accepted, since 1970.
    end: Duration,
    written: Datetime,
}

/// Seconds in a day, an hour and a minute.
const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;
const MINUTE: u64 = 60;

impl Expiry {
    /// As a file has it, if it names a moment: a date, or a date and a time with an offset.
    fn of(written: Datetime) -> Option<Self> {
        let day = days_since_1970(written.date?)?.checked_mul(DAY)?;
        let seconds = match (written.time, written.offset) {
            (None, None) => day.checked_add(DAY)?,
            (Some(time), Some(offset)) => {
                let local = day.checked_add(seconds_of_day(time)?)?;
                let east = match offset {
                    Offset::Z => 0,
                    Offset::Custom { minutes } => i64::from(minutes).checked_mul(60)?,
                };
                local.checked_add_signed(east.checked_neg()?)?
            }
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some(Self { end: Duration::from_secs(seconds), written })
    }

    /// Whether the key is no longer accepted at this time, in nanoseconds since 1970.
    pub fn is_past(&self, epoch: u128) -> bool {
        epoch >= self.end.as_nanos()
    }

    /// Whether the key is no longer accepted by this host's clock.
    pub fn is_past_now(&self) -> bool {
        self.remaining().is_zero()
    }

    /// How long the key will be accepted, by this host's clock.
    pub fn remaining(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.end.saturating_sub(now)
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` for earlier ones.
///
/// A year is counted from March, so that the leap day is its last one. 400 years have 146,097 days (ISO 8601,
/// section 4.3.2, for the rule of leap years).
fn days_since_1970(date: Date) -> Option<u64> {
    let (month, day) = (u64::from(date.month), u64::from(date.day));
    let year = u64::from(date.year).checked_sub(u64::from(month <= 2))?;
    let months_since_march = month.checked_add(9)? % 12;
    let days_before_month = months_since_march.checked_mul(153)?.checked_add(2)? / 5;
    let leap_days = (year / 4).checked_sub(year / 100)?.checked_add(year / 400)?;
    let days = year.checked_mul(365)?.checked_add(leap_days)?.checked_add(days_before_month)?;
    // From March 1st of the year 0 to January 1st of 1970.
    days.checked_add(day)?.checked_sub(1)?.checked_sub(719_468)
}

fn seconds_of_day(time: Time) -> Option<u64> {
    let [hours, minutes] = [(time.hour, HOUR), (time.minute, MINUTE)]
        .map(|(count, unit)| u64::from(count).checked_mul(unit));
    hours?.checked_add(minutes?)?.checked_add(u64::from(time.second.unwrap_or(0)))
}

impl Value for Expiry {
    fn kind() -> String {
        "date, or date and time with an offset".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let expiry = item.datetime().and_then(Self::of);
        if expiry.is_none() {
            problems.add(
                item.wrong("a date without quotes, such as 2027-01-31, or 2027-01-31T18:00:00Z"),
            );
        }
        expiry
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Option<u64> {
        Expiry::of(text.parse().unwrap()).map(|expiry| expiry.end.as_secs())
    }

    /// The figures are those of `date --utc --date TEXT +%s`.
    #[test]
    fn a_key_is_accepted_until_the_day_or_the_moment_is_over() {
        for (text, seconds) in [
            ("1970-01-01", 86_400),
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-28", 951_782_400),
            ("2000-02-29", 951_868_800),
            ("2000-03-01", 951_955_200),
            ("2027-01-31", 1_801_440_000),
            ("2027-12-31", 1_830_297_600),
            ("2028-02-29T12:34:56Z", 1_835_440_496),
            ("2028-02-29T12:34:56+02:00", 1_835_433_296),
            ("2028-02-29T12:34:56-05:30", 1_835_460_296),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(end(text), Some(seconds), "{text}");
        }
        let expiry = Expiry::of("2027-01-31".parse().unwrap()).unwrap();
        assert!(expiry.is_past(1_801_440_000_000_000_000));
        assert!(!expiry.is_past(1_801_439_999_999_999_999));
        assert_eq!(expiry.show(), "2027-01-31");
    }

    #[test]
    fn what_names_no_moment_is_no_expiry() {
        for text in ["2027-01-31T18:00:00", "18:00:00", "1969-12-31", "1970-01-01T00:00:00+01:00"] {
            assert_eq!(end(text), None, "{text}");
        }
    }
}
