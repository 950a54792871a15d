//! What closes a door: the XDP program, nftables, or both.

use ruroco_lab::{files::Options, lab::Lab};

use super::site::{Site, options};

/// What closes the door, and where the server has its packets from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) backend: &'static str,
    pub(super) source: &'static str,
}

pub(super) const XDP: Kind = Kind { backend: "\"xdp\"", source: "xdp" };
pub(super) const WITHOUT_XDP: Kind = Kind { backend: "\"nftables\"", source: "udp" };
pub(super) const BESIDE_XDP: Kind = Kind { backend: "\"nftables\"", source: "xdp" };
pub(super) const BOTH: Kind = Kind { backend: "[\"xdp\", \"nftables\"]", source: "xdp" };
pub(super) const OF_NFTABLES: [Kind; 3] = [WITHOUT_XDP, BESIDE_XDP, BOTH];

/// Each way in which a door can be closed by one part of the kernel.
pub(super) const ALONE: [Kind; 3] = [XDP, WITHOUT_XDP, BESIDE_XDP];

impl Kind {
    pub(super) fn options(self, lease: &str, fields: &str) -> Options {
        let fields = format!("backend = {}\n{fields}", self.backend);
        Options { source: self.source, ..options(lease, &fields) }
    }

    pub(super) fn site(self, lease: &str, fields: &str) -> Site {
        self.site_of(&self.options(lease, fields))
    }

    pub(super) fn site_of(self, options: &Options) -> Site {
        let mut site = Site::new(options);
        if self.source == "udp" {
            self.start_gate(&mut site.lab);
        }
        site
    }

    pub(super) fn start_gate(self, lab: &mut Lab) {
        lab.start_gate_until(&[self.ready_line()]);
    }

    /// What a gate logs once its doors are closed.
    pub(super) fn ready_line(self) -> &'static str {
        match self.source {
            "udp" => "gate is ready",
            _ => "gate is attached",
        }
    }
}
