//! Making a knock and putting it on the wire.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use ruroco_common::{
    address::Address,
    command::CommandHash,
    datagram::{Datagram, NONCE_SIZE},
    plaintext::Plaintext,
};
use zerocopy::IntoBytes;

use crate::{aead::Aead, key::Key};

/// What to ask of a server.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the command.
    pub command: String,
    /// Whether a claimed source has to be the real one.
    pub strict: bool,
    /// The address to act for, if it is not the one the packet comes from.
    pub claimed_source: Option<IpAddr>,
}

/// Random numbers or encryption failed; neither is known to happen.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum SealError {
    /// The operating system has no random numbers.
    #[error("could not get random numbers for the nonce: {0}")]
    Random(#[from] getrandom::Error),
    /// The cipher refused.
    #[error("could not encrypt the datagram")]
    Cipher,
}

/// Makes the datagram that asks for this at `destination`.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    key: &Key,
    request: &Request,
    counter: u128,
    destination: IpAddr,
) -> Result<Datagram, SealError> {
    let mut nonce = [0; NONCE_SIZE];
    getrandom::fill(&mut nonce)?;
    let plaintext = Plaintext {
        command: CommandHash::of(&request.command),
        counter,
        strict: request.strict,
        claimed_source: request.claimed_source.map(Address::from),
        destination: destination.into(),
    };
    Aead::new(key).seal(nonce, plaintext.encode()).map_err(|_| SealError::Cipher)
}

/// Sends it. That this succeeds means only that the kernel took it: servers do not answer.
///
/// # Errors
/// Those of the socket: no route, no such family.
pub fn send(datagram: &Datagram, to: SocketAddr) -> io::Result<()> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0))?.send_to(datagram.as_bytes(), to).map(|_| ())
}
