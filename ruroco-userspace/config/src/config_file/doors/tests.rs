//! Which doors are accepted or rejected, and the messages.

use std::time::Duration;

use ruroco_common::doors::SourcePrefix;
use ruroco_messages::problems::Problem;

use super::*;
use crate::Config;

/// Four lines, below which doors can follow.
const GOOD: &str = "addresses = [\"192.0.2.1\"]\nport = 34020\n[gate]\ninterfaces = [\"eth0\"]\n";

fn check(text: &str) -> Result<(Config, Problems), Problems> {
    Config::check(File::new("/config.toml", text)).or_all_problems()
}

fn door(fields: &str) -> Door {
    let (config, warnings) = check(&format!("{GOOD}[doors.ssh]\n{fields}")).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    config.doors.into_values().next().unwrap()
}

fn ports(texts: &[&str]) -> Vec<DoorPort> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn one_line_is_a_whole_door() {
    let ssh = Door {
        name: DoorName::new("ssh").unwrap(),
        ports: ports(&["tcp/22"]),
        duration: Duration::from_secs(30),
        connections: None,
        source: SourcePrefix::ADDRESS,
        is_forwarded: false,
    };
    assert_eq!(door("port = \"tcp/22\""), ssh);
    assert!(check(GOOD).unwrap().0.doors.is_empty());
}

#[test]
fn every_field_arrives() {
    let text = "port = [\"tcp/22\", \"udp/8000-8010\"]\nfor = \"5m\"\nconnections = 3\n\
                source = [\"/24\", \"/64\"]\nforwarded = true";
    let door = door(text);
    assert_eq!(door.ports, ports(&["tcp/22", "udp/8000-8010"]));
    assert_eq!((door.duration, door.connections), (Duration::from_secs(300), Some(3)));
    assert_eq!(door.source, SourcePrefix { ipv4: 24, ipv6: 64 });
    assert!(door.is_forwarded);
}

#[test]
fn a_prefix_counts_for_the_family_that_has_its_length() {
    for (source, ipv4, ipv6) in [
        ("\"address\"", 32, 128),
        ("\"/16\"", 16, 128),
        ("\"/32\"", 32, 128),
        ("\"/48\"", 32, 48),
        ("\"/128\"", 32, 128),
        ("[\"/64\"]", 32, 64),
        ("[\"/64\", \"/20\"]", 20, 64),
    ] {
        let door = door(&format!("port = \"tcp/22\"\nsource = {source}"));
        assert_eq!(door.source, SourcePrefix { ipv4, ipv6 }, "{source}");
    }
}

#[test]
fn ports_next_to_each_other_belong_to_two_doors() {
    let text = "[doors.a]\nport = [\"tcp/10-20\", \"udp/34019\"]\n[doors.b]\nport = [\"tcp/9\", \"tcp/21\", \
                \"udp/15\", \"tcp/34020\", \"udp/34021\"]\n";
    let (config, _) = check(&format!("{GOOD}{text}")).unwrap();
    assert_eq!(config.door_names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(config.doors.len(), 2);
}

#[test]
fn every_mistake_names_its_line_and_the_remedy() {
    let port = "port = \"tcp/22\"\n";
    for (text, line, told) in [
        ("[doors.SSH]\nport = \"tcp/22\"\n".to_owned(), 5, "Use 1 to 16 of the characters a-z"),
        (
            format!("[doors.a-door-of-17-byte]\n{port}"),
            5,
            "`a-door-of-17-byte` is not a valid name",
        ),
        (format!("[doors.\"\\n\"]\n{port}"), 5, "`\\n` is not a valid name"),
        (format!("[doors.\"\"]\n{port}"), 5, "`` is not a valid name"),
        ("[doors]\nssh = \"tcp/22\"\n".to_owned(), 6, "`ssh` must be a table"),
        ("[doors.ssh]\n".to_owned(), 5, "Set, for example, port = \"tcp/22\""),
        (format!("[doors.ssh]\n{port}forward = true\n"), 7, "did you mean `forwarded`?"),
        (
            "[doors.ssh]\nport = 22\n".to_owned(),
            6,
            "`port = 22` is not valid. Use a protocol and a port",
        ),
        ("[doors.ssh]\nport = \"22\"\n".to_owned(), 6, "such as \"tcp/22\""),
        ("[doors.ssh]\nport = []\n".to_owned(), 6, "`port` is empty. List at least one"),
        ("[doors.ssh]\nport = [\n\"tcp/22\",\n\"sctp/22\"]\n".to_owned(), 8, "Use tcp or udp"),
        ("[doors.ssh]\nport = \"tcp/0\"\n".to_owned(), 6, "Use port numbers from 1 to 65535"),
        ("[doors.ssh]\nport = \"tcp/65536\"\n".to_owned(), 6, "Use port numbers from 1 to 65535"),
        (
            "[doors.ssh]\nport = \"tcp/9-8\"\n".to_owned(),
            6,
            "Use the lower port first: \"tcp/8-9\"",
        ),
        ("[doors.ssh]\nport = [\"tcp/22\",\n\"tcp/22\"]\n".to_owned(), 7, "the door ssh already"),
        (
            "[doors.ssh]\nport = \"tcp/22\"\n[doors.a]\nport = [\"tcp/9\",\n\"tcp/20-30\"]\n"
                .to_owned(),
            9,
            "tcp/22 belongs to the door ssh already. Remove it from one place",
        ),
        (
            "[doors.b]\nport = \"tcp/1-100\"\n[doors.a]\nport = \"tcp/50-200\"\n".to_owned(),
            8,
            "tcp/50-100 belongs to the door b already",
        ),
        (
            "[doors.ssh]\nport = \"udp/34000-34020\"\n".to_owned(),
            6,
            "udp/34020 is the port that clients send knocks to",
        ),
        (format!("[doors.ssh]\n{port}for = 0\n"), 7, "Use a time from 1 second to 1 day"),
        (format!("[doors.ssh]\n{port}for = \"25h\"\n"), 7, "Use a time from 1 second to 1 day"),
        (format!("[doors.ssh]\n{port}connections = 0\n"), 7, "Use a whole number, at least 1"),
        (format!("[doors.ssh]\n{port}source = \"/33\"\n"), 7, "\"/16\" to \"/32\" is one for IPv4"),
        (format!("[doors.ssh]\n{port}source = \"/15\"\n"), 7, "`source = \"/15\"` is not valid"),
        (format!("[doors.ssh]\n{port}source = \"/129\"\n"), 7, "`source = \"/129\"` is not valid"),
        (format!("[doors.ssh]\n{port}source = \"/+24\"\n"), 7, "`source = \"/+24\"` is not valid"),
        (format!("[doors.ssh]\n{port}source = [\"/24\", \"/25\"]\n"), 7, "two prefixes for IPv4"),
        (
            format!("[doors.ssh]\n{port}source = [\"/64\", \"/24\", \"/48\"]\n"),
            7,
            "Keep one for each",
        ),
        (format!("[doors.ssh]\n{port}source = []\n"), 7, "`source` is empty"),
        (format!("[doors.ssh]\n{port}forwarded = \"yes\"\n"), 7, "Use true or false"),
    ] {
        let problems = check(&format!("{GOOD}{text}")).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}: {problems}");
        let error = problems.to_string();
        assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn what_doors_cannot_go_with_is_told_with_the_line_of_that() {
    let doors = "[doors.ssh]\nport = \"tcp/22\"\n[doors.web]\nport = \"tcp/443\"\n";
    for (text, line, told) in [(
        format!("addresses = [\"192.0.2.1\"]\nsource = \"udp\"\n{doors}"),
        2,
        "Set source = \"xdp\", or remove [doors]",
    )] {
        let problems = check(&text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}: {problems}");
        let error = problems.to_string();
        assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(told), "{text}: {error}");
        assert!(check(&text.replace(doors, "[doors]\n")).is_ok(), "{text}");
    }
}

#[test]
fn a_door_looks_closed_if_its_connections_end_at_a_tcp_socket_of_this_host() {
    let closed = format!("{GOOD}appearance = \"closed\"\n[doors.x]\n");
    assert!(check(&format!("{closed}port = [\"tcp/22\", \"tcp/80-90\"]\n")).is_ok());
    assert!(check(&format!("{closed}port = \"tcp/22\"\nforwarded = false\n")).is_ok());
    for (fields, line) in [
        ("port = \"udp/51820\"", 7),
        ("port = [\n\"tcp/22\",\n\"udp/53\"]", 9),
        ("port = \"tcp/22\"\nforwarded = true", 8),
    ] {
        let problems = check(&format!("{closed}{fields}\n")).unwrap_err();
        assert_eq!(problems.len(), 1, "{fields}: {problems}");
        let error = problems.to_string();
        assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{fields}: {error}");
        assert!(error.contains("Set appearance = \"filtered\" in [gate]"), "{fields}: {error}");
        let filtered = check(&format!("{GOOD}[doors.x]\n{fields}\n"));
        assert!(filtered.is_ok(), "{fields}");
    }
}

#[test]
fn there_are_as_many_doors_as_have_a_number() {
    let with = |count: u16| {
        let door = |number| format!("[doors.d{number}]\nport = \"tcp/{number}\"\n");
        check(&format!("{GOOD}{}", (1..=count).map(door).collect::<String>()))
    };
    assert_eq!(with(255).unwrap().0.doors.len(), MAX_DOORS);
    let problems = with(257).unwrap_err();
    let lines: Vec<_> = problems.iter().map(Problem::line).collect();
    assert_eq!(lines, [Some(4 + 2 * 255 + 1)], "{problems}");
    assert!(problems.to_string().contains("more than 255 doors. Remove some"), "{problems}");
}

#[test]
fn a_limit_that_flows_never_reach_is_a_warning() {
    let warned = |text: &str| {
        let (_, warnings) = check(&format!("{GOOD}[doors.x]\n{text}\n")).unwrap();
        warnings.to_string()
    };
    for fields in
        ["port = \"udp/9\"", "port = [\"tcp/9\", \"udp/9\"]", "port = \"tcp/9\"\nforwarded = true"]
    {
        assert_eq!(warned(&format!("connections = 64\n{fields}")), "");
        let warning = warned(&format!("connections = 65\n{fields}"));
        assert!(warning.starts_with("/config.toml:6: "), "{warning}");
        assert!(warning.contains("Set connections = 64 or lower"), "{warning}");
    }
    assert_eq!(warned("connections = 65\nport = \"tcp/9\""), "");
}

#[test]
fn a_door_with_an_error_has_its_name_nevertheless() {
    let mut problems = Problems::default();
    let text =
        format!("{GOOD}[doors.ssh]\nport = \"tcp/22\"\nfor = \"1\"\n[doors.Bad]\nport = 1\n");
    let config = problems.good_of(Config::check(File::new("/config.toml", text))).unwrap();
    assert_eq!(config.door_names().collect::<Vec<_>>(), ["Bad", "ssh"]);
    assert_eq!(problems.len(), 3, "{problems}");
}

#[test]
fn a_problem_can_be_told_of_a_door() {
    let (config, _) = check(&format!("{GOOD}\n[doors.ssh]\nport = \"tcp/22\"\n")).unwrap();
    let problem = config.problem(crate::Place::Door("ssh"), "told");
    assert_eq!(problem.to_string(), "/config.toml:6: told");
}

#[test]
fn a_mode_that_cannot_change_names_what_a_restart_does() {
    let said = |more: &str| {
        let (config, _) = check(&format!("{GOOD}{more}")).unwrap();
        config.mode_is_fixed("eth0", "native").to_string()
    };
    let (restart, first) = ("Restart ruroco-gate (packets", "set `on_stop = \"open\"` in [gate]");
    assert!(said("").contains(restart));
    let door = "[doors.ssh]\nport = \"tcp/22\"\n";
    assert!(said(door).contains(first) && !said(door).contains(restart), "{}", said(door));
    assert!(said(&format!("on_stop = \"open\"\n{door}")).contains(restart));
}
