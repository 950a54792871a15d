//! Probing: what somebody gets to see who compares the gate's port with a closed one next to it.

use crate::{
    namespace::Namespace,
    network::{CLIENT_INTERFACE, Family, PORT, SERVER_MAC},
    packet::{Packet, SOURCE_PORT},
    packet_socket::{Receiver, Sender},
    wait,
};

/// A closed port that nobody guards.
pub const NEIGHBOUR: u16 = PORT + 1;

/// Another one. A packet to it follows every probe, and the answer to that packet ends the answers
/// to the probe: what comes from one source is worked on in its order.
const MARKER: u16 = PORT + 10;

/// How many probes are on their way at once: there is room for 256 frames between two interfaces.
const AT_ONCE: usize = 50;

/// The frames of one probe, or those that came back.
pub type Frames = Vec<Vec<u8>>;

/// Sends probes from the client's host and sees what comes back.
#[derive(Debug)]
pub struct Prober {
    sender: Sender,
    receiver: Receiver,
    comparable: fn(Vec<u8>) -> Vec<u8>,
}

impl Prober {
    /// To be used by one who knows what comes back meanwhile: all of it counts as answers.
    ///
    /// # Panics
    /// If this process may not.
    pub fn new(client: &Namespace) -> Self {
        Self::comparing(client, comparable)
    }

    /// The same, with what makes two answers comparable; answers are never the server's to all.
    ///
    /// # Panics
    /// If this process may not.
    pub fn comparing(client: &Namespace, comparable: fn(Vec<u8>) -> Vec<u8>) -> Self {
        client.enter(|| Self {
            sender: Sender::new(CLIENT_INTERFACE),
            receiver: Receiver::new(),
            comparable,
        })
    }

    /// Sends probes one after the other; what came back to each of them.
    ///
    /// # Panics
    /// If a marker is not answered.
    #[track_caller]
    pub fn ask(&mut self, family: Family, probes: &[Frames]) -> Vec<Frames> {
        let marker = to_port(MARKER, &Packet::to_gate(family, b"marker").to_frame());
        let mut answers = Vec::new();
        for probes in probes.chunks(AT_ONCE) {
            for frame in probes.iter().flat_map(|frames| frames.iter().chain([&marker])) {
                self.sender.send(frame);
            }
            answers.extend(self.answers(probes.len()));
        }
        answers
    }

    /// What comes back until so many markers are answered: before each of them.
    #[track_caller]
    fn answers(&mut self, markers: usize) -> Vec<Frames> {
        let mut answers = vec![Frames::new()];
        wait::until("the answers to all markers", || {
            for answer in self.received() {
                match ports_at(&answer, MARKER) {
                    Some(_) => answers.push(Frames::new()),
                    None => answers.last_mut().expect("never empty").push(answer),
                }
            }
            (answers.len() > markers).then_some(())
        });
        assert_eq!(answers.pop(), Some(Frames::new()), "more came back than was asked for");
        answers
    }

    /// Sends frames that are answered in the end, in whatever order; what came back until there
    /// were so many answers.
    ///
    /// # Panics
    /// If there are not.
    #[track_caller]
    pub fn await_answers(&mut self, count: usize, frames: &[Vec<u8>]) -> Frames {
        frames.iter().for_each(|frame| self.sender.send(frame));
        let mut answers = Frames::new();
        wait::until("answers", || {
            answers.extend(self.received());
            (answers.len() >= count).then_some(())
        });
        answers.sort();
        answers
    }

    /// What the server sent to somebody in particular, as in [`crate::capture`].
    fn received(&mut self) -> Frames {
        let mut frames = self.receiver.received();
        frames.retain(|frame| frame[6..12] == SERVER_MAC && frame[0] & 1 == 0);
        frames.into_iter().map(self.comparable).collect()
    }
}

/// A frame for the gate, sent to another port. Its UDP checksum stays as right or as wrong as it
/// is; a frame in which no ports are stays as it is.
pub fn to_port(port: u16, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let Some(at) = ports_at(&frame, PORT) else { return frame };
    frame[at + 2..at + 4].copy_from_slice(&port.to_be_bytes());
    if let Some(checksum) = frame.get_mut(at + 6..at + 8)
        && *checksum != [0, 0]
    {
        // RFC 1071: one's complement, in which 0 has two forms. RFC 768: 0 is no checksum.
        let old = u32::from(u16::from_be_bytes([checksum[0], checksum[1]]));
        let new = match (old + 0xffff - u32::from(port - PORT)) % 0xffff {
            0 => 0xffff,
            new => u16::try_from(new).expect("less than 0xffff"),
        };
        checksum.copy_from_slice(&new.to_be_bytes());
    }
    frame
}

/// An answer without what differs between two answers of the same host, and between what it quotes
/// of packets to different ports.
fn comparable(mut answer: Vec<u8>) -> Vec<u8> {
    let Some(icmp) = content_of_comparable(&mut answer) else { return answer };
    answer[icmp + 2..icmp + 4].fill(0); // checksum
    let quoted = [PORT, NEIGHBOUR].into_iter().find_map(|port| ports_at(&answer, port));
    if let Some(at) = quoted {
        answer[at + 2..at + 4].fill(0);
        if let Some(checksum) = answer.get_mut(at + 6..at + 8) {
            checksum.fill(0);
        }
    }
    answer
}

/// Where the content of an IP packet begins, whose header no longer has what differs between two packets of the same host;
/// `None` for other frames.
pub fn content_of_comparable(answer: &mut [u8]) -> Option<usize> {
    const IP: usize = 14;
    match answer[12..14] {
        [0x08, 0x00] => {
            answer[IP + 4..IP + 6].fill(0); // identification
            answer[IP + 10..IP + 12].fill(0); // checksum of the header
            Some(IP + 4 * usize::from(answer[IP] & 0x0f))
        }
        [0x86, 0xdd] => Some(IP + 40),
        _ => None,
    }
}

/// Where the ports are in a frame that goes from the client to this port, or quotes one that did.
fn ports_at(frame: &[u8], port: u16) -> Option<usize> {
    let ports = [SOURCE_PORT.to_be_bytes(), port.to_be_bytes()];
    frame.windows(4).position(|window| *window == *ports.as_flattened())
}
