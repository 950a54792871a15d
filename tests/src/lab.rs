//! The whole lab: three hosts, the server's files and programs, and what a test does with them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, UdpSocket},
    path::Path,
    process::{Command, ExitStatus, Output},
};

use nix::{sys::signal::Signal, unistd::User};
use ruroco_common::verdict::Verdict;
use ruroco_keys::key::Key;
use serde_json::Value;

use crate::{
    capture::Capture,
    daemon::Daemon,
    files::{DEFAULT_COMMAND, Files, KEY, Options, Run},
    knock::{Bytes, Knock},
    namespace::Namespace,
    network::{self, CLIENT_INTERFACE, Family, Network, SERVER},
    packet_socket::Sender,
    programs,
    verdicts::Verdicts,
    wait,
};

/// Hosts, files and running programs, all of them gone when it is dropped.
///
/// It stays on the thread that made it: the programs end with the thread that started them.
#[derive(Debug)]
pub struct Lab {
    // In the order in which they are to be dropped.
    gate: Option<Daemon>,
    server: Option<Daemon>,
    commander: Option<Daemon>,
    /// What came back to the client.
    pub capture: Capture,
    /// The server's and the client's files.
    pub files: Files,
    /// The hosts.
    pub network: Network,
    /// How many commands are known to have run.
    runs: usize,
    /// How many of them had run when the commander was started.
    runs_before_commander: usize,
}

impl Lab {
    /// A lab in which nothing runs yet. The server has had its first start prepared.
    ///
    /// # Panics
    /// If a step fails, here as everywhere.
    pub fn new(options: &Options) -> Self {
        let lab = Self::without_floors(options);
        let made = lab.server_command(&["init"]).output().expect("run ruroco-server");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        lab
    }

    /// A lab in which the server has never been started.
    pub fn without_floors(options: &Options) -> Self {
        let network = Network::new();
        let capture = Capture::start(&network.client);
        let files = Files::new(programs::unprivileged_user(), options);
        for key in &options.more_keys {
            files.add_key(key);
        }
        Self {
            gate: None,
            server: None,
            commander: None,
            capture,
            files,
            network,
            runs: 0,
            runs_before_commander: 0,
        }
    }

    /// A lab in which everything runs and is ready.
    pub fn running(options: &Options) -> Self {
        let mut lab = Self::new(options);
        lab.start_commander();
        if options.source == "xdp" {
            lab.start_gate();
        }
        lab.start_server();
        lab
    }

    /// Starts the gate and waits until it is closed.
    #[track_caller]
    pub fn start_gate(&mut self) {
        self.start_gate_until(&["gate is attached"]);
    }

    /// Starts the gate and waits for a line of its log.
    #[track_caller]
    pub fn start_gate_until(&mut self, line: &[&str]) {
        self.start_gate_by(&mut self.gate_command(), line);
    }

    /// Starts the gate by a command of the test's own and waits for a line of its log.
    #[track_caller]
    pub fn start_gate_by(&mut self, command: &mut Command, line: &[&str]) {
        let gate = Daemon::start("ruroco-gate", command);
        gate.wait_for(line);
        self.gate = Some(gate);
    }

    /// Has the gate read its files anew, and waits until it has them in force.
    #[track_caller]
    pub fn reload_gate(&mut self) {
        self.tell_gate_to_reload(&["INFO", "reloaded", "keys="]);
    }

    /// Has the gate read its files anew, which it is to refuse with a line that has these parts.
    #[track_caller]
    pub fn expect_no_reload_of_gate(&mut self, why: &[&str]) {
        self.tell_gate_to_reload(
            &[&["not reloaded, the earlier configuration stays in force"], why].concat(),
        );
    }

    #[track_caller]
    fn tell_gate_to_reload(&mut self, line: &[&str]) {
        let gate = self.gate();
        let next = gate.lines_with(line).len() + 1;
        gate.signal(Signal::SIGHUP);
        gate.wait_for_nth(next, line);
    }

    /// Starts the server and waits until it takes packets.
    #[track_caller]
    pub fn start_server(&mut self) {
        self.start_server_until(&mut self.server_command(&[]), &["ready"]);
    }

    /// Starts the server by a command of the test's own and waits for a line of its log.
    #[track_caller]
    pub fn start_server_until(&mut self, command: &mut Command, line: &[&str]) {
        let server = Daemon::start("ruroco-server", command);
        server.wait_for(line);
        self.server = Some(server);
    }

    /// Starts the commander and waits until it takes orders.
    #[track_caller]
    pub fn start_commander(&mut self) {
        self.start_commander_by(&mut self.commander_command());
    }

    /// The same by a command of the test's own.
    #[track_caller]
    pub fn start_commander_by(&mut self, command: &mut Command) {
        self.runs_before_commander = self.runs;
        let commander = Daemon::start("ruroco-commander", command);
        commander.wait_for(&["listening"]);
        self.commander = Some(commander);
    }

    /// The running gate.
    pub fn gate(&mut self) -> &mut Daemon {
        self.gate.as_mut().expect("the gate is running")
    }

    /// The running server.
    pub fn server(&mut self) -> &mut Daemon {
        self.server.as_mut().expect("the server is running")
    }

    /// The running commander.
    pub fn commander(&mut self) -> &mut Daemon {
        self.commander.as_mut().expect("the commander is running")
    }

    /// A command that runs the gate's program.
    pub fn gate_command(&self) -> Command {
        let mut command = self.in_server_namespace("ruroco-gate", None);
        command.arg("--config").arg(self.files.config());
        command
    }

    /// A command that runs the commander's program.
    pub fn commander_command(&self) -> Command {
        let mut command = self.in_server_namespace("ruroco-commander", None);
        command.arg("--config").arg(self.files.config());
        command.arg("--commands").arg(self.files.commands());
        command
    }

    /// A command that runs the operator's tool.
    pub fn tool_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.in_server_namespace("ruroco", None);
        command.args(arguments).arg("--config").arg(self.files.config());
        command
    }

    /// A command that runs the server's program as its user.
    pub fn server_command(&self, arguments: &[&str]) -> Command {
        self.server_command_by(&[], arguments)
    }

    /// A command that runs the server's program as its user, started by another program that runs
    /// as root, such as strace.
    pub fn server_command_by(&self, launcher: &[&str], arguments: &[&str]) -> Command {
        let mut command = self.network.server.command();
        programs::add_launcher(&mut command, None);
        command.args(launcher);
        programs::add_launcher(&mut command, Some(self.files.user()));
        let program = programs::path("ruroco-server");
        command.arg(programs::reachable_by_all(&program, &self.files.programs()));
        command.args(arguments).arg("--config").arg(self.files.config());
        command
    }

    fn in_server_namespace(&self, program: &str, user: Option<&User>) -> Command {
        let mut command = self.network.server.command();
        programs::add_launcher(&mut command, user);
        command.arg(programs::path(program));
        command
    }

    /// What `ruroco status --json` shows.
    #[track_caller]
    pub fn status(&self) -> Value {
        let output = self.tool_command(&["status", "--json"]).output().expect("run ruroco");
        let said = String::from_utf8_lossy(&output.stderr);
        // 3: the gate answers, and is open on some interface. 4: another part does not work.
        let answered = matches!(output.status.code(), Some(0 | 3 | 4));
        assert!(answered, "ruroco status: {said}");
        serde_json::from_slice(&output.stdout).expect("the status is JSON")
    }

    /// The gate's counters.
    #[track_caller]
    pub fn verdicts(&self) -> Verdicts {
        Verdicts::of_status(&self.status())
    }

    /// Does something that sends `count` packets, and makes sure that each of them got this
    /// verdict, and nothing got another.
    #[track_caller]
    pub fn expect_verdict(&self, verdict: Verdict, count: u64, action: impl FnOnce(&Self)) {
        let before = self.verdicts();
        action(self);
        let mut after = Verdicts::default();
        let counted = wait::poll(wait::DEADLINE, || {
            after = self.verdicts();
            (after.since(&before).values().sum::<u64>() >= count).then_some(())
        });
        let expected = BTreeMap::from([(verdict.name(), count)]);
        assert_eq!(after.since(&before), expected, "the gate's verdicts (in time: {counted:?})");
    }

    /// Makes sure that the server refuses something for this reason, for the first time since its
    /// start.
    #[track_caller]
    pub fn expect_refusal(&mut self, reason: &str) {
        // Quoted or not is for the log's format to say.
        self.server().wait_for(&["refused", "reason=", reason, "total=1"]);
    }

    /// Runs the real client on the client's host.
    pub fn client(&self, arguments: &[&str]) -> Output {
        self.network
            .client
            .command()
            .arg(programs::path("ruroco-client"))
            .args(arguments)
            .env("RUROCO_CONF_DIR", self.files.client_state())
            .output()
            .expect("run ruroco-client")
    }

    /// Knocks with the real client; `arguments` are added to address and key.
    #[track_caller]
    pub fn knock(&self, family: Family, arguments: &[&str]) {
        let (address, key) = (network::gate(family).to_string(), self.files.client_key(KEY));
        let key = key.to_str().expect("the lab's paths are UTF-8");
        let fixed = ["send", "--address", &address, "--key", key];
        let sent = self.client(&[&fixed, arguments].concat());
        let said = String::from_utf8_lossy(&sent.stderr);
        assert_success(sent.status, &format!("ruroco-client: {said}"));
    }

    /// A good knock for the default command, to be changed.
    pub fn good_knock(&self, family: Family) -> Knock {
        Knock::to(SERVER.of(family), DEFAULT_COMMAND)
    }

    /// Seals a knock with the lab's key.
    pub fn seal(&self, knock: &Knock) -> Bytes {
        knock.seal(&self.key())
    }

    /// The lab's key.
    pub fn key(&self) -> Key {
        self.files.key(KEY)
    }

    /// Sends a datagram from the client to the gate.
    #[track_caller]
    pub fn send(&self, family: Family, payload: &[u8]) {
        let socket = udp_socket(&self.network.client, family.unspecified());
        let sent = socket.send_to(payload, network::gate(family)).expect("send a datagram");
        assert_eq!(sent, payload.len());
    }

    /// Sends a frame from the client's interface.
    pub fn send_frame(&self, frame: &[u8]) {
        self.sender().send(frame);
    }

    /// For sending many frames from the client's interface.
    pub fn sender(&self) -> Sender {
        self.network.client.enter(|| Sender::new(CLIENT_INTERFACE))
    }

    /// Makes sure that a good knock by the real client runs its command, and that nothing else has
    /// run since the last time this was asked.
    ///
    /// Server and commander work in the order in which packets arrive. So this also shows that
    /// nothing that was sent before will still run.
    #[track_caller]
    pub fn expect_next_knock_to_run(&mut self, family: Family) -> Run {
        self.knock(family, &[]);
        let run = self.expect_one_run();
        assert_eq!(
            (run.command.as_str(), run.key.as_str(), run.ip),
            (DEFAULT_COMMAND, KEY, network::CLIENT.of(family))
        );
        run
    }

    /// Waits until one more command has run than when this was last asked, and makes sure that no
    /// more than this one have been started.
    #[track_caller]
    pub fn expect_one_run(&mut self) -> Run {
        self.expect_runs(1)
    }

    /// Waits until so many more commands have run than when this was last asked, and makes sure that
    /// no more than these have been started; the last of them.
    #[track_caller]
    pub fn expect_runs(&mut self, more: usize) -> Run {
        self.runs += more;
        let (files, count) = (&self.files, self.runs);
        let runs = wait::until(&format!("{count} commands to have run"), || {
            Some(files.runs()).filter(|runs| runs.len() >= count)
        });
        assert_eq!(runs.len(), count, "more has run than should have: {runs:#?}");
        if let Some(commander) = &self.commander {
            let started = count - self.runs_before_commander;
            commander.wait_for_nth(started, &["running"]);
            let lines = commander.lines_with(&["running"]);
            assert_eq!(lines.len(), started, "more was started than should have: {lines:#?}");
        }
        runs.into_iter().next_back().expect("there is at least one")
    }

    /// Makes sure that nothing has come back from the server to the client since the lab was made.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        let seen = self.capture.from_server();
        assert!(seen.is_empty(), "the server has sent: {seen:#?}");
    }
}

/// A UDP socket on a host, at a port of the kernel's choice.
///
/// # Panics
/// If there can be none.
pub fn udp_socket(host: &Namespace, address: IpAddr) -> UdpSocket {
    host.enter(|| UdpSocket::bind((address, 0))).expect("make a UDP socket")
}

#[track_caller]
fn assert_success(status: ExitStatus, what: &str) {
    assert!(status.success(), "{what} ({status})");
}

/// Fails if a tool of the lab is missing, before anything else does so less clearly.
///
/// # Panics
/// If it is.
pub fn require_tool(name: &str) {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| Path::new(&directory).join(name).is_file())
    });
    assert!(found, "{name} is not there: run `cargo xtask setup`");
}
