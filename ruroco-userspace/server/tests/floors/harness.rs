//! A host with keys, and knocks that raise their floors.

use ruroco_daemon::clock::Now;
use std::{fs, path::PathBuf, time::Duration};

use base64ct::{Base64, Encoding};
use ruroco_common::{
    address::Address,
    candidate::Candidate,
    command::CommandHash,
    datagram::KeyId,
    plaintext::{self, Plaintext},
};
use ruroco_config::Config;
use ruroco_keys::{key::Key, named_key::NamedKey};
use ruroco_seal::Aead;
use ruroco_server::{
    floor_file::{AcceptedOrder, Error, FloorFile},
    floors::Floors,
    verifier::Verifier,
};
use tempfile::TempDir;

/// The first floor of every key.
pub(crate) const START: u128 = 1_725_821_510_000_000_000;

/// The moment of all knocks; no counter is too far ahead of it.
pub(crate) const NOW: Now = Now { epoch: START, boot: Duration::from_secs(1_000) };

/// Where knocks come from.
pub(crate) const SOURCE: Address = Address::from_ipv4([9, 9, 9, 9]);

const HERE: [u8; 4] = [192, 0, 2, 1];

/// Configuration, keys and floors in a directory of their own.
pub(crate) struct Host {
    dir: TempDir,
    pub(crate) config: Config,
    pub(crate) keys: Vec<NamedKey>,
}

impl Host {
    /// So many keys, every other one of upstream, with floors of [`START`].
    pub(crate) fn new(keys: u16) -> Self {
        let limits = "max_knocks_per_second_per_key = 20_000\nmax_knocks_per_second = 100_000";
        Self::with_configuration(keys, limits)
    }

    /// With more configuration.
    pub(crate) fn with_configuration(keys: u16, more: &str) -> Self {
        // What becomes of a disk is played here, so it need not be one.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = dir.path().join("config.toml");
        let config = format!(
            "addresses = [\"192.0.2.1\"]\n\
             gate.interfaces = [\"eth0\"]\n\
             socket_dir = \"{dir}\"\n\
             state_dir = \"{dir}\"\n\
             {more}",
            dir = dir.path().display()
        );
        fs::write(&path, config).unwrap();
        let host = Self {
            config: Config::read(&path).or_problems().unwrap(),
            keys: (0..keys).map(key).collect(),
            dir,
        };
        FloorFile::create(host.dir.path(), &Floors::at(START, host.ids())).unwrap();
        host
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("floors")
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|named| named.key.id)
    }

    pub(crate) fn open(&self) -> Result<FloorFile, Error> {
        FloorFile::open(self.dir.path(), self.ids(), START)
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new(&self.config, &self.keys)
    }

    /// A knock with this key.
    pub(crate) fn knock(&self, key: usize, counter: u128) -> Candidate {
        self.seal(key, knock(counter).encode())
    }

    /// Whatever somebody has sealed with this key.
    pub(crate) fn seal(&self, key: usize, content: [u8; plaintext::SIZE]) -> Candidate {
        Candidate {
            received_at: NOW.boot.as_nanos().try_into().unwrap(),
            source: SOURCE,
            destination: Address::from_ipv4(HERE),
            interface: 1,
            source_port: 1,
            destination_port: 80,
            datagram: Aead::new(&self.keys[key].key).seal([3; 12], content).unwrap(),
            padding: [0; 2],
        }
    }
}

/// The content of a good knock.
pub(crate) fn knock(counter: u128) -> Plaintext {
    Plaintext {
        command: CommandHash::of("default"),
        counter,
        strict: false,
        claimed_source: None,
        destination: Address::from_ipv4(HERE),
    }
}

/// Takes a good knock as far as onto the disk.
pub(crate) fn persist(
    verifier: &mut Verifier,
    floors: &mut FloorFile,
    knock: &Candidate,
) -> Result<AcceptedOrder, Error> {
    floors.persist(verifier.judge(NOW, floors.floors(), knock).unwrap())
}

fn key(number: u16) -> NamedKey {
    let [a, b] = number.to_be_bytes();
    let mut raw = [a; 40];
    raw[7] = b;
    let cipher = if number.is_multiple_of(2) { "chacha20poly1305:" } else { "" };
    let text = format!("{cipher}{}", Base64::encode_string(&raw));
    NamedKey { name: format!("key-{number}"), key: Key::parse(&text).unwrap() }
}
