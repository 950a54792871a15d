//! The lab with a door, and sessions that go through it.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use aya::maps::{HashMap, Map, MapData};
use nix::sys::signal::Signal;
use ruroco_common::doors::{Flow, Lease};
use ruroco_lab::{
    files::Options,
    lab::Lab,
    namespace::Namespace,
    network::{CLIENT, Family, SERVER},
    wait,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use zerocopy::{FromBytes, IntoBytes};

/// The port behind the door.
pub(crate) const PORT: u16 = 2222;

/// How long an answer may take on the lab's wire, where a closed door gives none.
pub(crate) const ANSWER: Duration = Duration::from_millis(300);

/// A lease that ends while a test waits for it.
pub(crate) const SHORT: &str = "3s";
pub(crate) const SHORT_TIME: Duration = Duration::from_secs(3);

/// A lease that does not.
pub(crate) const LONG: &str = "1h";

/// A lab with a door on both interfaces, and commands that open it for so long and close it.
pub(crate) fn options(lease: &str, fields: &str) -> Options {
    let mut options = options_at(&format!("tcp/{PORT}"), lease);
    options.config += &format!("{fields}\n");
    options
}

/// The same at another port, such as `udp/53`.
pub(crate) fn options_at(port: &str, lease: &str) -> Options {
    Options {
        interfaces: vec!["server0", "third1"],
        config: format!("[doors.test]\nport = \"{port}\"\nfor = \"{lease}\"\n"),
        commands:
            "[commands.open_test]\nopen = \"test\"\n\n[commands.close_test]\nclose = \"test\"\n"
                .to_owned(),
        ..Options::default()
    }
}

/// The lab with listeners behind the door.
pub(crate) struct Site {
    pub(crate) lab: Lab,
    listeners: Vec<TcpListener>,
}

impl Site {
    /// A door for TCP.
    pub(crate) fn tcp(lease: &str) -> Self {
        Self::new(&options(lease, ""))
    }

    pub(crate) fn new(options: &Options) -> Self {
        Self::prepared(options, |_| ())
    }

    /// With something done before anything listens.
    pub(crate) fn prepared(options: &Options, prepare: impl FnOnce(&Lab)) -> Self {
        let lab = Lab::running(options);
        prepare(&lab);
        let listeners = Family::BOTH.map(|family| listen(&lab, family));
        Self { lab, listeners: listeners.into() }
    }

    /// With something else behind the door.
    pub(crate) fn without_listeners(lab: Lab) -> Self {
        Self { lab, listeners: Vec::new() }
    }

    /// Knocks, and waits until the door is open.
    pub(crate) fn open(&mut self, family: Family) {
        self.open_for(CLIENT.of(family));
    }

    /// The same for an address that may be that of another host.
    pub(crate) fn open_for(&mut self, address: IpAddr) {
        self.request("open_test", address);
    }

    /// The same by another command.
    pub(crate) fn request(&mut self, command: &str, address: IpAddr) {
        let text = address.to_string();
        let lines = ["running", command, &text];
        let next = self.lab.commander().lines_with(&lines).len() + 1;
        let knock = ["--command", command, "--ip", &text, "--permissive"];
        self.lab.knock(Family::of(address), &knock);
        self.lab.commander().wait_for_nth(next, &lines);
        wait::until("the door to open", || self.leases_of(address).first().map(drop));
    }

    /// Ends all leases of the door.
    pub(crate) fn close(&self) {
        run_tool(&self.lab, &["doors", "close", "test"]);
    }

    /// A connection from the client through the open door.
    #[track_caller]
    pub(crate) fn connect(&self, family: Family) -> Session {
        self.connect_by(&self.lab.network.client, family)
    }

    /// The same from another host.
    #[track_caller]
    pub(crate) fn connect_by(&self, host: &Namespace, family: Family) -> Session {
        let near = host.enter(|| TcpStream::connect_timeout(&behind(family), wait::DEADLINE));
        self.complete(near.expect("the door is not open"), family)
    }

    /// A connection, of which there is one end.
    pub(crate) fn complete(&self, near: TcpStream, family: Family) -> Session {
        Session { near, far: self.accept(family) }
    }

    /// Waits until the door admits a new connection after a knock.
    pub(crate) fn wait_for_a_connection(&self, family: Family) {
        wait::until("a new connection", || {
            let client = &self.lab.network.client;
            client.enter(|| TcpStream::connect_timeout(&behind(family), ANSWER)).ok().map(drop)
        });
    }

    /// The server's end of a connection.
    pub(crate) fn accept(&self, family: Family) -> TcpStream {
        self.listener(family).accept().unwrap().0
    }

    pub(crate) fn listener(&self, family: Family) -> &TcpListener {
        &self.listeners[usize::from(family == Family::V6)]
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
    pub(crate) fn leases(&self, family: Family) -> Vec<Value> {
        self.leases_of(CLIENT.of(family))
    }

    fn leases_of(&self, address: IpAddr) -> Vec<Value> {
        let doors = self.doors();
        let leases = doors.iter().flat_map(|door| door["leases"].as_array().unwrap().clone());
        let address = address.to_string();
        leases.filter(|lease| lease["address"] == address.as_str()).collect()
    }

    pub(crate) fn wait_for_end_of_lease(&self, family: Family) {
        wait::until("the lease to end", || self.leases(family).is_empty().then_some(()));
    }

    /// Has all daemons read their files again.
    #[track_caller]
    pub(crate) fn reload_all(&mut self) {
        self.lab.reload_gate();
        for daemon in [Lab::server, Lab::commander] {
            let daemon = daemon(&mut self.lab);
            let next = daemon.lines_with(&["INFO", "reloaded"]).len() + 1;
            daemon.signal(Signal::SIGHUP);
            daemon.wait_for_nth(next, &["INFO", "reloaded"]);
        }
    }

    /// Moves what gate and program remember of leases and flows into the past, which makes it as old as if the boot
    /// clock had gone on. The clock itself cannot be moved: the helper that a program asks knows no time namespaces.
    ///
    /// Nothing is moved to before the host was started, so a time is younger than it should be on a host that was
    /// started less than `time` ago.
    pub(crate) fn let_time_pass(&self, time: Duration) {
        let (now, time) = (boot_time(), u64::try_from(time.as_nanos()).unwrap());
        let earlier = |then: u64| then.saturating_sub(time).max(1);
        let age = |flow: &mut Flow| flow.last = earlier(flow.last.min(now));
        let end = |lease: &mut Lease| {
            lease.until = earlier(lease.until);
            lease.since = earlier(lease.since);
        };
        for pin in self.lab.files.pinned() {
            let name = pin.file_name().unwrap().to_str().unwrap();
            if name.contains("_leases_") {
                change_all::<32, { size_of::<Lease>() }, Lease>(&pin, end);
            } else if name.contains("_flows_") {
                change_all::<40, { size_of::<Flow>() }, Flow>(&pin, age);
            }
        }
    }
}

/// The boot clock in nanoseconds.
fn boot_time() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(Duration::try_from(now).unwrap().as_nanos()).unwrap()
}

/// Changes each value of a pinned map.
fn change_all<const K: usize, const V: usize, T: FromBytes + IntoBytes + zerocopy::Immutable>(
    pin: &Path,
    change: impl Fn(&mut T),
) {
    let map = Map::HashMap(MapData::from_pin(pin).unwrap());
    let mut map: HashMap<_, [u8; K], [u8; V]> = HashMap::try_from(map).unwrap();
    let all: Vec<_> = map.iter().map(Result::unwrap).collect();
    for (key, value) in all {
        let mut value = T::read_from_bytes(&value).unwrap();
        change(&mut value);
        map.insert(key, <[u8; V]>::try_from(value.as_bytes()).unwrap(), 0).unwrap();
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

pub(crate) fn listen(lab: &Lab, family: Family) -> TcpListener {
    lab.network.server.enter(|| TcpListener::bind(behind(family))).unwrap()
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

#[track_caller]
pub(crate) fn run_tool(lab: &Lab, arguments: &[&str]) {
    let output = lab.tool_command(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
