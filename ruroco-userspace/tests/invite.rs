//! The real `ruroco invite`, and what the real `ruroco-client join` makes of it.
#![cfg(all(feature = "with-client", feature = "with-operator"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const LAPTOP: &str = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==\n";

struct Gate(tempfile::TempDir);

impl Gate {
    /// With the keys `laptop` and `phone`.
    fn new(commands: &str) -> Self {
        let gate = Self(tempfile::tempdir().unwrap());
        fs::create_dir(gate.path("keys")).unwrap();
        gate.write("keys/laptop.key", LAPTOP, 0o600);
        gate.write("keys/phone.key", &LAPTOP.replace("AAEC", "BAEC"), 0o600);
        gate.write(
            "config.toml",
            &format!(
                "addresses = [\"192.0.2.1\", \"203.0.113.5\"]\nport = 34020\nkeys_dir = {:?}\n\
                 server_user = \"nobody\"\n[gate]\ninterfaces = [\"eth0\"]\n\
                 [keys.phone]\ncommands = [\"open_ssh\"]\n",
                gate.path("keys")
            ),
            0o644,
        );
        gate.write("commands.toml", commands, 0o600);
        gate
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn invite(&self, arguments: &[&str]) -> Result<String, String> {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_ruroco"));
        tool.arg("invite").args(arguments).arg("--config").arg(self.path("config.toml"));
        let done = tool.arg("--commands").arg(self.path("commands.toml")).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if done.status.success() { Ok(text(done.stdout)) } else { Err(text(done.stderr)) }
    }

    /// The line that is to be pasted.
    fn line(&self, arguments: &[&str]) -> String {
        let shown = self.invite(arguments).unwrap();
        let line = shown.lines().find(|line| line.starts_with("ruroco://"));
        line.unwrap_or_else(|| panic!("{shown}")).to_owned()
    }
}

fn client(folder: &Path, arguments: &[&str], input: &str) -> String {
    let mut client = Command::new(env!("CARGO_BIN_EXE_ruroco-client"));
    client.args(arguments).env("RUROCO_CONF_DIR", folder);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let _ = client.stdin.take().unwrap().write_all(input.as_bytes());
    let done = client.wait_with_output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

const ONE: &str = "[commands.default]\nrun = [\"/bin/true\"]\n";
/// `close_ssh` is not for `phone` by what the commander goes by, `status` by what the server does.
const THREE: &str = "[commands.open_ssh]\nrun = [\"/bin/true\"]\n[commands.status]\nrun = [\"/bin/true\"]\n\
                     [commands.close_ssh]\nrun = [\"/bin/true\"]\nkeys = [\"laptop\"]\n";

#[test]
fn all_that_the_gate_prints_may_be_given_to_the_client() {
    let gate = Gate::new(ONE);
    let shown = gate.invite(&["laptop", "--name", "home", "--wait", "22"]).unwrap();
    assert!(shown.contains('█') && shown.contains("anyone who sees it can knock"), "{shown}");
    let own_name =
        "after its host name. To choose another name, run: ruroco invite laptop --name NAME";
    assert!(!shown.contains(own_name) && gate.invite(&["laptop"]).unwrap().contains(own_name));
    let folder = gate.path("client");
    client(&folder, &["join"], &shown);
    let listed = client(&folder, &["host", "list"], "");
    assert_eq!(listed, "home  192.0.2.1:34020  command default  (key home, port 22)\n");
    assert_eq!(client(&folder, &["key", "export", "home"], ""), LAPTOP);
}

#[test]
fn what_the_gate_prints_may_be_kept_in_a_file_for_the_client() {
    let gate = Gate::new(ONE);
    let more =
        ["laptop", "--name", "home", "--wait", "22", "--address", "the.name.of.the.host.example"];
    let shown = gate.invite(&more).unwrap();
    assert!(shown.len() > 4 << 10, "longer than any key: {}", shown.len());
    gate.write("invitation", &shown, 0o600);
    let folder = gate.path("client");
    client(&folder, &["join", gate.path("invitation").to_str().unwrap()], "");
    assert!(client(&folder, &["host", "list"], "").starts_with("home "));
}

#[test]
fn the_address_has_the_gates_port_and_is_one_of_the_hosts() {
    let gate = Gate::new(ONE);
    for (said, address) in [
        ("host.example", "host.example:34020"),
        ("host.example:80", "host.example:80"),
        ("203.0.113.5", "203.0.113.5:34020"),
    ] {
        let line = gate.line(&["laptop", "--address", said]);
        assert!(line.starts_with(&format!("ruroco://{address}?")), "{line}");
    }
    let refused = gate.invite(&["laptop", "--address", "203.0.113.6"]).unwrap_err();
    assert!(refused.contains("203.0.113.6 is not in `addresses`"), "{refused}");
}

#[test]
fn a_key_is_offered_what_it_may_run_and_no_more() {
    let gate = Gate::new(THREE);
    assert!(gate.line(&["phone"]).ends_with("&command=open_ssh"));
    for other in ["close_ssh", "status"] {
        let refused = gate.invite(&["phone", "--command", other]).unwrap_err();
        assert!(refused.contains(&format!("phone may not request {other}")), "{refused}");
    }
    let refused = gate.invite(&["laptop"]).unwrap_err();
    assert!(refused.contains("its default first, from: close_ssh open_ssh status"), "{refused}");
    let line = gate.line(&["laptop", "--command", "open_ssh", "--command", "close_ssh"]);
    assert!(line.ends_with("&command=open_ssh&command=close_ssh"), "{line}");
}

#[test]
fn an_invitation_names_the_doors_of_its_commands_and_their_durations() {
    let commands = "[commands.default]\nopen = \"ssh\"\n[commands.close]\nclose = [\"ssh\", \"vpn\"]\n\
                    [commands.z]\nopen = [\"ssh\", \"vpn\"]\n";
    let gate = Gate::new(commands);
    let config = fs::read_to_string(gate.path("config.toml")).unwrap();
    let doors = "[doors.ssh]\nport = [\"udp/22\", \"tcp/2200-2210\"]\nfor = \"1m\"\n\
                 [doors.vpn]\nport = \"udp/51820\"\n";
    gate.write("config.toml", &(config + doors), 0o644);
    let line = gate.line(&["laptop", "--name", "home"]);
    let fields = "&command=default&command=close&command=z&wait=2200&door=ssh+tcp%2F2200+60&open=ssh+default\
                  &open=ssh+z&close=ssh+close&door=vpn+udp%2F51820+30&open=vpn+z&close=vpn+close";
    assert!(line.ends_with(fields), "{line}");
    let folder = gate.path("client");
    client(&folder, &["join"], &line);
    let listed = client(&folder, &["host", "list"], "");
    let doors = "port 2200, door ssh tcp/2200 for 60 s, door vpn udp/51820 for 30 s)";
    assert!(listed.contains(doors), "{listed}");
    // For a client that does not know doors.
    let old = gate.line(&["laptop", "--name", "home", "--no-doors"]);
    assert!(old.ends_with("&command=default&command=close&command=z&wait=2200"), "{old}");
    // Which leaves the doors of the host as they are.
    assert!(client(&folder, &["join"], &old).starts_with("unchanged: host home"));
}

/// The default command, and as many others with names of 40 characters.
fn many(others: usize) -> String {
    let other = |n| format!("[commands.{n:a>40}]\nrun = [\"/bin/true\"]\n");
    ONE.to_owned() + &(0..others).map(other).collect::<String>()
}

#[test]
fn an_invitation_that_no_code_can_hold_is_shown_without() {
    let gate = Gate::new(&many(60));
    let shown = gate.invite(&["laptop", "--name", "home"]).unwrap();
    assert!(shown.contains("too large for a QR code") && shown.contains("--command"), "{shown}");
    client(&gate.path("client"), &["join"], &shown);
}

#[test]
fn an_invitation_that_no_client_takes_is_not_shown() {
    let refused = Gate::new(&many(90)).invite(&["laptop", "--name", "home"]).unwrap_err();
    assert!(
        refused.contains("longer than 4096 bytes") && refused.contains("--command"),
        "{refused}"
    );
}

#[test]
fn a_key_that_is_not_there_is_met_with_the_likely_one() {
    let refused = Gate::new(ONE).invite(&["lapto"]).unwrap_err();
    assert!(
        refused.contains("there is no key lapto") && refused.contains("mean laptop?"),
        "{refused}"
    );
}
