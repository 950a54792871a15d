//! Numbers as a person reads them.

use crate::statistics::Summary;

/// Packets a second, in three digits or so.
pub(crate) fn rate(rate: f64) -> String {
    match rate {
        rate if rate >= 999_500.0 => format!("{:.2} M", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.0} k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

/// With as many digits as mean anything, and thousands set apart.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    if value.abs() < 100.0 && value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let sign = if value < 0.0 { "-" } else { "" };
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| str::from_utf8(group).unwrap_or_default())
        .collect();
    format!("{sign}{}", groups.join(","))
}

pub(crate) fn milliseconds(of: &Summary) -> String {
    format!("{} ms", number(of.median))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_mean_anything() {
        for (value, text) in [
            (0.0, "0"),
            (0.125, "0.12"),
            (42.0, "42"),
            (99.994, "99.99"),
            (1234.5, "1,234"),
            (1_000_000.0, "1,000,000"),
            (-1500.0, "-1,500"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn rates_are_in_thousands_and_millions() {
        let rates = [0.0, 980.0, 10_000.0, 999_499.0, 999_500.0, 5_250_000.0];
        assert_eq!(rates.map(rate), ["0", "980", "10 k", "999 k", "1.00 M", "5.25 M"]);
    }
}
