//! Knocks that the real client would not make: any version, any counter, any claim.

use std::{
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use ruroco_common::{
    address::Address, command::CommandHash, datagram::Datagram, plaintext::Plaintext,
};
use ruroco_keys::key::Key;
use ruroco_seal::Aead;
use zerocopy::IntoBytes;

/// The bytes of a datagram.
pub type Bytes = [u8; ruroco_common::datagram::SIZE];

/// A knock to be sealed. Made by [`Knock::to`] it is a good one; change what is to be wrong.
#[derive(Clone, Debug)]
pub struct Knock {
    /// First byte of the plaintext.
    pub version: u8,
    /// The rest of the plaintext.
    pub plaintext: Plaintext,
}

impl Knock {
    /// A good knock, permissive and without a claimed source.
    pub fn to(destination: IpAddr, command: &str) -> Self {
        Self {
            version: ruroco_common::plaintext::VERSION,
            plaintext: Plaintext {
                command: CommandHash::of(command),
                counter: now(),
                strict: false,
                claimed_source: None,
                destination: Address::from(destination),
            },
        }
    }

    /// Encrypts and authenticates, each time with another nonce.
    ///
    /// # Panics
    /// If there are no random numbers.
    pub fn seal(&self, key: &Key) -> Bytes {
        let mut content = self.plaintext.encode();
        content[0] = self.version;
        let mut nonce = [0; ruroco_common::datagram::NONCE_SIZE];
        getrandom::fill(&mut nonce).expect("random numbers");
        let datagram: Datagram = Aead::new(key).seal(nonce, content).expect("seal a knock");
        datagram.as_bytes().try_into().expect("a datagram has one size")
    }
}

/// The counter of this moment.
///
/// # Panics
/// If the clock is before 1970.
pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_nanos()
}

/// The same datagram with a wrong tag.
pub fn forge(mut datagram: Bytes) -> Bytes {
    datagram[TAG] ^= 1;
    datagram
}

/// The same datagram under a key id that nobody has.
pub fn under_unknown_key(mut datagram: Bytes) -> Bytes {
    datagram[0] ^= 0xff;
    datagram
}

/// Where the tag begins.
const TAG: usize = ruroco_common::datagram::KEY_ID_SIZE + ruroco_common::datagram::NONCE_SIZE;
