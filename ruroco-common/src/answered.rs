//! What the stack is given of a segment to a closed door, so that the stack answers it as for a port without a
//! listener, and nothing can make a connection of it.
//!
//! Between the XDP program and a socket, a host may change the destination of a packet: a rule for NAT sends it to a
//! container, or to another port. So no later step may be what keeps a closed door closed. The segment itself must be
//! unable to open anything. A SYN is therefore taken out of it and counted in the sequence number instead. The RST that
//! answers a segment without ACK depends only on the sum of both (RFC 9293, section 3.10.7.1), and a segment without
//! SYN, ACK and RST opens no connection anywhere (section 3.10.7.2).

/// The first bytes of a TCP header, up to the window.
pub type Head = [u8; 16];

/// Control bits (RFC 9293, section 3.1).
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// The head of a segment that requests no connection, and to which a port without a listener gives the same answer; `None`
/// if that port answers nothing. The checksum of the segment stays as right or as wrong as it was.
#[inline(always)]
pub const fn without_request(head: Head) -> Option<Head> {
    let [p0, p1, p2, p3, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags, w0, w1] = head;
    if flags & RST != 0 {
        return None;
    }
    if flags & (SYN | ACK) != SYN {
        return Some(head);
    }
    let sequence = u32::from_be_bytes([s0, s1, s2, s3]);
    let [s0, s1, s2, s3] = sequence.wrapping_add(1).to_be_bytes();
    // The window is in the checksum, too, and no answer depends on it. Without the SYN the sum lacks 2, and with the new
    // sequence number it has 1 more, unless that has gone from its end to 0, which is the same sum.
    let window = u16::from_be_bytes([w0, w1]);
    let [w0, w1] = add(window, if sequence == u32::MAX { 2 } else { 1 }).to_be_bytes();
    Some([p0, p1, p2, p3, s0, s1, s2, s3, a0, a1, a2, a3, offset, flags & !SYN, w0, w1])
}

/// The sum in one's complement, as in the Internet checksum (RFC 1071).
#[inline(always)]
const fn add(number: u16, more: u16) -> u16 {
    match number.checked_add(more) {
        Some(sum) => sum,
        None => number.wrapping_add(more).wrapping_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sum over all words, of which two forms of 0 are one.
    fn sum(head: &Head) -> u32 {
        let words = head.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        words.sum::<u32>() % 0xffff
    }

    fn number(head: &Head) -> u32 {
        u32::from_be_bytes([head[4], head[5], head[6], head[7]])
    }

    /// What the RST acknowledges that answers a segment without ACK and content.
    fn acknowledged(head: &Head) -> u32 {
        let syn = u32::from(head[13] >> 1 & 1);
        number(head).wrapping_add(syn).wrapping_add(u32::from(head[13] & 1))
    }

    proptest! {
        #[test]
        fn no_segment_requests_a_connection_and_each_has_the_same_answer(
            head: Head,
            number in prop_oneof![any::<u32>(), Just(u32::MAX), Just(0xffff), Just(0x1_fffe)],
            window in prop_oneof![any::<u16>(), Just(u16::MAX), Just(u16::MAX - 1), Just(0)],
        ) {
            let mut head = head;
            head[4..8].copy_from_slice(&number.to_be_bytes());
            head[14..].copy_from_slice(&window.to_be_bytes());
            let Some(passed) = without_request(head) else {
                prop_assert_ne!(head[13] & RST, 0);
                return Ok(());
            };
            prop_assert_eq!(head[13] & RST, 0);
            prop_assert_ne!(passed[13] & (SYN | ACK), SYN);
            prop_assert_eq!(passed[13] & !SYN, head[13] & !SYN);
            prop_assert_eq!(sum(&passed), sum(&head));
            prop_assert_eq!(passed[..4].to_vec(), head[..4].to_vec());
            prop_assert_eq!(passed[8..13].to_vec(), head[8..13].to_vec());
            if head[13] & ACK == 0 {
                prop_assert_eq!(acknowledged(&passed), acknowledged(&head));
            } else {
                prop_assert_eq!(passed, head);
            }
        }
    }
}
