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
use ruroco_common::{address::Address, headers::Tcp};

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

/// As many words as the kernel's `struct bpf_sock_tuple` has.
type Tuple = [u32; 9];

/// What [`Tuple`] consists of for each family.
const IPV4_SIZE: u32 = 12;
const IPV6_SIZE: u32 = 36;

/// The socket that the stack would give a packet to.
#[inline(always)]
pub(crate) fn find<C>(context: &XdpContext, tcp: &Tcp<C>) -> Option<Socket> {
    let (mut tuple, size) = tuple(tcp);
    // SAFETY: the context is that of this packet, and the tuple has at least `size` bytes.
    let socket = unsafe {
        bpf_skc_lookup_tcp(context.as_ptr(), (&raw mut tuple).cast(), size, SAME_NAMESPACE, 0)
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

/// Addresses and ports in network byte order: `struct bpf_sock_tuple`, linux/bpf.h.
#[inline(always)]
fn tuple<C>(tcp: &Tcp<C>) -> (Tuple, u32) {
    let ports = ports(tcp.source_port, tcp.destination_port);
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (words(tcp.source), words(tcp.destination));
    if tcp.destination.is_ipv4() {
        ([s3, d3, ports, 0, 0, 0, 0, 0, 0], IPV4_SIZE)
    } else {
        ([s0, s1, s2, s3, d0, d1, d2, d3, ports], IPV6_SIZE)
    }
}

#[inline(always)]
fn ports(source: u16, destination: u16) -> u32 {
    let ([s0, s1], [d0, d1]) = (source.to_be_bytes(), destination.to_be_bytes());
    u32::from_ne_bytes([s0, s1, d0, d1])
}

/// An address as words in this machine's memory; IPv4 is the last one.
#[inline(always)]
const fn words(address: Address) -> [u32; 4] {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = address.to_bytes();
    [
        u32::from_ne_bytes([a0, a1, a2, a3]),
        u32::from_ne_bytes([b0, b1, b2, b3]),
        u32::from_ne_bytes([c0, c1, c2, c3]),
        u32::from_ne_bytes([d0, d1, d2, d3]),
    ]
}
