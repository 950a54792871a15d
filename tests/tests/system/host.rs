//! A client, and a guest in the server's place.

use std::{
    ffi::OsStr,
    fs::Permissions,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

use ruroco_keys::key::Key;
use ruroco_lab::{
    capture::Capture,
    directory::Directory,
    files::DEFAULT_COMMAND,
    guest::{Guest, PACKAGES_INSIDE},
    knock::{Bytes, Knock},
    lab::udp_socket,
    network::{self, Family, Network, PORT, SERVER, SERVER_INTERFACE},
    programs, wait,
};
use serde_json::Value;

pub(crate) const UNITS: [&str; 3] = ["ruroco-gate", "ruroco-server", "ruroco-commander"];

/// The name of the key that is made first.
pub(crate) const KEY: &str = "laptop";

pub(crate) struct Host {
    // In the order in which they are to be dropped.
    pub(crate) guest: Guest,
    pub(crate) capture: Capture,
    pub(crate) network: Network,
    client: Directory,
}

impl Host {
    pub(crate) fn boot() -> Self {
        let network = Network::new();
        let capture = Capture::start(&network.client);
        let guest = Guest::boot(&network.server);
        Self { guest, capture, network, client: Directory::new() }
    }

    pub(crate) fn install(&self) {
        self.guest.run(&format!("dpkg --install {PACKAGES_INSIDE}/ruroco_*.deb"));
    }

    /// As a person would: `init`, and then commands of one's own.
    pub(crate) fn configure(&self) {
        self.guest.run(&format!(
            "ruroco init --no-start --interface {SERVER_INTERFACE} --address {} --address {} \
             --port {PORT} --key {KEY}",
            SERVER.v4, SERVER.v6
        ));
        self.guest.run("echo 'max_knocks_per_second_per_key = 1000' > /tmp/config.toml");
        self.guest.run("cat /etc/ruroco/config.toml >> /tmp/config.toml");
        self.guest.run("cat /tmp/config.toml > /etc/ruroco/config.toml");
        self.guest.write(
            "/etc/ruroco/commands.toml",
            "[commands.default]\nshell = 'echo \"$RUROCO_KEY $RUROCO_IP\"'\n",
        );
        self.paste_key(KEY, &self.guest.run(&format!("cat /etc/ruroco/keys/{KEY}.key")));
    }

    /// Gives the client a key that the guest has made.
    pub(crate) fn paste_key(&self, name: &str, text: &str) {
        std::fs::write(self.key(name), text).unwrap();
        std::fs::set_permissions(self.key(name), Permissions::from_mode(0o600)).unwrap();
    }

    /// A new key, for the client and for the guest.
    pub(crate) fn add_key(&self, name: &str) {
        let made = self.client(&["key", "gen", "--out", &self.key(name)]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = std::fs::read_to_string(self.key(name)).unwrap();
        let path = format!("/etc/ruroco/keys/{name}.key");
        self.guest.write(&path, &text);
        self.guest.run(&format!("chmod 600 {path}"));
    }

    pub(crate) fn start(&self) {
        let started = self.guest.try_run(&format!("systemctl start {}", UNITS.join(" ")));
        assert!(started.status.success(), "{started:?}\n{}", self.guest.journal());
        for unit in UNITS {
            self.guest.wait_until(&format!("systemctl is-active {unit}"));
        }
    }

    /// Knocks with the real client.
    pub(crate) fn knock(&self, key: &str) {
        self.knock_at(key, network::gate(Family::V4));
    }

    /// The same at this address.
    pub(crate) fn knock_at(&self, key: &str, address: SocketAddr) {
        self.knock_with(key, address, &[]);
    }

    /// The same with more on the client's command line.
    pub(crate) fn knock_with(&self, key: &str, address: SocketAddr, more: &[&str]) {
        let (address, key) = (address.to_string(), self.key(key));
        let sent = self.client(&[&["send", "--address", &address, "--key", &key], more].concat());
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    }

    /// A good knock with one of the client's keys, and the means to send it more than once.
    pub(crate) fn seal_knock(&self, key: &str) -> Bytes {
        let key = Key::read(self.key(key).as_ref()).unwrap();
        Knock::to(SERVER.of(Family::V4), DEFAULT_COMMAND).seal(&key)
    }

    pub(crate) fn send(&self, datagram: &Bytes) {
        let socket = udp_socket(&self.network.client, Family::V4.unspecified());
        socket.send_to(datagram, network::gate(Family::V4)).unwrap();
    }

    /// Accepts an invitation with the real client, as if it was pasted; what that says.
    pub(crate) fn accept(&self, invitation: &str) -> String {
        let path = self.client.path().join("invitation");
        std::fs::write(&path, invitation).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        self.run_client(&["invite", path.to_str().unwrap()])
    }

    /// What the real client says when it has done what it was told.
    pub(crate) fn run_client(&self, arguments: &[&str]) -> String {
        let done = self.client(arguments);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// How many commands have ended well.
    pub(crate) fn runs(&self) -> usize {
        let ended = "journalctl --unit ruroco-commander RUROCO_EVENT=ended RUROCO_RESULT=exit:0";
        self.guest.run(&format!("{ended} --output cat --quiet")).lines().count()
    }

    /// Makes sure that as many have run, and no more.
    #[track_caller]
    pub(crate) fn expect_runs(&self, count: usize) {
        let ran = wait::poll(wait::DEADLINE, || (self.runs() >= count).then_some(()));
        assert!(ran.is_some(), "{} of {count} have run:\n{}", self.runs(), self.guest.journal());
        assert_eq!(self.runs(), count);
    }

    /// Waits until a unit does again what it is there for, with another process than this one. Both are
    /// asked for at once: between two questions a process can end.
    #[track_caller]
    pub(crate) fn wait_for_successor(&self, unit: &str, gone: &str) {
        self.guest.wait_until(&format!(
            "show=$(systemctl show --property ActiveState,MainPID {unit}) && \
             echo \"$show\" | grep -x ActiveState=active && \
             ! echo \"$show\" | grep -xE 'MainPID=(0|{gone})'"
        ));
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.guest.run("ruroco status --json")).unwrap()
    }

    /// How many packets have got a verdict.
    pub(crate) fn verdict(&self, name: &str) -> u64 {
        self.status()["verdicts"][name].as_u64().unwrap()
    }

    /// Waits until the gate knows these keys and no others.
    #[track_caller]
    pub(crate) fn wait_for_keys(&self, names: &[&str]) {
        wait::until("the keys to be in force", || {
            let status = self.status();
            let keys = status["keys"].as_array().unwrap();
            let known: Vec<_> = keys.iter().map(|key| key["name"].as_str().unwrap()).collect();
            (known == names).then_some(())
        });
    }

    /// Makes sure that a knock runs, and that nothing else has run since `before`.
    #[track_caller]
    pub(crate) fn expect_a_knock_to_run(&self, key: &str) {
        let before = self.runs();
        self.knock(key);
        self.expect_runs(before + 1);
    }

    #[track_caller]
    pub(crate) fn expect_silence(&mut self) {
        let seen = self.capture.replies_from_gate();
        assert!(seen.is_empty(), "the server has sent: {seen:#?}");
    }

    fn key(&self, name: &str) -> String {
        self.client.path().join(name).with_extension("key").to_str().unwrap().to_owned()
    }

    fn client(&self, arguments: &[&str]) -> Output {
        let mut client = self.on_client(programs::path("ruroco-client"));
        client.args(arguments).output().expect("run ruroco-client")
    }

    /// A program on the client, with the person's folder.
    pub(crate) fn on_client(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.network.client.command();
        command.arg(program).env("RUROCO_CONF_DIR", self.client.path());
        command
    }

    /// A file of the client's.
    pub(crate) fn client_file(&self, name: &str) -> PathBuf {
        self.client.path().join(name)
    }
}
