//! `config.toml`: any text.
//!
//! What is accepted obeys what `docs/operate/configuration.md` says of each field, says what an untyped
//! reader finds in the same text, and restricts the same keys; what is refused is refused with file,
//! line and a message of one line. The file is the operator's, but a mistake in it must never mean
//! something else than it says.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use ruroco_common::{address::Address, doors::DoorName};
use ruroco_config::{
    Appearance, Config, Source,
    door::{Door, Transport},
    fields,
};
use toml::{Table, Value};

use crate::text;

/// Each field with a good value, and with those at the edge of what is good.
pub const LINES: [&str; 72] = [
    r#"addresses = ["192.0.2.1"]"#,
    r#"addresses = ["::ffff:192.0.2.1", "2001:db8::1"]"#,
    r#"addresses = ["192.0.2.1", "0.0.0.0"]"#,
    r#"addresses = ["::ffff:224.0.0.1"]"#,
    r#"addresses = ["255.255.255.255"]"#,
    r#"addresses = ["ff02::1"]"#,
    r#"addresses = ["::"]"#,
    "addresses = []",
    "port = 80",
    "port = 0",
    "port = 65536",
    r#"source = "xdp""#,
    r#"source = "udp""#,
    r#"listen = "::""#,
    r#"listen = "0.0.0.0""#,
    r#"listen = "[::]:0""#,
    r#"keys_dir = "/etc/ruroco""#,
    r#"state_dir = """#,
    r#"socket_dir = "/run""#,
    r#"audit_dir = "log""#,
    r#"server_user = "root""#,
    r#"server_user = " root ""#,
    r#"server_user = " ""#,
    r#"ips = ["192.0.2.1"]"#,
    "allow_non_public_addresses = true",
    "allow_non_public_addresses = false",
    "[keys]",
    "max_knocks_per_second_per_key = 1",
    "max_knocks_per_second_per_key = 0",
    "max_knocks_per_second = 4294967295",
    "max_knocks_per_second = 0",
    "max_clock_skew = 86400",
    "max_clock_skew = 86401",
    r#"max_clock_skew = "24h""#,
    r#"max_clock_skew = "2d""#,
    "[gate]",
    r#"interfaces = ["eth0"]"#,
    r#"interfaces = ["eth0", "eth1"]"#,
    r#"interfaces = [".."]"#,
    "interfaces = []",
    r#"mode = "native""#,
    r#"mode = "drv""#,
    r#"pin_dir = "/sys/fs/bpf""#,
    r#"appearance = "closed""#,
    r#"appearance = "filtered""#,
    "max_passed_per_second = 1",
    "max_passed_per_second = 0",
    r#"gate = { interfaces = ["a"] }"#,
    "[keys.a]",
    r#"[keys."b c"]"#,
    "commands = []",
    r#"commands = ["x", "y"]"#,
    r#"keys.a.commands = ["x"]"#,
    "[doors]",
    "[doors.ssh]",
    "[doors.Ssh]",
    r#"[doors."a b"]"#,
    r#"doors.vpn.port = "udp/51820""#,
    r#"doors.vpn.port = "udp/80""#,
    r#"port = "tcp/22""#,
    r#"port = ["tcp/1-30", "udp/65535"]"#,
    r#"port = "tcp/9-8""#,
    r#"port = "sctp/22""#,
    r#"for = "5m""#,
    "for = 0",
    "connections = 1",
    "connections = 65",
    r#"source = "address""#,
    r#"source = "/64""#,
    r#"source = ["/24", "/64"]"#,
    r#"source = "/40""#,
    "forwarded = true",
];

/// Takes any bytes for a `config.toml`.
pub fn config(data: &[u8]) -> bool {
    let Some(text) = text::short(data) else { return false };
    let (untyped, config) = (text::untyped(text), text::check(text, Config::check));
    let Some(config) = config else { return untyped.is_some() };
    let untyped = untyped.expect("accepted, and no TOML");
    text::assert_known(&untyped, &text::names(&fields::top(), &["gate", "keys", "doors"]));
    check_addresses(&config, &untyped);
    check_limits(&config, &untyped);
    check_surroundings(&config, &untyped);
    check_gate(&config, &untyped);
    check_appearance(&config, &untyped);
    check_keys(&config, &untyped);
    check_doors(&config, &untyped);
    true
}

fn check_addresses(config: &Config, untyped: &Table) {
    let parse = |ip: &str| Address::from(ip.parse::<IpAddr>().unwrap());
    let ips: Vec<Address> = text::strings(&untyped["addresses"]).into_iter().map(parse).collect();
    assert_eq!(config.addresses, ips);
    assert!((1..=1024).contains(&ips.len()), "{} addresses", ips.len());
    for ip in ips {
        let is_one_hosts = match IpAddr::from(ip) {
            IpAddr::V4(v4) => !(v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()),
            IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_multicast()),
        };
        assert!(is_one_hosts, "{ip} was accepted");
    }
    assert_ne!(config.port, 0, "no packet is to port 0");
    assert_eq!(config.listen.port(), config.port);
    let port = untyped.get("port").map_or(Some(80), Value::as_integer);
    assert_eq!(port, Some(config.port.into()));
    let listen = untyped.get("listen").map_or(Some("::"), Value::as_str).unwrap();
    assert_eq!(listen.parse(), Ok(config.listen.ip()));
}

fn check_surroundings(config: &Config, untyped: &Table) {
    let text = |field, default| untyped.get(field).map_or(Some(default), Value::as_str).unwrap();
    for (dir, expected) in [
        (&config.keys_dir, text("keys_dir", "/etc/ruroco/keys")),
        (&config.state_dir, text("state_dir", "/var/lib/ruroco")),
        (&config.socket_dir, text("socket_dir", "/run/ruroco")),
        (&config.audit_dir, text("audit_dir", "/var/lib/ruroco-commander")),
    ] {
        assert_eq!(dir.to_str(), Some(expected));
        assert!(expected.starts_with('/'), "{expected:?} depends on a directory");
    }
    assert_eq!(config.server_user, text("server_user", "ruroco").trim());
    assert!(!config.server_user.is_empty(), "the name of no user");
    let allow = untyped.get("allow_non_public_addresses").map(|allow| allow.as_bool().unwrap());
    assert_eq!(config.allow_non_public_addresses, allow.unwrap_or(true));
}

fn check_limits(config: &Config, untyped: &Table) {
    let number = |field, default| untyped.get(field).map_or(Some(default), Value::as_integer);
    for (field, default, limit) in [
        ("max_knocks_per_second_per_key", 2, config.max_knocks_per_second_per_key),
        ("max_knocks_per_second", 100, config.max_knocks_per_second),
    ] {
        assert_eq!(number(field, default), Some(limit.into()), "{field}");
        assert_ne!(limit, 0, "{field} refuses everything");
    }
    let skew = untyped.get("max_clock_skew").map_or(Some(3600), text::seconds);
    assert_eq!(skew.map(Duration::from_secs), Some(config.max_clock_skew));
    assert!(config.max_clock_skew <= Duration::from_secs(86_400));
}

fn check_gate(config: &Config, untyped: &Table) {
    let source = if config.source == Source::Udp { "udp" } else { "xdp" };
    assert_eq!(untyped.get("source").map_or(Some("xdp"), Value::as_str), Some(source));

    let interfaces = &config.gate.interfaces;
    let Some(gate) = untyped.get("gate") else {
        assert_eq!((config.source, interfaces.len()), (Source::Udp, 0), "nothing would be closed");
        return;
    };
    let gate = gate.as_table().unwrap();
    text::assert_known(gate, &text::names(&fields::gate(), &[]));
    assert_eq!(*interfaces, text::strings(&gate["interfaces"]));
    assert!(!interfaces.is_empty(), "nothing would be closed");
    assert_eq!(interfaces.iter().collect::<BTreeSet<_>>().len(), interfaces.len(), "one twice");
    for name in interfaces {
        // What dev_valid_name asks (linux, net/core/dev.c), of a name that ends at its first NUL.
        let can_be = (1..16).contains(&name.len()) && ![".", ".."].contains(&name.as_str());
        let forbidden = |c: char| matches!(c, '\0' | '/' | ':') || c.is_ascii_whitespace();
        assert!(can_be && !name.contains(forbidden), "no interface is called {name:?}");
    }
}

fn check_appearance(config: &Config, untyped: &Table) {
    let gate = |field| untyped.get("gate").and_then(|gate| gate.get(field));
    let (appearance, most) = match config.gate.appearance {
        Appearance::Filtered => {
            assert_eq!(gate("max_passed_per_second"), None, "it would be without effect");
            ("filtered", None)
        }
        Appearance::Closed { max_passed_per_second } => ("closed", Some(max_passed_per_second)),
    };
    assert_eq!(gate("appearance").map_or(Some("filtered"), Value::as_str), Some(appearance));
    if let Some(most) = most {
        let written = gate("max_passed_per_second").map_or(Some(10_000), Value::as_integer);
        assert_eq!(written, Some(most.into()));
        assert_ne!(most, 0, "filtered by another name");
    }
    // What the kernel cannot check must not be told from a closed port by what is let through.
    assert!(config.check_appearance([].into_iter()).is_empty());
    let unchecked = config.check_appearance(["old"].into_iter());
    assert_eq!(unchecked.len(), usize::from(most.is_some()));
    unchecked.iter().for_each(|problem| _ = text::message_and_line(problem));
}

fn check_keys(config: &Config, untyped: &Table) {
    let none = Table::new();
    let keys = untyped.get("keys").map_or(&none, |keys| keys.as_table().unwrap());
    for (name, rules) in keys {
        let rules = rules.as_table().unwrap();
        text::assert_known(rules, &text::names(&fields::key(), &[]));
        let commands = rules.get("commands").map(text::strings);
        let accepted = config.rules_of(name).expect("the rules are lost").commands.as_ref();
        assert_eq!(accepted.is_some(), commands.is_some());
        assert_eq!(accepted.cloned().unwrap_or_default(), commands.unwrap_or_default());
    }
    let names: Vec<&str> = keys.keys().map(String::as_str).collect();
    assert!(config.check_key_names(&names).is_empty());
    // The rules of a misspelt key would restrict nobody.
    for (unknown, _) in names.iter().enumerate() {
        let mut known = names.clone();
        known.remove(unknown);
        let problems = config.check_key_names(&known);
        assert_eq!(problems.len(), 1, "rules for an unknown key");
        problems.iter().for_each(|problem| _ = text::message_and_line(problem));
    }
}

fn check_doors(config: &Config, untyped: &Table) {
    let none = Table::new();
    let doors = untyped.get("doors").map_or(&none, |doors| doors.as_table().unwrap());
    assert_eq!(config.doors.len(), doors.len());
    assert!(config.door_names().eq(doors.keys()));
    if !doors.is_empty() {
        assert_eq!(config.source, Source::Xdp, "nothing would close a door");
        assert_eq!(config.gate.appearance, Appearance::Filtered, "a door would stand out");
    }
    let mut ports = BTreeSet::from([(Transport::Udp, config.port)]);
    for (name, table) in doors {
        let door = &config.doors[&DoorName::new(name).expect("accepted, and no name")];
        assert_eq!(door.name.to_string(), *name);
        let table = table.as_table().unwrap();
        text::assert_known(table, &text::names(&fields::door(), &[]));
        check_door(door, table);
        for range in &door.ports {
            for port in range.first..=range.last {
                assert_ne!(port, 0, "no packet is to port 0");
                assert!(ports.insert((range.transport, port)), "{port} twice");
            }
        }
    }
}

fn check_door(door: &Door, table: &Table) {
    let one_or_more = |value: &Value| match value.as_str() {
        Some(one) => vec![one.to_owned()],
        None => text::strings(value).into_iter().map(str::to_owned).collect(),
    };
    let ports: Vec<String> = door.ports.iter().map(ToString::to_string).collect();
    // A range of one port, and zeros in front, are written in another way.
    let plain = |text: &String| !text.contains("/0") && !text.contains("-0");
    let is_plain = |text: &String| match text.split_once(['/', '-']) {
        Some((_, range)) => range.split_once('-').is_none_or(|(a, b)| a != b) && plain(text),
        None => false,
    };
    for (shown, written) in ports.iter().zip(one_or_more(&table["port"])) {
        assert!(*shown == written || !is_plain(&written), "{shown} for {written}");
    }
    assert_eq!(ports.len(), one_or_more(&table["port"]).len());
    let seconds = table.get("for").map_or(Some(30), text::seconds).unwrap();
    assert_eq!(door.duration, Duration::from_secs(seconds));
    assert!((1..=86_400).contains(&seconds), "{seconds} s");
    let connections = table.get("connections").map(|most| most.as_integer().unwrap());
    assert_eq!(door.connections.map(i64::from), connections);
    assert_ne!(door.connections, Some(0), "a door that never opens");
    let forwarded = table.get("forwarded").map(|forwarded| forwarded.as_bool().unwrap());
    assert_eq!(door.is_forwarded, forwarded.unwrap_or(false));
    let source = table.get("source").map_or_else(Vec::new, one_or_more);
    let lengths = source.iter().filter_map(|source| source.strip_prefix('/'));
    let lengths: Vec<u8> = lengths.map(|length| length.parse().unwrap()).collect();
    let of = |range: std::ops::RangeInclusive<u8>| {
        lengths.iter().copied().find(|length| range.contains(length))
    };
    assert_eq!(door.source.ipv4, of(16..=32).unwrap_or(32));
    assert_eq!(door.source.ipv6, of(48..=128).unwrap_or(128));
}
