//! Why the kernel did not attach the program to an interface, and whether another mode may help.
//!
//! Each driver has its own reasons and its own error numbers: an MTU, offloads, the number of queues, the size of a ring,
//! no memory for more rings. A list of these numbers would never be complete. So any error of native mode is the
//! driver's, except for the few that generic mode would also return.

use std::{fmt, io};

use aya::programs::{ProgramError, xdp::XdpError};
use rustix::{io::Errno, param::page_size};

use super::Attached;
use crate::netlink::Link;

/// What of a page is no packet where a driver has one page for each (`XDP_PACKET_HEADROOM`, 256, and
/// `struct skb_shared_info`, 320), and an Ethernet header with two VLAN tags.
const NO_PACKET: usize = 256 + 320 + 22;

/// The largest MTU of which a packet fits into a page, as it must in many drivers that run XDP programs.
pub fn page_mtu() -> usize {
    page_size().saturating_sub(NO_PACKET)
}

/// Why the kernel did not attach the program.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(
        "another XDP program is attached to it, or to an interface above it, and ruroco-gate does not \
         replace that. `ip link show` lists these programs"
    )]
    Occupied,
    #[error(
        "the driver does not support native XDP here ({0}). Set mode = \"auto\" or \"generic\""
    )]
    Unsupported(Unsupported),
    #[error("the kernel does not support BPF links for XDP, which need Linux 5.9 or later")]
    NoLinks,
    #[error("could not attach the XDP program: {0}")]
    Other(ProgramError),
}

/// What the driver said, and the MTU if that may be the reason.
#[derive(Debug)]
pub(super) struct Unsupported {
    error: ProgramError,
    too_large: Option<u32>,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ProgramError::SyscallError(failed) = &self.error {
            write!(f, "{}", failed.io_error)?;
        } else {
            let errno = errno_of(&self.error).unwrap_or(Errno::IO);
            write!(f, "{}: {}", self.error, io::Error::from(errno))?;
        }
        let Some(mtu) = self.too_large else { return Ok(()) };
        write!(
            f,
            "; its MTU is {mtu}, and many drivers support native XDP only up to {}",
            page_mtu()
        )
    }
}

impl Refused {
    /// What an attempt to attach the program to `device` ended with.
    pub(super) fn new(error: ProgramError, attached: Attached, device: &Link) -> Self {
        match errno_of(&error) {
            Some(Errno::BUSY | Errno::EXIST) => Self::Occupied,
            // The interface is gone, or this process may not: the same in each mode.
            None | Some(Errno::NODEV | Errno::PERM | Errno::ACCESS | Errno::BADF) => {
                Self::Other(error)
            }
            Some(_) if attached == Attached::Generic => Self::Other(error),
            Some(_) => {
                let mtu = usize::try_from(device.mtu).unwrap_or(usize::MAX);
                let too_large = (mtu > page_mtu()).then_some(device.mtu);
                Self::Unsupported(Unsupported { error, too_large })
            }
        }
    }
}

/// The kernel's error number. After an EINVAL, aya tries to attach the program without a link, by netlink: that error is
/// in another variant, with the driver's words.
fn errno_of(error: &ProgramError) -> Option<Errno> {
    let number = if let ProgramError::SyscallError(failed) = error {
        failed.io_error.raw_os_error()
    } else if let ProgramError::XdpError(XdpError::NetlinkError(failed)) = error {
        failed.raw_os_error()
    } else {
        None
    };
    number.map(Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use aya::sys::SyscallError;

    use super::*;

    fn refused(errno: Errno, attached: Attached, mtu: u32) -> Refused {
        let io_error = io::Error::from(errno);
        let error = SyscallError { call: "bpf_link_create", io_error };
        let device = Link {
            index: 2,
            name: "a0".to_owned(),
            hardware: 1,
            kind: None,
            master: None,
            below: None,
            mtu,
            xdp_mode: 0,
        };
        Refused::new(ProgramError::SyscallError(error), attached, &device)
    }

    #[test]
    fn whatever_a_driver_says_to_native_mode_leads_to_generic_mode() {
        // What drivers return (linux-7.3/drivers/net), and one that none returns today.
        for errno in [
            Errno::INVAL,
            Errno::RANGE,
            Errno::NOMEM,
            Errno::OPNOTSUPP,
            Errno::NOSPC,
            Errno::TOOBIG,
            Errno::AGAIN,
            Errno::IO,
            // ENOTSUPP (linux/errno.h), which is not for user space and nevertheless gets there.
            Errno::from_raw_os_error(524),
            Errno::DOM,
        ] {
            let native = refused(errno, Attached::Native, 1500);
            assert!(matches!(native, Refused::Unsupported(_)), "{errno}: {native}");
            let generic = refused(errno, Attached::Generic, 1500);
            assert!(matches!(generic, Refused::Other(_)), "{errno}: {generic}");
        }
    }

    #[test]
    fn what_no_mode_changes_is_reported_at_once() {
        for errno in [Errno::NODEV, Errno::PERM] {
            assert!(matches!(refused(errno, Attached::Native, 1500), Refused::Other(_)), "{errno}");
        }
        for errno in [Errno::BUSY, Errno::EXIST] {
            assert!(matches!(refused(errno, Attached::Native, 1500), Refused::Occupied), "{errno}");
        }
    }

    #[test]
    fn an_mtu_that_may_be_the_reason_is_named_with_the_limit() {
        let limit = page_mtu();
        let said = refused(Errno::INVAL, Attached::Native, 9000).to_string();
        assert!(said.contains("MTU is 9000") && said.contains(&limit.to_string()), "{said}");
        assert!(!refused(Errno::INVAL, Attached::Native, 1500).to_string().contains("MTU"));
    }
}
