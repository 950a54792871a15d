//! WireGuard behind a door, with peers that are not ours: wireguard-go.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::Duration,
};

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    daemon::Daemon,
    lab::{require_tool, udp_socket},
    mount::Mount,
    namespace::Namespace,
    network::{Family, SERVER, THIRD},
    programs, wait,
};

use super::site::{ANSWER, Site, options_at};

/// The port that is usual.
const WIREGUARD: u16 = 51_820;

/// Where something listens inside the tunnel.
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const SERVICE: u16 = 80;

/// A lease that ends before the flows that began under it.
const LEASE: &str = "60s";
const LONGER: Duration = Duration::from_secs(100);

/// Private and public key, made for these tests.
struct Keys {
    private: &'static str,
    public: &'static str,
}

const SERVER_KEYS: Keys = Keys {
    private: "5082ba6dfe648e672259ebd365a861385fc5c29115746326979a7374ff4bd567",
    public: "5825f351cce597bbc1221e9a4c0f2144ce2f1e206b2580b1ed0d6be431bbde2c",
};
const CLIENT_KEYS: Keys = Keys {
    private: "68fe5bbe9fd994c01cb08133a098a566b7da22331e87ceb43383c1c47c4b6349",
    public: "7a6fbef0b3766b26a35c2e9ce3cd7a53927650b32c9becf262a0e6cecdbf776f",
};
const THIRD_KEYS: Keys = Keys {
    private: "10e72d0df985c27a84200a13c0e1d52555ae5aeda93c55fc7debdb365dc75e4d",
    public: "20932cbe1a967d0f18f5a246c095aad28b12316f1339211436f0cb70f9888a32",
};

/// One end of the tunnel, with an interface of its own.
struct Peer {
    interface: &'static str,
    _daemon: Daemon,
}

impl Peer {
    fn start(host: &Namespace, interface: &'static str, keys: &Keys, last: u8) -> Self {
        let mut command = host.command();
        programs::add_launcher(&mut command, None);
        command.args(["wireguard-go", "--foreground", interface]).env("LOG_LEVEL", "error");
        let daemon = Daemon::start(interface, &mut command);
        let peer = Self { interface, _daemon: daemon };
        wait::until("wireguard-go to take orders", || peer.connect().ok());
        peer.set(&format!("private_key={}", keys.private));
        host.ip(&format!("addr add 10.9.0.{last}/24 dev {interface}\nlink set {interface} up\n"));
        peer
    }

    fn connect(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(format!("/run/wireguard/{}.sock", self.interface))
    }

    /// What it answers to an order, in the language that all implementations speak
    /// (<https://www.wireguard.com/xplatform/>).
    fn ask(&self, order: &str) -> Vec<String> {
        let mut stream = self.connect().unwrap();
        stream.write_all(format!("{order}\n\n").as_bytes()).unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        let answer: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        assert!(answer.contains(&"errno=0".to_owned()), "{order}: {answer:?}");
        answer
    }

    fn set(&self, lines: &str) {
        self.ask(&format!("set=1\n{lines}"));
    }

    /// Makes a peer known as if for the first time: its next packet begins a handshake at once.
    fn know(&self, keys: &Keys, lines: &str) {
        let public = keys.public;
        self.set(&format!("public_key={public}\nremove=true"));
        self.set(&format!("public_key={public}\n{lines}"));
    }

    /// How many bytes have come from peers, and whether there has been a handshake.
    fn received(&self) -> (u64, bool) {
        let answer = self.ask("get=1");
        let sum = |name: &str| -> u64 {
            let values = answer.iter().filter_map(|line| line.strip_prefix(name));
            values.map(|value| value.parse::<u64>().unwrap()).sum()
        };
        (sum("rx_bytes="), sum("last_handshake_time_sec=") != 0)
    }
}

/// Has a host know the server at its address of a family.
fn know_server(peer: &Peer, family: Family) {
    let endpoint = SocketAddr::from((SERVER.of(family), WIREGUARD));
    peer.know(&SERVER_KEYS, &format!("endpoint={endpoint}\nallowed_ip={INSIDE}/32"));
}

/// A connection through the tunnel.
fn connect(host: &Namespace, patience: Duration) -> Option<TcpStream> {
    let to = (INSIDE, SERVICE).into();
    host.enter(|| TcpStream::connect_timeout(&to, patience)).ok()
}

/// What is sent through the tunnel comes back.
#[track_caller]
fn expect_alive(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    stream.write_all(b"ping\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("the tunnel is broken");
    assert_eq!(line, "ping\n");
}

/// Returns to each client what it sends.
fn start_echo(server: &Namespace) {
    let listener = server.enter(|| TcpListener::bind((INSIDE, SERVICE))).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_tunnel_begins_with_a_knock_and_outlives_the_lease() {
    require_tool("wireguard-go");
    let mut site = Site::new(&options_at(&format!("udp/{WIREGUARD}"), LEASE));
    let _run = Mount::memory(Path::new("/run"), 1 << 20);
    fs::create_dir("/run/wireguard").unwrap();
    let network = &site.lab.network;
    let server = Peer::start(&network.server, "wg-server", &SERVER_KEYS, 1);
    let client = Peer::start(&network.client, "wg-client", &CLIENT_KEYS, 2);
    let third = Peer::start(&network.third, "wg-third", &THIRD_KEYS, 3);
    start_echo(&network.server);

    for family in Family::BOTH {
        // As if the server had never heard of them.
        server.set(&format!("listen_port={WIREGUARD}"));
        server.know(&CLIENT_KEYS, "allowed_ip=10.9.0.2/32");
        server.know(&THIRD_KEYS, "allowed_ip=10.9.0.3/32");
        know_server(&client, family);
        know_server(&third, family);
        let closed = site.lab.verdicts().of(Verdict::DoorClosed);
        for host in [&site.lab.network.client, &site.lab.network.third] {
            assert!(connect(host, ANSWER).is_none(), "a tunnel without a knock");
        }
        assert!(site.lab.verdicts().of(Verdict::DoorClosed) > closed);
        assert_eq!(server.received(), (0, false));

        site.open(family);
        know_server(&client, family);
        let mut through = connect(&site.lab.network.client, wait::DEADLINE).expect("no tunnel");
        expect_alive(&mut through);
        assert!(client.received().1, "no handshake");

        site.let_time_pass(LONGER);
        expect_alive(&mut through);
        connect(&site.lab.network.client, wait::DEADLINE).expect("the tunnel is broken");
        let other = udp_socket(&site.lab.network.client, family.unspecified());
        let closed = site.lab.verdicts().of(Verdict::DoorClosed);
        other.send_to(b"other", (SERVER.of(family), WIREGUARD)).unwrap();
        wait::until("the door to be closed for another port", || {
            (site.lab.verdicts().of(Verdict::DoorClosed) > closed).then_some(())
        });

        know_server(&third, family);
        assert!(connect(&site.lab.network.third, ANSWER).is_none(), "a tunnel without a knock");
        assert_eq!(third.received(), (0, false));
        site.open_for(THIRD.of(family));
        know_server(&third, family);
        connect(&site.lab.network.third, wait::DEADLINE).expect("no tunnel after a knock");
    }
}
