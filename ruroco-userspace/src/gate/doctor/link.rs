//! An interface as `ip` (iproute2) shows it: its kind, its MTU, and what XDP program is on it.

use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

/// What is of interest of a link.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    /// The kernel's number of it.
    pub(super) ifindex: u32,
    /// In bytes.
    pub(super) mtu: u32,
    /// `ether`, `loopback`, `none` and many more.
    pub(super) link_type: String,
    /// The XDP program on it.
    pub(super) xdp: Option<Xdp>,
}

/// An XDP program on an interface.
#[derive(Debug, Deserialize)]
pub(super) struct Xdp {
    /// `XDP_ATTACHED_*` (linux/if_link.h).
    mode: u32,
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
        let output = Command::new("ip")
            .args(["-json", "-details", "link", "show", "dev", name])
            .output()
            .context("could not run ip; install iproute2")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let links: Vec<Self> = serde_json::from_slice(&output.stdout)
            .context("ip shows something else than expected: is it that of iproute2?")?;
        links.into_iter().next().context("ip shows nothing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ip_shows_is_understood() {
        let link: Link = serde_json::from_str(
            r#"{"ifindex":3,"mtu":1500,"link_type":"ether","xdp":{"mode":1,"prog":{"id":7}}}"#,
        )
        .unwrap();
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
