//! What a host's network stack has made of TCP: the states of its sockets, and its counters.

use std::{fs, net::SocketAddr};

use crate::namespace::Namespace;

/// States, as numbers in `/proc/net/tcp` (include/net/tcp_states.h).
#[allow(missing_docs, reason = "each is named as in RFC 9293")]
pub mod state {
    pub const ESTABLISHED: &str = "01";
    pub const SYN_RECV: &str = "03";
    pub const TIME_WAIT: &str = "06";
    pub const CLOSING: &str = "0B";
}

/// The state of the socket with this remote port, as the list of this thread's namespace shows it.
///
/// # Panics
/// If there is no list.
pub fn state_here(local: SocketAddr, remote_port: u16) -> Option<String> {
    let (ports, file) = (
        [local.port(), remote_port].map(|port| format!(":{port:04X}")),
        if local.is_ipv4() { "tcp" } else { "tcp6" },
    );
    let list = fs::read_to_string(format!("/proc/thread-self/net/{file}"));
    list.expect("read the list of sockets").lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_it = fields[1].ends_with(&ports[0]) && fields[2].ends_with(&ports[1]);
        is_it.then(|| fields[3].to_owned())
    })
}

/// The same for another host.
pub fn state(host: &Namespace, local: SocketAddr, remote_port: u16) -> Option<String> {
    host.enter(|| state_here(local, remote_port))
}

/// A counter of a host's stack, by the name that `nstat` has for it, such as `TcpPassiveOpens`.
///
/// # Panics
/// If the kernel has no such counter.
pub fn counter(host: &Namespace, name: &str) -> u64 {
    // Of the thread, because `self` is the process and its first namespace.
    let read = |file| fs::read_to_string(format!("/proc/thread-self/net/{file}"));
    let files = ["snmp", "netstat", "snmp6"];
    let [snmp, netstat, snmp6] =
        host.enter(|| files.map(|file| read(file).expect("read counters")));
    // Names and values, in lines of their own.
    let lines: Vec<_> = snmp.lines().chain(netstat.lines()).collect();
    let in_pairs = || {
        lines.chunks(2).find_map(|pair| {
            let (rest, names) = (name.strip_prefix(pair[0].split_once(": ")?.0)?, pair[0]);
            let mut pairs = names.split(' ').zip(pair[1].split(' ')).skip(1);
            Some(pairs.find(|(of, _)| *of == rest)?.1)
        })
    };
    let in_lines =
        || snmp6.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix([' ', '\t']));
    let found = in_pairs().or_else(in_lines).and_then(|value| value.trim().parse().ok());
    found.unwrap_or_else(|| panic!("there is no counter {name}"))
}
