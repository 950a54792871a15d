//! What a man page says beyond the command line: examples, files, environment variables and related
//! pages.
//!
//! Every example is a command line that the program accepts: a test parses each of them.

use roff::{Roff, bold, italic, roman};

use crate::formats;

/// The additional sections of one page.
pub(crate) struct Extras {
    /// The page: a program, or one of its actions as `program-action`.
    page: &'static str,
    /// What an example does, and its command line.
    examples: &'static [(&'static str, &'static str)],
    /// A path, and what the file holds.
    files: &'static [(&'static str, &'static str)],
    /// A variable, and its effect.
    environment: &'static [(&'static str, &'static str)],
    /// Related pages.
    see_also: &'static [&'static str],
}

const CLIENT_FILES: [(&str, &str); 5] = [
    (
        "~/.config/ruroco/client.toml",
        "The hosts: one table for each, with address, key and commands. See ruroco-client-config(5).",
    ),
    ("~/.config/ruroco/keys/NAME.key", "A key. Only its owner may read it (mode 0600)."),
    ("~/.config/ruroco/keys/NAME.keyring", "Marks a key that the system's keyring stores."),
    ("~/.config/ruroco/counter", "The counter of the last knock, 16 bytes."),
    (
        "~/.config/ruroco/commands_list.toml",
        "The hosts of upstream ruroco's window, for \"host import\".",
    ),
];

const FOLDER: (&str, &str) = (
    "RUROCO_CONF_DIR",
    "The folder for the files below, instead of ~/.config/ruroco on Linux. An empty value counts as not set.",
);

const COMPLETE: (&str, &str) = (
    "RUROCO_COMPLETE",
    "A shell: bash, fish or zsh. The program prints the shell's completion script, and does nothing else.",
);

const LOG: (&str, &str) = ("RUROCO_LOG", "The log level: \"debug\" also logs debug messages.");

const JOURNAL: (&str, &str) = (
    "JOURNAL_STREAM",
    "Set by systemd. If it names the stream of standard error, the program writes structured entries to the journal.",
);

const NOTIFY: (&str, &str) = (
    "NOTIFY_SOCKET",
    "Set by systemd. The program reports readiness, reloads and signs of life there.",
);

const HOST_FILES: [(&str, &str); 3] = [
    (
        "/etc/ruroco/config.toml",
        "The configuration that gate, server and commander share: ruroco-config(5).",
    ),
    ("/etc/ruroco/commands.toml", "The commands that knocks may request: ruroco-commands(5)."),
    ("/etc/ruroco/keys/NAME.key", "The keys. Only root may read them (mode 0600)."),
];

const AUDIT_TRAIL: &str = "/var/lib/ruroco-commander/audit.jsonl";

const HOST_PAGES: [&str; 7] = [
    "ruroco(7)",
    "ruroco(8)",
    "ruroco-config(5)",
    "ruroco-commands(5)",
    "ruroco-gate(8)",
    "ruroco-server(8)",
    "ruroco-commander(8)",
];

const CLIENT_PAGES: [&str; 2] = ["ruroco-client(1)", "ruroco-client-ui(1)"];

/// All pages that have additional sections.
pub(crate) const ALL: [Extras; 22] = [
    Extras {
        page: "ruroco-client",
        examples: &[
            ("Accept an invitation; the program prompts for it:", "ruroco-client join"),
            (
                "Send a knock that requests the first command of the host \"home\":",
                "ruroco-client knock home",
            ),
            (
                "Send a knock, wait for the port to open, and start ssh:",
                "ruroco-client open home -- ssh me@203.0.113.5",
            ),
            ("List the hosts and any problems with them:", "ruroco-client host list"),
        ],
        files: &CLIENT_FILES,
        environment: &[FOLDER, COMPLETE],
        see_also: &[
            "ruroco-client-config(5)",
            "ruroco-client-ui(1)",
            "ruroco(7)",
            "ruroco(8)",
            "ssh_config(5)",
        ],
    },
    Extras {
        page: "ruroco-client-join",
        examples: &[
            (
                "Accept an invitation; the terminal does not show what you paste:",
                "ruroco-client join",
            ),
            (
                "Accept an invitation from a photo of its QR code:",
                "ruroco-client join --qr photo.jpg",
            ),
            (
                "Read standard input, for example from \"ssh root@HOST ruroco invite laptop\":",
                "ruroco-client join -",
            ),
        ],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &["ruroco-client(1)", "ruroco-invite(8)"],
    },
    Extras {
        page: "ruroco-client-knock",
        examples: &[
            (
                "Request the first command of a host, and wait for its port:",
                "ruroco-client knock home",
            ),
            ("Request another command of the same host:", "ruroco-client knock home close_ssh"),
            (
                "Send a knock to a server that has no entry in client.toml:",
                "ruroco-client knock --address 203.0.113.5:80 --key laptop.key --command open_ssh",
            ),
            (
                "Open the port for an address other than your own:",
                "ruroco-client knock home --ip 198.51.100.7 --permissive",
            ),
            ("Check everything and send nothing:", "ruroco-client knock home --dry-run"),
        ],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &["ruroco-client(1)", "ruroco-client-open(1)", "ruroco-client-proxy(1)"],
    },
    Extras {
        page: "ruroco-client-open",
        examples: &[(
            "Start ssh as soon as the port is open:",
            "ruroco-client open home -- ssh -p 22 me@203.0.113.5",
        )],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &["ruroco-client(1)", "ruroco-client-proxy(1)"],
    },
    Extras {
        page: "ruroco-client-proxy",
        examples: &[
            (
                "As ProxyCommand of a Host in ~/.ssh/config, with %h and %p in place of the values:",
                "ruroco-client proxy 203.0.113.5 22",
            ),
            (
                "The same if several hosts share an address, with %n in place of the name:",
                "ruroco-client proxy home 22",
            ),
            (
                "With \"ProxyUseFdpass yes\", so that no process stays between ssh and the host:",
                "ruroco-client proxy --fdpass home 22",
            ),
        ],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &["ruroco-client(1)", "ssh_config(5)"],
    },
    Extras {
        page: "ruroco-client-host-add",
        examples: &[(
            "Add a host with two commands, whose first one opens port 22:",
            "ruroco-client host add home --address 203.0.113.5 --key laptop --command open_ssh --command close_ssh --wait 22",
        )],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &CLIENT_PAGES,
    },
    Extras {
        page: "ruroco-client-key-gen",
        examples: &[
            (
                "Create a key and store it under the name \"laptop\":",
                "ruroco-client key gen laptop",
            ),
            (
                "Create a key in a file, to be copied to a server:",
                "ruroco-client key gen --out laptop.key",
            ),
        ],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &CLIENT_PAGES,
    },
    Extras {
        page: "ruroco-client-key-import",
        examples: &[
            ("Import a key from a file:", "ruroco-client key import laptop laptop.key"),
            (
                "Import a key from a picture of its QR code:",
                "ruroco-client key import laptop --qr code.png",
            ),
        ],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &CLIENT_PAGES,
    },
    Extras {
        page: "ruroco-client-key-export",
        examples: &[
            ("Show a key as a QR code on the terminal:", "ruroco-client key export laptop --qr"),
            ("Write a key to a new file:", "ruroco-client key export laptop --out laptop.key"),
        ],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &CLIENT_PAGES,
    },
    Extras {
        page: "ruroco-client-ui",
        examples: &[("Open the window:", "ruroco-client-ui")],
        files: &CLIENT_FILES,
        environment: &[
            FOLDER,
            ("WAYLAND_DISPLAY", "The Wayland display to open the window on."),
            ("DISPLAY", "The X11 display to open the window on."),
        ],
        see_also: &["ruroco-client(1)"],
    },
    Extras {
        page: "ruroco",
        examples: &[
            ("Set up a host for the first time:", "ruroco init"),
            ("Show whether a knock would work now:", "ruroco status"),
            ("Find out why knocks have no effect:", "ruroco doctor"),
        ],
        files: &HOST_FILES,
        environment: &[COMPLETE],
        see_also: &HOST_PAGES,
    },
    Extras {
        page: "ruroco-gate",
        examples: &[(
            "Run the gate in the foreground, with its log on standard error:",
            "ruroco-gate",
        )],
        files: &[
            HOST_FILES[0],
            HOST_FILES[1],
            HOST_FILES[2],
            ("/sys/fs/bpf/ruroco", "The pinned links of the XDP program."),
            (
                "/run/ruroco/gate.sock",
                "The socket from which the server gets the ring buffer and the keys.",
            ),
            ("/run/ruroco/status.sock", "The socket that \"ruroco status\" connects to."),
        ],
        environment: &[LOG, JOURNAL, NOTIFY],
        see_also: &HOST_PAGES,
    },
    Extras {
        page: "ruroco-init",
        examples: &[
            (
                "Set up a host; the program prompts for interfaces, addresses and port:",
                "ruroco init",
            ),
            (
                "Set up a host without prompts:",
                "ruroco init --yes --interface eth0 --address 203.0.113.5 --port 80 --key laptop",
            ),
        ],
        files: &HOST_FILES,
        environment: &[],
        see_also: &HOST_PAGES,
    },
    Extras {
        page: "ruroco-check",
        examples: &[
            ("Check all files before a reload:", "ruroco check"),
            (
                "Check only what the commander reads, and fail on warnings too:",
                "ruroco check --daemon commander --strict",
            ),
        ],
        files: &HOST_FILES,
        environment: &[],
        see_also: &HOST_PAGES,
    },
    Extras {
        page: "ruroco-doctor",
        examples: &[("Examine the host, with the result as JSON:", "ruroco doctor --json")],
        files: &HOST_FILES,
        environment: &[],
        see_also: &HOST_PAGES,
    },
    Extras {
        page: "ruroco-invite",
        examples: &[
            ("Show the invitation for the key \"laptop\":", "ruroco invite laptop"),
            (
                "The same for a host behind NAT, whose command opens port 22:",
                "ruroco invite laptop --address host.example --command open_ssh --wait 22",
            ),
        ],
        files: &HOST_FILES,
        environment: &[],
        see_also: &["ruroco-client-join(1)", "ruroco(8)"],
    },
    Extras {
        page: "ruroco-status",
        examples: &[("Show the state of the running gate as JSON:", "ruroco status --json")],
        files: &HOST_FILES,
        environment: &[],
        see_also: &HOST_PAGES,
    },
    Extras {
        page: "ruroco-server",
        examples: &[(
            "Start the server by hand, with another configuration file:",
            "ruroco-server --config /root/test/config.toml",
        )],
        files: &[
            HOST_FILES[0],
            (
                "/var/lib/ruroco/floors",
                "The floor of each key: the highest counter that the server has accepted.",
            ),
        ],
        environment: &[
            LOG,
            JOURNAL,
            NOTIFY,
            (
                "CREDENTIALS_DIRECTORY",
                "Set by systemd. With source = \"udp\" the server reads the keys there (LoadCredential=).",
            ),
            (
                "LISTEN_FDS",
                "Set by systemd. With source = \"udp\" the server uses the socket that systemd passes.",
            ),
        ],
        see_also: &HOST_PAGES,
    },
    Extras {
        page: "ruroco-server-init",
        examples: &[("Create the floors for the first start:", "ruroco-server init")],
        files: &[HOST_FILES[0], ("/var/lib/ruroco/floors", "The floor of each key.")],
        environment: &[],
        see_also: &HOST_PAGES,
    },
    Extras {
        page: "ruroco-commander",
        examples: &[(
            "Start the commander by hand, with other files:",
            "ruroco-commander --config /root/test/config.toml --commands /root/test/commands.toml",
        )],
        files: &[
            HOST_FILES[0],
            HOST_FILES[1],
            (AUDIT_TRAIL, "The audit trail: every run and every rejected order."),
            ("/run/ruroco/commander.sock", "The socket from which the commander receives orders."),
        ],
        environment: &[LOG, JOURNAL, NOTIFY],
        see_also: &HOST_PAGES,
    },
    Extras {
        page: "ruroco-client-key-remove",
        examples: &[("Delete a key without a prompt:", "ruroco-client key remove laptop --yes")],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &CLIENT_PAGES,
    },
    Extras {
        page: "ruroco-client-host-import",
        examples: &[(
            "Import the hosts of upstream ruroco's window:",
            "ruroco-client host import --key laptop",
        )],
        files: &CLIENT_FILES,
        environment: &[FOLDER],
        see_also: &CLIENT_PAGES,
    },
];

/// The additional sections of a page, if it has any.
pub(crate) fn of(page: &str) -> Option<&'static Extras> {
    ALL.iter().find(|extras| extras.page == page)
}

impl Extras {
    /// The sections as roff.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut roff = Roff::new();
        if !self.examples.is_empty() {
            roff.control("SH", ["EXAMPLES"]);
        }
        for (purpose, line) in self.examples {
            roff.control("PP", []).text([roman(*purpose)]);
            roff.control("PP", []).control("RS", ["4"]).text([bold(*line)]).control("RE", []);
        }
        list(&mut roff, "ENVIRONMENT", self.environment);
        list(&mut roff, "FILES", self.files);
        formats::see_also(&mut roff, self.see_also);
        roff.to_roff().into_bytes()
    }
}

fn list(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    if !entries.is_empty() {
        roff.control("SH", [title]);
    }
    for (name, meaning) in entries {
        roff.control("TP", []).text([italic(*name)]).text([roman(*meaning)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;
    use ruroco_ipc::audit;

    #[test]
    fn every_example_is_a_command_line_that_its_program_accepts() {
        let mut parsed = 0;
        for (_, line) in ALL.iter().flat_map(|extras| extras.examples) {
            let words: Vec<&str> = line.split(' ').collect();
            let program = programs::all().into_iter().find(|p| p.command.get_name() == words[0]);
            let program = program.unwrap_or_else(|| panic!("no program for: {line}"));
            let result = program.command.try_get_matches_from(&words);
            assert!(result.is_ok(), "{line}: {}", result.unwrap_err());
            parsed += 1;
        }
        assert!(parsed > 30, "only {parsed} examples");
    }

    #[test]
    fn the_audit_trail_is_named_where_the_commander_writes_it() {
        let default = std::path::Path::new(ruroco_config::AUDIT_DIR).join(audit::FILE);
        assert_eq!(default.to_str(), Some(AUDIT_TRAIL));
    }

    #[test]
    fn every_page_with_additional_sections_exists_and_refers_to_pages_that_exist() {
        let pages = crate::man::pages().unwrap();
        let exists = |reference: &str| {
            pages
                .iter()
                .any(|page| format!("{}({})", page.name, page.section.number()) == reference)
        };
        for extras in &ALL {
            assert!(pages.iter().any(|page| page.name == extras.page), "{}", extras.page);
            for page in extras.see_also.iter().filter(|page| page.starts_with("ruroco")) {
                assert!(exists(page), "{} refers to {page}", extras.page);
            }
        }
    }
}
