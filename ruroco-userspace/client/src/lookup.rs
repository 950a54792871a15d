//! Looking up the addresses of a host name within a limited time.
//!
//! The system's resolver sends a query for each address family and waits for both answers. If a name
//! server drops one of the two, the other answer is of no use until the system gives up, which takes
//! half a minute or more. Therefore only the requested family is queried. If either family will
//! do and the system has not answered after [`PATIENCE`], each family is queried alone, and the answers
//! that arrive in time are used.

use std::{
    io,
    net::SocketAddr,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use dns_lookup::{AddrFamily, AddrInfoHints, SockType, getaddrinfo};
use ruroco_invite::destination::Family;

/// How long to wait for the system's answer for both families before querying each family alone.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait for the second family's answer after the first family's answer (RFC 8305, section 3,
/// "Resolution Delay").
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// A look-up that found no address.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The resolver reported an error.
    Error(io::Error),
    /// No answer arrived in time.
    Late,
}

/// An answer of the resolver: to which query, and the addresses.
type Answer = (Family, io::Result<Vec<SocketAddr>>);

/// The addresses of a host, in the order in which the system prefers them (RFC 6724) if it answers for
/// both families, else IPv6 first.
///
/// # Errors
/// [`Failure`].
pub(crate) fn within(
    host: &str,
    port: u16,
    family: Family,
    limit: Duration,
) -> Result<Vec<SocketAddr>, Failure> {
    let host = host.to_owned();
    let query = move |family, answers: &Sender<Answer>| {
        let (host, answers) = (host.clone(), answers.clone());
        // A look-up cannot be cancelled. Its thread ends with it, or with the process.
        thread::spawn(move || answers.send((family, system(&host, port, family))));
    };
    collect(query, family, limit)
}

/// Sends the queries that are needed, and takes the answers that arrive in time.
fn collect(
    query: impl Fn(Family, &Sender<Answer>),
    family: Family,
    limit: Duration,
) -> Result<Vec<SocketAddr>, Failure> {
    let begun = Instant::now();
    let left = |limit: Duration| limit.saturating_sub(begun.elapsed());
    let (sender, answers) = mpsc::channel();
    query(family, &sender);
    let first = match family {
        Family::Any => PATIENCE.min(limit.checked_div(2).unwrap_or(limit)),
        Family::V4 | Family::V6 => limit,
    };
    match answers.recv_timeout(left(first)) {
        Ok((_, answer)) => return answer.map_err(Failure::Error),
        Err(_) if family != Family::Any => return Err(Failure::Late),
        Err(_) => {}
    }

    query(Family::V6, &sender);
    query(Family::V4, &sender);
    let mut alone = Alone::default();
    let mut of_both = None;
    let mut until = limit;
    while !alone.is_complete() {
        match answers.recv_timeout(left(until)) {
            Ok((Family::Any, Ok(addresses))) => return Ok(addresses),
            Ok((Family::Any, Err(error))) => of_both = Some(error),
            Ok((family, answer)) => {
                if answer.is_ok() {
                    until = until.min(begun.elapsed().saturating_add(RESOLUTION_DELAY));
                }
                alone.add(family, answer);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    match (alone.addresses(), of_both) {
        (Err(Failure::Late), Some(error)) => Err(Failure::Error(error)),
        (answer, _) => answer,
    }
}

/// The answers to the queries for one family each.
#[derive(Debug, Default)]
struct Alone {
    v6: Option<io::Result<Vec<SocketAddr>>>,
    v4: Option<io::Result<Vec<SocketAddr>>>,
}

impl Alone {
    fn add(&mut self, family: Family, answer: io::Result<Vec<SocketAddr>>) {
        match family {
            Family::V6 => self.v6 = Some(answer),
            Family::V4 | Family::Any => self.v4 = Some(answer),
        }
    }

    fn is_complete(&self) -> bool {
        self.v6.is_some() && self.v4.is_some()
    }

    /// All addresses of both families; an error only if no family has an address.
    fn addresses(self) -> Result<Vec<SocketAddr>, Failure> {
        let is_complete = self.is_complete();
        let (mut found, mut failure) = (Vec::new(), None);
        for answer in [self.v6, self.v4].into_iter().flatten() {
            match answer {
                Ok(addresses) => found.extend(addresses),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            _ if !found.is_empty() => Ok(found),
            Some(error) if is_complete => Err(Failure::Error(error)),
            Some(_) | None => Err(Failure::Late),
        }
    }
}

/// Queries the system's resolver for one family, or for both.
fn system(host: &str, port: u16, family: Family) -> io::Result<Vec<SocketAddr>> {
    let hints = AddrInfoHints {
        address: match family {
            Family::Any => 0, // AF_UNSPEC on every system
            Family::V4 => AddrFamily::Inet.into(),
            Family::V6 => AddrFamily::Inet6.into(),
        },
        socktype: SockType::DGram.into(),
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(Some(host), None, Some(hints))?.collect::<io::Result<Vec<_>>>()?;
    let with_port = |mut address: SocketAddr| {
        address.set_port(port);
        address
    };
    Ok(found.into_iter().map(|info| with_port(info.sockaddr)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    const LIMIT: Duration = Duration::from_millis(500);

    fn addresses(of: &str) -> Vec<SocketAddr> {
        vec![of.parse().unwrap()]
    }

    /// A resolver that answers queries for these families at once and drops all others; which queries
    /// there were, and what came of them.
    fn with_answers(
        answered: &[(Family, Option<&str>)],
        family: Family,
    ) -> (Vec<Family>, Result<Vec<SocketAddr>, Failure>) {
        let queries = RefCell::new(Vec::new());
        let query = |family, answers: &Sender<Answer>| {
            queries.borrow_mut().push(family);
            for (_, answer) in answered.iter().filter(|(of, _)| *of == family) {
                let answer = match answer {
                    Some(address) => Ok(addresses(address)),
                    None => Err(io::ErrorKind::NotFound.into()),
                };
                answers.send((family, answer)).unwrap();
            }
        };
        let result = collect(query, family, LIMIT);
        (queries.into_inner(), result)
    }

    const V4: &str = "192.0.2.1:80";
    const V6: &str = "[2001:db8::1]:80";

    #[test]
    fn only_the_family_that_is_asked_for_is_queried() {
        for (family, address) in [(Family::V4, V4), (Family::V6, V6)] {
            let (queries, result) = with_answers(&[(family, Some(address))], family);
            assert_eq!((queries, result.unwrap()), (vec![family], addresses(address)));
        }
    }

    #[test]
    fn a_resolver_that_drops_one_family_does_not_keep_the_other_back() {
        for (family, address) in [(Family::V4, V4), (Family::V6, V6)] {
            let (_, result) = with_answers(&[(family, Some(address))], Family::Any);
            assert_eq!(result.unwrap(), addresses(address));
        }
    }

    #[test]
    fn if_the_system_answers_nothing_else_is_queried() {
        let (queries, result) = with_answers(&[(Family::Any, Some(V4))], Family::Any);
        assert_eq!((queries, result.unwrap()), (vec![Family::Any], addresses(V4)));
    }

    #[test]
    fn both_answers_are_used_and_an_error_of_one_family_hides_no_address() {
        let both = [(Family::V4, Some(V4)), (Family::V6, Some(V6))];
        let (_, result) = with_answers(&both, Family::Any);
        assert_eq!(result.unwrap(), [addresses(V6), addresses(V4)].concat());
        let (_, result) = with_answers(&[(Family::V6, None), both[0]], Family::Any);
        assert_eq!(result.unwrap(), addresses(V4));
    }

    #[test]
    fn without_an_address_the_result_is_an_error_or_late() {
        let (_, result) = with_answers(&[(Family::V6, None), (Family::V4, None)], Family::Any);
        assert!(matches!(result, Err(Failure::Error(_))), "{result:?}");
        for family in [Family::Any, Family::V4] {
            let (_, result) = with_answers(&[(Family::V6, None)], family);
            assert!(matches!(result, Err(Failure::Late)), "{result:?}");
        }
    }
}
