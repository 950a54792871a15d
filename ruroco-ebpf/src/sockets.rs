//! The kernel's TCP sockets: whether there is one for a packet, and what it does.

use core::mem::offset_of;

use aya_ebpf::{
    EbpfContext,
    bindings::{
        BPF_TCP_ESTABLISHED, BPF_TCP_LISTEN, BPF_TCP_NEW_SYN_RECV, BPF_TCP_SYN_RECV, bpf_sock,
    },
    helpers::{bpf_sk_release, bpf_skc_lookup_tcp},
    programs::XdpContext,
};
use ruroco_common::headers::{Addresses, Ports};

use crate::words;

/// The network namespace of the interface (`BPF_F_CURRENT_NETNS`, linux/bpf.h).
const SAME_NAMESPACE: u64 = u64::MAX;

/// What a socket does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Socket {
    /// It waits for connections.
    Listener,
    /// It has answered a SYN and waits for the last packet of the handshake.
    HalfOpen,
    /// It is of a connection.
    Established,
    /// It is of a connection that ends, or that this host begins.
    Other,
}

/// The socket that the stack would give a packet to.
#[inline(always)]
pub(crate) fn find(context: &XdpContext, addresses: &Addresses, ports: Ports) -> Option<Socket> {
    let ([s0, s1], [d0, d1]) = (ports.source.to_be_bytes(), ports.destination.to_be_bytes());
    let ports = u32::from_ne_bytes([s0, s1, d0, d1]);
    let (source, destination) = (addresses.source.to_words(), addresses.destination.to_words());
    if addresses.destination.is_ipv4() {
        // The last word.
        let ([.., source], [.., destination]) = (source, destination);
        lookup(context, [source, destination, ports])
    } else {
        let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (source, destination);
        lookup(context, [s0, s1, s2, s3, d0, d1, d2, d3, ports])
    }
}

/// As the compiler writes it: it may move two words at once, which the verifier wants to be aligned.
#[repr(align(8))]
struct Tuple<const WORDS: usize>([u32; WORDS]);

/// Looks for the socket of addresses and ports, all in network byte order. Their number tells the kernel the IP version:
/// `struct bpf_sock_tuple`, linux/bpf.h.
#[inline(always)]
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "12 or 36 bytes")]
fn lookup<const WORDS: usize>(context: &XdpContext, tuple: [u32; WORDS]) -> Option<Socket> {
    let mut tuple = Tuple(tuple);
    let size = size_of::<[u32; WORDS]>() as u32;
    // SAFETY: the context is that of this packet, and the tuple has `size` bytes.
    let socket = unsafe {
        bpf_skc_lookup_tcp(context.as_ptr(), (&raw mut tuple.0).cast(), size, SAME_NAMESPACE, 0)
    };
    if socket.is_null() {
        return None;
    }
    let state = words::read(words::field(socket, offset_of!(bpf_sock, state)));
    // SAFETY: the helper has taken a reference to this socket, which is not used after this.
    unsafe { bpf_sk_release(socket.cast()) };
    Some(match state {
        BPF_TCP_LISTEN => Socket::Listener,
        BPF_TCP_NEW_SYN_RECV | BPF_TCP_SYN_RECV => Socket::HalfOpen,
        BPF_TCP_ESTABLISHED => Socket::Established,
        _ => Socket::Other,
    })
}
