//! The real `ruroco-commander`, seen from the server, from its commands and from everybody else.
//!
//! Runs as any user. What only root can show is skipped, loudly, for others.

#![cfg(feature = "with-commander")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    reason = "tests fail loudly, and clippy does not see that helpers outside of #[test] are tests"
)]

mod a_door;
mod a_report;
mod an_order;
mod fake_gate;
mod harness;
mod notifications;
mod output;
mod reload;
mod the_audit_trail;
mod the_gates_events;
mod the_socket;
mod the_status;
mod what_is_inherited;

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use harness::{
    Connection, Host, LAPTOP, PHONE, eventually, is_root, living_in_group, order, try_connect,
};
use ruroco_common::{address::Address, datagram::KeyId};
use ruroco_ipc::order::{MAX_WAIT, Order, SIZE};
use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
    process::{Signal, Uid, geteuid},
    thread::set_thread_uid,
};

/// `nobody` on every Linux: what the kernel shows where it has no user to show (overflowuid).
const NOBODY: u32 = 65534;

const TRUE: &str = "[commands.noop]\nrun = [\"true\"]\n";

mod a_command {
    use super::*;

    #[test]
    fn sees_a_clean_environment_with_what_it_was_called_for() {
        let host = Host::new("[commands.show]\nrun = [\"env\"]\nenv = { GREETING = \"a b\" }\n");
        let commander = host.start();
        commander.connect().send(&Order { counter: u128::MAX, ..order("show") });
        commander.line(&["ended", "command=show", "result=exit:0"]);
        let mut seen = commander.output("show");
        seen.sort();
        assert_eq!(
            seen,
            [
                "GREETING=a b",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "RUROCO_COMMAND=show",
                "RUROCO_IP=192.0.2.1",
                "RUROCO_KEY=laptop",
            ]
        );
        let counter = "counter=340282366920938463463374607431768211455";
        commander.line(&["running command=show key=laptop ip=192.0.2.1", counter]);
    }

    #[test]
    fn inherits_no_descriptor_no_input_and_no_directory() {
        let host = Host::new(
            "[commands.look]\nshell = \"cat; pwd\"\n\
             [commands.descriptors]\nrun = [\"ls\", \"/proc/self/fd\"]\n\
             [commands.elsewhere]\nrun = [\"pwd\"]\ncwd = \"/usr\"\n",
        );
        let commander = host.start();
        let connection = commander.connect();
        for name in ["look", "descriptors", "elsewhere"] {
            connection.send(&order(name));
            commander.line(&["ended", &format!("command={name} "), "result=exit:0"]);
        }
        assert_eq!(commander.output("look"), ["/"]);
        assert_eq!(commander.output("elsewhere"), ["/usr"]);
        // The last one is that of the directory that `ls` reads.
        assert_eq!(commander.output("descriptors"), ["0", "1", "2", "3"]);
    }

    #[test]
    fn gets_its_arguments_as_they_were_written() {
        let host =
            Host::new("[commands.x]\nrun = [\"printf\", \"<%s>\\\\n\", \"a b\", \"$(id)\"]\n");
        let commander = host.start();
        commander.connect().send(&order("x"));
        commander.line(&["ended", "command=x"]);
        assert_eq!(commander.output("x"), ["<a b>", "<$(id)>"]);
    }

    #[test]
    fn that_fails_or_cannot_be_started_is_told_apart() {
        let host = Host::new(
            "[commands.fails]\nshell = \"exit 3\"\n[commands.dies]\nshell = \"kill -9 $$\"\n\
             [commands.missing]\nrun = [\"/no/such/program\"]\n",
        );
        let commander = host.start();
        let connection = commander.connect();
        for name in ["fails", "dies", "missing"] {
            connection.send(&order(name));
        }
        commander.line(&[
            "ended command=fails key=laptop ip=192.0.2.1 counter=17 result=exit:3 duration_ms=",
        ]);
        commander.line(&["ended command=dies", "result=signal:9"]);
        let error = "could not start /no/such/program in /";
        commander.line(&["ended command=missing", "result=could_not_run", error]);
    }

    #[test]
    fn runs_as_the_user_and_group_it_is_given_and_in_no_other_group() {
        if !is_root("changing user and group") {
            return;
        }
        let show = "shell = \"id -u; id -g; id -G\"";
        let host = Host::new(&format!(
            "[commands.user]\n{show}\nuser = \"nobody\"\n\
             [commands.both]\n{show}\nuser = \"nobody\"\ngroup = \"daemon\"\n"
        ));
        let commander = host.start();
        let connection = commander.connect();
        connection.send(&order("user"));
        connection.send(&order("both"));
        commander.line(&["ended", "command=user", "result=exit:0"]);
        commander.line(&["ended", "command=both", "result=exit:0"]);
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        let daemon = nix::unistd::Group::from_name("daemon").unwrap().unwrap();
        let (uid, gid, daemon) =
            (nobody.uid.to_string(), nobody.gid.to_string(), daemon.gid.to_string());
        assert_eq!(commander.output("user"), [&uid, &gid, &gid].map(String::as_str));
        assert_eq!(commander.output("both"), [&uid, &daemon, &daemon].map(String::as_str));
    }

    #[test]
    fn of_a_commander_in_real_time_has_a_head_start_and_then_shares_time() {
        if !is_root("running in real time") {
            return;
        }
        let host = Host::new(
            "[commands.look]\nshell = \"cat /proc/$$/stat /proc/self/stat; exec tail -f /dev/null\"\n\
             [commands.other]\nrun = [\"tail\", \"-f\", \"/dev/null\"]\nuser = \"nobody\"\n",
        );
        let commander = host.start();
        commander.run_in_real_time();
        let connection = commander.connect();
        connection.send(&order("look"));
        connection.send(&order("other"));
        let printed = eventually("both lines", || {
            let printed = commander.output("look");
            (printed.len() == 2).then_some(printed)
        });
        assert_eq!(policy(&printed[0]), ROUND_ROBIN, "the command itself: {printed:?}");
        assert_eq!(policy(&printed[1]), TIME_SHARING, "what it starts: {printed:?}");
        let commands = children(commander.pid());
        assert_eq!(commands.len(), 2, "{commands:?}");
        for command in commands {
            let stat = || fs::read_to_string(format!("/proc/{command}/stat")).unwrap();
            eventually("time sharing", || (policy(&stat()) == TIME_SHARING).then_some(()));
        }
        let own = fs::read_to_string(format!("/proc/{}/stat", commander.pid())).unwrap();
        assert_eq!(policy(&own), ROUND_ROBIN, "{own}");
    }

    /// `SCHED_OTHER`.
    const TIME_SHARING: &str = "0";
    /// `SCHED_RR`.
    const ROUND_ROBIN: &str = "2";

    fn children(pid: u32) -> Vec<String> {
        let of_thread = |thread: io::Result<fs::DirEntry>| {
            fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()
        };
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let children: String = threads.map(of_thread).collect();
        children.split_whitespace().map(str::to_owned).collect()
    }

    /// The scheduling policy: the 41st field, counted from 1 (`proc_pid_stat`(5)).
    fn policy(stat: &str) -> &str {
        let third_and_on = stat.rsplit_once(") ").unwrap().1;
        third_and_on.split_whitespace().nth(41 - 3).unwrap()
    }

    #[test]
    fn does_not_keep_another_one_waiting() {
        // Either ends well only while the other one runs.
        let meet = |own: &str, other: &str| {
            format!(
                "shell = \"touch DIR/{own}; until test -e DIR/{other} || ! test -d DIR; do sleep 0.05; done\"\n"
            )
        };
        let host = Host::new(&format!(
            "[commands.one]\n{}[commands.two]\n{}",
            meet("a", "b"),
            meet("b", "a")
        ));
        let commander = host.start();
        let connection = commander.connect();
        connection.send(&order("one"));
        connection.send(&order("two"));
        commander.line(&["ended", "command=one", "result=exit:0"]);
        commander.line(&["ended", "command=two", "result=exit:0"]);
    }
}

mod a_timeout {
    use super::*;

    #[test]
    fn lets_the_whole_group_end_by_itself() {
        let host = Host::new(
            "[commands.x]\ntimeout = 1\nshell = \"\"\"\n\
             trap 'echo bye >DIR/bye; exit' TERM; echo $$ >DIR/group\n\
             sh -c 'sleep 600; true' & sleep 600 & wait\"\"\"\n",
        );
        let commander = host.start();
        let start = Instant::now();
        commander.connect().send(&order("x"));
        commander.line(&["ended command=x", "result=timed_out"]);
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_secs(1), "too early: {elapsed:?}");
        assert!(elapsed < Duration::from_secs(6), "somebody had to be killed: {elapsed:?}");
        assert_eq!(host.written("bye"), "bye");
        eventually("the group to end", || {
            living_in_group(host.written_pid("group")).is_empty().then_some(())
        });
    }

    #[test]
    fn kills_the_whole_group_if_it_does_not() {
        // What is ignored stays ignored in every child.
        let host = Host::new(
            "[commands.x]\ntimeout = 1\nshell = \"\"\"\n\
             trap '' TERM; echo $$ >DIR/group\n\
             sh -c 'sleep 600; true' & sleep 600 & wait\"\"\"\n",
        );
        let commander = host.start();
        let start = Instant::now();
        commander.connect().send(&order("x"));
        commander.line(&["ended command=x", "result=timed_out"]);
        assert!(start.elapsed() >= Duration::from_secs(6), "SIGTERM comes first");
        eventually("the group to end", || {
            living_in_group(host.written_pid("group")).is_empty().then_some(())
        });
    }

    #[test]
    fn ends_what_outlives_the_leader_whether_or_not_it_still_prints() {
        for redirection in ["", ">/dev/null 2>&1"] {
            let host = Host::new(&format!(
                "[commands.x]\ntimeout = 1\nshell = \"\"\"\n\
                 (trap '' TERM; echo $$ >DIR/group; exec sleep 600 {redirection}) & wait\"\"\"\n"
            ));
            let commander = host.start();
            commander.connect().send(&order("x"));
            commander.line(&["ended command=x", "result=timed_out"]);
            eventually("the group to end", || {
                living_in_group(host.written_pid("group")).is_empty().then_some(())
            });
        }
    }
}

mod stopping {
    use super::*;

    #[test]
    fn ends_running_commands_and_removes_the_socket() {
        for signal in [Signal::TERM, Signal::INT] {
            let host =
                Host::new("[commands.x]\nshell = \"echo $$ >DIR/group; sleep 600 & sleep 600\"\n");
            let mut commander = host.start();
            commander.connect().send(&order("x"));
            let group = host.written_pid("group");
            commander.signal(signal);
            assert!(commander.ended().success());
            assert!(!host.socket().exists());
            commander.line(&["ended command=x", "result=stopped"]);
            eventually("the group to end", || living_in_group(group).is_empty().then_some(()));
        }
    }
}

mod a_mistake {
    use super::*;

    #[test]
    fn in_a_file_stops_the_start_with_file_and_line() {
        let host = Host::new(TRUE);
        for (commands, told) in [
            (format!("{TRUE}usr = \"root\"\n"), ":3: unknown field `usr`"),
            (format!("{TRUE}user = \"no-such-user\"\n"), ":3: there is no user no-such-user"),
            (format!("{TRUE}keys = [\"tablet\"]\n"), ":3: there is no key file tablet.key"),
            (format!("{TRUE}{TRUE}"), ":3: duplicate key"),
            (format!("{TRUE}shell = \"true\"\n"), ":3: a command has either `run` or `shell`"),
            (String::new(), ":1: the file contains no command"),
        ] {
            host.write("commands.toml", &commands, 0o600);
            let said = host.refusal_to_start();
            let expected = format!("{}{told}", host.path("commands.toml").display());
            assert!(said.contains(&expected), "{said}");
            assert!(!host.socket().exists());
        }
        host.write("commands.toml", TRUE, 0o666);
        assert!(host.refusal_to_start().contains("chmod go-w"));
    }
}
