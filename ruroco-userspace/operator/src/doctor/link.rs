//! An interface as `ip` (iproute2) shows it: its kind, what is above and below it, its MTU, and what XDP
//! program is on it.

use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// What is of interest of a link.
#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    /// The kernel's number of it.
    pub(crate) ifindex: u32,
    /// Its name.
    pub(crate) ifname: String,
    /// Its other names.
    #[serde(default)]
    altnames: Vec<String>,
    /// `UP`, `LOWER_UP` and more.
    flags: Vec<String>,
    /// In bytes.
    pub(super) mtu: u32,
    /// `ether`, `loopback`, `none` and many more.
    pub(super) link_type: String,
    /// The bridge, bond or VRF that it belongs to.
    pub(crate) master: Option<String>,
    /// The interface below it, or its other end, if that is in this network namespace.
    pub(crate) link: Option<String>,
    linkinfo: Option<LinkInfo>,
    /// The XDP program on it.
    pub(super) xdp: Option<Xdp>,
}

#[derive(Debug, Deserialize)]
struct LinkInfo {
    info_kind: Option<String>,
}

/// An XDP program on an interface.
#[derive(Debug, Deserialize)]
pub(crate) struct Xdp {
    /// `XDP_ATTACHED_*` (linux/if_link.h).
    pub(super) mode: u8,
    prog: Option<Prog>,
    #[serde(default)]
    attached: Vec<Self>,
}

#[derive(Debug, Deserialize)]
struct Prog {
    id: u32,
}

impl Xdp {
    /// Whether it is in the driver (`XDP_ATTACHED_DRV`).
    pub(super) fn is_native(&self) -> bool {
        self.mode == 1 || self.attached.iter().any(Self::is_native)
    }

    /// The kernel's numbers of the programs; several if they are in several modes.
    pub(super) fn programs(&self) -> Vec<u32> {
        let below = self.attached.iter().flat_map(Self::programs);
        self.prog.iter().map(|prog| prog.id).chain(below).collect()
    }
}

impl Link {
    /// Looks.
    ///
    /// # Errors
    /// If there is no `ip`, or no such interface.
    pub(super) fn of(name: &str) -> anyhow::Result<Self> {
        let links = Self::list(&["dev", name])?;
        links.into_iter().next().context("`ip` shows no interface")
    }

    /// All links of this network namespace.
    ///
    /// # Errors
    /// If there is no `ip`.
    pub(crate) fn all() -> anyhow::Result<Vec<Self>> {
        Self::list(&[])
    }

    fn list(which: &[&str]) -> anyhow::Result<Vec<Self>> {
        let output = Command::new("ip")
            .args(["-json", "-details", "link", "show"])
            .args(which)
            .output()
            .context("cannot run ip; install iproute2")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Self::parse(&output.stdout)
    }

    /// What `ip -json -details link show` prints.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn parse(json: &[u8]) -> anyhow::Result<Vec<Self>> {
        serde_json::from_slice(json)
            .context("cannot parse the output of `ip`: it may not be from iproute2")
    }

    /// All its names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        [&self.ifname].into_iter().chain(&self.altnames).map(String::as_str)
    }

    /// Whether one of these is a name of it.
    pub(crate) fn is_among(&self, interfaces: &[String]) -> bool {
        self.names().any(|name| interfaces.iter().any(|one| one == name))
    }

    /// Whether software has made it: a bond, VLAN or veth, and not a device of hardware.
    pub(super) fn is_of_software(&self) -> bool {
        self.linkinfo.as_ref().is_some_and(|info| info.info_kind.is_some())
    }

    /// What it is: `veth`, `bridge`, `vlan`; for one of hardware what its frames are, such as `ether`.
    pub(crate) fn kind(&self) -> &str {
        let kind = self.linkinfo.as_ref().and_then(|info| info.info_kind.as_deref());
        kind.unwrap_or(&self.link_type)
    }

    /// Whether it is up and has a carrier.
    pub(crate) fn is_running(&self) -> bool {
        ["UP", "LOWER_UP"].iter().all(|flag| self.flags.iter().any(|has| has == flag))
    }

    /// Whether its frames begin with an Ethernet header.
    pub(crate) fn is_ethernet(&self) -> bool {
        self.link_type == "ether"
    }

    /// Whether what is sent there comes back.
    pub(crate) fn is_loopback(&self) -> bool {
        self.link_type == "loopback"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ip_shows_is_understood() {
        let link: Link = serde_json::from_str(
            r#"{"ifindex":3,"ifname":"a0","flags":["UP"],"mtu":1500,"link_type":"ether",
                "xdp":{"mode":1,"prog":{"id":7}}}"#,
        )
        .unwrap();
        assert_eq!((link.kind(), link.is_running()), ("ether", false));
        let xdp = link.xdp.unwrap();
        assert!(xdp.is_native());
        assert_eq!(xdp.programs(), [7]);
        let several: Xdp = serde_json::from_str(
            r#"{"mode":4,"attached":[{"mode":2,"prog":{"id":8}},{"mode":1,"prog":{"id":9}}]}"#,
        )
        .unwrap();
        assert!(several.is_native());
        assert_eq!(several.programs(), [8, 9]);
    }
}
