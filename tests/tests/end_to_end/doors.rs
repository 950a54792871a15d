//! Doors: a port that is closed to everyone, and that a knock opens for the address that knocked.

mod closed;
mod nftables;
mod trail;

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::Options,
    lab::{Lab, udp_socket},
    namespace::Namespace,
    network::{CLIENT, Family, SERVER},
    wait,
};
use serde_json::Value;

/// The port behind the door.
pub(crate) const PORT: u16 = 2222;

/// How long an answer may take on the lab's wire, where a closed door gives none.
const ANSWER: Duration = Duration::from_millis(300);

/// A lease that ends while a test waits for it.
pub(crate) const SHORT: &str = "3s";
const SHORT_TIME: Duration = Duration::from_secs(3);

/// A lease that does not.
pub(crate) const LONG: &str = "1h";

/// A lab with a door on both interfaces, and a command that opens it for so long.
pub(crate) fn options(lease: &str, fields: &str) -> Options {
    Options {
        interfaces: vec!["server0", "third1"],
        config: format!("[doors.test]\nport = \"tcp/{PORT}\"\nfor = \"{lease}\"\n{fields}\n"),
        commands:
            "[commands.open_test]\nopen = \"test\"\n\n[commands.close_test]\nclose = \"test\"\n"
                .to_owned(),
        ..Options::default()
    }
}

/// The lab with listeners behind the door.
pub(crate) struct Site {
    pub(crate) lab: Lab,
    listeners: [TcpListener; 2],
}

impl Site {
    pub(crate) fn new(options: &Options) -> Self {
        let lab = Lab::running(options);
        let listen = |family: Family| {
            let address = (SERVER.of(family), PORT);
            lab.network.server.enter(|| TcpListener::bind(address)).unwrap()
        };
        let listeners = Family::BOTH.map(listen);
        Self { lab, listeners }
    }

    /// Knocks, and waits until the door is open.
    pub(crate) fn open(&mut self, family: Family) {
        let lines = ["running", "open_test", &CLIENT.of(family).to_string()];
        let next = self.lab.commander().lines_with(&lines).len() + 1;
        self.lab.knock(family, &["--command", "open_test"]);
        self.lab.commander().wait_for_nth(next, &lines);
        wait::until("the door to open", || self.leases(family).first().map(drop));
    }

    /// A connection through the open door.
    #[track_caller]
    pub(crate) fn connect(&self, family: Family) -> Session {
        let client = &self.lab.network.client;
        let near = client.enter(|| TcpStream::connect_timeout(&behind(family), wait::DEADLINE));
        let near = near.expect("the door is not open");
        Session { near, far: self.accept(family) }
    }

    /// The server's end of a connection.
    pub(crate) fn accept(&self, family: Family) -> TcpStream {
        let [v4, v6] = &self.listeners;
        let listener = if family == Family::V4 { v4 } else { v6 };
        listener.accept().unwrap().0
    }

    #[track_caller]
    pub(crate) fn expect_closed(&self, family: Family) {
        expect_closed_for(&self.lab.network.client, family);
    }

    pub(crate) fn doors(&self) -> Vec<Value> {
        let output = self.lab.tool_command(&["doors", "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        shown["doors"].as_array().unwrap().clone()
    }

    /// The leases of the client's address.
    fn leases(&self, family: Family) -> Vec<Value> {
        let doors = self.doors();
        let leases = doors.iter().flat_map(|door| door["leases"].as_array().unwrap().clone());
        let address = CLIENT.of(family).to_string();
        leases.filter(|lease| lease["address"] == address.as_str()).collect()
    }

    pub(crate) fn wait_for_end_of_lease(&self, family: Family) {
        wait::until("the lease to end", || self.leases(family).is_empty().then_some(()));
    }
}

/// Both ends of a connection.
pub(crate) struct Session {
    pub(crate) near: TcpStream,
    pub(crate) far: TcpStream,
}

impl Session {
    /// Bytes go in both directions.
    #[track_caller]
    pub(crate) fn expect_alive(&mut self) {
        let Self { near, far } = self;
        pass(near, far);
        pass(far, near);
    }
}

/// Sends a few bytes from one end to the other.
#[track_caller]
fn pass(from: &mut TcpStream, to: &mut TcpStream) {
    to.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    from.write_all(b"ping").unwrap();
    let mut read = [0; 4];
    to.read_exact(&mut read).expect("the session was cut");
    assert_eq!(&read, b"ping");
}

pub(crate) fn behind(family: Family) -> SocketAddr {
    (SERVER.of(family), PORT).into()
}

/// A connection from a host is neither accepted nor rejected.
#[track_caller]
pub(crate) fn expect_closed_for(host: &Namespace, family: Family) {
    let connected = host.enter(|| TcpStream::connect_timeout(&behind(family), ANSWER));
    let error = connected.expect_err("the door is open");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_opens_the_door_for_its_address_alone_and_the_lease_ends_by_itself() {
    let mut site = Site::new(&options(SHORT, ""));
    for family in Family::BOTH {
        site.expect_closed(family);
        site.open(family);
        let mut session = site.connect(family);
        expect_closed_for(&site.lab.network.third, family);
        session.expect_alive();
        site.wait_for_end_of_lease(family);
        // The session continues, and no other begins.
        site.expect_closed(family);
        session.expect_alive();
        // The next knock opens it again.
        site.open(family);
        site.connect(family).expect_alive();
        site.wait_for_end_of_lease(family);
    }
    site.lab.gate().wait_for_nth(4, &["the lease has ended", "door=test", "key=laptop"]);
    let replies = site.lab.capture.replies_from_gate();
    assert!(replies.is_empty(), "{replies:#?}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn leases_and_sessions_outlive_the_gate_and_the_kernel_ends_them_without_it() {
    let mut site = Site::new(&options(SHORT, ""));
    for family in Family::BOTH {
        site.open(family);
        let opened = Instant::now();
        let mut session = site.connect(family);
        site.lab.gate().crash();
        // Within the lease, without a gate.
        site.connect(family).expect_alive();
        wait::until("the lease to be over", || (opened.elapsed() > SHORT_TIME).then_some(()));
        site.expect_closed(family);
        session.expect_alive();
        site.lab.start_gate();
        site.expect_closed(family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_restarted_or_reloaded_gate_keeps_the_leases() {
    let mut site = Site::new(&options(LONG, ""));
    for family in Family::BOTH {
        site.open(family);
        let mut session = site.connect(family);
        site.lab.reload_gate();
        site.connect(family).expect_alive();
        site.lab.gate().crash();
        site.lab.start_gate();
        assert_eq!(site.leases(family)[0]["key"], "laptop");
        site.connect(family).expect_alive();
        expect_closed_for(&site.lab.network.third, family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_session_from_before_the_gate_continues() {
    let mut lab = Lab::new(&options(LONG, ""));
    let connect = |family: Family| {
        let listen = || TcpListener::bind((SERVER.of(family), PORT));
        let listener = lab.network.server.enter(listen).unwrap();
        let near = lab.network.client.enter(|| TcpStream::connect(behind(family))).unwrap();
        let (far, _) = listener.accept().unwrap();
        (listener, Session { near, far })
    };
    let mut sessions = Family::BOTH.map(connect);
    lab.start_gate();
    for (family, (_listener, session)) in Family::BOTH.into_iter().zip(&mut sessions) {
        session.expect_alive();
        expect_closed_for(&lab.network.client, family);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_stopped_gate_leaves_the_door_closed_and_sessions_alive() {
    let mut site = Site::new(&options(LONG, ""));
    for family in Family::BOTH {
        site.open(family);
    }
    let mut sessions = Family::BOTH.map(|family| site.connect(family));
    site.lab.gate().signal(Signal::SIGTERM);
    assert!(site.lab.gate().wait_for_end().success());
    site.lab.gate().wait_for(&["stopped", "doors stay closed"]);
    for family in Family::BOTH {
        expect_closed_for(&site.lab.network.third, family);
        sessions.iter_mut().for_each(Session::expect_alive);
    }
    // The next gate goes on where it stopped.
    site.lab.start_gate();
    sessions.iter_mut().for_each(Session::expect_alive);
    for family in Family::BOTH {
        site.connect(family).expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_door_closes_by_command_by_knock_and_with_its_key() {
    let mut site = Site::new(&Options { more_keys: vec!["phone"], ..options(LONG, "") });
    let family = Family::V4;
    site.open(family);
    let mut session = site.connect(family);
    let closed = site.lab.tool_command(&["doors", "close", "test"]).output().unwrap();
    let said = String::from_utf8_lossy(&closed.stdout).into_owned();
    assert_eq!(said, format!("closed test for {}\n", CLIENT.of(family)));
    site.expect_closed(family);

    site.open(family);
    site.lab.knock(family, &["--command", "close_test"]);
    site.wait_for_end_of_lease(family);
    site.expect_closed(family);

    site.open(family);
    std::fs::remove_file(site.lab.files.server_key("laptop")).unwrap();
    site.lab.reload_gate();
    site.lab.gate().wait_for(&["closed the door", "door=test"]);
    site.expect_closed(family);
    session.expect_alive();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn with_one_connection_per_knock_a_neighbour_finds_the_door_closed() {
    let mut site = Site::new(&options(LONG, "connections = 1"));
    for family in Family::BOTH {
        site.open(family);
        let mut session = site.connect(family);
        site.lab.expect_verdict(Verdict::DoorLimited, 1, |lab| {
            expect_closed_for(&lab.network.client, family);
        });
        site.lab.knock(family, &["--command", "open_test"]);
        wait::until("a new connection", || {
            let client = &site.lab.network.client;
            client.enter(|| TcpStream::connect_timeout(&behind(family), ANSWER)).ok().map(drop)
        });
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_seventeenth_address_of_a_key_is_refused() {
    let mut site = Site::new(&options(LONG, ""));
    for last in 1..=17 {
        let address = IpAddr::from([198, 51, 100, last]).to_string();
        site.lab.knock(Family::V4, &["--command", "open_test", "--ip", &address, "--permissive"]);
        let result = if last == 17 { "too_many_leases_of_key" } else { "opened" };
        site.lab.gate().wait_for(&["door=test", &format!("ip={address} "), result]);
    }
    assert_eq!(site.doors()[0]["leases"].as_array().unwrap().len(), 16);
    trail::expect_one(&site.lab, "not_opened", "too_many_leases_of_key");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_command_runs_once_its_door_is_open() {
    let mut options = options(LONG, "");
    options.commands += "[commands.both]\nopen = \"test\"\nrun = [\"/bin/sh\", \"-c\", \"echo doors: $RUROCO_DOORS\"]\n";
    let mut site = Site::new(&options);
    site.lab.knock(Family::V4, &["--command", "both"]);
    site.lab.commander().wait_for(&["output", "doors: test"]);
    site.connect(Family::V4).expect_alive();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_udp_flow_lives_longer_than_its_lease() {
    let mut options = options(SHORT, "");
    options.config = options.config.replace("tcp/", "udp/");
    let mut site = Site::new(&options);
    for family in Family::BOTH {
        let server = site.lab.network.server.enter(|| UdpSocket::bind(behind(family))).unwrap();
        server.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        let flow = udp_socket(&site.lab.network.client, family.unspecified());
        let mut buffer = [0; 8];
        site.lab.expect_verdict(Verdict::DoorClosed, 1, |_| {
            flow.send_to(b"closed", behind(family)).unwrap();
        });
        site.open(family);
        flow.send_to(b"open", behind(family)).unwrap();
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"open", "what came before the knock reached the socket");
        server.send_to(b"reply", from).unwrap();
        site.wait_for_end_of_lease(family);
        let other = udp_socket(&site.lab.network.client, family.unspecified());
        site.lab.expect_verdict(Verdict::DoorClosed, 1, |_| {
            other.send_to(b"other", behind(family)).unwrap();
        });
        flow.send_to(b"still", behind(family)).unwrap();
        let (length, _) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"still");
    }
}

/// What `ruroco status` shows of whether doors are armed.
fn arming(lab: &Lab) -> Value {
    lab.status()["arming"].clone()
}

#[track_caller]
fn run_tool(lab: &Lab, arguments: &[&str]) {
    let output = lab.tool_command(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn doors_on_trial_open_by_themselves_even_if_the_gate_has_died() {
    let mut site = Site::new(&options(LONG, ""));
    run_tool(&site.lab, &["arm", "--for", "3s"]);
    let armed = Instant::now();
    site.lab.gate().crash();
    site.expect_closed(Family::V4);
    wait::until("the trial to be over", || (armed.elapsed() > SHORT_TIME).then_some(()));
    for family in Family::BOTH {
        site.connect(family).expect_alive();
    }
    site.lab.start_gate();
    site.lab.gate().wait_for(&["doors are open to everyone"]);
    assert_eq!(arming(&site.lab)["armed"], false);
    site.connect(Family::V4).expect_alive();
    run_tool(&site.lab, &["arm"]);
    site.expect_closed(Family::V4);
    assert_eq!(arming(&site.lab), serde_json::json!({ "armed": true, "left_ms": null }));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn only_a_connection_that_a_knock_has_opened_since_confirms_a_trial() {
    let mut site = Site::new(&options(LONG, ""));
    for family in Family::BOTH {
        site.open(family);
        let mut before = site.connect(family);
        run_tool(&site.lab, &["arm", "--for", "1h"]);
        before.expect_alive();
        assert!(arming(&site.lab)["left_ms"].is_u64(), "an old session has confirmed it");
        let mut since = site.connect(family);
        since.expect_alive();
        wait::until("the trial to be confirmed", || {
            (arming(&site.lab)["left_ms"].is_null()).then_some(())
        });
        assert_eq!(arming(&site.lab)["armed"], true);
        wait::until("the gate to note it for the next start", || {
            (!site.lab.files.doors_dir().join("disarmed").exists()).then_some(())
        });
        before.expect_alive();
        run_tool(&site.lab, &["doors", "close", "test"]);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn disarmed_doors_are_open_until_they_are_armed_even_after_a_restart_of_the_host() {
    let mut site = Site::new(&options(LONG, ""));
    run_tool(&site.lab, &["disarm"]);
    site.connect(Family::V4).expect_alive();
    site.lab.gate().signal(Signal::SIGTERM);
    assert!(site.lab.gate().wait_for_end().success());
    // As a restart of the host does.
    for pin in site.lab.files.pinned() {
        std::fs::remove_file(pin).unwrap();
    }
    site.lab.start_gate();
    site.connect(Family::V6).expect_alive();
    let confirmed = site.lab.tool_command(&["confirm"]).output().unwrap();
    assert!(!confirmed.status.success());
    run_tool(&site.lab, &["arm"]);
    site.expect_closed(Family::V6);
}
