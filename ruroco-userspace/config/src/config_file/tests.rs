//! Which files are accepted or rejected, and the messages.

use std::{net::Ipv6Addr, slice};

use super::*;
use crate::fields::Mode;
use ruroco_files::toml_file::field::{Info, Shown};

fn check(text: &str) -> Result<Config, String> {
    let checked = Config::check(File::new("/config.toml", text));
    checked.or_problems().map_err(|problems| problems.to_string())
}

#[test]
fn two_lines_are_a_whole_configuration() {
    let two = "addresses = [\"192.0.2.1\", \"::ffff:192.0.2.2\"]\ngate.interfaces = [\"eth0\"]";
    let config = check(two).unwrap();
    assert_eq!(
        config.addresses,
        [Address::from_ipv4([192, 0, 2, 1]), Address::from_ipv4([192, 0, 2, 2])]
    );
    assert_eq!((config.port, config.source), (80, Source::Xdp));
    assert_eq!(config.listen, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 80)));
    assert_eq!(config.keys_dir, Path::new("/etc/ruroco/keys"));
    assert_eq!(config.max_clock_skew, Duration::from_secs(3600));
    assert_eq!(config.gate.mode, Mode::Auto);
}

#[test]
fn the_server_listens_at_the_port() {
    let text = "addresses = [\"::1\"]\nsource = \"udp\"\nport = 34020\nlisten = \"192.0.2.1\"";
    assert_eq!(check(text).unwrap().listen, "192.0.2.1:34020".parse().unwrap());
}

#[test]
fn every_mistake_names_its_line_and_the_remedy() {
    let good = "addresses = [\"192.0.2.1\"]\nsource = \"udp\"\n";
    for (text, line, told) in [
        ("server_user = \" \"\n", 3, "Use the name of a user"),
        ("allow_non_public_addresses = \"no\"\n", 3, "Use true or false"),
        ("alow_non_public_addresses = true\n", 3, "did you mean `allow_non_public_addresses`?"),
        ("prot = 80\n", 3, "did you mean `port`?"),
        ("port = 0\n", 3, "Use a port number from 1 to 65535"),
        ("port = 65536\n", 3, "`port = 65536` is not valid"),
        ("port = \"80\"\n", 3, "`port = 80`"),
        ("listen = \"[::]:80\"\n", 3, "Use an IP address"),
        ("keys_dir = \"keys\"\n", 3, "Use an absolute path"),
        ("max_knocks_per_second = 0\n", 3, "Use a whole number, at least 1"),
        ("max_knocks_per_second = -1\n", 3, "Use a whole number, at least 1"),
        ("max_clock_skew = 100000\n", 3, "Use a time from 0 seconds to 1 day"),
        ("max_clock_skew = \"2d\"\n", 3, "such as \"30s\", \"5m\" or \"1h\""),
        ("[gate]\ninterfaces = []\n", 4, "List at least one interface name"),
        ("[gate]\ninterfaces = [\"a/b\"]\n", 4, "`a/b` cannot be the name"),
        ("[gate]\ninterfaces = [\"..\"]\n", 4, "cannot be the name"),
        ("[gate]\ninterfaces = [\"a\\u0000\"]\n", 4, "cannot be the name"),
        ("[gate]\ninterfaces = [\"a\", \"a\"]\n", 4, "named twice"),
        ("[gate]\ninterfaces = [\"a\"]\nmode = \"drv\"\n", 5, "native"),
        ("[gate]\ninterfaces = [\"a\"]\nmod = \"auto\"\n", 5, "did you mean `mode`?"),
        (
            "[gate]\ninterfaces = [\"a\"]\nappearance = \"open\"\n",
            5,
            "Use \"filtered\" or \"closed\"",
        ),
        ("[gate]\ninterfaces = [\"a\"]\nmax_passed_per_second = 5\n", 5, "Remove it"),
        (
            "[gate]\ninterfaces = [\"a\"]\nappearance = \"closed\"\nmax_passed_per_second = 0\n",
            6,
            "Use a whole number, at least 1",
        ),
        ("[keys.laptop]\ncommand = []\n", 4, "did you mean `commands`?"),
        ("[keys.laptop]\nexpires = \"2027-01-31\"\n", 4, "Use a date without quotes"),
        ("[keys.laptop]\nexpires = 2027-01-31T18:00:00\n", 4, "2027-01-31T18:00:00Z"),
        ("[keys.laptop]\nsources = [\"192.0.2.7/24\"]\n", 4, "\"192.0.2.0/24\""),
        ("[keys.laptop]\nsources = []\n", 4, "`sources` is empty"),
        ("[keys.laptop]\nrequire_address = 1\n", 4, "Use true or false"),
        ("[keys]\nlaptop = 1\n", 4, "`laptop` must be a table"),
        ("addresses = 1\n", 3, "duplicate key"),
        ("port =\n", 3, ""),
    ] {
        let error = check(&format!("{good}{text}")).unwrap_err();
        assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(told), "{text}: {error}");
    }
    for (text, line, told) in [
        ("", 1, "missing field `addresses`"),
        ("addresses = []\nsource = \"udp\"\n", 1, "`addresses` is empty"),
        ("addresses = [\n\"192.0.2.1\",\n\"192.0.2.0/24\"]\n", 3, "IP address"),
        ("addresses = [\"192.0.2.1\"]\nsource = \"xdp\"\n", 2, "interfaces = [\"eth0\"]"),
        ("addresses = [\"192.0.2.1\"]\nsource = \"upd\"\n", 2, "did you mean \"udp\"?"),
        ("addresses = [\n\"0.0.0.0\"]\n", 2, "not the address of a host"),
        ("addresses = [\"::\"]\n", 1, "not the address of a host"),
        ("addresses = [\"::ffff:0.0.0.0\"]\n", 1, "not the address of a host"),
        ("addresses = [\"224.0.0.1\"]\n", 1, "not the address of a host"),
        ("addresses = [\"ff02::1\"]\n", 1, "not the address of a host"),
        ("addresses = [\"255.255.255.255\"]\n", 1, "not the address of a host"),
    ] {
        let errors = check(text).unwrap_err();
        let place = format!("/config.toml:{line}: ");
        let mut lines = errors.lines();
        let found = lines.any(|error| error.starts_with(&place) && error.contains(told));
        assert!(found, "{text}: {errors}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_none_that_follows_from_another() {
    let text = "addresses = [\"192.0.2.1\", \"x\",\n\"::\"]\nport = 0\nprot = 1\n\
                max_clock_skew = \"1\"\n[gate]\ninterfaces = \"eth0\"\nmode = \"drv\"\n\
                max_passed_per_second = 1\n";
    let problems = check(text).unwrap_err();
    let lines: Vec<_> = problems.lines().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(lines, ["1", "2", "3", "4", "5", "7", "8", "9"], "{problems}");
    for text in [
        "addresses = 1\nsource = \"udp\"",
        "addresses = [\"::1\"]\ngate = 1",
        "addresses = [\"::1\"]\n[gate]",
    ] {
        let problems = check(text).unwrap_err();
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn rules_for_a_key_that_is_not_there_are_an_error() {
    let text = "addresses = [\"192.0.2.1\"]\nsource = \"udp\"\n\n[keys.latop]\ncommands = []\n";
    let config = check(text).unwrap();
    assert!(config.check_key_names(&["latop"]).is_empty());
    let error = config.check_key_names(&["laptop", "phone"]).to_string();
    assert!(error.contains("config.toml:4: "), "{error}");
    assert!(error.contains("did you mean `laptop`?"), "{error}");
}

// Where finding one takes looking at all, this takes minutes, and a server in real time is killed for it.
#[test]
fn each_key_has_its_own_rules_however_many_have_any() {
    let names: Vec<String> = (0..30_000).map(|number| format!("key-{number}")).collect();
    let table = |name: &String| format!("[keys.{name}]\ncommands = [\"{name}\"]\n");
    let tables: String = names.iter().map(table).collect();
    let config =
        check(&format!("addresses = [\"192.0.2.1\"]\nsource = \"udp\"\n{tables}")).unwrap();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(config.check_key_names(&known).is_empty());
    for name in &names {
        let rules = config.rules_of(name).unwrap();
        assert_eq!(rules.commands.as_deref(), Some(slice::from_ref(name)));
    }
    assert!(config.rules_of("key").is_none());
}

#[test]
fn a_gate_looks_filtered_unless_it_is_to_look_closed() {
    let of = |text: &str| {
        let fixed = "addresses = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\n";
        check(&format!("{fixed}{text}")).unwrap().gate.appearance
    };
    assert_eq!(of(""), Appearance::Filtered);
    assert!(of("").pass_refused().is_never());
    assert_eq!(of("appearance = \"closed\""), Appearance::Closed { max_passed_per_second: 10_000 });
    assert_eq!(
        of("appearance = \"closed\"\nmax_passed_per_second = 7").pass_refused(),
        ruroco_common::rate::Rate::per_second(7)
    );
}

#[test]
fn what_the_kernel_cannot_check_cannot_look_closed() {
    let with = |appearance: &str| {
        let fixed = "addresses = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\nappearance = ";
        check(&format!("{fixed}\"{appearance}\"")).unwrap()
    };
    assert!(with("filtered").check_appearance(["old"].into_iter()).is_empty());
    assert!(with("closed").check_appearance([].into_iter()).is_empty());
    let error = with("closed").check_appearance(["old"].into_iter()).to_string();
    assert!(error.starts_with("/config.toml:4: "), "{error}");
    assert!(error.contains("old.key") && error.contains("ruroco key revoke old"), "{error}");
}

#[test]
fn a_file_with_earlier_names_is_one_problem_that_names_the_command() {
    for name in earlier::NAMES {
        let error = check(&format!("port = 0\n{name} = 1\nx = 1\n")).unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(&format!("`{name}`")), "{error}");
        assert!(error.contains("Run `ruroco import`"), "{error}");
    }
}

/// A value for each field that only a restart changes, and the daemons for which that is so.
const FIXED: [(&str, &[Daemon]); 6] = [
    ("source = \"udp\"", &[Daemon::Gate, Daemon::Server]),
    ("listen = \"::1\"", &[Daemon::Server]),
    ("state_dir = \"/x\"", &[Daemon::Server]),
    ("socket_dir = \"/x\"", &[Daemon::Gate, Daemon::Server, Daemon::Commander]),
    ("audit_dir = \"/x\"", &[Daemon::Commander]),
    ("server_user = \"x\"", &[Daemon::Gate, Daemon::Commander]),
];

const RUNNING: &str = "addresses = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\n";

#[test]
fn a_reload_that_changes_what_only_a_restart_can_is_rejected_with_its_line() {
    let running = check(RUNNING).unwrap();
    let gate = (format!("{RUNNING}pin_dir = \"/x\"\n"), 4, &[Daemon::Gate][..]);
    let top = FIXED.map(|(line, daemons)| (format!("\n{line}\n{RUNNING}"), 2, daemons));
    for (text, line, daemons) in top.into_iter().chain([gate]) {
        let new = check(&text).unwrap();
        for daemon in [Daemon::Gate, Daemon::Server, Daemon::Commander] {
            let problems = new.check_unchanged(&running, daemon).to_string();
            let is_fixed = daemons.contains(&daemon);
            assert_eq!(problems.lines().count(), usize::from(is_fixed), "{text}: {problems}");
            if is_fixed {
                assert!(problems.starts_with(&format!("/config.toml:{line}: ")), "{problems}");
                assert!(problems.contains(&format!("Restart {}", daemon.program())), "{problems}");
            }
        }
    }
    let rest = RUNNING.replace("\"a\"", "\"b\"");
    let rest = check(&format!("max_knocks_per_second = 1\nkeys_dir = \"/x\"\nport = 81\n{rest}"));
    let rest = rest.unwrap();
    for daemon in [Daemon::Gate, Daemon::Server, Daemon::Commander] {
        assert!(rest.check_unchanged(&running, daemon).is_empty());
    }
    let told = rest.check_same_port(&running).unwrap().to_string();
    assert!(told.starts_with("/config.toml:3: ") && told.contains("set port = 80"), "{told}");
}

#[test]
fn whether_a_wrong_value_has_changed_is_not_asked() {
    let running =
        check(&format!("socket_dir = \"/run/x\"\naudit_dir = \"/x\"\n{RUNNING}")).unwrap();
    let text = format!("socket_dir = 1\naudit_dir = \"/y\"\n{RUNNING}");
    let mut rejected = Problems::default();
    let new = rejected.good_of(Config::check(File::new("/config.toml", text))).unwrap();
    assert_eq!(rejected.len(), 1);
    let problems = new.check_unchanged(&running, Daemon::Commander);
    assert_eq!(problems.iter().filter_map(Problem::line).collect::<Vec<_>>(), [2], "{problems}");
}

#[test]
fn a_passed_socket_with_another_port_is_rejected() {
    let config = check("addresses = [\"192.0.2.1\"]\nsource = \"udp\"\n\nport = 81\n").unwrap();
    let message = config.check_passed_socket(82).unwrap().to_string();
    for part in ["/config.toml:4: ", "opened port 82,", "`port` is 81.", "set port = 82", "[::]:81"]
    {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(config.check_passed_socket(81), None);
}

#[test]
fn every_default_that_the_reference_shows_is_the_one_in_force() {
    let shown = |of: Vec<Info>| -> Vec<(&'static str, String)> {
        let value = |info: Info| match info.default {
            Shown::Value(value) => Some((info.name, value)),
            Shown::Required | Shown::Words(_) => None,
        };
        of.into_iter().filter_map(value).collect()
    };
    let set = |of: Vec<(&str, String)>| -> String {
        of.into_iter().map(|(name, value)| format!("{name} = {value}\n")).collect()
    };
    // A limit goes with another appearance than the default.
    let gate =
        shown(fields::gate()).into_iter().filter(|(name, _)| *name != "max_passed_per_second");
    let text = format!(
        "addresses = [\"192.0.2.1\"]\n{}[gate]\ninterfaces = [\"a\"]\n{}",
        set(shown(fields::top())),
        set(gate.collect())
    );
    let [explicit, implicit] = [text.as_str(), RUNNING].map(|text| {
        let config = check(text).unwrap();
        let fixed = config.places.fixed.into_iter().map(|fixed| fixed.value).collect::<Vec<_>>();
        (
            config.port,
            config.max_knocks_per_second_per_key,
            config.max_clock_skew,
            config.gate.mode,
            fixed,
        )
    });
    assert_eq!(explicit, implicit);
}

#[test]
fn floors_that_a_default_has_left_behind_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let (keys, state) = (place("keys"), place("state"));
    let text = format!(
        "addresses = [\"192.0.2.1\"]\nkeys_dir = {keys:?}\nstate_dir = {state:?}\n[gate]\ninterfaces = [\"eth0\"]\n"
    );
    let told = |text: &str| {
        check(text).unwrap().check_floors_left_behind().map(|problem| problem.to_string())
    };
    assert_eq!(told(&text), None);
    let upstreams = |dir: &Path| (dir.join(UPSTREAM_BLOCKLIST), "ruroco import --floors ");
    for (left, remedy) in [upstreams(&keys), upstreams(&state), (keys.join(FLOORS), "mv ")] {
        std::fs::write(&left, "").unwrap();
        let message = told(&text).unwrap();
        assert!(message.starts_with("/config.toml:3: "), "{message}");
        let remedy = format!("Run `{remedy}{}", left.display());
        assert!(message.contains(&remedy), "{message}");
        let floors = state.join(FLOORS);
        std::fs::write(&floors, "").unwrap();
        assert_eq!(told(&text), None);
        std::fs::remove_file(floors).unwrap();
        std::fs::remove_file(left).unwrap();
    }
}
