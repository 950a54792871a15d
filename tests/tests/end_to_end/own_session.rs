//! `--cut` spares the session that the operator works in, which is told by the sockets of the processes around the
//! tool. Where they do not tell, as in tmux, no session is ended.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ruroco_lab::{
    lab::Lab,
    network::{CLIENT, Family, SERVER},
    programs,
    shell::Shell,
    wait,
};

use crate::{
    doors::{LONG, PORT, options},
    sshd::{Sshd, name, proxy},
};

const FAMILY: Family = Family::V4;

/// A host whose sshd is behind a door, with two sessions of others.
struct Host {
    // In the order in which they are to be dropped.
    others: [Shell; 2],
    sshd: Sshd,
    lab: Lab,
}

impl Host {
    fn new() -> Self {
        let lab = Lab::running(&options(LONG, ""));
        let sshd = Sshd::start(&lab, PORT, "open_test");
        let others = [(); 2].map(|()| {
            let mut ssh = sshd.ssh(&lab, &[&proxy()]);
            ssh.arg(name(FAMILY));
            Shell::start(ssh)
        });
        Self { others, sshd, lab }
    }

    /// Closes the door and cuts its sessions, by a line of shell with the command in place of `$TOOL`, in a session of its
    /// own. Its `SSH_CONNECTION` is that of an earlier session, as in a tmux that has been attached again.
    fn cut(&self, line: &str) -> Output {
        let (tool, config) = (programs::path("ruroco"), self.lab.files.config());
        let (tool, config) = (tool.display(), config.display());
        let earlier = format!("{} 1 {} {PORT}", CLIENT.of(FAMILY), SERVER.of(FAMILY));
        let tool = format!("{tool} doors close test --cut --config {config}");
        let mut ssh: Command = self.sshd.ssh(&self.lab, &[&proxy()]);
        ssh.arg(name(FAMILY));
        ssh.arg(format!("export SSH_CONNECTION='{earlier}' TOOL='{tool}'; {line}"));
        ssh.output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.files.path(name)
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_session_that_the_tool_runs_in_continues() {
    let mut host = Host::new();
    // As through sudo or a shell, which have no such socket themselves.
    let output = host.cut("sh -c \"$TOOL; true\"");
    let [said, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "the session of the tool was cut: {said}{error}");
    let own = format!("your own session ({} port ", CLIENT.of(FAMILY));
    assert!(said.contains("ended 2 TCP sessions through test") && said.contains(&own), "{said}");
    host.others.iter_mut().for_each(Shell::expect_cut);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn in_a_terminal_that_outlives_sessions_none_is_ended() {
    let mut host = Host::new();
    let [said, code] = ["said", "code"].map(|name| host.path(name));
    let (said_to, code_to) = (said.display(), code.display());
    // The parent ends, and with it the way to the process of sshd, as when tmux starts its server.
    let line = format!(
        "setsid --fork sh -c '$TOOL >{said_to} 2>&1; echo $? >{code_to}' </dev/null >/dev/null 2>&1"
    );
    assert!(host.cut(&line).status.success());
    wait::until("the end of the tool", || (!read(&code).is_empty()).then_some(()));
    let said = read(&said);
    assert_eq!(read(&code).trim(), "1", "{said}");
    let told =
        ["closed test\n", "no TCP session was ended", "tmux", &CLIENT.of(FAMILY).to_string()];
    assert!(told.iter().all(|part| said.contains(part)), "{said}");
    host.others.iter_mut().for_each(Shell::expect_alive);
}
