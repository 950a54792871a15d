//! Doors that nftables closes, with and without the XDP program.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Stdio,
    time::Instant,
};

use nix::sys::signal::Signal;
use ruroco_lab::{
    lab::{Lab, udp_socket},
    network::{Family, THIRD},
    probe::Prober,
    raw, wait,
};

use super::kind::{BESIDE_XDP, BOTH, OF_NFTABLES, WITHOUT_XDP};
use super::site::{
    ANSWER, LONG, PORT, SHORT, SHORT_TIME, Session, behind, expect_closed_for, run_tool,
};
use super::trial::arming;

/// Runs `nft` on the server.
#[track_caller]
pub(super) fn nft(lab: &Lab, arguments: &[&str]) -> String {
    let output = lab.network.server.command().arg("nft").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Kills the gate. It may be about to start `nft`, which then has its lock until it runs.
pub(super) fn crash_gate(lab: &mut Lab) {
    lab.gate().crash();
    let lock = std::fs::File::open(lab.files.path("run").join("gate.lock")).unwrap();
    wait::until("the lock of the gate to be free", || lock.try_lock().ok());
    lock.unlock().unwrap();
}

fn has_table(lab: &Lab) -> bool {
    nft(lab, &["list", "tables"]).contains("table inet ruroco")
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_opens_the_door_for_its_address_alone_and_nftables_ends_the_lease() {
    for kind in OF_NFTABLES {
        let mut site = kind.site(SHORT, "");
        for family in Family::BOTH {
            site.expect_closed(family);
            site.open(family);
            let opened = Instant::now();
            let mut session = site.connect(family);
            expect_closed_for(&site.lab.network.third, family);
            assert_eq!(site.leases(family)[0]["connections"], 1, "{kind:?}");
            crash_gate(&mut site.lab);
            wait::until("the lease to be over", || (opened.elapsed() > SHORT_TIME).then_some(()));
            site.expect_closed(family);
            session.expect_alive();
            kind.start_gate(&mut site.lab);
            site.expect_closed(family);
            session.expect_alive();
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn each_lease_of_nftables_counts_its_own_connections() {
    let mut site = BESIDE_XDP.site(SHORT, "");
    let family = Family::V4;
    for lease in 1..=2 {
        site.open(family);
        site.connect(family).expect_alive();
        assert_eq!(site.leases(family)[0]["connections"], 1, "lease {lease}");
        assert_eq!(site.doors()[0]["admitted"], lease);
        site.wait_for_end_of_lease(family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn nftables_keeps_leases_across_reload_crash_and_flush() {
    for kind in OF_NFTABLES {
        let mut site = kind.site(LONG, "");
        for family in Family::BOTH {
            site.open(family);
            let mut session = site.connect(family);
            site.lab.reload_gate();
            site.connect(family).expect_alive();
            crash_gate(&mut site.lab);
            kind.start_gate(&mut site.lab);
            assert_eq!(site.leases(family)[0]["key"], "laptop");
            site.connect(family).expect_alive();
            nft(&site.lab, &["flush", "ruleset"]);
            site.lab.gate().wait_for(&["restored"]);
            assert!(has_table(&site.lab));
            expect_closed_for(&site.lab.network.third, family);
            site.connect(family).expect_alive();
            session.expect_alive();
        }
        assert!(site.lab.status()["nftables"]["restored"].as_u64() >= Some(1));
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_session_from_before_nftables_continues() {
    let kind = WITHOUT_XDP;
    let mut lab = Lab::running(&kind.options(LONG, ""));
    // As sshd does it, and not with an address of its own.
    let listen = || TcpListener::bind((Family::V6.unspecified(), PORT));
    let listener = lab.network.server.enter(listen).unwrap();
    let connect = |family: Family| {
        let near = lab.network.client.enter(|| TcpStream::connect(behind(family))).unwrap();
        let (far, _) = listener.accept().unwrap();
        Session { near, far }
    };
    let sessions = Family::BOTH.map(connect);
    kind.start_gate(&mut lab);
    for (family, mut session) in Family::BOTH.into_iter().zip(sessions) {
        session.expect_alive();
        expect_closed_for(&lab.network.client, family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn doors_of_nftables_on_trial_open_by_themselves_even_if_the_gate_has_died() {
    for kind in OF_NFTABLES {
        let mut site = kind.site(LONG, "");
        run_tool(&site.lab, &["arm", "--for", "3s"]);
        let armed = Instant::now();
        crash_gate(&mut site.lab);
        site.expect_closed(Family::V4);
        wait::until("the trial to be over", || (armed.elapsed() > SHORT_TIME).then_some(()));
        for family in Family::BOTH {
            site.connect(family).expect_alive();
        }
        kind.start_gate(&mut site.lab);
        site.lab.gate().wait_for(&["doors are open to everyone"]);
        site.connect(Family::V4).expect_alive();
        run_tool(&site.lab, &["arm"]);
        site.expect_closed(Family::V4);
        assert_eq!(arming(&site.lab), serde_json::json!({ "armed": true, "left_ms": null }));
        run_tool(&site.lab, &["disarm"]);
        site.connect(Family::V6).expect_alive();
        nft(&site.lab, &["flush", "ruleset"]);
        site.lab.gate().wait_for(&["restored"]);
        site.connect(Family::V6).expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn only_a_new_connection_confirms_a_trial_of_nftables() {
    for kind in OF_NFTABLES {
        let mut site = kind.site(LONG, "");
        for family in Family::BOTH {
            site.open(family);
            let mut before = site.connect(family);
            run_tool(&site.lab, &["arm", "--for", "3s"]);
            let armed = Instant::now();
            before.expect_alive();
            assert!(arming(&site.lab)["left_ms"].is_u64(), "an old session has confirmed it");
            let mut since = site.connect(family);
            since.expect_alive();
            wait::until("the trial to be confirmed", || {
                (arming(&site.lab)["left_ms"].is_null()).then_some(())
            });
            wait::until("the trial to be over", || (armed.elapsed() > SHORT_TIME).then_some(()));
            expect_closed_for(&site.lab.network.third, family);
            assert_eq!(arming(&site.lab)["armed"], true);
            assert!(!site.lab.files.doors_dir().join("disarmed").exists());
            run_tool(&site.lab, &["doors", "close", "test"]);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn nftables_counts_connections_across_a_reload_and_a_crash() {
    for kind in OF_NFTABLES {
        let mut site = kind.site(LONG, "connections = 2");
        let family = Family::V6;
        site.open(family);
        let mut session = site.connect(family);
        site.lab.reload_gate();
        crash_gate(&mut site.lab);
        kind.start_gate(&mut site.lab);
        site.connect(family).expect_alive();
        site.expect_closed(family);
        site.expect_closed(family);
        site.lab.reload_gate();
        site.expect_closed(family);
        assert!(matches!(site.leases(family)[0]["connections"].as_u64(), None | Some(2)));
        site.lab.knock(family, &["--command", "open_test"]);
        site.wait_for_a_connection(family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_udp_flow_of_nftables_lives_until_the_door_is_closed_for_it() {
    let kind = WITHOUT_XDP;
    let mut options = kind.options(SHORT, "");
    options.config = options.config.replace("tcp/", "udp/").replace(SHORT, LONG);
    let mut site = kind.site_of(&options);
    for family in Family::BOTH {
        let server = site.lab.network.server.enter(|| UdpSocket::bind(behind(family))).unwrap();
        server.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        let flow = udp_socket(&site.lab.network.client, family.unspecified());
        let other = udp_socket(&site.lab.network.client, family.unspecified());
        let send = |socket: &UdpSocket, text: &str| {
            socket.send_to(text.as_bytes(), behind(family)).unwrap();
        };
        let receive = || {
            let mut buffer = [0; 16];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            (String::from_utf8(buffer[..length].to_vec()).unwrap(), from)
        };
        send(&flow, "closed");
        site.open(family);
        send(&flow, "open");
        let (text, from) = receive();
        assert_eq!(text, "open", "what came before the knock reached the socket");
        server.send_to(b"reply", from).unwrap();
        // As when the lease ends: the flow continues, and no other begins.
        let set = format!("lease_test_{}", if family == Family::V4 { 4 } else { 6 });
        nft(&site.lab, &["flush", "set", "inet", "ruroco", &set]);
        send(&other, "other");
        send(&flow, "still");
        assert_eq!(receive().0, "still");
        // Revoked, the flow ends, too.
        run_tool(&site.lab, &["doors", "close", "test"]);
        send(&flow, "revoked");
        site.lab.reload_gate();
        send(&flow, "revoked");
        site.open(family);
        send(&flow, "again");
        assert_eq!(receive().0, "again");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_forwarded_port_is_closed_before_dnat() {
    for kind in OF_NFTABLES {
        let mut site = kind.site(SHORT, "forwarded = true");
        for family in Family::BOTH {
            let (ip, to) = match family {
                Family::V4 => ("ip", THIRD.of(family).to_string()),
                Family::V6 => ("ip6", format!("[{}]", THIRD.of(family))),
            };
            nft(&site.lab, &["add", "table", ip, "publish"]);
            let chain = "{ type nat hook prerouting priority dstnat; }";
            nft(&site.lab, &["add", "chain", ip, "publish", "in", chain]);
            let rule = format!("tcp dport {PORT} dnat to {to}:{PORT}");
            nft(&site.lab, &["add", "rule", ip, "publish", "in", &rule]);
            let listen = || TcpListener::bind((THIRD.of(family), PORT));
            let container = site.lab.network.third.enter(listen).unwrap();
            site.expect_closed(family);
            site.open(family);
            let connect = || TcpStream::connect_timeout(&behind(family), wait::DEADLINE);
            let near = site.lab.network.client.enter(connect).unwrap();
            let (far, _) = container.accept().unwrap();
            let mut session = Session { near, far };
            site.wait_for_end_of_lease(family);
            site.expect_closed(family);
            session.expect_alive();
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_table_goes_with_its_last_door_and_with_a_gate_that_opens() {
    for kind in [BESIDE_XDP, BOTH] {
        let mut site = kind.site(LONG, "");
        site.open(Family::V4);
        let mut session = site.connect(Family::V4);
        assert!(has_table(&site.lab));
        let config = std::fs::read_to_string(site.lab.files.config()).unwrap();
        let with_xdp = config.replace(&format!("backend = {}\n", kind.backend), "");
        std::fs::write(site.lab.files.config(), &with_xdp).unwrap();
        site.lab.reload_gate();
        assert!(!has_table(&site.lab));
        // The door is closed by XDP alone now, and the lease is over.
        site.expect_closed(Family::V4);
        std::fs::write(site.lab.files.config(), &config).unwrap();
        site.lab.reload_gate();
        assert!(has_table(&site.lab));
        site.expect_closed(Family::V4);
        session.expect_alive();
        let opening = config.replace("[gate]\n", "[gate]\non_stop = \"open\"\n");
        std::fs::write(site.lab.files.config(), opening).unwrap();
        site.lab.reload_gate();
        site.lab.gate().signal(Signal::SIGTERM);
        assert!(site.lab.gate().wait_for_end().success());
        assert!(!has_table(&site.lab));
    }
}

/// Copies packets between the TUN devices of client and server, as a VPN does, until it is dropped.
struct Tunnel(std::process::Child);

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Joins `tun0` of both hosts.
fn tunnel(lab: &Lab) -> Tunnel {
    const COPY: &str = "
import fcntl, os, select, struct, sys
def tun(net):
    fd = os.open(net, os.O_RDONLY); libc.setns(fd, 0x40000000)
    tun = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH', b'tun0', 0x1001))
    return tun
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
a, b = tun(sys.argv[1]), tun(sys.argv[2])
print('ready', flush=True)
while True:
    for fd in select.select([a, b], [], [])[0]:
        packet = os.read(fd, 65536)
        try: os.write(b if fd == a else a, packet)
        except OSError: pass
";
    let network = &lab.network;
    let mut child = std::process::Command::new("python3")
        .args(["-c", COPY])
        .args([network.client.path(), network.server.path()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let tunnel = Tunnel(child);
    for (host, last) in [(&network.server, 1), (&network.client, 2)] {
        host.ip(&format!(
            "link set tun0 up\naddr add 10.9.0.{last}/24 dev tun0\naddr add fd09::{last}/64 dev tun0 nodad\n"
        ));
    }
    tunnel
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_door_on_an_interface_without_ethernet() {
    for kind in [WITHOUT_XDP, BESIDE_XDP] {
        let mut site = kind.site(LONG, "");
        let _tunnel = tunnel(&site.lab);
        for (server, client) in [("10.9.0.1", "10.9.0.2"), ("fd09::1", "fd09::2")] {
            let to = SocketAddr::new(server.parse().unwrap(), PORT);
            let listener = site.lab.network.server.enter(|| TcpListener::bind(to)).unwrap();
            let connect = || TcpStream::connect_timeout(&to, ANSWER);
            let closed = site.lab.network.client.enter(connect).expect_err("the door is open");
            assert_eq!(closed.kind(), io::ErrorKind::TimedOut, "{closed}");
            let arguments = ["--command", "open_test", "--ip", client, "--permissive"];
            site.lab.knock(Family::V4, &arguments);
            site.lab.gate().wait_for(&["door=test", &format!("ip={client} "), "opened"]);
            let near = site.lab.network.client.enter(connect).expect("the door is not open");
            let (far, _) = listener.accept().unwrap();
            Session { near, far }.expect_alive();
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_segment_without_a_lease_is_answered() {
    let kind = WITHOUT_XDP;
    let mut lab = Lab::running(&kind.options(LONG, ""));
    // As sshd listens: at every address.
    let listen = || TcpListener::bind((Family::V6.unspecified(), PORT));
    let _listener = lab.network.server.enter(listen).unwrap();
    kind.start_gate(&mut lab);
    let mut prober = Prober::new(&lab.network.client);
    let probes = |family| -> Vec<Vec<Vec<u8>>> {
        let segment = |flags: u8| {
            let body = raw::tcp(family, 40_000 + u16::from(flags), PORT, flags);
            vec![raw::Ip::new(family, 6, body).frame()]
        };
        (0..=u8::MAX).map(segment).collect()
    };
    for family in Family::BOTH {
        for (flags, answers) in prober.ask(family, &probes(family)).iter().enumerate() {
            assert!(answers.is_empty(), "{family:?} {flags:#04x}: {answers:02x?}");
        }
    }
    run_tool(&lab, &["disarm"]);
    for family in Family::BOTH {
        let answers = prober.ask(family, &probes(family));
        assert!(answers.iter().filter(|answers| !answers.is_empty()).count() > 50);
    }
}
