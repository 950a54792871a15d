//! What the window says about leases: which port a knock opened, and how much of that time is left.

use std::time::{Duration, SystemTime};

use ruroco_client::lease::{Lease, clock};
use ruroco_invite::door::Port;

use super::style::Tone;

/// The tone and the title after a knock that should have opened these doors; none if it opened none.
///
/// A screen reader reads a title whenever it changes, so the title does not contain the seconds that are left.
pub(super) fn headline(leases: &[Lease], now: SystemTime) -> Option<(Tone, String)> {
    let first = in_force(leases, now).min_by_key(|lease| lease.until);
    if let Some(lease) = first {
        let (tone, is) =
            if lease.is_seen { (Tone::Good, "is") } else { (Tone::Information, "should be") };
        let until = clock(lease.until);
        return Some((tone, format!("{} {is} open until {until}", port(lease.port))));
    }
    let last = leases.iter().max_by_key(|lease| lease.until)?;
    let until = clock(last.until);
    Some((Tone::Past, format!("{} should have closed again at {until}", port(last.port))))
}

/// The leases that are not over.
pub(super) fn in_force(leases: &[Lease], now: SystemTime) -> impl Iterator<Item = &Lease> {
    leases.iter().filter(move |lease| lease.left(now).is_some())
}

/// When what is shown of a lease changes next: at the next whole second.
pub(super) fn next_change(leases: &[Lease], now: SystemTime) -> Option<Duration> {
    const SECOND: Duration = Duration::from_secs(1);
    let next = |left: Duration| match left.subsec_nanos() {
        0 => SECOND,
        part => Duration::from_nanos(part.into()),
    };
    leases.iter().filter_map(|lease| lease.left(now)).map(next).min()
}

/// The fraction of a lease that is left, from 0 to 1.
pub(super) fn fraction(lease: &Lease, now: SystemTime) -> f32 {
    lease.left(now).unwrap_or_default().as_secs_f32() / lease.duration.as_secs_f32().max(1.0)
}

/// A port at the beginning of a sentence.
pub(super) fn port(port: Port) -> String {
    match port {
        Port::Tcp(number) => format!("Port {number}"),
        Port::Udp(number) => format!("UDP port {number}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ruroco_common::doors::DoorName;

    pub(crate) fn lease(name: &str, port: &str, until: SystemTime, is_seen: bool) -> Lease {
        let (door, port) = (DoorName::new(name).unwrap(), port.parse().unwrap());
        Lease { door, port, duration: Duration::from_secs(30), until, is_seen }
    }

    #[test]
    fn a_title_names_the_port_that_closes_next_and_the_last_one_that_has() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds| now + Duration::from_secs(seconds);
        let leases =
            [lease("ssh", "tcp/22", at(20), true), lease("vpn", "udp/51820", at(10), false)];
        let shown = |after| headline(&leases, at(after)).unwrap();
        let until = |seconds| clock(at(seconds));
        let vpn = format!("UDP port 51820 should be open until {}", until(10));
        assert_eq!(shown(0), (Tone::Information, vpn));
        assert_eq!(shown(10), (Tone::Good, format!("Port 22 is open until {}", until(20))));
        let over = format!("Port 22 should have closed again at {}", until(20));
        assert_eq!(shown(20), (Tone::Past, over));
        assert_eq!(headline(&[], now), None);
    }

    #[test]
    fn the_window_is_drawn_again_at_each_second() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let leases = [lease("ssh", "tcp/22", now + Duration::from_millis(20_300), true)];
        assert_eq!(next_change(&leases, now), Some(Duration::from_millis(300)));
        let later = now + Duration::from_millis(300);
        assert_eq!(next_change(&leases, later), Some(Duration::from_secs(1)));
        assert_eq!(next_change(&leases, now + Duration::from_secs(21)), None);
    }
}
