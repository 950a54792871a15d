//! A guest whose sshd is behind doors, the client that knocks, and somebody who has no key.

use std::{
    fs,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ruroco_lab::{
    namespace::Namespace,
    network::{CLIENT, Family, Network, SERVER},
    programs,
    shell::Shell,
    wait,
};
use serde_json::Value;

use crate::host::{Host, KEY};

/// Where sshd listens: behind a door that the XDP program closes, and behind one that nftables closes.
pub(crate) const XDP: u16 = 22;
pub(crate) const NFTABLES: u16 = 2200;

/// How long an answer may take, where a closed door gives none.
pub(crate) const ANSWER: Duration = Duration::from_millis(300);

/// The same for a stranger, who tries as often as possible.
const SHORT_ANSWER: Duration = Duration::from_millis(10);

/// How long it rests between attempts.
const PAUSE: Duration = Duration::from_millis(1);

/// Brings the network up, as the network's service does on any other Debian. With a route to everywhere, `init` knows
/// where knocks come from.
const NETWORK: &str = "\
link set server0 up
addr replace 192.0.2.1/24 dev server0
addr replace 2001:db8:1::1/64 dev server0 nodad
neigh replace 192.0.2.2 lladdr 02:00:00:00:01:02 dev server0 nud permanent
neigh replace 2001:db8:1::2 lladdr 02:00:00:00:01:02 dev server0 nud permanent
route replace default via 192.0.2.2
";
const NETWORK_SERVICE: &str = "\
[Unit]
After=network-pre.target
Before=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ip -batch /etc/lab-network

[Install]
WantedBy=multi-user.target
";

/// Has the host bring its network up by itself, now and at each boot.
pub(crate) fn add_network(host: &Host) {
    host.guest.write("/etc/lab-network", NETWORK);
    host.guest.write("/etc/systemd/system/lab-network.service", NETWORK_SERVICE);
    host.guest.run("systemctl daemon-reload && systemctl enable --now lab-network");
}

/// A connection from the client's address, which may have a lease.
pub(crate) fn connect(client: &Namespace, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let to: SocketAddr = (SERVER.of(Family::V4), port).into();
    client.enter(|| TcpStream::connect_timeout(&to, patience))
}

#[track_caller]
pub(crate) fn expect_closed(host: &Host, port: u16) {
    let error = connect(&host.network.client, port, ANSWER).expect_err("the door is open");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
}

/// Waits until no lease is left.
#[track_caller]
pub(crate) fn wait_until_closed(host: &Host, port: u16) {
    wait::until("the end of the leases", || {
        let shown = host.guest.run("ruroco doors --json");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let doors = shown["doors"].as_array().unwrap().iter();
        doors.map(|door| door["leases"].as_array().unwrap()).all(Vec::is_empty).then_some(())
    });
    expect_closed(host, port);
}

/// The client comes in, without another knock.
#[track_caller]
pub(crate) fn expect_open(host: &Host, port: u16) {
    connect(&host.network.client, port, wait::DEADLINE).expect("the door is not open");
}

/// Gives the operator a way in that any host with sshd has: a key of the laptop's.
pub(crate) fn authorize(host: &Host) {
    let [key, known] = ["id", "known_hosts"].map(|name| host.client_file(name));
    let mut make = Command::new("ssh-keygen");
    let made = make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    host.guest.run("install -d -m 700 /root/.ssh");
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    host.guest.write("/root/.ssh/authorized_keys", &public);
    let host_key = host.guest.run("cat /etc/ssh/ssh_host_ed25519_key.pub");
    let address = SERVER.v4;
    let lines = format!("{address} {host_key}[{address}]:{NFTABLES} {host_key}");
    fs::write(known, lines).unwrap();
}

/// `ssh root@HOST`, as it is in the documentation but for the names of files and the time that it takes.
pub(crate) fn ssh(host: &Host, port: u16, options: &[&str]) -> Command {
    let mut ssh = host.on_client("ssh");
    ssh.args(["-F", "none", "-p", &port.to_string(), "-o", "BatchMode=yes", "-i"]);
    ssh.arg(host.client_file("id"));
    let known = format!("UserKnownHostsFile={}", host.client_file("known_hosts").display());
    ssh.args(["-o", &known]);
    ssh.args(options.iter().flat_map(|option| ["-o", option]));
    ssh.arg(format!("root@{}", SERVER.v4));
    ssh
}

/// The same by a knock.
#[track_caller]
pub(crate) fn log_in(host: &Host, port: u16) -> Shell {
    let client = programs::path("ruroco-client");
    let proxy = format!("ProxyCommand={} proxy %h %p", client.display());
    let mut shell = Shell::start(ssh(host, port, &[&proxy]));
    assert_eq!(shell.from(), CLIENT.v4.to_string());
    shell.expect_alive();
    shell
}

/// Shows an invitation on the host, and pastes it into `ruroco-client join`.
pub(crate) fn invite(host: &Host) {
    let invitation = host.guest.run(&format!("ruroco invite {KEY}"));
    let line = invitation.lines().find(|line| line.starts_with("ruroco://")).unwrap();
    let mut join = host.on_client(programs::path("ruroco-client"));
    let pipes = join.arg("join").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut join = pipes.stderr(Stdio::piped()).spawn().unwrap();
    writeln!(join.stdin.take().unwrap(), "{line}").unwrap();
    let output = join.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn status(host: &Host) -> Value {
    serde_json::from_str(&host.guest.run("ruroco status --json")).unwrap()
}

pub(crate) fn arming(host: &Host) -> Value {
    status(host)["arming"].clone()
}

/// Sets up both doors, with leases of this duration, and has sshd listen behind both.
pub(crate) fn set_up_both(host: &Host, lease: &str) {
    host.guest.run("ruroco init --door ssh=tcp/22 --yes && ruroco confirm");
    let config = format!(
        "for = \"{lease}\"\n\n[doors.admin]\nport = \"tcp/{NFTABLES}\"\nfor = \"{lease}\"\n\
         backend = \"nftables\"\n"
    );
    host.guest.write("/root/doors.toml", &config);
    host.guest.run("cat /root/doors.toml >> /etc/ruroco/config.toml");
    host.guest.run("sed -i 's/^open = .*/open = [\"ssh\", \"admin\"]/' /etc/ruroco/commands.toml");
    host.guest.run("ruroco check && systemctl reload ruroco-commander ruroco-gate");
    let ports = format!("Port {XDP}\nPort {NFTABLES}\n");
    host.guest.write("/etc/ssh/sshd_config.d/ports.conf", &ports);
    host.guest.run("systemctl restart ssh");
    invite(host);
}

/// Reboots, from a network that is down, while a stranger tries to connect.
pub(crate) fn reboot_behind_doors(host: &mut Host, ports: &[u16]) {
    host.network.server.ip("link set server0 down\n");
    let stranger = Stranger::start(&host.network, ports);
    host.guest.reboot(&host.network.server);
    host.guest.wait_until("systemctl is-active ssh ruroco-gate ruroco-server ruroco-commander");
    stranger.expect_kept_out();
    let [gate, network, sshd] = ["ruroco-gate", "lab-network", "ssh"].map(|unit| -> u64 {
        host.guest.property(unit, "ActiveEnterTimestampMonotonic").parse().unwrap()
    });
    assert!(0 < gate && gate < network && network < sshd, "{gate} {network} {sshd}");
}

/// Somebody without a lease, who tries to connect all the time: from the client's IPv6 address, as the client knocks
/// by IPv4.
pub(crate) struct Stranger {
    is_over: Arc<AtomicBool>,
    tries: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Vec<u16>>>,
}

impl Stranger {
    pub(crate) fn start(network: &Network, ports: &[u16]) -> Self {
        let (is_over, tries) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ends, counter) = (Arc::clone(&is_over), Arc::clone(&tries));
        let (client, ports) = (network.client.handle(), ports.to_vec());
        let came_in = move |port: &u16| {
            counter.fetch_add(1, Ordering::Relaxed);
            let to: SocketAddr = (SERVER.of(Family::V6), *port).into();
            client.enter(|| TcpStream::connect_timeout(&to, SHORT_ANSWER)).is_ok()
        };
        let attack = move || {
            let mut open = Vec::new();
            while !ends.load(Ordering::SeqCst) {
                open.extend(ports.iter().copied().filter(&came_in));
                // While there is no network, each attempt fails at once.
                thread::park_timeout(PAUSE);
            }
            open
        };
        Self { is_over, tries, thread: Some(thread::spawn(attack)) }
    }

    /// Ends it, and makes sure that it has tried, and that no door was open.
    #[track_caller]
    pub(crate) fn expect_kept_out(mut self) {
        let enough = self.tries.load(Ordering::Relaxed) + 20;
        wait::until("attempts", || (self.tries.load(Ordering::Relaxed) >= enough).then_some(()));
        self.is_over.store(true, Ordering::SeqCst);
        let open = self.thread.take().unwrap().join().unwrap();
        assert!(open.is_empty(), "doors were open for a stranger: {open:?}");
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}
