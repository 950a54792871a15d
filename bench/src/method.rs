//! How it is measured, said before anything is: a number whose making nobody knows is worth nothing.

use crate::{growth, scale::Scale};

/// In whole sentences, a paragraph each.
pub(crate) fn describe(scale: &Scale) -> Vec<String> {
    vec![
        format!(
            "Cost by verdict: BPF_PROG_TEST_RUN of the program as the gate loads and fills it, on \
             one packet {} times in a row (so with warm caches), beside an empty program that \
             drops (or passes) and beside the crates in two processes of their own that refuse the \
             same forged datagram {} times; {} rounds of all of them, so that noise meets them \
             alike. \"Above\" is the difference within a round; all numbers are medians. The \
             kernel tells whole nanoseconds, rounded down.",
            scale.repeat, scale.refusals, scale.rounds
        ),
        format!(
            "One by one: {} packets, no two alike, each run once, after the empty program has run \
             on it. A system call lies between two of them, so caches and branch predictors are \
             cold. An authentic packet is a candidate only once, so candidates are measured in \
             this way; so is growth with the number of keys, with {} packets a turn, each under \
             the next key, after as many that are not counted; the median of {} turns.",
            scale.singles,
            growth::MANY,
            growth::TURNS
        ),
        "Floods: network namespaces on this machine. The client has a link to the server (veth), \
         and so has the attacker; the gate guards both, so that knocks are not lost in the queue \
         in front of it, which is the attacker's own. Frames are made by an XDP program in the \
         kernel (BPF_F_TEST_XDP_LIVE_FRAMES) on CPU 0; the server's end of the attacker's link is \
         received by a kernel thread (threaded NAPI) on CPU 1. Nothing else is pinned: server, \
         commander, gate, clients and this program run where the kernel puts them, on the same two \
         CPUs. The programs that are knocked at, ruroco's as others', run in real time (SCHED_RR, \
         priority 1), which their commands inherit, ruroco's for 50 ms; all else shares time at \
         nice 0. All packets are IPv4, with random sources in 10.0.0.0/8 and \
         random source ports."
            .to_owned(),
        format!(
            "Knocks: the real client, one every 18 ms, {} times ({} at the highest rate); each \
             claims another address, which the command writes down with the time at which it \
             began, so that each knock is followed by itself. Time runs from the kernel's note of \
             the packet on the client's interface to the first thing the command does. No knock is \
             waited for longer than a second after the last one.",
            scale.knocks, scale.more_knocks
        ),
        "Offered is what the generator made; arrived is what the gate's counters counted or, without \
         a gate, the network stack's; what is missing was lost in the queue in front. Limits on the rate of knocks are high \
         enough not to matter. Servers without a gate have no program on their interfaces; the \
         attacked one has GRO on, without which the kernel would not take frames that no socket \
         has sent."
            .to_owned(),
        "All of it is built as a release is, for generic x86-64 (or this machine's architecture)."
            .to_owned(),
    ]
}
