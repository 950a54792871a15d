//! `cargo xtask demo`: one real knock on its whole way, in front of somebody who has never seen it.
//!
//! Everything runs in the lab of the end-to-end tests: the real programs in network namespaces that
//! are gone afterwards. Each line that is shown has been looked at first; what is not as it should
//! be ends the demonstration with an error.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::{KEY, Options, Run},
    interrupt,
    knock::{self, Bytes},
    lab::Lab,
    network::{self, CLIENT, Family, SERVER, SERVER_INTERFACE},
    packet_socket::Receiver,
    wait,
};

use crate::{
    build_ebpf::{self, Logging},
    host::{cargo, require_root, step},
    setup::{self, Report, Scope},
    workspace::Workspace,
};

/// Packets of each kind of junk.
const JUNK: u64 = 100;

/// Sets up, builds, and shows.
///
/// # Errors
/// If anything is missing, or anything is not as it should be.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    require_root("demo")?;
    let tools = setup::ensure(workspace, Scope::Demo, Report::ChangesOnly)?;
    build_ebpf::build(workspace, &tools, Logging::Off)?;
    step("binaries", &mut cargo(workspace, &["build", "--package", "ruroco-userspace", "--bins"]))?;
    show()
}

fn show() -> Result<()> {
    println!();
    interrupt::leave_nothing_behind();
    let mut lab = Lab::running(&Options::default());
    show_parts(&mut lab)?;

    let (run, frame, begun) = knock_once(&mut lab)?;
    show_knock(&mut lab, &run, begun)?;

    throw_junk(&mut lab, &frame)?;
    show_counters(&lab)?;

    ensure!(lab.files.runs().len() == 1, "something other than the knock has run a command");
    lab.expect_silence();
    println!("silence    not one packet has come back to the client, no ICMP either");
    println!("\nAll of it came out right.");
    Ok(())
}

fn show_parts(lab: &mut Lab) -> Result<()> {
    let status = lab.status();
    let mode = status.pointer("/interfaces/0/mode");
    let mode = mode.and_then(serde_json::Value::as_str).context("the gate is not attached")?;
    println!("client     {} and {}, a network namespace of its own", CLIENT.v4, CLIENT.v6);
    println!(
        "gate       attached: XDP, {mode}, on {SERVER_INTERFACE}; guards UDP port {} of {} and {}",
        network::PORT,
        SERVER.v4,
        SERVER.v6
    );
    let pid = lab.server().pid();
    let powers = fs::read_to_string(format!("/proc/{pid}/status"))?;
    ensure!(powers.contains("\nCapEff:\t0000000000000000\n"), "the server has capabilities");
    let user = &lab.files.user().name;
    println!("server     runs as {user} without capabilities, pid {pid}; reads the gate's ring");
    println!("commander  runs as root, pid {}; listens on a Unix socket\n", lab.commander().pid());
    Ok(())
}

/// One knock by the real client; what ran, the very frame that was on the wire, and when it began.
fn knock_once(lab: &mut Lab) -> Result<(Run, Vec<u8>, u128)> {
    let mut wire = lab.network.client.enter(Receiver::of_both_directions);
    let begun = now()?;
    lab.knock(Family::V4, &[]);
    let run = lab.expect_one_run();
    let frame = wait::until("the knock on the wire", || {
        wire.received().into_iter().find(|frame| frame.len() == FRAME_SIZE)
    });
    Ok((run, frame, begun))
}

/// Ethernet, IPv4 and UDP headers in front of the datagram.
const FRAME_SIZE: usize = 14 + 20 + 8 + ruroco_common::datagram::SIZE;

fn show_knock(lab: &mut Lab, run: &Run, begun: u128) -> Result<()> {
    println!(
        "client     ruroco-client knock --address {}:{} --key {KEY}.key",
        SERVER.v4,
        network::PORT
    );
    let candidates = lab.verdicts().of(Verdict::Candidate);
    ensure!(candidates == 1, "the gate has handed over {candidates} candidates, not 1");
    println!("gate       {} 1: handed to the server through the ring", Verdict::Candidate.name());
    println!("server     {}", without_time(&lab.server().wait_for(&["accepted"])));
    println!("commander  {}", without_time(&lab.commander().wait_for(&["running"])));
    println!("           {}", without_time(&lab.commander().wait_for(&["the door is open for"])));
    ensure!(
        run.ip == CLIENT.of(Family::V4) && run.key == KEY,
        "the command was run for {} with the key {}",
        run.ip,
        run.key
    );
    let took = run.started_at.checked_sub(begun).context("the command ran before the knock")?;
    let took = Duration::from_nanos(u64::try_from(took)?);
    println!(
        "time       {:.1} ms from starting the client to the command's first line\n",
        took.as_secs_f64() * 1e3
    );
    Ok(())
}

fn throw_junk(lab: &mut Lab, frame: &[u8]) -> Result<()> {
    println!(
        "thrown     {JUNK} datagrams of other lengths, {JUNK} under an unknown key, {JUNK} forged ones"
    );
    println!("           under the knock's key, and the knock itself once more, byte for byte");
    let knock = lab.seal(&lab.good_knock(Family::V4));
    let (unknown, forged): (Bytes, Bytes) = (knock::under_unknown_key(knock), knock::forge(knock));
    for size in 0..JUNK {
        let size = usize::try_from(size)?;
        let size = if size == unknown.len() { 0 } else { size };
        lab.send(Family::V4, &vec![0x5a; size]);
        lab.send(Family::V4, &unknown);
        lab.send(Family::V4, &forged);
    }
    lab.send_frame(frame);
    wait::until("all of it to be judged", || {
        let judged = lab.verdicts();
        (judged.of(Verdict::Replayed) == 1).then_some(())
    });
    println!("server     has seen none of it");
    Ok(())
}

fn show_counters(lab: &Lab) -> Result<()> {
    let expected = [
        (Verdict::WrongLength, JUNK),
        (Verdict::UnknownKey, JUNK),
        (Verdict::Forged, JUNK),
        (Verdict::Replayed, 1),
        (Verdict::Candidate, 1), // the knock
    ];
    let seen = lab.verdicts();
    for verdict in Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::NotOurs) {
        let count = seen.of(verdict);
        println!("counter    {:<13} {count}", verdict.name());
        let expected =
            expected.iter().find(|(of, _)| *of == verdict).map_or(0, |(_, count)| *count);
        ensure!(count == expected, "{} is {count}, not {expected}", verdict.name());
    }
    Ok(())
}

/// A log line, without the time in front of it.
fn without_time(line: &str) -> &str {
    line.split_once(" INFO ").or_else(|| line.split_once(" WARN ")).map_or(line, |(_, rest)| rest)
}

fn now() -> Result<u128> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(now.context("the clock is set before 1970")?.as_nanos())
}
