//! What a packet costs the host that receives it: with a door, with an nftables set, and without a guard.
//!
//! A guard in the driver and one in the network stack have no place in common where their cost could be
//! measured. So the whole of the receiving thread is: it does nothing but receive this flood. Guards take
//! turns within a round.

use std::{
    fs,
    io::Write,
    net::{IpAddr, TcpListener, UdpSocket},
    process::Stdio,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aya::programs::{XdpMode, xdp::XdpLinkId};
use ruroco_common::doors::LeaseKey;
use ruroco_lab::{
    attacker::{
        self, ATTACKED_INTERFACE, ATTACKED_MAC, ATTACKER_INTERFACE, ATTACKER_MAC, Attacker, Offload,
    },
    namespace::Namespace,
    network::{Network, SERVER},
};
use serde::Serialize;

use super::{
    TCP_PORT, UDP_PORT,
    cost::{FLOW, SESSION, SYN},
    packets::{Session, udp},
};
use crate::{
    cpu::Times,
    flood::{RECEIVER, receive_on_own_cpu},
    frame,
    generator::{Generator, Rate, Recipe, Target},
    kernel::{Kernel, Own},
    paths::Paths,
    scale::Scale,
    statistics::Summary,
};

/// Sources of a flood: 2 to the power of this.
pub(super) const SOURCE_BITS: u32 = 20;

/// The attacker's address.
const ATTACKER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2));

/// What stands between a packet and the network stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Guard {
    /// An XDP program that does nothing: the floor.
    Empty,
    /// The gate's program.
    Door,
    /// An nftables set, before the stack has looked at the packet.
    Prerouting,
    /// The same where firewalls usually stand, with connection tracking.
    Input,
    /// Nothing.
    None,
}

impl Guard {
    pub(super) const ALL: [Self; 5] =
        [Self::Empty, Self::Door, Self::Prerouting, Self::Input, Self::None];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty XDP program",
            Self::Door => "door",
            Self::Prerouting => "nftables set, prerouting",
            Self::Input => "nftables set, input",
            Self::None => "no guard",
        }
    }

    /// Rules for the ports that have doors. Chains in the place of those of the packaged example and, before
    /// the stack has looked at a packet, without knowledge of connections.
    const fn rules(self) -> Option<&'static str> {
        match self {
            Self::Prerouting => Some(
                "table inet bench {\n\
                 set open { type ipv4_addr; flags timeout; }\n\
                 chain guard { type filter hook prerouting priority raw; policy accept;\n\
                 tcp dport 2222 tcp flags & (syn | ack) == syn ip saddr != @open drop\n\
                 udp dport 51820 ip saddr != @open drop\n}\n}\n\
                 add element inet bench open { 203.0.113.2 timeout 1h }\n",
            ),
            Self::Input => Some(
                "table inet bench {\n\
                 set open { type ipv4_addr; flags timeout; }\n\
                 chain guard { type filter hook input priority filter; policy accept;\n\
                 ct state established,related accept\n\
                 tcp dport 2222 ip saddr @open accept\n\
                 udp dport 51820 ip saddr @open accept\n\
                 tcp dport 2222 drop\n\
                 udp dport 51820 drop\n}\n}\n\
                 add element inet bench open { 203.0.113.2 timeout 1h }\n",
            ),
            Self::Empty | Self::Door | Self::None => None,
        }
    }
}

/// Nanoseconds of the receiving thread for each packet of a kind, by guard.
#[derive(Debug, Serialize)]
pub(crate) struct Received {
    pub(super) packet: &'static str,
    pub(super) guards: Vec<(Guard, Summary)>,
    /// Packets a second that were received.
    pub(super) rates: Vec<(Guard, Summary)>,
}

/// The attacked host, with sockets behind the ports.
struct Host {
    network: Network,
    attacker: Attacker,
    door: Kernel,
    empty: [Own; 2],
    receivers: Vec<u32>,
    /// Lasts as long as the host, as do the sockets.
    session: Session,
    _sockets: (TcpListener, UdpSocket),
}

/// An attached guard.
enum Attached {
    Xdp(XdpLinkId),
    Rules,
    None,
}

/// Takes every measurement.
pub(super) fn measure(paths: &Paths, scale: &Scale) -> Result<Vec<Received>> {
    let mut host = Host::new(paths)?;
    let mut generator = Generator::load(paths, &host.attacker)?;
    let macs = [ATTACKER_MAC, ATTACKED_MAC];
    let syns = Recipe::new(frame::SYN, SOURCE_BITS, &[]).at_door(SERVER.v4, TCP_PORT)?;
    let flow = udp(macs, ATTACKER, SERVER.v4.into(), UDP_PORT)?;
    let recipes = [
        (SYN, syns),
        (SESSION, Recipe::whole(host.session.frame.clone())),
        (FLOW, Recipe::whole(flow)),
    ];
    let mut all: Vec<Received> = Vec::new();
    for (packet, recipe) in &recipes {
        let mut times = vec![Vec::new(); Guard::ALL.len()];
        let mut rates = vec![Vec::new(); Guard::ALL.len()];
        for _ in 0..scale.doors.flood_rounds {
            for (place, guard) in Guard::ALL.into_iter().enumerate() {
                let drops = *packet == SYN;
                let (ns, rate) = host.flood(&mut generator, recipe, guard, drops, scale)?;
                times[place].push(ns);
                rates[place].push(rate);
            }
        }
        let by_guard = |values: Vec<Vec<f64>>| {
            let all = Guard::ALL.into_iter().zip(values);
            all.filter_map(|(guard, values)| Some((guard, Summary::of(values)?))).collect()
        };
        all.push(Received { packet, guards: by_guard(times), rates: by_guard(rates) });
    }
    Ok(all)
}

impl Host {
    fn new(paths: &Paths) -> Result<Self> {
        let network = Network::new();
        let attacker = Attacker::join(&network);
        attacker::poll(&network.server, ATTACKED_INTERFACE);
        // What the attacker sends is sent again, so its checksum must be right.
        attacker::set_offload(&attacker.namespace, ATTACKER_INTERFACE, Offload::Checksums, false);
        route_back(&network.server);
        let receivers = receive_on_own_cpu(&network.server, ATTACKED_INTERFACE)?;
        let sockets = network.server.enter(|| -> Result<_> {
            let listener = TcpListener::bind((SERVER.v4, TCP_PORT))?;
            Ok((listener, UdpSocket::bind((SERVER.v4, UDP_PORT))?))
        })?;
        let session = Session::new(&attacker.namespace, &sockets.0)?;
        let mut door = super::kernel()?;
        let key = LeaseKey { address: ATTACKER.into(), door: super::name()? };
        ensure!(door.doors()?.put(&key, &super::lease())?, "no room for a lease");
        let object = paths.flood_object();
        let empty = [Own::load(&object, frame::DROP)?, Own::load(&object, frame::PASS)?];
        Ok(Self { network, attacker, door, empty, receivers, session, _sockets: sockets })
    }

    /// Nanoseconds of the receiving thread for each packet, and packets a second.
    fn flood(
        &mut self,
        generator: &mut Generator,
        recipe: &Recipe,
        guard: Guard,
        drops: bool,
        scale: &Scale,
    ) -> Result<(f64, f64)> {
        let attached = self.attach(guard, drops)?;
        let target = Target::own_link(&self.attacker.namespace, UDP_PORT);
        let receivers = [(RECEIVER.to_owned(), self.receivers.clone())];
        let (server, time) = (&self.network.server, scale.doors.flood_time);
        let ((times, packets, seconds), _) =
            generator.flood(&target, recipe, Rate::Maximum, || {
                let begun = std::time::Instant::now();
                let (then, before) = (Times::now(&receivers)?, received(server)?);
                thread::sleep(time);
                let (now, after) = (Times::now(&receivers)?, received(server)?);
                Ok((now.since(&then), after - before, begun.elapsed().as_secs_f64()))
            })?;
        self.detach(guard, drops, attached)?;
        // What still is in queues.
        thread::sleep(Duration::from_millis(20));
        ensure!(packets > 0, "nothing arrived with {}", guard.name());
        let busy = times.processes.get(RECEIVER).copied().unwrap_or_default();
        Ok((busy / packets as f64 * 1e9, packets as f64 / seconds))
    }

    fn program(&mut self, guard: Guard, drops: bool) -> Result<Option<&mut aya::programs::Xdp>> {
        let [drop, pass] = &mut self.empty;
        Ok(match guard {
            Guard::Empty => Some(if drops { drop } else { pass }.xdp_mut()?),
            Guard::Door => Some(self.door.xdp_mut()?),
            Guard::Prerouting | Guard::Input | Guard::None => None,
        })
    }

    fn attach(&mut self, guard: Guard, drops: bool) -> Result<Attached> {
        if let Some(rules) = guard.rules() {
            nft(&self.network.server, rules)?;
            return Ok(Attached::Rules);
        }
        let index = attacker::interface_index(&self.network.server, ATTACKED_INTERFACE);
        let server = self.network.server.handle();
        let Some(program) = self.program(guard, drops)? else { return Ok(Attached::None) };
        let link = server.enter(|| program.attach_to_if_index(index, XdpMode::Driver));
        Ok(Attached::Xdp(link.with_context(|| format!("could not attach {}", guard.name()))?))
    }

    fn detach(&mut self, guard: Guard, drops: bool, attached: Attached) -> Result<()> {
        match attached {
            Attached::Xdp(link) => {
                let server = self.network.server.handle();
                let program = self.program(guard, drops)?.context("it was attached")?;
                Ok(server.enter(|| program.detach(link))?)
            }
            Attached::Rules => nft(&self.network.server, "delete table inet bench\n"),
            Attached::None => Ok(()),
        }
    }
}

/// Answers to the sources of a flood go back where it comes from.
pub(super) fn route_back(server: &Namespace) {
    server.ip("route add 10.0.0.0/8 via 203.0.113.2 dev attack1\n");
}

/// Packets that have come in on the attacked interface, whatever became of them.
fn received(server: &Namespace) -> Result<u64> {
    let text = server.enter(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
    let prefix = format!("{ATTACKED_INTERFACE}:");
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(&prefix));
    let packets = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    packets.context("the attacked interface has no counter")
}

/// Has nft read this.
pub(super) fn nft(host: &Namespace, rules: &str) -> Result<()> {
    let mut command = host.command();
    command.args(["nft", "-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("could not start nft (Debian: nftables)")?;
    child.stdin.take().context("its input is a pipe")?.write_all(rules.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft rejected\n{rules}\n{said}");
    Ok(())
}
