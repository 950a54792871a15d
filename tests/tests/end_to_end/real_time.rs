//! A server as its unit has it: in real time, and with a limit to how long it goes on without sleeping.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use ruroco_lab::{
    files::Options,
    lab::{Lab, require_tool},
    many::Sender,
    network::{Family, PORT},
    wait::DEADLINE,
};

/// After so much of a CPU without sleeping the kernel kills the server: half of what the unit allows.
const LIMIT: Duration = Duration::from_secs(1);

/// The unit in which the kernel tells the time that a process had (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

fn run(tool: &str, arguments: &[&str]) {
    require_tool(tool);
    let status = Command::new(tool).args(arguments).status().unwrap();
    assert!(status.success(), "{tool} {arguments:?}: {status}");
}

/// How long a process has had a CPU, in user space and in the kernel (proc_pid_stat(5)); `None` if it
/// has ended.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let third_and_on: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    let has_ended = ["Z", "X"].contains(&third_and_on[0]);
    let ticks = |field: usize| third_and_on[field - 3].parse::<u32>().unwrap();
    (!has_ended).then(|| TICK * (ticks(14) + ticks(15)))
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn who_has_a_key_keeps_the_server_busy_and_does_not_have_it_killed() {
    let options = Options { source: "udp", ..Options::default() };
    let mut lab = Lab::running(&options);
    let pid = lab.server().pid();
    let (process, limit) = (pid.to_string(), format!("--rttime={}", LIMIT.as_micros()));
    run("chrt", &["--all-tasks", "--rr", "--pid", "1", &process]);
    run("prlimit", &["--pid", &process, &limit]);

    // Authentic, and never accepted: nothing is written to the disk, for which it would sleep.
    let mut knock = lab.good_knock(Family::V4);
    knock.plaintext.counter = 1;
    let datagram = lab.seal(&knock);
    let enough = cpu_time(pid).unwrap() + LIMIT * 3;
    lab.network.client.enter(|| {
        let mut sender = Sender::new(PORT);
        let end = Instant::now() + DEADLINE;
        while cpu_time(pid).expect("the server was killed") < enough {
            assert!(Instant::now() < end, "the server is not kept busy");
            for _ in 0..16 {
                sender.send(&datagram);
            }
        }
    });
    lab.server().wait_for(&["refused", "old_counter"]);
    lab.server().signal(Signal::SIGTERM);
    assert!(lab.server().wait_for_end().success());
    lab.expect_silence();
}
