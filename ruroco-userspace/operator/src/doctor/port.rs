//! The gate's port: whether another program uses it, and how the ports next to it look.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ruroco_config::{Appearance, Config, Source};

use super::Finding;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = vec![ephemeral(config.port)];
    if config.source == Source::Xdp {
        findings.push(bound(config));
        findings.push(appearance(config));
    }
    findings
}

/// Whether the kernel could take the port for a connection from this host, whose answers the gate
/// would then drop.
fn ephemeral(port: u16) -> Finding {
    const NAME: &str = "port";
    let range = match Ephemeral::look() {
        Ok(range) => range,
        Err(error) => return Finding::unknown(NAME, error),
    };
    match (range.has(port), range.takes(port, port)) {
        (false, _) => {
            Finding::ok(NAME, format!("the kernel does not use port {port} for outgoing packets"))
        }
        (true, false) => Finding::ok(NAME, format!("{port} is reserved")),
        (true, true) => Finding::warning(
            NAME,
            format!(
                "the kernel may use port {port} for outgoing packets ({range}), and the gate would drop the replies to \
                 them"
            ),
            range.remedy([(port, port)].into_iter()),
        ),
    }
}

/// The ports that the kernel gives to sockets of this host that ask for none.
pub(super) struct Ephemeral {
    low: u16,
    high: u16,
    /// A list, as the kernel writes it.
    reserved: String,
}

impl Ephemeral {
    /// Reads the kernel's settings.
    pub(super) fn look() -> io::Result<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        let range = read("ip_local_port_range")?;
        let mut ends = range.split_whitespace().map(str::parse);
        let (Some(Ok(low)), Some(Ok(high))) = (ends.next(), ends.next()) else {
            return Err(io::Error::other(format!("ip_local_port_range is {range:?}")));
        };
        Ok(Self { low, high, reserved: read("ip_local_reserved_ports")?.trim().to_owned() })
    }

    fn has(&self, port: u16) -> bool {
        (self.low..=self.high).contains(&port)
    }

    /// Whether the kernel may give away one of the ports from `first` to `last`.
    pub(super) fn takes(&self, first: u16, last: u16) -> bool {
        (first..=last).any(|port| self.has(port) && !is_listed(&self.reserved, port))
    }

    /// How to keep the kernel from giving away these ports.
    pub(super) fn remedy(&self, ports: impl Iterator<Item = (u16, u16)>) -> String {
        let ports = ports.map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        let reserved = Some(self.reserved.clone()).filter(|reserved| !reserved.is_empty());
        let list: Vec<String> = reserved.into_iter().chain(ports).collect();
        format!(
            "run: sysctl -w net.ipv4.ip_local_reserved_ports={}, and put the setting into a file in /etc/sysctl.d",
            list.join(",")
        )
    }
}

impl fmt::Display for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.low, self.high)
    }
}

/// Whether a list such as `80,1000-1010` has this port.
fn is_listed(list: &str, port: u16) -> bool {
    list.split(',').any(|range| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let ends = (low.parse::<u16>(), high.parse::<u16>());
        matches!(ends, (Ok(low), Ok(high)) if (low..=high).contains(&port))
    })
}

/// Whether a program on this host listens there.
fn bound(config: &Config) -> Finding {
    const NAME: &str = "listener";
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(fs::read_to_string);
    let mut listeners = Vec::new();
    for table in &tables {
        match table {
            Ok(table) => listeners.extend(table.lines().skip(1).filter_map(listener)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Finding::unknown(NAME, error),
        }
    }
    let is_ours = |ip: IpAddr| {
        ip.is_unspecified() || config.addresses.iter().any(|ours| IpAddr::from(*ours) == ip)
    };
    let mut at_port =
        listeners.into_iter().filter(|(ip, port)| *port == config.port && is_ours(*ip));
    match at_port.next() {
        None => Finding::ok(NAME, format!("no program listens on UDP port {}", config.port)),
        Some((ip, port)) => Finding::problem(
            NAME,
            format!(
                "a program listens on UDP port {port} of {ip}. The gate drops its packets, and the program replies to \
                those that the gate passes"
            ),
            format!(
                "find it with `ss -Hulpn sport = :{port}`. Stop it, or give the gate another `port`"
            ),
        ),
    }
}

/// Local address and port of a line of `/proc/net/udp` (proc_net_udp(5)): hexadecimal, the address in
/// words of this machine's byte order.
pub(super) fn listener(line: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = line.split_whitespace().nth(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut words = [0_u32; 4];
    let count = address.len().checked_div(8)?;
    for (index, word) in words.iter_mut().take(count).enumerate() {
        let from = index.checked_mul(8)?;
        *word = u32::from_str_radix(address.get(from..from.checked_add(8)?)?, 16).ok()?;
    }
    let ip = match count {
        1 => IpAddr::from(Ipv4Addr::from(words[0].to_ne_bytes())),
        4 => {
            let mut bytes = [0; 16];
            for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
                bytes.copy_from_slice(&word.to_ne_bytes());
            }
            IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((ip, port))
}

/// What cannot be seen from here: whether the other ports look like ours.
fn appearance(config: &Config) -> Finding {
    const NAME: &str = "appearance";
    let (detail, other) = match config.gate.appearance {
        Appearance::Filtered => (
            "filtered: the port never replies. If this host's other closed UDP ports do reply, this makes it \
            conspicuous",
            "closed",
        ),
        Appearance::Closed { .. } => (
            "closed: the port replies as a closed UDP port does, except to a knock. If a firewall drops packets for \
            the other ports, this makes it conspicuous",
            "filtered",
        ),
    };
    let look = format!("nmap -sU -p {},{}", config.port, config.port.wrapping_add(1));
    Finding::ok(
        NAME,
        format!(
            "{detail}. From another host, compare them with `{look}`, and set appearance = \"{other}\" if they differ"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_ports_are_read_as_the_kernel_writes_them() {
        for (list, is) in [("", false), ("80", true), ("1,79-81,90", true), ("79,81-90", false)] {
            assert_eq!(is_listed(list, 80), is, "{list}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets_are_read_as_the_kernel_writes_them() {
        let rest = " 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 0";
        for (text, socket) in [
            ("0100007F:84E4", "127.0.0.1:34020"),
            ("00000000:0050", "0.0.0.0:80"),
            ("B80D0120000001000000000001000000:0050", "[2001:db8:1::1]:80"),
            ("0000000000000000FFFF00000100007F:0050", "127.0.0.1:80"),
        ] {
            let found = listener(&format!("  1: {text}{rest}"));
            let expected: std::net::SocketAddr = socket.parse().unwrap();
            assert_eq!(found, Some((expected.ip(), expected.port())), "{text}");
        }
        assert_eq!(listener("  1: 0100007:84E4"), None);
    }
}
