//! Properties of a driver (`SIOCETHTOOL`, linux/ethtool.h). This only reads, and sets nothing.
//!
//! It uses a socket and not sysfs, which shows the interfaces of the namespace that mounted it.

use std::{ffi::c_char, io, os::fd::AsRawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// linux/sockios.h
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// `ETHTOOL_GDRVINFO`
const DRIVER: u32 = 0x03;
/// `ETHTOOL_GFLAGS`
const FLAGS: u32 = 0x25;
/// `ETHTOOL_GCHANNELS`
const CHANNELS: u32 = 0x3c;
/// `ETH_FLAG_LRO`
const LRO: u32 = 1 << 15;

/// Room for the answer to any of these questions, in words: the longest, `struct ethtool_drvinfo`,
/// has 49.
const WORDS: usize = 64;

/// The driver's name.
///
/// # Errors
/// If the driver does not say, or there is no such interface.
pub(super) fn driver(interface: &str) -> io::Result<String> {
    // A command and then the name, in 32 bytes of which the last is zero.
    let answer = ask(interface, DRIVER)?;
    let bytes: Vec<u8> =
        answer.iter().skip(1).take(8).flat_map(|word| word.to_ne_bytes()).collect();
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Whether it puts received packets together (large receive offload), which native XDP does not go
/// with.
///
/// # Errors
/// As [`driver`].
pub(super) fn has_lro(interface: &str) -> io::Result<bool> {
    Ok(ask(interface, FLAGS)?.get(1).is_some_and(|flags| flags & LRO != 0))
}

/// Receive queues in use, and how many there could be.
///
/// # Errors
/// As [`driver`].
pub(super) fn receive_queues(interface: &str) -> io::Result<(u32, u32)> {
    // cmd, then the most there can be (rx, tx, other, combined), then what is (in the same order).
    let [_, max_rx, _, _, max_combined, rx, _, _, combined, ..] = ask(interface, CHANNELS)?;
    Ok((rx.saturating_add(combined), max_rx.saturating_add(max_combined)))
}

fn ask(interface: &str, question: u32) -> io::Result<[u32; WORDS]> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut answer = [0; WORDS];
    answer[0] = question;
    let mut name: [c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
    if interface.len() >= name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in name.iter_mut().zip(interface.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    let mut request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: answer.as_mut_ptr().cast() },
    };
    // SAFETY: the kernel reads the request and the question, and writes the answer to one of the
    // three questions there are, for which there is room.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if asked < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
