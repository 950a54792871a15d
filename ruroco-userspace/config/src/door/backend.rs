//! `backend` of a door: which part of the kernel closes it.

use ruroco_files::toml_file::{
    one_or_more::OneOrMore,
    value::{Choice, Item, OneOf, Value},
};
use ruroco_messages::problems::Problems;

/// What closes a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The XDP program, on the interfaces that it is attached to.
    Xdp,
    /// A table of nftables, on all interfaces.
    Nftables,
    /// Both. A connection must be admitted by each.
    Both,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Xdp,
    Nftables,
}

impl Choice for Kind {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("xdp", Self::Xdp), ("nftables", Self::Nftables)];
}

impl Backend {
    /// Whether the XDP program closes the door.
    pub const fn has_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::Both)
    }

    /// Whether nftables closes the door.
    pub const fn has_nftables(self) -> bool {
        matches!(self, Self::Nftables | Self::Both)
    }

    /// The names that they have in the configuration.
    pub fn names(self) -> Vec<&'static str> {
        let is_used = |kind| match kind {
            Kind::Xdp => self.has_xdp(),
            Kind::Nftables => self.has_nftables(),
        };
        Kind::CHOICES.iter().filter(|(_, kind)| is_used(*kind)).map(|(name, _)| *name).collect()
    }
}

impl Value for Backend {
    fn kind() -> String {
        OneOrMore::<OneOf<Kind>>::kind()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let OneOrMore(kinds) = OneOrMore::<OneOf<Kind>>::read(item, problems)?;
        let has = |wanted| kinds.iter().any(|kind| kind.0 == wanted);
        match (has(Kind::Xdp), has(Kind::Nftables)) {
            (true, false) => Some(Self::Xdp),
            (false, true) => Some(Self::Nftables),
            (true, true) => Some(Self::Both),
            // Each element has an error.
            (false, false) => None,
        }
    }

    fn show(&self) -> String {
        let quoted: Vec<String> = self.names().iter().map(|name| format!("\"{name}\"")).collect();
        match quoted.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        }
    }
}
