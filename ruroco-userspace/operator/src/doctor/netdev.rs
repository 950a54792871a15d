//! The XDP features of an interface's driver, as the kernel reports them since Linux 6.3 (generic netlink,
//! family `netdev`: Documentation/netlink/specs/netdev.yaml). An attempt to attach a program would reset the
//! interface's queues.

use std::io;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// `NLM_F_REQUEST` (linux/netlink.h)
const REQUEST: u16 = 1;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `GENL_ID_CTRL` (linux/genetlink.h): the family that knows the others.
const CONTROL: u16 = 0x10;
/// `CTRL_CMD_GETFAMILY`
const GET_FAMILY: u8 = 3;
/// `CTRL_ATTR_FAMILY_ID`
const FAMILY_ID: u16 = 1;
/// `CTRL_ATTR_FAMILY_NAME`
const FAMILY_NAME: u16 = 2;
/// `NETDEV_CMD_DEV_GET` (linux/netdev.h)
const GET_DEVICE: u8 = 1;
/// `NETDEV_A_DEV_IFINDEX`
const INDEX: u16 = 1;
/// `NETDEV_A_DEV_XDP_FEATURES`
const XDP_FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_BASIC`: the driver runs programs that pass, drop or send back.
const BASIC: u64 = 1;

/// Sizes of `struct nlmsghdr`, of it with `struct genlmsghdr`, and of `struct nlattr`.
const HEADER: usize = 16;
const HEADERS: usize = 20;
const ATTRIBUTE: usize = 4;

/// Whether the driver of the interface with this index runs XDP programs itself.
///
/// # Errors
/// If this kernel does not tell.
pub(super) fn runs_xdp(index: u32) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC;
    let protocol = Some(netlink::GENERIC);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    let ask = |message: &[u8]| -> io::Result<Vec<u8>> {
        send(&socket, message, SendFlags::empty())?;
        let mut answer = vec![0; 8192];
        // The kernel answers before `send` returns.
        let (length, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::DONTWAIT)?;
        answer.truncate(length);
        Ok(answer)
    };
    let family = ask(&message(CONTROL, GET_FAMILY, FAMILY_NAME, b"netdev\0"))?;
    let family = attribute(&family, FAMILY_ID)?;
    let family = u16::from_ne_bytes(family.try_into().map_err(|_| malformed())?);
    let device = ask(&message(family, GET_DEVICE, INDEX, &index.to_ne_bytes()))?;
    let features = attribute(&device, XDP_FEATURES)?;
    Ok(u64::from_ne_bytes(features.try_into().map_err(|_| malformed())?) & BASIC != 0)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer has an unknown format")
}

/// A question with one attribute.
fn message(family: u16, command: u8, attribute: u16, value: &[u8]) -> Vec<u8> {
    let length = |size: usize| u16::try_from(size).unwrap_or(u16::MAX);
    let padded = value.len().next_multiple_of(4);
    let whole = HEADERS.saturating_add(ATTRIBUTE).saturating_add(padded);
    let mut message = Vec::with_capacity(whole);
    message.extend(u32::from(length(whole)).to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence number and port: there is one question and one answer
    message.extend([command, 1, 0, 0]);
    message.extend(length(ATTRIBUTE.saturating_add(value.len())).to_ne_bytes());
    message.extend(attribute.to_ne_bytes());
    message.extend(value);
    message.resize(whole, 0);
    message
}

/// The value of an attribute of an answer.
fn attribute(answer: &[u8], wanted: u16) -> io::Result<&[u8]> {
    let two = |from: usize| -> Option<u16> {
        let bytes = answer.get(from..from.checked_add(2)?)?;
        Some(u16::from_ne_bytes(bytes.try_into().ok()?))
    };
    if two(4) == Some(ERROR) {
        let number = answer.get(HEADER..HEADERS).and_then(|bytes| bytes.try_into().ok());
        let number = number.map(i32::from_ne_bytes).ok_or_else(malformed)?;
        return Err(io::Error::from_raw_os_error(number.saturating_neg()));
    }
    let mut at = HEADERS;
    while let (Some(length), Some(kind)) = (two(at), two(at.saturating_add(2))) {
        let length = usize::from(length);
        if length < ATTRIBUTE {
            break;
        }
        if kind == wanted {
            let value = at.saturating_add(ATTRIBUTE)..at.saturating_add(length);
            return answer.get(value).ok_or_else(malformed);
        }
        at = at.saturating_add(length.next_multiple_of(4));
    }
    Err(malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_and_cut_ones_are_not() {
        let mut answer = message(20, 1, 7, &[1, 2, 3]);
        answer.extend([8, 0, 3, 0, 9, 9, 9, 9]);
        assert_eq!(attribute(&answer, 7).unwrap(), [1, 2, 3]);
        assert_eq!(attribute(&answer, 3).unwrap(), [9, 9, 9, 9]);
        for length in 0..answer.len() {
            assert!(attribute(&answer[..length], 3).is_err(), "{length}");
        }
        answer[HEADERS..HEADERS + 2].fill(0);
        assert!(attribute(&answer, 3).is_err(), "an attribute without a length has an end");
    }

    #[test]
    fn the_kernels_refusal_is_told() {
        let mut refusal = message(ERROR, 0, 0, &[]);
        refusal[HEADER..HEADERS].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(attribute(&refusal, 1).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
