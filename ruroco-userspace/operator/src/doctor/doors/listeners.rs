//! Whether a connection that a door admits finds a program, on this host or where the port is forwarded to.

use std::{collections::BTreeSet, fs, net::IpAddr};

use ruroco_config::{
    Config,
    door::{Door, DoorPort, Transport},
};
use ruroco_gate::addresses::Present;

use super::{Named, printed, proc_net};
use crate::doctor::{Finding, port::listener};

const LISTENER: &str = "door_listener";
const FORWARDED: &str = "door_forwarded";

/// `TCP_LISTEN`, and the state of every UDP socket without a peer (include/net/tcp_states.h), as the files show it.
const LISTENING: [(&str, &str); 2] = [("tcp", "0A"), ("udp", "07")];

/// Ports of this host that are forwarded, for example to containers.
#[derive(Debug, Default)]
pub(super) struct Forwards(Vec<Forward>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Forward {
    port: DoorPort,
    /// By whom.
    by: &'static str,
}

impl Forwards {
    /// Looks for rules of the firewall and for docker's proxies.
    pub(super) fn look() -> Self {
        let mut all = Vec::new();
        for program in ["iptables-save", "ip6tables-save"] {
            let rules = printed(program, &["-t", "nat"]).unwrap_or_default();
            all.extend(rules.lines().filter_map(rule_of_iptables));
        }
        let rules = printed("nft", &["-n", "list", "ruleset"]).unwrap_or_default();
        all.extend(rules.lines().flat_map(rule_of_nft));
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            all.extend(docker_proxy(&String::from_utf8_lossy(&line)));
        }
        Self(all)
    }

    /// By whom a port of this door is forwarded.
    fn of(&self, door: &Door) -> Option<&Forward> {
        let is_of =
            |forward: &&Forward| door.ports.iter().any(|port| port.common(forward.port).is_some());
        self.0.iter().find(is_of)
    }
}

/// Ports as iptables writes them: `80`, `8000:8010`.
fn range(transport: &str, text: &str, separator: char) -> Option<DoorPort> {
    format!("{transport}/{}", text.replace(separator, "-")).parse().ok()
}

/// A rule that `iptables-save` prints: `-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT …`.
fn rule_of_iptables(line: &str) -> Option<Forward> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let after = |option| {
        let at = words.iter().position(|word| *word == option)?;
        words.get(at.checked_add(1)?).copied()
    };
    // What this host sends is in the chain OUTPUT.
    let is_forward =
        matches!(after("-j"), Some("DNAT" | "REDIRECT")) && after("-A") != Some("OUTPUT");
    let port = range(after("-p")?, after("--dport")?, ':').filter(|_| is_forward)?;
    Some(Forward { port, by: "a rule of the firewall" })
}

/// A rule that `nft list ruleset` prints: `tcp dport { 80, 8000-8010 } dnat to 172.17.0.2`.
fn rule_of_nft(line: &str) -> Vec<Forward> {
    let is_forward = [" dnat ", " redirect"].iter().any(|word| line.contains(word));
    let found = ["tcp", "udp"].into_iter().find_map(|transport| {
        Some((transport, line.split_once(&format!("{transport} dport "))?.1))
    });
    let Some((transport, rest)) = found.filter(|_| is_forward) else { return Vec::new() };
    let ports = match rest.strip_prefix('{') {
        Some(set) => set.split('}').next().unwrap_or_default(),
        None => rest.split_ascii_whitespace().next().unwrap_or_default(),
    };
    let ports = ports.split(',').filter_map(|port| range(transport, port.trim(), '-'));
    ports.map(|port| Forward { port, by: "a rule of the firewall" }).collect()
}

/// The command line of a process, its arguments separated by zeros.
fn docker_proxy(line: &str) -> Option<Forward> {
    let arguments: Vec<&str> = line.split('\0').collect();
    if !arguments.first()?.ends_with("docker-proxy") {
        return None;
    }
    let after = |option| {
        let at = arguments.iter().position(|argument| *argument == option)?;
        arguments.get(at.checked_add(1)?).copied()
    };
    let port = range(after("-proto")?, after("-host-port")?, '-')?;
    Some(Forward { port, by: "docker-proxy" })
}

/// What was found of one door.
pub(super) fn findings(config: &Config, door: &Door, forwards: &Forwards) -> Vec<Finding> {
    match (door.is_forwarded, forwards.of(door)) {
        (false, Some(forward)) => vec![forwarded(config, door, forward)],
        (true, _) => Vec::new(),
        (false, None) => match Present::look() {
            Ok(present) => door
                .ports
                .iter()
                .map(|port| listened(door, *port, &listeners(*port), &present))
                .collect(),
            Err(error) => vec![Finding::unknown(LISTENER, error)],
        },
    }
}

fn forwarded(config: &Config, door: &Door, Forward { port, by }: &Forward) -> Finding {
    Finding::warning(
        FORWARDED,
        format!(
            "{by} forwards {port}, a port of the door {}, so this host has no socket for its connections: the door drops \
             them after their first packet",
            door.name
        ),
        format!(
            "set `forwarded = true` in [doors.{}] in {}, then run `systemctl reload ruroco-gate`",
            door.name,
            config.path().display()
        ),
    )
}

/// The addresses that programs listen on at these ports.
fn listeners(port: DoorPort) -> BTreeSet<IpAddr> {
    let name = port.transport.name();
    let state = LISTENING.into_iter().find(|(transport, _)| *transport == name);
    let state = state.map(|(_, state)| state).unwrap_or_default();
    let tables = [proc_net(name), proc_net(&format!("{name}6"))];
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let lines = lines.filter(|line| line.split_ascii_whitespace().nth(3) == Some(state));
    let sockets = lines.filter_map(listener);
    sockets.filter(|(_, at)| port.contains(port.transport, *at)).map(|(ip, _)| ip).collect()
}

fn listened(
    door: &Door,
    port: DoorPort,
    listeners: &BTreeSet<IpAddr>,
    present: &Present,
) -> Finding {
    let letter = if port.transport == Transport::Tcp { 't' } else { 'u' };
    let look = match port.first == port.last {
        true => format!("ss -Hl{letter}np sport = :{}", port.first),
        false => format!("ss -Hl{letter}np 'sport >= :{} and sport <= :{}'", port.first, port.last),
    };
    let shown = listeners.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    if listeners.is_empty() {
        return Finding::warning(
            LISTENER,
            format!("no program listens on {port}, a port of the door {}", Named(door)),
            format!(
                "start the program, or correct `port` in [doors.{0}]; if the port is forwarded to a container or another \
                 host, set `forwarded = true`. `{look}` lists listeners",
                door.name
            ),
        );
    }
    if listeners.iter().all(IpAddr::is_loopback) {
        return Finding::warning(
            LISTENER,
            format!(
                "the program at {port}, a port of the door {}, listens only on {shown}: other hosts cannot connect",
                door.name
            ),
            format!(
                "have the program listen on an address of this host, or on all. `{look}` names it"
            ),
        );
    }
    let is_guarded = |ip: &IpAddr| ip.is_unspecified() || present.is_assigned(*ip);
    let unguarded: Vec<String> = listeners
        .iter()
        .filter(|ip| !is_guarded(ip) && !ip.is_loopback())
        .map(IpAddr::to_string)
        .collect();
    match unguarded.as_slice() {
        [] => {
            Finding::ok(LISTENER, format!("{port} of the door {}: listens on {shown}", door.name))
        }
        unguarded => Finding::warning(
            LISTENER,
            format!(
                "the program at {port}, a port of the door {}, listens on {}, which no interface has: doors do not guard \
                 this address",
                door.name,
                unguarded.join(", ")
            ),
            "add the address to `addresses` in config.toml, then run `systemctl reload ruroco-gate`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{State, doors::tests::config};

    fn door(fields: &str) -> (Config, Door) {
        let config = config(&format!("[doors.web]\n{fields}\n"));
        let door = config.doors.values().next().unwrap().clone();
        (config, door)
    }

    fn ports(forwards: impl IntoIterator<Item = Forward>) -> Vec<String> {
        forwards.into_iter().map(|forward| forward.port.to_string()).collect()
    }

    #[test]
    fn forwarded_ports_are_read_as_each_program_writes_them() {
        for (line, expected) in [
            (
                "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
                Some("tcp/8080"),
            ),
            (
                "-A PREROUTING -p udp -m udp --dport 1000:1010 -j REDIRECT --to-ports 53",
                Some("udp/1000-1010"),
            ),
            ("-A OUTPUT -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80", None),
            ("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", None),
            ("-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", None),
        ] {
            assert_eq!(
                ports(rule_of_iptables(line)).first().map(String::as_str),
                expected,
                "{line}"
            );
        }
        for (line, expected) in [
            (
                "\t\ttcp dport 8080 counter packets 0 bytes 0 dnat to 172.17.0.2:80",
                &["tcp/8080"][..],
            ),
            ("\t\tudp dport { 53, 1000-1010 } redirect to :5353", &["udp/53", "udp/1000-1010"]),
            ("\t\ttcp dport 22 accept", &[]),
        ] {
            assert_eq!(ports(rule_of_nft(line)), expected, "{line}");
        }
        let proxy = "/usr/bin/docker-proxy\0-proto\0tcp\0-host-ip\x000.0.0.0\0-host-port\x008080\0-container-port\x0080\0";
        assert_eq!(ports(docker_proxy(proxy)), ["tcp/8080"]);
        assert_eq!(docker_proxy("/usr/bin/other\0-proto\0tcp\0-host-port\x008080"), None);
    }

    #[test]
    fn a_published_port_needs_a_door_for_forwarded_connections() {
        let forwards = Forwards(
            docker_proxy("docker-proxy\0-proto\0tcp\0-host-port\x008080").into_iter().collect(),
        );
        let (config, plain) = door("port = \"tcp/8000-8100\"");
        let found = findings(&config, &plain, &forwards);
        assert_eq!((found.len(), found[0].state()), (1, State::Warning));
        assert!(
            found[0].remedy().unwrap().contains("`forwarded = true` in [doors.web]"),
            "{}",
            found[0]
        );
        let (config, told) = door("port = \"tcp/8000-8100\"\nforwarded = true");
        assert!(findings(&config, &told, &forwards).is_empty());
        let (config, other) = door("port = \"tcp/9\"");
        assert!(findings(&config, &other, &forwards).iter().all(|found| found.name() == LISTENER));
    }

    #[test]
    fn a_program_must_listen_where_others_can_connect() {
        let (_, door) = door("port = \"tcp/22\"");
        let present: Present = ["192.0.2.1".parse().unwrap()].into_iter().collect();
        for (at, expected, said) in [
            (&[][..], State::Warning, "no program listens on tcp/22"),
            (&["127.0.0.1", "::1"], State::Warning, "only on 127.0.0.1, ::1"),
            (&["127.0.0.1", "0.0.0.0"], State::Ok, "listens on"),
            (&["192.0.2.1"], State::Ok, "listens on"),
            (&["192.0.2.9"], State::Warning, "192.0.2.9, which no interface has"),
        ] {
            let at = at.iter().map(|ip| ip.parse().unwrap()).collect();
            let finding = listened(&door, door.ports[0], &at, &present);
            assert_eq!(finding.state(), expected, "{finding}");
            assert!(finding.detail().contains(said), "{finding}");
        }
    }
}
