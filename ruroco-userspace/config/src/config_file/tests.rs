//! What is accepted, what is refused, and what is said.

use std::{net::Ipv6Addr, slice};

use super::*;

fn check(text: &str) -> Result<Config, String> {
    let checked = Config::check(File::new("/config.toml", text));
    checked.or_problems().map_err(|problems| problems.to_string())
}

#[test]
fn two_lines_are_a_whole_configuration() {
    let config =
        check("ips = [\"192.0.2.1\", \"::ffff:192.0.2.2\"]\ngate.interfaces = [\"eth0\"]").unwrap();
    assert_eq!(
        config.ips,
        [Address::from_ipv4([192, 0, 2, 1]), Address::from_ipv4([192, 0, 2, 2])]
    );
    assert_eq!((config.port, config.source), (80, Source::Xdp));
    assert_eq!(config.address, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 80)));
    assert_eq!(config.max_clock_skew, Duration::from_secs(3600));
    assert_eq!(config.gate.mode, Mode::Auto);
}

#[test]
fn the_port_of_the_address_is_the_port() {
    let config = check("ips = [\"::1\"]\nsource = \"udp\"\naddress = \"[::]:34020\"").unwrap();
    assert_eq!(config.port, 34020);
}

#[test]
fn every_mistake_names_its_line_and_the_remedy() {
    let good = "ips = [\"192.0.2.1\"]\nsource = \"udp\"\n";
    for (text, line, told) in [
        ("socket_user = \" \"\n", 3, "`socket_user` is empty"),
        ("socket_group = 1\n", 3, "Use a text in quotes"),
        ("allow_non_routable_ips = \"no\"\n", 3, "Use true or false"),
        ("alow_non_routable_ips = true\n", 3, "did you mean `allow_non_routable_ips`?"),
        ("prot = 80\n", 3, "did you mean `port`?"),
        ("port = 0\n", 3, "between 1 and 65535"),
        ("address = \"[::]:0\"\n", 3, "between 1 and 65535"),
        ("port = 65536\n", 3, "65536"),
        ("port = \"80\"\n", 3, "`port = 80`"),
        ("port = 80\naddress = \"[::]:81\"\n", 3, "leave one of the two out"),
        ("max_requests_per_second = 0\n", 3, "write 1 or more"),
        ("max_requests_per_second = -1\n", 3, "Use a whole number"),
        ("max_clock_skew_seconds = 100000\n", 3, "86400 or less"),
        ("[gate]\ninterfaces = []\n", 4, "interfaces = [\"eth0\"]"),
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
        ("[gate]\ninterfaces = [\"a\"]\nmax_passed_per_second = 5\n", 5, "leave it out"),
        (
            "[gate]\ninterfaces = [\"a\"]\nappearance = \"closed\"\nmax_passed_per_second = 0\n",
            6,
            "write 1 or more",
        ),
        ("[keys.laptop]\ncommand = []\n", 4, "did you mean `commands`?"),
        ("ips = 1\n", 3, "duplicate key"),
        ("port =\n", 3, ""),
    ] {
        let error = check(&format!("{good}{text}")).unwrap_err();
        assert!(error.starts_with(&format!("/config.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(told), "{text}: {error}");
    }
    for (text, line, told) in [
        ("", 1, "missing field `ips`"),
        ("ips = []\nsource = \"udp\"\n", 1, "`ips` is empty"),
        ("ips = [\n\"192.0.2.1\",\n\"192.0.2.0/24\"]\n", 3, "IP address"),
        ("ips = [\"192.0.2.1\"]\nsource = \"xdp\"\n", 2, "interfaces = [\"eth0\"]"),
        ("ips = [\"192.0.2.1\"]\nsource = \"upd\"\n", 2, "did you mean \"udp\"?"),
        ("ips = [\n\"0.0.0.0\"]\n", 2, "no host's address"),
        ("ips = [\"::\"]\n", 1, "no host's address"),
        ("ips = [\"::ffff:0.0.0.0\"]\n", 1, "no host's address"),
        ("ips = [\"224.0.0.1\"]\n", 1, "no host's address"),
        ("ips = [\"ff02::1\"]\n", 1, "no host's address"),
        ("ips = [\"255.255.255.255\"]\n", 1, "no host's address"),
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
    let text = "ips = [\"192.0.2.1\", \"x\",\n\"::\"]\nport = 0\nprot = 1\n\
                max_clock_skew_seconds = \"1\"\n[gate]\ninterfaces = \"eth0\"\nmode = \"drv\"\n\
                max_passed_per_second = 1\n";
    let problems = check(text).unwrap_err();
    let lines: Vec<_> = problems.lines().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(lines, ["1", "2", "3", "4", "5", "7", "8", "9"], "{problems}");
    for text in
        ["ips = 1\nsource = \"udp\"", "ips = [\"::1\"]\ngate = 1", "ips = [\"::1\"]\n[gate]"]
    {
        let problems = check(text).unwrap_err();
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn rules_for_a_key_that_is_not_there_are_an_error() {
    let text = "ips = [\"192.0.2.1\"]\nsource = \"udp\"\n\n[keys.latop]\ncommands = []\n";
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
    let config = check(&format!("ips = [\"192.0.2.1\"]\nsource = \"udp\"\n{tables}")).unwrap();
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
        let fixed = "ips = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\n";
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
        let fixed = "ips = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\nappearance = ";
        check(&format!("{fixed}\"{appearance}\"")).unwrap()
    };
    assert!(with("filtered").check_appearance(["old"].into_iter()).is_empty());
    assert!(with("closed").check_appearance([].into_iter()).is_empty());
    let error = with("closed").check_appearance(["old"].into_iter()).to_string();
    assert!(error.starts_with("/config.toml:4: "), "{error}");
    assert!(error.contains("old.key") && error.contains("ruroco-client key gen"), "{error}");
}

/// The sample that upstream ships, with addresses.
const UPSTREAMS: &str = "\
ips = [\"203.0.113.5\", \"2001:db8::5\"]
address = \"[::]:34020\"
config_dir = \"/etc/ruroco/\"
blocklist_dir = \"/var/lib/ruroco\"
socket_dir = \"/run/ruroco\"
socket_user = \"ruroco\"
socket_group = \"ruroco\"
";

#[test]
fn a_file_of_upstream_is_read_as_upstream_reads_it() {
    let whole = check(UPSTREAMS).unwrap();
    assert!(whole.is_upstreams && whole.gate.interfaces.is_empty());
    assert_eq!((whole.source, whole.port), (Source::Udp, 34020));
    assert_eq!(whole.address, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 34020)));
    assert_eq!(whole.config_dir, Path::new("/etc/ruroco"));
    assert_eq!(whole.blocklist_dir, Path::new("/var/lib/ruroco"));
    assert_eq!(whole.socket_dir, Path::new("/run/ruroco"));
    assert_eq!(whole.socket_user, "ruroco");
    assert!(!whole.allow_non_routable_ips);

    let shortest = check("ips = [\"203.0.113.5\"]\nconfig_dir = \"/srv/keys\"\n").unwrap();
    assert_eq!((shortest.source, shortest.port), (Source::Udp, 34020));
    assert_eq!(shortest.address, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 34020)));
    for dir in [&shortest.config_dir, &shortest.blocklist_dir] {
        assert_eq!(dir, Path::new("/srv/keys"));
    }
    assert_eq!(shortest.socket_dir, Path::new("/run/ruroco"));
    assert_eq!(
        (shortest.max_requests_per_second, shortest.max_requests_per_second_global),
        (2, 100)
    );
    assert_eq!(shortest.max_clock_skew, Duration::from_secs(3600));
    assert!(!shortest.allow_non_routable_ips);

    let all = "max_requests_per_second = 5\nmax_requests_per_second_global = 6\n\
               max_clock_skew_seconds = 7\nallow_non_routable_ips = true\nsocket_user = \" a\\n\"\n";
    let all =
        check(&format!("{UPSTREAMS}{all}").replace("socket_user = \"ruroco\"\n", "")).unwrap();
    assert_eq!((all.max_requests_per_second, all.max_requests_per_second_global), (5, 6));
    assert_eq!((all.max_clock_skew.as_secs(), all.allow_non_routable_ips), (7, true));
    assert_eq!(all.socket_user, "a");
}

#[test]
fn a_file_with_a_field_of_ours_is_read_with_our_defaults() {
    for own in ["source = \"udp\"\n", "[gate]\ninterfaces = [\"a\"]\n"] {
        let config =
            check(&format!("ips = [\"203.0.113.5\"]\nconfig_dir = \"/x\"\n{own}")).unwrap();
        assert!(!config.is_upstreams && config.allow_non_routable_ips);
        assert_eq!(config.port, 80);
        assert_eq!(config.blocklist_dir, Path::new("/var/lib/ruroco"));
        assert_eq!(config.socket_dir, Path::new("/run/ruroco"));
    }
    // Somebody forgot [gate].
    for own in ["port = 80\n", "audit_dir = \"/x\"\n", "[keys.laptop]\n"] {
        let problems = check(&format!("ips = [\"203.0.113.5\"]\n{own}")).unwrap_err();
        assert!(problems.contains("no interface is named; write [gate]"), "{problems}");
    }
}

#[test]
fn that_a_file_is_taken_for_upstreams_is_told_with_all_that_hangs_on_it() {
    let warning = |text: &str| {
        let checked = Config::check(File::new("/config.toml", text));
        let (_, warnings) = checked.or_all_problems().unwrap();
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let told = warning("ips = [\"203.0.113.5\"]\n");
    for part in [
        "no gate closes the port",
        "write [gate]",
        "source = \"udp\"",
        "address = \"[::]:34020\"",
        "blocklist_dir = \"/etc/ruroco\"",
        "allow_non_routable_ips = false",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = warning(UPSTREAMS);
    assert!(told.ends_with("to change nothing else, allow_non_routable_ips = false"), "{told}");
    assert!(!told.contains("blocklist_dir"), "{told}");
    assert_eq!(warning(&format!("source = \"udp\"\n{UPSTREAMS}")), "");
}

#[test]
fn a_reload_that_moves_the_address_filter_tells_what_to_write() {
    let upstreams = "ips = [\"192.0.2.1\"]\n";
    let told = |before: &str, after: &str| {
        let [before, after] = [before, after].map(|text| check(text).unwrap());
        after.check_address_filter(&before).map(|problem| problem.to_string())
    };
    let ours = format!("{upstreams}source = \"udp\"\n");
    let lost = told(upstreams, &ours).unwrap();
    assert!(lost.contains("no longer read as a file of upstream ruroco"), "{lost}");
    assert!(lost.contains("write allow_non_routable_ips = false"), "{lost}");
    let kept = format!("{ours}allow_non_routable_ips = false\n");
    let still = told(upstreams, &kept).unwrap();
    assert!(still.contains("`allow_non_routable_ips` is false as before"), "{still}");
    let dropped = told(&kept, &ours).unwrap();
    assert!(dropped.contains("is true now and was false"), "{dropped}");
    for text in [upstreams, &ours, &kept] {
        assert_eq!(told(text, text), None);
    }
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
    let upstreams = format!("ips = [\"192.0.2.1\"]\nconfig_dir = {keys:?}\n");
    let with_gate =
        format!("{upstreams}blocklist_dir = {state:?}\n[gate]\ninterfaces = [\"eth0\"]\n");
    let told = |text: &str| {
        check(text).unwrap().check_floors_left_behind().map(|problem| problem.to_string())
    };
    assert_eq!(told(&with_gate), None);
    for name in [FLOORS, UPSTREAM_BLOCKLIST] {
        let left = keys.join(name);
        std::fs::write(&left, "").unwrap();
        assert_eq!(told(&upstreams), None, "upstream's default");
        let message = told(&with_gate).unwrap();
        assert!(message.starts_with("/config.toml:3: "), "{message}");
        let remedy = format!("run: mv {} {}/;", left.display(), state.display());
        assert!(message.contains(&remedy), "{message}");
        // The server's user must not own the directory with the keys.
        assert!(!message.contains("blocklist_dir ="), "{message}");
        for here in [FLOORS, UPSTREAM_BLOCKLIST].map(|name| state.join(name)) {
            std::fs::write(&here, "").unwrap();
            assert_eq!(told(&with_gate), None);
            std::fs::remove_file(here).unwrap();
        }
        std::fs::remove_file(left).unwrap();
    }
}
