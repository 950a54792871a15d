//! A person's folder, and the host that the person knocks at: a UDP socket on loopback that takes
//! what comes.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use ruroco_common::{datagram::Datagram, plaintext::Plaintext};
use ruroco_keys::key::Key;
use ruroco_seal::{Aead, generate_key};
use tempfile::TempDir;
use zerocopy::FromBytes;

/// How long anything may take that is expected.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The folder, and the host `home` in its `client.toml`.
pub(crate) struct Laptop {
    folder: TempDir,
    pub(crate) host: UdpSocket,
    pub(crate) key: Key,
}

impl Laptop {
    /// With lines for the host in `client.toml`.
    pub(crate) fn new(lines: &str) -> Self {
        Self::with_key(generate_key().unwrap(), lines)
    }

    pub(crate) fn with_key(key: Key, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        host.set_read_timeout(Some(DEADLINE)).unwrap();
        let laptop = Self { folder, host, key };
        laptop.write_private("laptop.key", laptop.key.to_line().as_bytes());
        let (address, key) = (laptop.address(), laptop.path("laptop.key"));
        let hosts = format!("[hosts.home]\naddress = \"{address}\"\nkey = {key:?}\n{lines}");
        laptop.write_private("client.toml", hosts.as_bytes());
        laptop
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.host.local_addr().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write_private(&self, name: &str, content: &[u8]) {
        let mut options = fs::File::options();
        let file = options.write(true).create(true).truncate(true).mode(0o600);
        std::io::Write::write_all(&mut file.open(self.path(name)).unwrap(), content).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ruroco-client"));
        command.args(arguments).env("RUROCO_CONF_DIR", self.folder.path());
        command
    }

    pub(crate) fn client(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// The next datagram that has come to the host.
    pub(crate) fn datagram(&self) -> [u8; ruroco_common::datagram::SIZE] {
        let mut buffer = [0; 2048];
        let size = self.host.recv(&mut buffer).expect("a datagram in time");
        buffer[..size].try_into().expect("a datagram has one size")
    }

    /// What the next datagram says.
    pub(crate) fn knock(&self) -> Plaintext {
        let datagram = Datagram::read_from_bytes(&self.datagram()).unwrap();
        let content = Aead::new(&self.key).open(&datagram).expect("made with the key");
        Plaintext::decode(&content).expect("of our version")
    }

    /// Makes sure that nothing has come but what was taken. Loopback delivers at once, so what was sent
    /// by a client that has ended would be here.
    #[track_caller]
    pub(crate) fn expect_nothing(&self) {
        self.host.set_nonblocking(true).unwrap();
        assert!(self.host.recv(&mut [0; 2048]).is_err(), "something was sent");
        self.host.set_nonblocking(false).unwrap();
    }

    /// The counter in the file.
    pub(crate) fn counter(&self) -> Option<u128> {
        let bytes = fs::read(self.path("counter")).ok()?;
        Some(u128::from_be_bytes(bytes[..16].try_into().unwrap()))
    }
}

/// A client that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code();
        Self { code, output: text(output.stdout), errors: text(output.stderr) }
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Makes sure that it failed with one line that has these parts.
    #[track_caller]
    pub(crate) fn expect_error(self, parts: &[&str]) {
        let is_line = self.errors.starts_with("Error: ") && self.errors.lines().count() == 1;
        let has_all = parts.iter().all(|part| self.errors.contains(part));
        assert!(self.code == Some(1) && is_line && has_all, "{parts:?} are not in {self:?}");
        self.expect_nothing_twice();
    }

    /// Makes sure that no clause of the errors stands there twice.
    #[track_caller]
    fn expect_nothing_twice(&self) {
        // Shorter ones are names, which may well be told again.
        const CLAUSE: usize = 12;
        let ends = [": ", "; ", ", ", ". ", "\n"];
        let clauses = ends.iter().fold(vec![&*self.errors], |clauses, end| {
            clauses.into_iter().flat_map(|clause| clause.split(end)).collect()
        });
        let mut seen = std::collections::BTreeSet::new();
        for clause in clauses.into_iter().filter(|clause| clause.len() >= CLAUSE) {
            assert!(seen.insert(clause), "{clause:?} stands twice in {self:?}");
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.output).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A TCP port on which nobody listens, and nobody else will for now.
pub(crate) fn shut_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
