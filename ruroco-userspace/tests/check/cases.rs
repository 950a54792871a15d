//! The kinds of bad configuration.

use std::ffi::OsStr;

use crate::{LAPTOP, OLD, PHONE, Place};

/// One kind.
pub(crate) struct Case {
    /// What it is, and the name of the file with what is to be said.
    pub(crate) name: &'static str,
    /// What to replace in `config.toml`, each once.
    pub(crate) config: &'static [(&'static str, &'static str)],
    /// `commands.toml`, if it is another.
    pub(crate) commands: Option<&'static str>,
    /// What to do with the files then.
    pub(crate) arrange: fn(&Place),
    /// Whether that takes root.
    pub(crate) needs_root: bool,
}

/// A mistake in `config.toml`.
const fn config(name: &'static str, config: &'static [(&'static str, &'static str)]) -> Case {
    Case { name, config, commands: None, arrange: |_| {}, needs_root: false }
}

/// A mistake in `commands.toml`.
const fn commands(name: &'static str, commands: &'static str) -> Case {
    Case { name, config: &[], commands: Some(commands), arrange: |_| {}, needs_root: false }
}

/// A mistake with files.
const fn files(name: &'static str, arrange: fn(&Place)) -> Case {
    Case { name, config: &[], commands: None, arrange, needs_root: false }
}

/// One that only root can make.
const fn by_root(name: &'static str, arrange: fn(&Place)) -> Case {
    Case { name, config: &[], commands: None, arrange, needs_root: true }
}

pub(crate) const CASES: &[Case] = &[
    config("listen-with-a-port", &[("port = 34020", "port = 34020\nlisten = \"[::]:81\"")]),
    config("address-is-a-network", &[("127.0.0.1", "192.0.2.0/24")]),
    config("address-is-no-hosts", &[("127.0.0.1", "0.0.0.0")]),
    config(
        "address-not-on-the-host",
        &[("[\"127.0.0.1\"]", "[\n  \"127.0.0.1\",\n  \"192.0.2.77\",\n]")],
    ),
    config("addresses-all-not-on-the-host", &[("127.0.0.1", "192.0.2.77")]),
    config("addresses-empty", &[("\"127.0.0.1\"", "")]),
    config("addresses-missing", &[("addresses = [\"127.0.0.1\"]\n", "")]),
    config("appearance-unknown", &[("[gate]", "[gate]\nappearance = \"stealth\"")]),
    config("clock-skew-of-days", &[("port", "max_clock_skew = \"7d\"\nport")]),
    config(
        "commands-of-a-key-are-not-there",
        &[("[gate]", "[keys.laptop]\ncommands = [\"open_shh\"]\n[gate]")],
    ),
    config(
        "door-and-closed-appearance",
        &[(
            "[gate]",
            "[doors.vpn]\nport = \"udp/51820\"\n[doors.web]\nport = \"tcp/80\"\nforwarded = true\n[gate]\nappearance = \"closed\"",
        )],
    ),
    config("door-name-with-capitals", &[("[gate]", "[doors.SSH]\nport = \"tcp/22\"\n[gate]")]),
    config(
        "door-of-many-flows",
        &[("[gate]", "[doors.vpn]\nport = \"udp/51820\"\nconnections = 100\n[gate]")],
    ),
    config(
        "door-on-the-port-of-knocks",
        &[("[gate]", "[doors.vpn]\nport = \"udp/34020\"\n[gate]")],
    ),
    config("door-with-a-bare-number", &[("[gate]", "[doors.ssh]\nport = 22\n[gate]")]),
    config("door-without-a-port", &[("[gate]", "[doors.ssh]\nfor = \"1m\"\n[gate]")]),
    config(
        "doors-without-a-gate",
        &[
            ("port = 34020", "port = 34020\nsource = \"udp\""),
            (
                "[gate]\ninterfaces = [\"lo\"]\npin_dir = \"$DIR/pins\"\n",
                "[doors.ssh]\nport = \"tcp/22\"\n",
            ),
        ],
    ),
    config(
        "doors-with-one-port",
        &[(
            "[gate]",
            "[doors.ssh]\nport = \"tcp/22\"\n[doors.low]\nport = [\n  \"udp/1-1023\",\n  \"tcp/1-1023\",\n]\n[gate]",
        )],
    ),
    config("field-misspelt", &[("port", "prot")]),
    config("field-of-the-wrong-type", &[("34020", "\"34020\"")]),
    config("field-twice", &[("port", "port = 81\nport")]),
    config("gate-missing", &[("[gate]\ninterfaces = [\"lo\"]\npin_dir = \"$DIR/pins\"\n", "")]),
    config("interface-cannot-be-one", &[("\"lo\"", "\"lo\", \"../eth0\"")]),
    config("interface-not-there", &[("\"lo\"", "\"lo\", \"lo0\"")]),
    config("interface-by-its-address", &[("\"lo\"", "\"lo\", \"192.0.2.1\"")]),
    config("interface-with-its-peer", &[("\"lo\"", "\"lo\", \"eth0@if5\"")]),
    config("interface-twice", &[("\"lo\"", "\"lo\", \"lo\"")]),
    config("interfaces-empty", &[("\"lo\"", "")]),
    config("key-has-expired", &[("[gate]", "[keys.laptop]\nexpires = 2026-01-31\n[gate]")]),
    config(
        "key-with-wrong-rules",
        &[(
            "[gate]",
            "[keys.laptop]\nexpires = \"2027-01-31\"\nsources = [\"192.0.2.7/24\", \"home\"]\n\
             require_address = \"yes\"\n[keys.phone]\nsources = []\n[gate]",
        )],
    ),
    config("limit-is-zero", &[("port", "max_knocks_per_second_per_key = 0\nport")]),
    config("limit-without-its-appearance", &[("[gate]", "[gate]\nmax_passed_per_second = 5")]),
    config(
        "many-mistakes-at-once",
        &[
            ("127.0.0.1", "::\", \"localhost"),
            ("34020", "0"),
            ("server_user", "server_users = 1\nserver_user"),
            ("[gate]", "[keys.labtop]\ncommand = []\n[gate]\nmode = \"drv\""),
        ],
    ),
    config("mode-unknown", &[("[gate]", "[gate]\nmode = \"drv\"")]),
    config("port-is-zero", &[("34020", "0")]),
    config("port-too-large", &[("34020", "65536")]),
    config("rules-for-no-key", &[("[gate]", "[keys.labtop]\ncommands = []\n[gate]")]),
    config("source-unknown", &[("port", "source = \"upd\"\nport")]),
    config("toml-broken", &[("34020", "")]),
    config("user-not-there", &[("$USER", "no-such-user")]),
    config("user-is-root", &[("$USER", "root")]),
    config(
        "config-directory-is-a-key",
        &[("keys_dir = \"$DIR\"", "keys_dir = \"$DIR/laptop.key\"")],
    ),
    config("socket-directory-for-all", &[("$DIR/run", "/tmp")]),
    config("state-directory-missing", &[("$DIR/state", "$DIR/no-state")]),
    commands("command-misspelt-field", "[commands.x]\nrun = [\"/bin/true\"]\nusr = \"root\"\n"),
    Case {
        config: &[("[gate]", "[doors.ssh]\nport = \"tcp/22\"\n[gate]")],
        ..commands("command-door-misspelt", "[commands.open_ssh]\nopen = \"shh\"\n")
    },
    commands("command-door-not-there", "[commands.open_ssh]\nopen = [\"ssh\"]\n"),
    Case {
        config: &[("[gate]", "[doors.ssh]\nport = \"tcp/22\"\n[gate]")],
        ..commands(
            "command-door-opened-and-closed",
            "[commands.x]\nopen = \"ssh\"\nclose = \"ssh\"\n",
        )
    },
    Case {
        config: &[("[gate]", "[doors.ssh]\nport = \"tcp/22\"\n[gate]")],
        ..commands(
            "command-door-with-a-timeout",
            "[commands.x]\nopen = \"ssh\"\ntimeout = \"5m\"\n",
        )
    },
    commands("command-of-nothing", "[commands.x]\ntimeout = 5\n"),
    commands("command-of-two", "[commands.x]\nrun = [\"/bin/true\"]\nshell = \"true\"\n"),
    commands("command-timeout", "[commands.x]\nrun = [\"/bin/true\"]\ntimeout = \"2d\"\n"),
    commands(
        "notify-of-an-unknown-event",
        "[commands.x]\nrun = [\"/bin/true\"]\n[notify]\nrun = [\"/bin/true\"]\nevents = [\"doors\"]\n",
    ),
    commands(
        "notify-without-a-program",
        "[commands.x]\nrun = [\"/bin/true\"]\n[notify]\ntimeout = \"1h\"\n",
    ),
    commands(
        "command-for-a-key-that-is-not-there",
        "[commands.x]\nrun = [\"/bin/true\"]\nkeys = [\"labtop\"]\n",
    ),
    commands("command-for-no-key", "[commands.x]\nrun = [\"/bin/true\"]\nkeys = []\n"),
    commands(
        "command-group-not-there",
        "[commands.x]\nrun = [\"/bin/true\"]\ngroup = \"no-such-group\"\n",
    ),
    commands(
        "command-directory-not-there",
        "[commands.x]\nrun = [\"/bin/true\"]\ncwd = \"/no/such\"\n",
    ),
    commands(
        "command-user-not-there",
        "[commands.x]\nrun = [\"/bin/true\"]\nuser = \"no-such-user\"\n",
    ),
    commands(
        "command-own-variable",
        "[commands.x]\nrun = [\"/bin/true\"]\nenv = { RUROCO_IP = \"::\" }\n",
    ),
    commands(
        "command-searches-its-directory",
        "[commands.x]\nrun = [\"true\"]\ncwd = \"/tmp\"\nenv = { PATH = \":/usr/bin\" }\n",
    ),
    commands("command-program-not-executable", "[commands.x]\nrun = [\"/etc/passwd\"]\n"),
    commands("command-program-not-there", "[commands.x]\nrun = [\"/no/such/program\"]\n"),
    commands("command-program-relative", "[commands.x]\nrun = [\"bin/true\"]\n"),
    commands("commands-empty", ""),
    commands(
        "commands-with-many-mistakes",
        "[commands.x]\nshell = \" \"\ncwd = \"tmp\"\n\n[commands.y]\nrun = \"true\"\ntimeout = 0\n\n[commands.z]\n",
    ),
    Case {
        name: "appearance-with-an-old-key",
        config: &[("[gate]", "[gate]\nappearance = \"closed\"")],
        commands: None,
        arrange: |place| place.add_key("old.key", OLD),
        needs_root: false,
    },
    Case {
        name: "config-of-upstream",
        config: &[("addresses", "ips"), ("keys_dir", "config_dir")],
        commands: Some("[commands]\nopen_ssh = \"true\"\n"),
        arrange: |_| {},
        needs_root: false,
    },
    files("config-directory-writable-by-others", |place| place.set_mode("", 0o777)),
    files("audit-directory-is-a-file", |place| place.write("audit", "")),
    files("audit-directory-writable-by-others", |place| place.make_dir("audit", 0o770)),
    files("commands-file-missing", |place| place.remove("commands.toml")),
    files("commands-file-writable-by-others", |place| place.set_mode("commands.toml", 0o666)),
    files("config-file-missing", |place| place.remove("config.toml")),
    files("config-file-writable-by-others", |place| place.set_mode("config.toml", 0o664)),
    files("key-for-an-unknown-cipher", |place| place.add_key("phone.key", "aes128:AAAA")),
    files("key-id-twice", |place| place.add_key("phone.key", LAPTOP)),
    files("key-is-none", |place| place.add_key("laptop.key", "nonsense")),
    files("key-name-is-not-utf-8", |place| {
        use std::os::unix::ffi::OsStrExt;
        place.add_key("phone.key", PHONE);
        let name = OsStr::from_bytes(b"ph\xffne.key");
        std::fs::rename(place.path("phone.key"), place.path("").join(name)).unwrap();
    }),
    files("key-readable-by-others", |place| place.set_mode("laptop.key", 0o644)),
    files("keys-missing", |place| place.remove("laptop.key")),
    files("socket-directory-is-a-file", |place| place.write("run", "")),
    files("socket-directory-writable-by-others", |place| place.make_dir("run", 0o777)),
    files("pin-directory-writable-by-others", |place| place.make_dir("pins", 0o770)),
    files("state-directory-writable-by-others", |place| place.set_mode("state", 0o777)),
    by_root("config-unreadable-for-the-server", |place| place.set_mode("config.toml", 0o600)),
    by_root("key-of-a-stranger", |place| place.give("laptop.key", 12345)),
    by_root("key-of-the-server-where-the-gate-reads-it", |place| {
        place.give_to_server("laptop.key")
    }),
    Case {
        name: "keys-where-only-the-server-gets-to",
        config: &[("keys_dir = \"$DIR\"", "keys_dir = \"$DIR/keys\"")],
        commands: None,
        arrange: |place| {
            place.make_dir("keys", 0o700);
            place.add_key("keys/laptop.key", LAPTOP);
            place.give_to_server("keys");
        },
        needs_root: true,
    },
    Case {
        name: "key-unreadable-for-the-server",
        config: &[("port", "source = \"udp\"\nport")],
        commands: None,
        arrange: |_| {},
        needs_root: true,
    },
    files("key-is-a-fifo", |place| place.make_fifo("x.key")),
    files("keys-by-other-names", |place| {
        for name in ["._laptop.key", "phone.KEY", "tablet.key.txt", ".key"] {
            place.add_key(name, PHONE);
        }
    }),
    files("commands-file-leads-into-proc", |place| {
        place.remove("commands.toml");
        place.link("commands.toml", "/proc/version");
    }),
    commands("command-program-writable-by-others", "[commands.x]\nrun = [\"$DIR/open\"]\n"),
    by_root("config-directory-of-a-stranger", |place| place.give("", 12345)),
    by_root("config-directory-of-the-server", |place| place.give_to_server("")),
    by_root("audit-directory-of-a-stranger", |place| {
        place.make_dir("audit", 0o700);
        place.give("audit", 12345);
    }),
    by_root("state-directory-of-root", |place| place.give("state", 0)),
    by_root("state-directory-with-other-files", |place| {
        place.give("state", 0);
        place.write("state/notes", "");
    }),
    Case {
        name: "state-directory-of-the-system",
        config: &[("$DIR/state", "/var/lib")],
        commands: None,
        arrange: |_| {},
        needs_root: true,
    },
    Case {
        name: "state-directory-for-all",
        config: &[("$DIR/state", "/tmp")],
        commands: None,
        arrange: |_| {},
        needs_root: true,
    },
    Case {
        name: "state-directory-is-the-config-directory",
        config: &[("$DIR/state", "$DIR")],
        commands: None,
        arrange: |place| place.write("blocklist.msgpck", ""),
        needs_root: true,
    },
    Case {
        name: "audit-directory-below-one-of-a-stranger",
        config: &[("$DIR/audit", "$DIR/home/logs/audit")],
        commands: None,
        arrange: |place| {
            place.make_dir("home", 0o755);
            place.give("home", 12345);
        },
        needs_root: true,
    },
];
