//! `client.toml`: any text.
//!
//! What is accepted says what an untyped reader finds in the same text, and obeys what
//! the reference page says of each field; what is refused is refused with file, line and a message of
//! one line. Programs change the file, and a mistake in it must never mean another host.

use ruroco_client::{
    key_store::KeyReference,
    profiles::{Profiles, fields},
};
use ruroco_files::toml_file::Source;
use toml::Table;

use crate::text;

/// Each field with a good value, and with those at the edge of what is good.
pub const LINES: [&str; 32] = [
    "[hosts.home]",
    "[hosts.\"a.b\"]",
    "[hosts.\"a/b\"]",
    "[hosts]",
    r#"address = "203.0.113.5""#,
    r#"address = "[2001:db8::1]:81""#,
    r#"address = "host.example:0""#,
    r#"family = "ipv6""#,
    r#"family = "ipv5""#,
    "all_addresses = true",
    r#"key = "home""#,
    r#"key = "/k/home.key""#,
    r#"key = "home.key""#,
    r#"command = """#,
    r#"command = "open""#,
    r#"commands = ["open", "close"]"#,
    "commands = []",
    r#"confirm = ["close"]"#,
    r#"confirm = ["shut"]"#,
    "wait = 22",
    "wait = 0",
    "wait = 65536",
    r#"ip = "198.51.100.7""#,
    r#"ip = "10.0.0.0/8""#,
    "permissive = true",
    "permissive = 1",
    "connect = \"ssh me@home\"",
    "connect = \"ssh 'me\"",
    "doors.ssh = { port = \"tcp/22\", for = \"30s\", open = \"open_ssh\" }",
    "doors.vpn = { port = \"udp/51820\", for = 86400, close = [\"close\", \"stop\"] }",
    "doors.web = { port = \"tcp/0\", for = \"0s\" }",
    "doors.ssh = 22",
];

/// Looks at one text.
pub fn client_toml(data: &[u8]) -> bool {
    let Some(text) = text::short(data) else { return false };
    let profiles = text::check(text, |file: Source| Profiles::check(&file));
    let Some(table) = text::untyped(text) else { return false };
    if let Some(profiles) = profiles {
        compare(&profiles, &table);
    }
    true
}

fn compare(profiles: &Profiles, table: &Table) {
    text::assert_known(table, &[fields::HOSTS]);
    let none = Table::new();
    let hosts = table.get(fields::HOSTS).map_or(&none, |hosts| hosts.as_table().unwrap());
    assert_eq!(profiles.iter().count(), hosts.len());
    for (name, host) in profiles.iter() {
        let table = hosts[name.as_str()].as_table().unwrap();
        text::assert_known(table, &text::names(&fields::host(), &[fields::DOORS]));
        let string = |field: &str| table.get(field).map(|value| value.as_str().unwrap());
        let flag = |field: &str| table.get(field).is_some_and(|value| value.as_bool().unwrap());
        assert_eq!(string("address").unwrap().parse(), Ok(host.address.clone()));
        assert_ne!(host.address.port(), 0);
        assert_eq!(string("key").unwrap().parse(), Ok(host.key.clone()));
        if let KeyReference::File(path) = &host.key {
            assert!(path.is_absolute());
        }
        assert_eq!(string("family").unwrap_or("any"), host.family.field());
        assert_eq!(flag("all_addresses"), host.all_addresses);
        assert_eq!(flag("permissive"), host.permissive);
        assert_eq!(string("ip"), string("ip").filter(|_| host.ip.is_some()));
        assert_eq!(string("ip").and_then(|ip| ip.parse().ok()), host.ip);
        let wait = table.get("wait").map(|value| value.as_integer().unwrap());
        assert_eq!(wait, host.wait.map(|port| i64::from(port.get())));
        let doors = table.get(fields::DOORS).map_or(&none, |doors| doors.as_table().unwrap());
        assert_eq!(doors.len(), host.doors.len());
        for (name, door) in &host.doors {
            let table = doors[&name.to_string()].as_table().unwrap();
            text::assert_known(table, &text::names(&fields::door_fields::door_of_host(), &[]));
            assert_eq!(table["port"].as_str().unwrap(), door.port.to_string());
            assert!((1..=86_400).contains(&door.duration.as_secs()));
        }
        assert_eq!(string("connect"), host.connect.as_deref());
        let commands = table.get("commands").map(text::strings).unwrap_or_default();
        let command = string("command").or(commands.first().copied()).unwrap_or("default");
        assert_eq!(host.command, command);
        // What is named again is no other command.
        let mut all = vec![command];
        for other in commands {
            if !all.contains(&other) {
                all.push(other);
            }
        }
        assert_eq!(host.all_commands().collect::<Vec<_>>(), all);
        let confirm = table.get("confirm").map(text::strings).unwrap_or_default();
        assert_eq!(host.confirm, confirm);
        assert!(confirm.iter().all(|command| all.contains(command)));
    }
}
