//! What the XDP program can decide about a packet, under the names that code, `status`, logs and
//! docs all use.
//!
//! Rationale: decision 0009.

/// The judgement on one packet. Each has a counter per CPU in [`maps::VERDICTS`](crate::maps).
/// "Dropped" is what a gate does that looks filtered; for others see [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Verdict {
    /// Neither UDP that Linux would deliver to one of our addresses and our port, nor for a door: passed on
    /// untouched.
    NotOurs = 0,
    /// The UDP header contradicts the IP header, or there are more VLAN tags or extension headers
    /// than are followed: dropped.
    Malformed = 1,
    /// A first fragment for us, or a fragment that may turn out to be for us: dropped. A knock always fits into
    /// one packet.
    Fragment = 2,
    /// The UDP payload is not [`datagram::SIZE`](crate::datagram::SIZE) bytes: dropped.
    WrongLength = 3,
    /// No key of ours has this id: dropped.
    UnknownKey = 4,
    /// An authentic packet with this tag has been handed over before: dropped.
    Replayed = 5,
    /// Of a key whose tags the kernel cannot check, and more of them than are let through without:
    /// dropped.
    Throttled = 6,
    /// The tag is wrong: dropped.
    Forged = 7,
    /// Authentic, and more than its key's share of the ring: dropped.
    OverShare = 8,
    /// Handed to the verifier through the ring; the frame itself is dropped.
    Candidate = 9,
    /// Should have been handed over, but the ring had no room: dropped.
    RingFull = 10,
    /// A new connection or flow through a door, under a lease: passed on.
    DoorAdmitted = 11,
    /// For a door, and of a connection or flow that exists: passed on.
    DoorSession = 12,
    /// For a door, and neither admitted by a lease nor of an existing connection or flow: dropped. For [`Outcome::Close`]
    /// see there.
    DoorClosed = 13,
    /// Under a lease, and more new connections or flows than it admits: dropped.
    DoorLimited = 14,
    /// A packet that may be for a door and cannot be read far enough to decide this, nearly always a first fragment:
    /// dropped.
    DoorFragment = 15,
}

/// What becomes of a packet after its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on to the stack: it does not concern the gate.
    Pass,
    /// It is dropped, or goes on to the stack so that this answers it as for any closed port: as
    /// the gate's appearance has it.
    Refuse,
    /// It is dropped whatever the gate's appearance: its sender has a key, and a knock is never
    /// answered.
    Take,
    /// It is dropped, or a port without a listener answers it, as the gate's appearance has it: a door is closed to its
    /// sender.
    Close,
}

impl Verdict {
    /// All verdicts, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::NotOurs,
        Self::Malformed,
        Self::Fragment,
        Self::WrongLength,
        Self::UnknownKey,
        Self::Replayed,
        Self::Throttled,
        Self::Forged,
        Self::OverShare,
        Self::Candidate,
        Self::RingFull,
        Self::DoorAdmitted,
        Self::DoorSession,
        Self::DoorClosed,
        Self::DoorLimited,
        Self::DoorFragment,
    ];

    /// How many verdicts there are.
    pub const COUNT: u32 = 16;

    /// The verdict's slot in [`maps::VERDICTS`](crate::maps).
    #[inline(always)]
    #[expect(clippy::as_conversions, reason = "the discriminant of a repr(u32) enum")]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// What happens to the packet.
    #[inline(always)]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::NotOurs | Self::DoorAdmitted | Self::DoorSession => Outcome::Pass,
            Self::Malformed
            | Self::Fragment
            | Self::WrongLength
            | Self::UnknownKey
            | Self::Replayed
            | Self::Throttled
            | Self::Forged => Outcome::Refuse,
            Self::OverShare | Self::Candidate | Self::RingFull => Outcome::Take,
            Self::DoorClosed | Self::DoorLimited | Self::DoorFragment => Outcome::Close,
        }
    }

    /// The one name of this verdict.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::Malformed => "malformed",
            Self::Fragment => "fragment",
            Self::WrongLength => "wrong_length",
            Self::UnknownKey => "unknown_key",
            Self::Replayed => "replayed",
            Self::Throttled => "throttled",
            Self::Forged => "forged",
            Self::OverShare => "over_share",
            Self::Candidate => "candidate",
            Self::RingFull => "ring_full",
            Self::DoorAdmitted => "door_admitted",
            Self::DoorSession => "door_session",
            Self::DoorClosed => "door_closed",
            Self::DoorLimited => "door_limited",
            Self::DoorFragment => "door_fragment",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_own_slot_and_name() {
        for (slot, verdict) in (0..).zip(Verdict::ALL) {
            assert_eq!(verdict.index(), slot);
            assert!(Verdict::ALL.iter().filter(|v| v.name() == verdict.name()).count() == 1);
        }
        assert_eq!(usize::try_from(Verdict::COUNT).unwrap(), Verdict::ALL.len());
    }
}
