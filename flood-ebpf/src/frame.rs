//! The frame that the generator writes into, and the plan of what it writes.
//!
//! The benchmark includes this file too: it makes the first frame and the plan, and tests on the
//! host that whatever is written here keeps the checksum of the IPv4 header right. Everything is
//! 16-bit words, which is how a frame is aligned and how that checksum is reckoned; the words are
//! in the byte order of the network.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Name of the generator.
pub const GENERATOR: &str = "flood";
/// Name of the program that does nothing but drop.
pub const DROP: &str = "drop_all";
/// Name of the program that does nothing but pass.
pub const PASS: &str = "pass_all";
/// Array of one [`Plan`].
pub const PLAN: &str = "PLAN";
/// Array of [`MAX_KEYS`] key ids.
pub const KEY_IDS: &str = "KEY_IDS";
/// How many keys can be forged under: a power of two.
pub const MAX_KEYS: u32 = 1 << 14;

/// Words of a datagram of 94 bytes.
pub const DATAGRAM_WORDS: usize = 47;
/// Words of a key id.
const KEY_ID_WORDS: usize = 4;
/// A key id.
pub type KeyId = [u16; KEY_ID_WORDS];

/// A UDP payload of another length, one byte too short; the frame's last byte is padding.
pub const WRONG_LENGTH: u32 = 0;
/// A datagram of random bytes.
pub const RANDOM: u32 = 1;
/// A datagram of random bytes behind a known key id.
pub const FORGED: u32 = 2;
/// The plan's datagram as it is.
pub const REPLAY: u32 = 3;
/// A first fragment that claims more to come, with a forged datagram in it.
pub const FRAGMENT: u32 = 4;
/// One of the above, chosen again for each frame.
pub const MIX: u32 = 5;
/// The first frame's payload, of any length, as it is: a replay of another program's packet.
pub const TEMPLATE: u32 = 6;
/// The same, beginning with random letters: a forgery where packets are text.
pub const LETTERS: u32 = 7;
/// A TCP SYN to the plan's door, with a right checksum.
pub const SYN: u32 = 8;
/// One of [`SYN`] and [`FORGED`], chosen again for each frame.
pub const SYN_AND_FORGED: u32 = 9;
/// The first frame as it is, headers and all.
pub const WHOLE: u32 = 10;

/// How many words of letters.
const LETTER_WORDS: usize = 8;

/// What to write.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Plan {
    /// One of the kinds above.
    pub kind: u32,
    /// Random bits of the source address, from the lowest on, at most 24: 0 for one source.
    pub source_bits: u32,
    /// How many key ids there are; each frame is forged under another one.
    pub keys: u32,
    /// The UDP port of knocks, in the byte order of the network.
    pub port: u16,
    /// The TCP port of a [`SYN`], in the byte order of the network.
    pub door: u16,
    /// The checksum of a [`SYN`] with a source address, source port and sequence number of 0.
    pub checksum: u16,
    /// An authentic datagram, for [`REPLAY`].
    pub datagram: [u16; DATAGRAM_WORDS],
}

/// Ethernet, IPv4 without options, UDP and 94 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Frame {
    /// Addresses and type.
    pub ethernet: [u16; 7],
    /// Version, header length and type of service.
    pub version: u16,
    /// Length of header and payload.
    pub total_length: u16,
    /// The identification: what keeps the checksum right.
    pub id: u16,
    /// Flags and fragment offset.
    pub fragment: u16,
    /// Time to live and protocol.
    pub protocol: u16,
    /// Of the IPv4 header; never written.
    pub checksum: u16,
    /// Source address.
    pub source: [u16; 2],
    /// Destination address.
    pub destination: [u16; 2],
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Length of UDP header and payload.
    pub udp_length: u16,
    /// Zero: IPv4 allows UDP without one (RFC 768).
    pub udp_checksum: u16,
    /// The UDP payload.
    pub payload: [u16; DATAGRAM_WORDS],
}

/// IPv4 and UDP headers, and a datagram.
const TOTAL_LENGTH: u16 = 20 + UDP_LENGTH;
/// UDP header and a datagram.
const UDP_LENGTH: u16 = 8 + 94;
/// IPv4 and TCP headers without options.
const SYN_LENGTH: u16 = 20 + 20;
/// A time to live of 64, and UDP.
const UDP: u16 = 64 << 8 | 17;
/// A time to live of 64, and TCP.
const TCP: u16 = 64 << 8 | 6;
/// A TCP header of 20 bytes with the flag SYN (RFC 9293, section 3.1).
pub const SYN_FLAGS: u16 = 5 << 12 | 2;
/// The window of a [`SYN`].
pub const SYN_WINDOW: u16 = 0xfaf0;
/// "More fragments" (RFC 791, section 3.1).
const MORE_FRAGMENTS: u16 = 0x2000;

/// First byte of all source addresses: 10.0.0.0/8, for private use (RFC 1918).
const NETWORK: u8 = 10;

/// A stream of random bits from a seed: xorshift64* (Vigna 2016).
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed; any will do.
    #[inline(always)]
    pub fn new(seed: u32) -> Self {
        // Never zero, where it would stay, and far from other seeds.
        Self((u64::from(seed) | 1 << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    #[inline(always)]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

impl Frame {
    /// Makes it the next frame of a flood. What it was before does not matter, except that the
    /// checksum was right.
    #[inline(always)]
    pub fn write(&mut self, plan: &Plan, key_id: &KeyId, random: &mut Random) {
        if plan.kind == WHOLE {
            return;
        }
        let choice = random.next();
        let kind = match plan.kind {
            MIX => low_half(choice >> 48) % MIX,
            SYN_AND_FORGED if choice >> 63 == 0 => SYN,
            SYN_AND_FORGED => FORGED,
            kind => kind,
        };
        self.write_headers(plan, kind, choice);
        match kind {
            // Its content is never looked at.
            WRONG_LENGTH | TEMPLATE => {}
            LETTERS => self.write_letters(random),
            SYN => self.write_syn(plan),
            REPLAY => self.payload = plan.datagram,
            RANDOM => self.write_random(0, random),
            _ => {
                for (to, from) in self.payload.iter_mut().zip(key_id) {
                    *to = *from;
                }
                self.write_random(KEY_ID_WORDS, random);
            }
        }
    }

    #[inline(always)]
    fn write_headers(&mut self, plan: &Plan, kind: u32, choice: u64) {
        let before = self.changing_words();
        let bits = low_half(choice) & low_half((1_u64 << (plan.source_bits & 31)).wrapping_sub(1));
        let [_, second, third, fourth] = bits.to_be_bytes();
        self.source = [[NETWORK, second], [third, fourth]].map(u16::from_ne_bytes);
        self.source_port = (low_word(choice >> 32) | 0x8000).to_be();
        if kind == SYN {
            self.total_length = SYN_LENGTH.to_be();
            self.fragment = 0;
            self.protocol = TCP.to_be();
        } else if kind < TEMPLATE {
            self.protocol = UDP.to_be();
            self.destination_port = plan.port;
            self.udp_checksum = 0;
            let shorter = u16::from(kind == WRONG_LENGTH);
            self.total_length = TOTAL_LENGTH.wrapping_sub(shorter).to_be();
            self.udp_length = UDP_LENGTH.wrapping_sub(shorter).to_be();
            self.fragment = if kind == FRAGMENT { MORE_FRAGMENTS.to_be() } else { 0 };
        }
        self.id = neutral(self.id, before, self.changing_words());
    }

    /// The words of the IPv4 header that frames differ in, except the identification.
    #[inline(always)]
    fn changing_words(&self) -> [u16; 5] {
        let [first, second] = self.source;
        [self.total_length, self.fragment, self.protocol, first, second]
    }

    /// What follows the IPv4 header, of which the source port is written. The sequence number keeps the checksum
    /// right.
    #[inline(always)]
    fn write_syn(&mut self, plan: &Plan) {
        let [first, second] = self.source;
        self.destination_port = plan.door;
        self.udp_length = 0;
        self.udp_checksum = neutral(0, [0; 3], [first, second, self.source_port]);
        let header = [0, 0, SYN_FLAGS.to_be(), SYN_WINDOW.to_be(), plan.checksum, 0];
        for (to, from) in self.payload.iter_mut().zip(header) {
            *to = from;
        }
    }

    #[inline(always)]
    fn write_letters(&mut self, random: &mut Random) {
        let mut bits = 0;
        for (place, word) in self.payload.iter_mut().enumerate().take(LETTER_WORDS) {
            if place & 3 == 0 {
                bits = random.next();
            }
            // One of 16 letters from "A" on, in both bytes.
            *word = (low_word(bits) & 0x0f0f).wrapping_add(0x4141);
            bits >>= 16;
        }
    }

    #[inline(always)]
    fn write_random(&mut self, from: usize, random: &mut Random) {
        let mut bits = 0;
        for (place, word) in self.payload.iter_mut().enumerate().skip(from) {
            if place & 3 == 0 {
                bits = random.next();
            }
            *word = low_word(bits);
            bits >>= 16;
        }
    }
}

/// What a word must become for the checksum of a header to stay as it is when others change. The
/// checksum is a sum in which carries come in again at the lower end (RFC 1071), so taking a word
/// away is adding its complement, in either byte order.
#[inline(always)]
pub fn neutral<const N: usize>(word: u16, before: [u16; N], after: [u16; N]) -> u16 {
    let mut sum = u32::from(word);
    for (before, after) in before.into_iter().zip(after) {
        sum = sum.wrapping_add(u32::from(before)).wrapping_add(u32::from(!after));
    }
    sum = (sum & 0xffff).wrapping_add(sum >> 16);
    sum = (sum & 0xffff).wrapping_add(sum >> 16);
    low_word(u64::from(sum))
}

#[inline(always)]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the lower half is what is wanted"
)]
fn low_half(bits: u64) -> u32 {
    bits as u32
}

#[inline(always)]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the lower word is what is wanted"
)]
fn low_word(bits: u64) -> u16 {
    bits as u16
}
