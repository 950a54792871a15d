//! The server's sandbox around the real server: that all of it is there, that nothing the server
//! does meets its walls, and what becomes of a server that can have less. What it refuses is
//! tried from within, in ruroco-userspace/tests/sandbox/.

use std::{fs, process::Command};

use nix::sys::signal::Signal;
use ruroco_lab::{
    daemon::Daemon,
    files::Options,
    lab::{Lab, require_tool},
    network::Family,
    process::Process,
    programs,
};

/// All that there is, in the order in which it is taken.
const ALL: &str = "no_new_privileges, memory, bounding_set, capabilities, files, tcp, scopes, \
                   system_calls";

/// A server for which strace changes what the kernel answers. The process is the server's own.
fn tampered(lab: &Lab, inject: &str, arguments: &[&str]) -> Command {
    let record = lab.files.path("trace");
    let inject = format!("inject={inject}");
    let strace = ["strace", "--daemonize", "--quiet=all", "-e", &inject, "--output"];
    let strace = [&strace[..], &[record.to_str().unwrap(), "--"]].concat();
    lab.server_command_by(&strace, arguments)
}

/// The server as its user, with this done by `setpriv` and started by another program of that user.
fn with_privileges(
    lab: &Lab,
    privileges: &[&str],
    launcher: &[&str],
    arguments: &[&str],
) -> Command {
    let user = lab.files.user();
    let mut command = lab.network.server.command();
    command.args(["setpriv", "--pdeathsig", "KILL", "--clear-groups"]);
    command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid));
    command.args(privileges).arg("--").args(launcher);
    let program = programs::path("ruroco-server");
    command.arg(programs::reachable_by_all(&program, &lab.files.programs()));
    command.args(arguments).arg("--config").arg(lab.files.config());
    command
}

fn with_gate_and_commander() -> Lab {
    let mut lab = Lab::new(&Default::default());
    lab.start_commander();
    lab.start_gate();
    lab
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn all_of_it_is_there_and_the_log_says_so_once() {
    for source in ["xdp", "udp"] {
        let mut lab = Lab::new(&Options { source, ..Options::default() });
        lab.start_commander();
        if source == "xdp" {
            lab.start_gate();
        }
        let mut strict = lab.server_command(&["--sandbox", "strict"]);
        lab.start_server_until(&mut strict, &["ready"]);
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
        lab.server().wait_for(&["INFO", &format!("sandbox: enforced: {ALL}")]);
        assert_eq!(lab.server().lines_with(&["sandbox"]).len(), 1);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn nothing_that_the_server_does_is_refused_by_it() {
    require_tool("strace");
    for source in ["xdp", "udp"] {
        let mut lab = Lab::new(&Options { source, ..Options::default() });
        let with_gate = source == "xdp";
        lab.start_commander();
        if with_gate {
            lab.start_gate();
        }
        // An injection that never happens.
        let mut traced = tampered(&lab, "reboot:error=EPERM", &[]);
        lab.start_server_until(&mut traced, &["ready"]);
        lab.expect_next_knock_to_run(Family::V4);
        lab.commander().crash();
        lab.start_commander();
        lab.expect_next_knock_to_run(Family::V6);
        if with_gate {
            lab.gate().crash();
            lab.start_gate();
            lab.server().wait_for_nth(2, &["ready"]);
        }
        lab.expect_next_knock_to_run(Family::V4);
        let datagram = lab.seal(&lab.good_knock(Family::V4));
        lab.send(Family::V4, &datagram);
        lab.expect_one_run();
        fs::remove_file(lab.files.floors_dir().join("floors")).unwrap();
        lab.expect_next_knock_to_run(Family::V4);
        lab.server().signal(Signal::SIGTERM);
        assert!(lab.server().wait_for_end().success());

        let trace = fs::read_to_string(lab.files.path("trace")).unwrap();
        let (_, inside) = trace.split_once("SECCOMP_SET_MODE_FILTER").expect("there is a filter");
        for name in ["pwrite64(", "rename", "sendto(", "exit_group("] {
            assert!(inside.contains(name), "no {name} in {inside}");
        }
        let is_refused =
            |line: &&str| ["ENOSYS", "EACCES", "EPERM"].iter().any(|no| line.contains(no));
        let refused: Vec<_> = inside.lines().filter(is_refused).collect();
        assert!(refused.is_empty(), "{source}: {refused:#?}");
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_the_kernel_has_not_is_said_and_a_strict_server_does_not_run_without_it() {
    require_tool("strace");
    let cases = [
        ("landlock_create_ruleset:error=EOPNOTSUPP", &["files not: Landlock is off", "lsm="][..]),
        ("landlock_create_ruleset:error=ENOSYS", &["tcp not: Landlock needs Linux 5.13"]),
        // Level 3 of Landlock's ABI.
        (
            "landlock_create_ruleset:retval=3:when=1",
            &["files partly", "Linux 6.10", "tcp not: needs Linux 6.7", "scopes not"],
        ),
        ("landlock_restrict_self:error=E2BIG", &["scopes not: Landlock failed"]),
        ("seccomp:error=EINVAL", &["system_calls not: seccomp failed"]),
    ];
    for (inject, said) in cases {
        let mut lab = with_gate_and_commander();
        let mut strict =
            Daemon::start("ruroco-server", &mut tampered(&lab, inject, &["--sandbox", "strict"]));
        assert!(!strict.wait_for_end().success(), "{inject}");
        strict.wait_for(&[said, &["the sandbox is incomplete", "--sandbox strict"]].concat());

        let mut best_effort = tampered(&lab, inject, &[]);
        lab.start_server_until(&mut best_effort, &["ready"]);
        lab.server().wait_for(&[said, &["WARN", "sandbox: enforced: no_new_privileges"]].concat());
        lab.expect_next_knock_to_run(Family::V4);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_the_first_steps_no_server_runs() {
    require_tool("strace");
    let lab = with_gate_and_commander();
    for (inject, said) in [
        ("prctl:error=EINVAL", "could not set no-new-privs"),
        ("capget,capset:error=EPERM", "could not drop the capabilities"),
    ] {
        let inject = format!("inject={inject}");
        // Started as the server's user, so that nobody but the server is tampered with.
        let strace =
            ["strace", "--daemonize", "--quiet=all", "-e", &inject, "-o", "/dev/null", "--"];
        let mut server = with_privileges(&lab, &["--bounding-set=-all"], &strace, &[]);
        let mut server = Daemon::start("ruroco-server", &mut server);
        assert!(!server.wait_for_end().success(), "{inject}");
        server.wait_for(&[said]);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_bounding_set_is_emptied_if_it_can_be() {
    let mut lab = with_gate_and_commander();
    let mut left = Daemon::start(
        "ruroco-server",
        &mut with_privileges(&lab, &[], &[], &["--sandbox", "strict"]),
    );
    assert!(!left.wait_for_end().success());
    left.wait_for(&["bounding_set not: needs CAP_SETPCAP", "--bounding-set=-all"]);

    let can = ["--inh-caps=+setpcap", "--ambient-caps=+setpcap"];
    let mut strict = with_privileges(&lab, &can, &[], &["--sandbox", "strict"]);
    lab.start_server_until(&mut strict, &["ready"]);
    let capabilities = Process(lab.server().pid()).capabilities();
    assert_eq!((capabilities.bounding, capabilities.ambient, capabilities.effective), (0, 0, 0));
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}
