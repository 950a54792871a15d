//! Links and addresses, as the kernel reports them (rtnetlink(7)).
//!
//! Only the attributes that the gate needs are read, and each of them on its own. So a kernel that adds
//! to its messages cannot keep the gate from finding an interface.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
};

use rustix::{
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::SocketAddrNetlink, recv, send, socket_with,
    },
};

/// `NLM_F_REQUEST` (linux/netlink.h, like all that begins with NLM)
const REQUEST: u16 = 1;
/// `NLM_F_MULTI`: another message follows.
const MULTI: u16 = 2;
/// `NLM_F_DUMP`
pub const DUMP: u16 = 0x300;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLMSG_DONE`
const DONE: u16 = 3;
/// `RTM_GETLINK`, `RTM_GETADDR`, `RTM_GETROUTE` (linux/rtnetlink.h)
const GET_LINK: u16 = 18;
const GET_ADDRESS: u16 = 22;
const GET_ROUTE: u16 = 26;
/// `IFLA_IFNAME`, `IFLA_MTU`, `IFLA_LINK`, `IFLA_MASTER`, `IFLA_LINKINFO`, `IFLA_INFO_KIND`, `IFLA_LINK_NETNSID`,
/// `IFLA_XDP`, `IFLA_XDP_ATTACHED`, `IFLA_ALT_IFNAME` (linux/if_link.h)
const NAME: u16 = 3;
const MTU: u16 = 4;
const BELOW: u16 = 5;
const MASTER: u16 = 10;
const INFO: u16 = 18;
const KIND: u16 = 1;
const BELOW_IS_ELSEWHERE: u16 = 37;
const XDP: u16 = 43;
const XDP_ATTACHED: u16 = 2;
const ANY_NAME: u16 = 53;
/// `IFA_ADDRESS`, `IFA_LOCAL`, `IFA_BROADCAST`, `IFA_FLAGS` (linux/if_addr.h)
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const BROADCAST: u16 = 4;
const FLAGS: u16 = 8;

/// `RTA_DST`, `RTN_LOCAL` (linux/rtnetlink.h)
const DESTINATION: u16 = 1;
const TO_THIS_HOST: u8 = 2;

/// Sizes of `struct nlmsghdr`, `struct nlattr`, `struct ifinfomsg`, `struct ifaddrmsg` and `struct rtmsg`.
const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;
const LINK: usize = 16;
const ASSIGNMENT: usize = 8;
const ROUTE: usize = 12;

/// Most that the kernel puts into one answer (`netlink_dump`, net/netlink/af_netlink.c).
const ANSWER: usize = 32 << 10;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number of it.
    pub index: u32,
    /// The name that `ip link` shows, even if it was found by another one.
    pub name: String,
    /// The link type (`ARPHRD_*`, linux/if_arp.h).
    pub hardware: u16,
    /// What kind of software device it is, such as `bond` or `veth`. Devices of hardware have none.
    pub kind: Option<String>,
    /// The number of the bond, bridge or VRF that it belongs to.
    pub master: Option<u32>,
    /// The number of the interface below it, or of its other end, if that is in this network namespace.
    pub below: Option<u32>,
    /// In bytes; 0 if the kernel does not tell.
    pub mtu: u32,
    /// How an XDP program is attached to it: `XDP_ATTACHED_*` (linux/if_link.h), 0 without one.
    pub xdp_mode: u8,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The interface's number.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Other destinations that the stack delivers here because of it: those of all hosts of an IPv4 network, and of all
    /// routers of an IPv6 network (RFC 4291, section 2.6.1).
    pub others: Vec<IpAddr>,
    /// `IFA_F_*` (linux/if_addr.h).
    pub flags: u32,
}

/// The interface with this name or altname.
///
/// # Errors
/// If the kernel does not answer.
pub fn link(name: &str) -> io::Result<Option<Link>> {
    let mut body = vec![0; LINK];
    push_attribute(&mut body, ANY_NAME, &[name.as_bytes(), b"\0"].concat());
    let mut found = None;
    match ask(None, GET_LINK, 0, &body, |answer| found = parse_link(answer)) {
        Err(error) if is_absent(&error) => Ok(None),
        answered => answered.map(|()| found),
    }
}

/// All interfaces.
///
/// # Errors
/// If the kernel does not answer.
pub fn links() -> io::Result<Vec<Link>> {
    let mut all = Vec::new();
    ask(None, GET_LINK, DUMP, &[0; LINK], |answer| all.extend(parse_link(answer)))?;
    Ok(all)
}

/// All addresses of all interfaces.
///
/// # Errors
/// If the kernel does not answer.
pub fn addresses() -> io::Result<Vec<Assigned>> {
    let mut all = Vec::new();
    ask(None, GET_ADDRESS, DUMP, &[0; ASSIGNMENT], |answer| all.extend(parse_address(answer)))?;
    Ok(all)
}

/// Whether packets for an address would be delivered on this host: because an interface has it, or by a route
/// of type `local` (ip-route(8)).
///
/// # Errors
/// If the kernel has no route to it, or does not answer.
pub fn is_local(ip: IpAddr) -> io::Result<bool> {
    let mut is_local = false;
    let request = route_request(ip);
    ask(None, GET_ROUTE, 0, &request, |route| is_local = route.get(7) == Some(&TO_THIS_HOST))?;
    Ok(is_local)
}

/// A socket that can be read whenever one of these groups (`RTMGRP_*`, linux/rtnetlink.h) has news.
///
/// # Errors
/// If the kernel provides none.
pub fn subscribe(groups: u32) -> io::Result<OwnedFd> {
    let socket = open(None, SocketFlags::NONBLOCK)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// Drops all messages: the gate reads the state of the interfaces again, so that a lost message does no harm.
/// Returns whether there were any.
pub fn drain(socket: &OwnedFd) -> bool {
    let mut unread = [0_u8; 8192];
    let mut is_new = false;
    // A lost message (ENOBUFS) is as good as one.
    while let Ok(_) | Err(Errno::INTR | Errno::NOBUFS) =
        recv(socket, &mut unread, RecvFlags::DONTWAIT)
    {
        is_new = true;
    }
    is_new
}

fn open(protocol: Option<Protocol>, flags: SocketFlags) -> io::Result<OwnedFd> {
    // No protocol is protocol 0, NETLINK_ROUTE.
    let flags = flags | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?)
}

fn is_absent(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}

/// Sends one request of a protocol (`NETLINK_*`, `None` for rtnetlink), and calls `each` with the body of each message of
/// the answer.
///
/// # Errors
/// The kernel's answer, if it is an error.
pub fn ask(
    protocol: Option<Protocol>,
    kind: u16,
    flags: u16,
    body: &[u8],
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let socket = open(protocol, SocketFlags::empty())?;
    send(&socket, &request(kind, flags, body), SendFlags::empty())?;
    let mut answer = vec![0; ANSWER];
    loop {
        let (length, _) =
            retry_on_intr(|| recv(&socket, answer.as_mut_slice(), RecvFlags::empty()))?;
        if read(answer.get(..length).unwrap_or_default(), &mut each)? == Answer::Whole {
            return Ok(());
        }
    }
}

fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER.saturating_add(body.len())).unwrap_or(u32::MAX);
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend((REQUEST | flags).to_ne_bytes());
    request.extend([0; 8]); // sequence number and port: one question at a time
    request.extend(body);
    request
}

fn route_request(ip: IpAddr) -> Vec<u8> {
    let (family, address) = match ip {
        IpAddr::V4(ip) => (AddressFamily::INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AddressFamily::INET6, ip.octets().to_vec()),
    };
    let bits = address.len().saturating_mul(8);
    let number = |number: usize| u8::try_from(number).unwrap_or_default();
    let mut body = vec![number(family.as_raw().into()), number(bits)];
    body.resize(ROUTE, 0);
    push_attribute(&mut body, DESTINATION, &address);
    body
}

fn push_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(ATTRIBUTE.saturating_add(value.len())).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Whole,
    Continues,
}

/// Reads the messages in a buffer.
fn read(mut buffer: &[u8], each: &mut impl FnMut(&[u8])) -> io::Result<Answer> {
    let mut flags = 0;
    while !buffer.is_empty() {
        let length = four(buffer, 0).and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length >= HEADER).ok_or_else(malformed)?;
        let body = buffer.get(HEADER..length).ok_or_else(malformed)?;
        let kind = two(buffer, 4).ok_or_else(malformed)?;
        flags = two(buffer, 6).ok_or_else(malformed)?;
        match kind {
            DONE => return Ok(Answer::Whole),
            ERROR => {
                let number = four(body, 0).ok_or_else(malformed)?.cast_signed();
                if number == 0 {
                    // An acknowledgement (NLM_F_ACK).
                    return Ok(Answer::Whole);
                }
                return Err(io::Error::from_raw_os_error(number.saturating_neg()));
            }
            _ => each(body),
        }
        buffer = buffer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(if flags & MULTI == 0 { Answer::Whole } else { Answer::Continues })
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let attributes = body.get(LINK..)?;
    let text = |value: &[u8]| {
        let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    };
    let number = |kind| attribute(attributes, kind).and_then(|value| four(value, 0));
    let info = attribute(attributes, INFO);
    let is_elsewhere = attribute(attributes, BELOW_IS_ELSEWHERE).is_some();
    let attached = attribute(attributes, XDP).and_then(|xdp| attribute(xdp, XDP_ATTACHED));
    Some(Link {
        index: four(body, 4)?,
        name: text(attribute(attributes, NAME)?),
        hardware: two(body, 2)?,
        kind: info.and_then(|info| attribute(info, KIND)).map(text),
        master: number(MASTER),
        below: number(BELOW).filter(|_| !is_elsewhere),
        mtu: number(MTU).unwrap_or_default(),
        xdp_mode: attached.and_then(<[u8]>::first).copied().unwrap_or_default(),
    })
}

fn parse_address(body: &[u8]) -> Option<Assigned> {
    let attributes = body.get(ASSIGNMENT..)?;
    // On a point-to-point link the other attribute has the address of the other end.
    let ip = attribute(attributes, LOCAL).or_else(|| attribute(attributes, ADDRESS))?;
    let ip = match *ip {
        [a, b, c, d] => Ipv4Addr::from([a, b, c, d]).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
    };
    let broadcast = attribute(attributes, BROADCAST).and_then(|ip| <[u8; 4]>::try_from(ip).ok());
    let broadcast = broadcast.map(|ip| Ipv4Addr::from(ip).into());
    let others = broadcast.into_iter().chain(ends(ip, *body.get(1)?)).collect();
    let flags = attribute(attributes, FLAGS).and_then(|flags| four(flags, 0));
    // Kernels before 3.14 had eight bits for them.
    let flags = flags.or_else(|| Some(u32::from(*body.get(2)?)))?;
    Some(Assigned { index: four(body, 4)?, ip, others, flags })
}

/// The first address of a network and, for IPv4, the last one, where they are not single hosts. Before Linux 5.14, the
/// first address of an IPv4 network is that of all hosts, too.
fn ends(ip: IpAddr, prefix: u8) -> Vec<IpAddr> {
    let prefix = u32::from(prefix);
    match ip {
        IpAddr::V4(ip) if prefix < 31 => {
            let hosts = u32::MAX.checked_shr(prefix).unwrap_or(0);
            let [first, last] = [ip.to_bits() & !hosts, ip.to_bits() | hosts];
            [first, last].map(|bits| Ipv4Addr::from_bits(bits).into()).to_vec()
        }
        IpAddr::V6(ip) if prefix < 127 => {
            let hosts = u128::MAX.checked_shr(prefix).unwrap_or(0);
            vec![Ipv6Addr::from_bits(ip.to_bits() & !hosts).into()]
        }
        IpAddr::V4(_) | IpAddr::V6(_) => Vec::new(),
    }
}

/// The value of the first attribute of a kind.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    /// Without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
    const TYPE: u16 = 0x3fff;
    loop {
        let length = usize::from(two(attributes, 0)?);
        let value = attributes.get(ATTRIBUTE..length)?;
        if two(attributes, 2)? & TYPE == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn two(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

fn four(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer has an unknown format")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel writes it.
    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut message = request(kind, flags, body);
        message[6..8].copy_from_slice(&flags.to_ne_bytes());
        message
    }

    fn assignment(index: u32, flags: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        // Family, length of the prefix, flags and scope.
        let mut body = vec![0, 24, 0, 0];
        body.extend(index.to_ne_bytes());
        for (kind, value) in attributes {
            push_attribute(&mut body, *kind, value);
        }
        push_attribute(&mut body, FLAGS, &flags.to_ne_bytes());
        body
    }

    #[test]
    fn an_address_is_that_of_this_end_with_all_32_flags() {
        let (near, far, all) = ([192, 0, 2, 1], [192, 0, 2, 9], [192, 0, 2, 127]);
        let body = assignment(3, 0x0121, &[(ADDRESS, &far), (LOCAL, &near), (BROADCAST, &all)]);
        let ip = IpAddr::from(near);
        let others = [all, [192, 0, 2, 0], [192, 0, 2, 255]].map(IpAddr::from).to_vec();
        assert_eq!(parse_address(&body), Some(Assigned { index: 3, ip, others, flags: 0x0121 }));
        let v6: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let body = assignment(4, 0x80, &[(77, &[1, 2, 3, 4, 5]), (ADDRESS, &v6.octets())]);
        assert_eq!(
            parse_address(&body),
            Some(Assigned { index: 4, ip: v6.into(), others: ends(v6.into(), 24), flags: 0x80 })
        );
        for length in 0..ASSIGNMENT + ATTRIBUTE {
            assert_eq!(parse_address(&body[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_network_has_addresses_for_all_of_it() {
        let shown = |ip: &str, prefix| {
            let ends = ends(ip.parse().unwrap(), prefix).into_iter();
            ends.map(|ip| ip.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(shown("192.0.2.77", 24), ["192.0.2.0", "192.0.2.255"]);
        assert_eq!(shown("192.0.2.77", 30), ["192.0.2.76", "192.0.2.79"]);
        assert_eq!(shown("192.0.2.77", 0), ["0.0.0.0", "255.255.255.255"]);
        assert_eq!(shown("2001:db8::77", 64), ["2001:db8::"]);
        for (ip, prefix) in
            [("192.0.2.77", 31), ("192.0.2.77", 32), ("2001:db8::77", 127), ("2001:db8::77", 128)]
        {
            assert!(shown(ip, prefix).is_empty(), "{ip}/{prefix}");
        }
    }

    #[test]
    fn a_link_may_have_attributes_that_are_not_known() {
        let mut body = vec![0; 2];
        body.extend(1_u16.to_ne_bytes());
        body.extend(7_u32.to_ne_bytes());
        body.resize(LINK, 0);
        push_attribute(&mut body, 999, &[1; 301]);
        push_attribute(&mut body, NAME, b"bond0\0");
        let mut info = Vec::new();
        push_attribute(&mut info, KIND, b"bond\0");
        push_attribute(&mut body, 0x8000 | INFO, &info);
        let link = parse_link(&body).unwrap();
        assert_eq!((link.index, link.name.as_str(), link.hardware), (7, "bond0", 1));
        assert_eq!(link.kind.as_deref(), Some("bond"));
        assert_eq!((link.master, link.below, link.xdp_mode), (None, None, 0));
        for length in 0..body.len() {
            // It ends, whatever it finds.
            let _ = parse_link(&body[..length]);
        }
    }

    #[test]
    fn a_link_knows_what_is_above_and_below_it_and_how_its_program_is_attached() {
        let mut body = vec![0; LINK];
        push_attribute(&mut body, NAME, b"eth0\0");
        push_attribute(&mut body, MASTER, &5_u32.to_ne_bytes());
        push_attribute(&mut body, BELOW, &3_u32.to_ne_bytes());
        for mode in 0..3 {
            let mut xdp = Vec::new();
            push_attribute(&mut xdp, XDP_ATTACHED, &[mode]);
            let mut body = body.clone();
            push_attribute(&mut body, 0x8000 | XDP, &xdp);
            let link = parse_link(&body).unwrap();
            assert_eq!((link.master, link.below, link.xdp_mode), (Some(5), Some(3), mode));
        }
        push_attribute(&mut body, BELOW_IS_ELSEWHERE, &0_u32.to_ne_bytes());
        assert_eq!(parse_link(&body).unwrap().below, None, "a number of another network namespace");
    }

    #[test]
    fn an_answer_goes_on_until_the_kernel_ends_it() {
        let one = assignment(3, 0, &[(LOCAL, &[192, 0, 2, 1])]);
        let mut count = 0;
        let mut part = message(20, MULTI, &one);
        part.extend(message(20, MULTI, &one));
        assert_eq!(read(&part, &mut |_| count += 1).unwrap(), Answer::Continues);
        let last = message(DONE, MULTI, &[0; 4]);
        assert_eq!(read(&last, &mut |_| count += 1).unwrap(), Answer::Whole);
        assert_eq!(read(&message(16, 0, &one), &mut |_| count += 1).unwrap(), Answer::Whole);
        assert_eq!(count, 3);
        let refused = message(ERROR, 0, &(-19_i32).to_ne_bytes());
        assert!(is_absent(&read(&refused, &mut |_| count += 1).unwrap_err()));
        let mut endless = message(20, MULTI, &one);
        endless[..4].fill(0);
        assert!(read(&endless, &mut |_| {}).is_err(), "a message without a length is no message");
    }

    #[test]
    fn the_loopback_interface_and_its_address_are_found() {
        let lo = link("lo").unwrap().unwrap();
        assert_eq!((lo.name.as_str(), lo.hardware, lo.kind), ("lo", 772, None));
        assert_eq!((lo.master, lo.below), (None, None));
        let local = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert!(addresses().unwrap().iter().any(|one| (one.index, one.ip) == (lo.index, local)));
        assert_eq!(link("nothing-has-this-name-of-36-characters").unwrap(), None);
        assert_eq!(link("none0").unwrap(), None);
    }
}
