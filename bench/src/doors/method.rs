//! How doors are measured.

use super::host::SOURCE_BITS;
use crate::scale::Scale;

/// In whole sentences, a paragraph each.
pub(super) fn describe(scale: &Scale) -> Vec<String> {
    let doors = &scale.doors;
    let build = if cfg!(debug_assertions) {
        "without optimisation (a development build): that concerns the client and the daemons, whose part in a \
         login is small, and not the XDP programs, which are always optimised"
    } else {
        "as a release is"
    };
    vec![
        format!(
            "Cost: as by verdict (BPF_PROG_TEST_RUN, {} rounds of {} runs), in a network namespace with real \
             sockets. The session is an established connection of the kernel's own, and its packet the last \
             acknowledgement that was on the wire. Its lease and that of the flow have ended.",
            scale.rounds, scale.repeat
        ),
        format!(
            "Receiving: one host is flooded at the generator's maximum rate while guards take turns, {} rounds of \
             {} ms. What is measured is the CPU time of the receiving thread for each packet that came in, with \
             all that the network stack does about it in this thread: an answer to a SYN, and what the other end \
             of the link, which is the same machine, does about that answer. SYNs have {} random sources and \
             right checksums; sessions and flows are one packet again and again, to sockets that nobody reads.",
            doors.flood_rounds,
            doors.flood_time.as_millis(),
            1_u32 << SOURCE_BITS
        ),
        format!(
            "Throughput: {} rounds of one connection each way of receiving, of {} ms, in turn; the sender on one \
             CPU, the receiver on the other. The ratios are those within a round. Neither end hands over packets \
             that a wire would not carry (TSO and GSO are off), and the receiver has GRO and NAPI.",
            doors.transfer_rounds,
            doors.transfer_time.as_millis()
        ),
        format!(
            "Logins: {} attempts, one after the other. Each begins with the port closed to the client. The real \
             client knocks and waits until the port is open; then the real ssh logs in to a real sshd and runs \
             `true`. The generator floods port 22 at its maximum rate, by a link of its own: SYNs with {} random \
             sources, and forged knocks between them, one half each. The flood, its receiving thread, ssh, sshd, \
             client and daemons share two CPUs: a row has the CPU of the generator busy without a packet. \
             Server and commander run in real time, as their units have it; ssh and sshd do not.",
            doors.logins,
            1_u32 << SOURCE_BITS
        ),
        format!("All programs but ssh, sshd and nft are built {build}."),
    ]
}
