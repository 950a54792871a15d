//! The client: how long it takes from the start of its process until its packet is on the wire, beside
//! a program that does nothing and is started the same way; and how large it is.
//!
//! All of it is on one host without a server: what a packet meets afterwards is measured elsewhere.
//! Rounds take turns, so that a busy machine is busy for all.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use ruroco_files::durable;
use ruroco_lab::{
    directory::Directory, namespace::Namespace, network::PORT, send_times::SendTimes,
};
use ruroco_seal::generate_key;
use serde::Serialize;

use crate::{paths::Paths, scale::Scale, statistics::Summary};

/// Size and speed of `ruroco-client`. Times are milliseconds from before the process is started.
#[derive(Debug, Serialize)]
pub(crate) struct Client {
    /// Of the program, as it is packaged.
    pub(crate) bytes: u64,
    /// `true`, to its end.
    pub(crate) nothing_ms: Summary,
    /// `ruroco-client --version`, to its end.
    pub(crate) version_ms: Summary,
    /// `ruroco-client knock HOST`, to the packet.
    pub(crate) packet_ms: Summary,
    /// The same, to its end.
    pub(crate) send_ms: Summary,
    /// Writing 16 bytes over others and waiting for this disk, as the client does with its counter
    /// before the packet leaves.
    pub(crate) counter_ms: Summary,
    /// What holds the client's folder.
    pub(crate) file_system: String,
}

impl Client {
    /// What a packet may take at most, beyond which the promise is broken.
    pub(crate) fn limit_ms(&self) -> f64 {
        2.0 * self.nothing_ms.median + 5.0
    }
}

/// Starts each of them so many times.
pub(crate) fn measure(paths: &Paths, scale: &Scale) -> Result<Client> {
    let program = paths.program("ruroco-client")?;
    let folder = Directory::new();
    set_up(folder.path())?;
    let measured = folder.path().join("measured");
    durable::create(&measured, &[0; 16])?;
    let host = Namespace::new();
    let wire = SendTimes::of(&host, PORT);
    let rounds = || -> Result<[Vec<f64>; 5]> {
        // So that nobody answers that there is no such port.
        let _socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, PORT))?;
        let mut times: [Vec<f64>; 5] = Default::default();
        for _ in 0..scale.starts {
            let client = |arguments: &[&str]| {
                let mut command = Command::new(&program);
                command.args(arguments).env("RUROCO_CONF_DIR", folder.path());
                command
            };
            let nothing = run(&mut Command::new("true"))?;
            let version = run(&mut client(&["--version"]))?;
            drop(wire.take());
            let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
            let send = run(&mut client(&["send", "home"]))?;
            let sent = wire.take().into_iter().next().context("no packet was sent")?;
            let packet = sent.checked_sub(begun).context("the clock went back")? as f64 / 1e6;
            let begun = Instant::now();
            write_over(&measured)?;
            let counter = begun.elapsed().as_secs_f64() * 1e3;
            let all = [nothing, version, packet, send, counter];
            times.iter_mut().zip(all).for_each(|(times, time)| times.push(time));
        }
        Ok(times)
    };
    let times = host.enter(rounds)?;
    let [nothing_ms, version_ms, packet_ms, send_ms, counter_ms] =
        times.map(|times| Summary::of(times).unwrap_or_default());
    let bytes = fs::metadata(&program).context("could not find ruroco-client")?.len();
    let file_system = file_system(folder.path());
    Ok(Client { bytes, nothing_ms, version_ms, packet_ms, send_ms, counter_ms, file_system })
}

/// A folder as a person has it: one host, one key.
fn set_up(folder: &Path) -> Result<()> {
    let key = folder.join("home.key");
    let made = generate_key().context("could not get random numbers for a key")?;
    durable::create(&key, made.to_line().as_bytes())?;
    let host = format!("[hosts.home]\naddress = \"127.0.0.1:{PORT}\"\nkey = {key:?}\n");
    fs::write(folder.join("client.toml"), host).context("could not write client.toml")
}

/// What the client does with its counter, and nothing else.
fn write_over(file: &Path) -> Result<()> {
    let mut file = fs::File::options().write(true).open(file)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    file.write_all(&now.to_be_bytes())?;
    Ok(file.sync_data()?)
}

/// Milliseconds until it has ended.
fn run(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("could not start {command:?}"))?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took)
}

/// The kind of file system that a folder is on.
fn file_system(folder: &Path) -> String {
    let mut stat = Command::new("stat");
    crate::said_by(stat.args(["--file-system", "--format=%T"]).arg(PathBuf::from(folder)))
}
