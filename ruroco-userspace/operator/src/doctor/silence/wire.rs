//! The wire of the self-test: two network namespaces, a veth pair, and a listener.

use std::{
    fs::{self, File},
    io::Write,
    net::{IpAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::{self, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    sched::{CloneFlags, setns, unshare},
    sys::socket::{
        AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recv, sendto, socket,
    },
};
use ruroco_daemon::wait::wait;
use rustix::net::{
    AddressFamily as Family, SocketFlags, SocketType, netdevice::name_to_index, socket_with,
};

use super::{PATIENCE, V4, V6};

/// After how long an unanswered packet is sent again.
const AGAIN: Duration = Duration::from_millis(500);

/// The interface of the gate, and that of the sender.
pub(super) const GATE_INTERFACE: &str = "gate0";
const CLIENT_INTERFACE: &str = "client0";

/// Their hardware addresses; locally administered.
const GATE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const CLIENT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 2];

/// A network namespace other than that of the thread.
pub(super) struct Namespace(File);

impl Namespace {
    /// Makes one.
    pub(super) fn make() -> anyhow::Result<Self> {
        let inside = || {
            leave_for_a_new_namespace()?;
            let file = File::open("/proc/thread-self/ns/net");
            file.context("could not open the new network namespace").map(Self)
        };
        let made = thread::scope(|scope| scope.spawn(inside).join());
        made.unwrap_or_else(|_| Err(anyhow!("a thread ended early")))
    }

    /// Calls `f` on a thread inside. Sockets that it makes stay inside.
    pub(super) fn enter<T: Send>(
        &self,
        f: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        let inside = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET)
                .context("could not enter a network namespace")?;
            f()
        };
        let done = thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|_| Err(anyhow!("a thread ended early")))
    }
}

/// Puts this thread into a network namespace of its own.
pub(super) fn leave_for_a_new_namespace() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)
        .context("could not create a network namespace. Run this as root")
}

/// The two ends of the wire in one Internet protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// The gate's address.
    pub(super) gate: IpAddr,
    client: IpAddr,
}

/// Joins this thread's namespace, in which the gate runs, with another one. Returns the index of the gate's
/// interface, and the two addresses in each available protocol.
pub(super) fn connect(client: &Namespace) -> anyhow::Result<(u32, Vec<Peer>)> {
    // No answer may be kept back by a limit, and IPv6 is not to talk of itself. What cannot be set
    // stays as it is: the packets are few.
    for (name, value) in [
        ("ipv4/icmp_ratelimit", "0"),
        ("ipv6/icmp/ratelimit", "0"),
        ("ipv6/conf/default/router_solicitations", "0"),
    ] {
        let _ = fs::write(format!("/proc/sys/net/{name}"), value);
    }
    let there = format!("/proc/{}/fd/{}", process::id(), client.0.as_raw_fd());
    let [gate_mac, client_mac] = [GATE_MAC, CLIENT_MAC].map(text);
    ip(&format!(
        "link set lo up\n\
         link add {GATE_INTERFACE} address {gate_mac} type veth \
         peer name {CLIENT_INTERFACE} address {client_mac} netns {there}\n"
    ))?;
    let socket = socket_with(Family::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let index = name_to_index(&socket, GATE_INTERFACE)?;
    ip(&format!("link set {GATE_INTERFACE} up\n"))?;
    client.enter(|| ip(&format!("link set lo up\nlink set {CLIENT_INTERFACE} up\n")))?;
    let v4 = Peer { gate: V4[0].into(), client: V4[1].into() };
    let v6 = Peer { gate: V6[0].into(), client: V6[1].into() };
    let join = |peer: &Peer| -> anyhow::Result<()> {
        end(GATE_INTERFACE, peer.gate, peer.client, &client_mac)?;
        client.enter(|| end(CLIENT_INTERFACE, peer.client, peer.gate, &gate_mac))
    };
    join(&v4)?;
    // Where the kernel was started without IPv6 there is none to be tested.
    let has_v6 = fs::exists("/proc/sys/net/ipv6").unwrap_or(false) && join(&v6).is_ok();
    Ok((index, if has_v6 { vec![v4, v6] } else { vec![v4] }))
}

fn end(interface: &str, own: IpAddr, other: IpAddr, mac: &str) -> anyhow::Result<()> {
    let (bits, nodad) = if own.is_ipv4() { (24, "") } else { (64, "nodad") };
    ip(&format!(
        "neigh replace {other} lladdr {mac} dev {interface} nud permanent\n\
         addr add {own}/{bits} dev {interface} {nodad}\n"
    ))
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Runs lines of `ip` (iproute2) in this thread's namespace, where its children are, too.
fn ip(lines: &str) -> anyhow::Result<()> {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("could not run ip; install iproute2")?;
    let written = ip.stdin.take().map(|mut stdin| stdin.write_all(lines.as_bytes()));
    let output = ip.wait_with_output().context("could not wait for ip")?;
    if !output.status.success() {
        bail!("ip rejected {lines:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    written.unwrap_or(Ok(())).context("could not write to ip")
}

impl Peer {
    /// Sends a datagram to the gate. To be called on the client's side.
    pub(super) fn send(&self, port: u16, payload: &[u8]) -> anyhow::Result<()> {
        let socket = UdpSocket::bind((self.client, 0)).context("could not make a UDP socket")?;
        socket.send_to(payload, (self.gate, port)).context("could not send a packet")?;
        Ok(())
    }
}

/// Receives what reaches the client, from its creation on.
pub(super) struct Listener {
    socket: OwnedFd,
    interface: LinkAddr,
    answers: usize,
}

impl Listener {
    /// To be called on the client's side.
    pub(super) fn new() -> anyhow::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
            .context("could not make a packet socket")?;
        let interface = getifaddrs()?
            .filter(|entry| entry.interface_name == CLIENT_INTERFACE)
            .find_map(|entry| entry.address?.as_link_addr().copied())
            .context("the client's interface has disappeared")?;
        Ok(Self { socket, interface, answers: 0 })
    }

    /// How much has come from the gate that was no answer to a packet for another port.
    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    /// Sends to a port that is not the gate's until the stack answers that it is closed. To be called
    /// on the client's side.
    pub(super) fn answer_from(&mut self, peer: &Peer, port: u16) -> anyhow::Result<()> {
        let until = Instant::now().checked_add(PATIENCE);
        while until.is_some_and(|until| Instant::now() < until) {
            // Again, because the first may meet an interface that is not up yet.
            peer.send(port, b"is anybody there?")?;
            let soon = Instant::now().checked_add(AGAIN);
            while let [true] = wait([Some(self.socket.as_fd())], soon)? {
                if self.hear(peer, port)? {
                    return Ok(());
                }
            }
        }
        bail!(
            "the network stack does not reply from a closed port of {}, so the self-test cannot detect replies",
            peer.gate
        )
    }

    /// Takes all that has come. Says whether an answer from this port was among it.
    fn hear(&mut self, peer: &Peer, port: u16) -> anyhow::Result<bool> {
        let mut frame = [0; 2048];
        let mut is_answered = false;
        loop {
            let length = match recv(self.socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                Ok(length) => length,
                Err(Errno::EAGAIN) => return Ok(is_answered),
                // Said once of an interface that goes up or down.
                Err(Errno::ENETDOWN | Errno::EINTR) => continue,
                Err(error) => return Err(error).context("could not listen"),
            };
            let frame = frame.get(..length).unwrap_or_default();
            // From the gate, and for somebody in particular.
            let is_answer =
                frame.get(..6) == Some(&CLIENT_MAC) && frame.get(6..12) == Some(&GATE_MAC);
            match quoted_port(frame) {
                Some(quoted) if super::BESIDE.contains(&quoted) => {
                    is_answered |= quoted == port && is_ipv4(frame) == peer.gate.is_ipv4();
                }
                _ if is_answer => self.answers = self.answers.saturating_add(1),
                _ => {}
            }
        }
    }

    /// Sends a packet whose UDP header promises more than the packet contains.
    pub(super) fn send_truncated(&self, peer: &Peer, port: u16) -> anyhow::Result<()> {
        let mut frame = [&GATE_MAC[..], &CLIENT_MAC].concat();
        let udp = [&port.to_be_bytes()[..], &port.to_be_bytes(), &[0, 102, 0, 0]].concat();
        match (peer.client, peer.gate) {
            // Version and length of the header; then the total length, 20 + 8 + 47; then TTL and UDP.
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                frame.extend([0x08, 0x00, 0x45, 0, 0, 75, 0, 0, 0, 0, 64, 17, 0, 0]);
                frame.extend([from.octets(), to.octets()].concat());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 55, 17, 64]);
                frame.extend([from.octets(), to.octets()].concat());
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                bail!("the two addresses are not of the same protocol")
            }
        }
        frame.extend(udp);
        frame.extend([0; 47]);
        sendto(self.socket.as_raw_fd(), &frame, &self.interface, MsgFlags::empty())
            .context("could not send a frame")?;
        Ok(())
    }
}

fn is_ipv4(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x00])
}

/// The port that an ICMP error is about: it quotes the UDP packet that it answers.
fn quoted_port(frame: &[u8]) -> Option<u16> {
    const ICMP: u8 = 1;
    const ICMP_V6: u8 = 58;
    let port = match frame.get(12..14)? {
        [0x08, 0x00] if frame.get(23) == Some(&ICMP) => frame.get(64..66)?,
        [0x86, 0xdd] if frame.get(20) == Some(&ICMP_V6) => frame.get(104..106)?,
        _ => return None,
    };
    Some(u16::from_be_bytes(port.try_into().ok()?))
}
