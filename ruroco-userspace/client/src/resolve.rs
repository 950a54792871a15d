//! Resolving a [destination](Destination) to the addresses to which a datagram can go.

use std::{io, net::SocketAddr, time::Duration};

use ruroco_invite::destination::{Destination, Family};

use crate::lookup::{self, Failure};

/// No address of a host was found.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The look-up failed.
    #[error("cannot find the address of {0}: {1}. Check the name and the network")]
    Lookup(String, io::Error),
    /// No name server replied in time.
    #[error(
        "cannot find the address of {0} within {1:.0?}. Check the network and its name servers"
    )]
    Late(String, Duration),
    /// The host has addresses, but none of the requested family.
    #[error("{0} has no {1} address")]
    NoneOf(String, &'static str),
}

/// All addresses of the family, each once, in the order of preference. There is at least one.
///
/// # Errors
/// [`ResolveError`], even if an answer arrives after the limit.
pub fn resolve(
    destination: &Destination,
    family: Family,
    limit: Duration,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = match destination {
        Destination::Address(address) => vec![*address],
        Destination::Host(host, port) => {
            lookup::within(host, *port, family, limit).map_err(|failure| match failure {
                Failure::Error(error) => ResolveError::Lookup(host.clone(), error),
                Failure::Late => ResolveError::Late(host.clone(), limit),
            })?
        }
    };
    let mut usable: Vec<SocketAddr> = Vec::new();
    for address in found {
        if includes(family, &address) && !usable.contains(&address) {
            usable.push(address);
        }
    }
    if usable.is_empty() {
        return Err(ResolveError::NoneOf(destination.to_string(), name(family)));
    }
    Ok(usable)
}

fn includes(family: Family, address: &SocketAddr) -> bool {
    match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    }
}

fn name(family: Family) -> &'static str {
    match family {
        Family::Any => "IPv4 or IPv6",
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_that_the_host_lacks_is_an_error() {
        let destination: Destination = "192.0.2.1".parse().unwrap();
        let limit = Duration::from_secs(10);
        assert!(resolve(&destination, Family::V4, limit).is_ok());
        let error = resolve(&destination, Family::V6, limit).unwrap_err().to_string();
        assert_eq!(error, "192.0.2.1:80 has no IPv6 address");
    }
}
