//! What the gate reports to its operator, over a socket that only root can connect to.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Seek},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use ruroco_ipc::private_socket::{connect, receive_descriptor, send_descriptor};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use super::addresses::AddressStatus;

/// File name of the status socket in `socket_dir`.
pub const SOCKET: &str = "status.sock";

/// The only version of the answer there is: one byte, with the descriptor of a file that holds a
/// [`Status`] as JSON.
const VERSION: u8 = 7;

/// How long a gate that is running may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The state of a running gate.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// The gate's release.
    pub version: String,
    /// The front of the gate.
    #[serde(flatten)]
    pub front: FrontStatus,
    /// When the gate was started, in seconds since 1970.
    pub start_time_seconds: u64,
    /// How long ago that was when it answered, in milliseconds.
    pub uptime_ms: u64,
    /// Since when the program is on all configured interfaces, or not (RFC 3339, UTC).
    pub since: String,
    /// For how long, in milliseconds.
    pub since_ms: u64,
    /// Our UDP port.
    pub port: u16,
    /// Our addresses, as each is on this host.
    pub addresses: Vec<AddressStatus>,
    /// What our port looks like from outside: `filtered` or `closed`.
    pub appearance: String,
    /// Our keys.
    pub keys: Vec<KeyStatus>,
    /// Our doors.
    pub doors: Vec<DoorStatus>,
    /// Whether they are armed.
    pub arming: ArmingStatus,
    /// The table of the doors that nftables closes, if there are any.
    pub nftables: Option<TableStatus>,
}

/// The state of the front of the gate: the program, its interfaces and its ring.
#[derive(Debug, Serialize, Deserialize)]
pub struct FrontStatus {
    /// The XDP program.
    pub program: ProgramStatus,
    /// Whether the program is on all configured interfaces.
    pub attached: bool,
    /// The interfaces of the configuration.
    pub interfaces: Vec<InterfaceStatus>,
    /// Whether a server has the ring.
    pub server_connected: bool,
    /// The process id of that server.
    pub server_pid: Option<u32>,
    /// The ring between the program and the server.
    pub ring: RingFill,
    /// Packets since this gate started, by the verdict's name.
    pub verdicts: BTreeMap<String, u64>,
}

/// What the kernel says of the XDP program.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// Its tag, a hash of its instructions, as bpftool shows it.
    pub tag: Option<String>,
    /// How much memory its maps have.
    pub map_memory_bytes: u64,
}

/// The state of one interface.
#[derive(Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name in the configuration.
    pub name: String,
    /// The name that `ip link` shows, if that is another one.
    pub device: Option<String>,
    /// The kernel's number of the device that the program is on.
    pub index: Option<u32>,
    /// Whether the program is on it.
    pub attached: bool,
    /// `native` or `generic`, while it is.
    pub mode: Option<String>,
    /// What is not as it should be.
    pub problem: Option<String>,
}

/// How full the ring of candidates is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingFill {
    /// Bytes that wait for the server.
    pub waiting_bytes: u64,
    /// The position up to which a server has read. It rises as long as one does.
    pub read_up_to: u64,
}

/// What may be told of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyStatus {
    /// The stem of its file's name.
    pub name: String,
    /// Its id in hexadecimal.
    pub id: String,
    /// Its `expires`.
    pub expires: Option<String>,
    /// Whether the program treats it as unknown, because it has expired.
    pub expired: bool,
}

/// Whether doors are armed: closed to everyone without a lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArmingStatus {
    /// Whether they are closed now.
    pub armed: bool,
    /// After how long they are open to everyone unless this is confirmed, in milliseconds.
    pub left_ms: Option<u64>,
}

/// The state of the table `inet ruroco`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableStatus {
    /// How many times the gate has restored it after another program had removed or changed it.
    pub restored: u64,
    /// Why it may not be in force.
    pub problem: Option<String>,
}

/// The state of one door.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DoorStatus {
    /// Its name.
    pub name: String,
    /// Its ports, such as `tcp/22`.
    pub ports: Vec<String>,
    /// What closes it: `xdp`, `nftables` or both.
    pub backends: Vec<String>,
    /// For how many seconds a knock opens it.
    pub for_seconds: u64,
    /// How many connections and flows leases have admitted since this gate started.
    pub admitted: u64,
    /// How many flows pass now: of UDP and of forwarded TCP. `None` if the door has neither.
    pub flows: Option<u64>,
    /// For which addresses it is open.
    pub leases: Vec<LeaseStatus>,
}

/// One address that a door is open for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseStatus {
    /// The address, or the first one of its network.
    pub address: String,
    /// The name of the key whose knock was the last.
    pub key: String,
    /// For how long it has been open, in milliseconds.
    pub open_ms: u64,
    /// For how long it remains open, in milliseconds.
    pub left_ms: u64,
    /// How many connections have started.
    pub connections: Option<u64>,
}

/// Answers a connection, which is the request. The answer is a file without a name, so that it may have any
/// length, and the gate does not wait for the reader.
pub(super) fn answer(peer: BorrowedFd<'_>, status: anyhow::Result<Status>) {
    let answered = status.and_then(|status| {
        let file = memfd_create("ruroco-status", MemfdFlags::CLOEXEC)?;
        serde_json::to_writer(BufWriter::new(File::from(file.try_clone()?)), &status)?;
        Ok(send_descriptor(peer, &[VERSION], file.as_fd())?)
    });
    if let Err(error) = answered {
        tracing::warn!("could not answer a request for the status: {error:#}");
    }
}

/// Requests the status of the running gate.
///
/// # Errors
/// If no gate runs, or this process has no permission to connect.
pub fn ask(socket_dir: &Path) -> anyhow::Result<Status> {
    let path = socket_dir.join(SOCKET);
    let mut answer = question(&path)
        .with_context(|| format!("cannot reach ruroco-gate at {}", path.display()))?;
    answer.rewind().context("cannot read the answer of ruroco-gate")?;
    serde_json::from_reader(BufReader::new(answer))
        .context("cannot parse the answer of ruroco-gate, which may be of another release")
}

fn question(path: &Path) -> anyhow::Result<File> {
    let gate = connect(path)?;
    let mut version = [0];
    match receive_descriptor(gate.as_fd(), &mut version, PATIENCE)? {
        (1, Some(answer)) if version == [VERSION] => Ok(File::from(answer)),
        _ => bail!("ruroco-gate sent another kind of answer. It may be of another release"),
    }
}
