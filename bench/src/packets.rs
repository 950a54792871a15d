//! One packet for each verdict.

use anyhow::{Context, Result};
use ruroco_keys::key::{Cipher, Key};
use ruroco_lab::{
    knock::{self, Bytes, Knock},
    network::{Family, PORT, SERVER, THIRD},
    packet::Packet,
};
use ruroco_seal::generate_key;

/// A key of each cipher.
pub(crate) struct Keys {
    /// The kernel checks its tags.
    pub(crate) chacha: Key,
    /// The kernel cannot.
    pub(crate) aes: Key,
}

impl Keys {
    /// New ones.
    pub(crate) fn generate() -> Result<Self> {
        let aes = Key { cipher: Cipher::Aes256GcmSiv, ..key()? };
        Ok(Self { chacha: key()?, aes })
    }

    /// Both of them.
    pub(crate) fn all(&self) -> [Key; 2] {
        [self.chacha.clone(), self.aes.clone()]
    }
}

/// A new key for ChaCha20-Poly1305.
pub(crate) fn key() -> Result<Key> {
    generate_key().context("there are no random numbers")
}

/// An authentic datagram, another one each time.
pub(crate) fn authentic(key: &Key) -> Bytes {
    Knock::to(SERVER.of(Family::V4), "default").seal(key)
}

/// A datagram with a wrong tag.
pub(crate) fn forged(key: &Key) -> Bytes {
    knock::forge(authentic(key))
}

/// The frame of a UDP packet to the gate.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    Packet::to_gate(Family::V4, payload).to_frame()
}

/// A packet that is refused, or passed on, before anything in it is looked up.
pub(crate) struct Plain {
    pub(crate) verdict: &'static str,
    pub(crate) what: &'static str,
    pub(crate) frame: Vec<u8>,
}

/// One for each of these verdicts, and for each way to be none of the gate's business.
pub(crate) fn plain(datagram: &Bytes) -> Vec<Plain> {
    let good = Packet::to_gate(Family::V4, datagram);
    let changed = |change: fn(&mut Packet)| {
        let mut packet = good.clone();
        change(&mut packet);
        packet.to_frame()
    };
    let plain = |verdict, what, frame| Plain { verdict, what, frame };
    vec![
        plain("not_ours", "TCP", {
            let tcp = |packet: &mut Packet| packet.ipv4().0.protocol = etherparse::IpNumber::TCP;
            changed(tcp)
        }),
        plain(
            "not_ours",
            "UDP to another port",
            changed(|packet| packet.udp.destination_port = PORT + 1),
        ),
        plain(
            "not_ours",
            "UDP to another address",
            changed(|packet| packet.ipv4().0.destination = THIRD.v4.octets()),
        ),
        plain(
            "malformed",
            "UDP that claims to be longer than it is",
            changed(|packet| packet.udp.length += 1),
        ),
        plain(
            "fragment",
            "a first fragment",
            changed(|packet| packet.ipv4().0.more_fragments = true),
        ),
        plain("wrong_length", "93 bytes", frame(&datagram[..93])),
        plain("unknown_key", "94 bytes", frame(&knock::under_unknown_key(*datagram))),
    ]
}
