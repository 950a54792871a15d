//! `[gate]`: where the gate stands and what it looks like.

use std::{ops::Range, path::PathBuf};

use ruroco_common::rate::Rate;
use serde::Deserialize;
use toml::Spanned;

use super::{Source, positive};
use crate::toml_file::{Error, Source as File};

/// `[gate]`.
#[derive(Debug)]
pub struct Gate {
    /// The interfaces to attach to.
    pub interfaces: Vec<String>,
    /// How to attach.
    pub mode: Mode,
    /// The directory in a BPF file system that keeps the gate closed while the process is away.
    pub pin_dir: PathBuf,
    /// What the gate's port looks like from outside.
    pub appearance: Appearance,
    // Where they stand in the file.
    pub(super) mode_at: Range<usize>,
    pub(super) pin_dir_at: Range<usize>,
    appearance_at: Range<usize>,
}

/// `mode`: how the program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In the driver, or not at all.
    Native,
    /// In the network stack; works everywhere and is slower.
    Generic,
    /// Native where the driver can, generic where it cannot.
    Auto,
}

/// `appearance`: what whoever has no key gets to see of the gate's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appearance {
    /// Nothing, as behind a filter.
    Filtered,
    /// What there is to be seen of any closed port, because the stack answers.
    Closed {
        /// Most packets that go to the stack in a second.
        max_passed_per_second: u32,
    },
}

impl Appearance {
    /// The name it has in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filtered => "filtered",
            Self::Closed { .. } => "closed",
        }
    }

    /// How much of what is refused goes to the stack.
    pub const fn pass_refused(self) -> Rate {
        match self {
            Self::Filtered => Rate::NEVER,
            Self::Closed { max_passed_per_second } => Rate::per_second(max_passed_per_second),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    interfaces: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "defaults::mode")]
    mode: Spanned<Mode>,
    #[serde(default = "defaults::pin_dir")]
    pin_dir: Spanned<PathBuf>,
    #[serde(default = "defaults::appearance")]
    appearance: Spanned<RawAppearance>,
    max_passed_per_second: Option<Spanned<u32>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawAppearance {
    Filtered,
    Closed,
}

mod defaults {
    use super::{Mode, PathBuf, RawAppearance, Spanned};

    pub(super) fn mode() -> Spanned<Mode> {
        Spanned::new(0..0, Mode::Auto)
    }
    pub(super) fn pin_dir() -> Spanned<PathBuf> {
        Spanned::new(0..0, "/sys/fs/bpf/ruroco".into())
    }
    pub(super) fn appearance() -> Spanned<RawAppearance> {
        Spanned::new(0..0, RawAppearance::Filtered)
    }
    /// More than Linux answers, which is 1,000 ICMP errors a second (`net.ipv4.icmp_msgs_per_sec`):
    /// under a flood its limit is what is to be seen, at this port as at any other.
    pub(super) const MAX_PASSED_PER_SECOND: u32 = 10_000;
}

/// Longest interface name: `IFNAMSIZ` without the closing zero (linux/if.h).
const MAX_INTERFACE_NAME: usize = 15;

impl Gate {
    pub(super) fn check(
        file: &File,
        raw: Option<Raw>,
        source: &Spanned<Source>,
    ) -> Result<Self, Error> {
        match (raw, source.get_ref()) {
            (Some(raw), _) => Ok(Self {
                interfaces: interfaces(file, &raw.interfaces)?,
                mode_at: raw.mode.span(),
                mode: raw.mode.into_inner(),
                pin_dir_at: raw.pin_dir.span(),
                pin_dir: raw.pin_dir.into_inner(),
                appearance: appearance(
                    file,
                    *raw.appearance.get_ref(),
                    raw.max_passed_per_second.as_ref(),
                )?,
                appearance_at: raw.appearance.span(),
            }),
            (None, Source::Udp) => Ok(Self {
                interfaces: Vec::new(),
                mode: defaults::mode().into_inner(),
                pin_dir: defaults::pin_dir().into_inner(),
                appearance: Appearance::Filtered,
                mode_at: 0..0,
                pin_dir_at: 0..0,
                appearance_at: 0..0,
            }),
            (None, Source::Xdp) => Err(file.error(
                source.span(),
                "`source` is \"xdp\", but no interface is named; write [gate] and below it, for \
                 example, interfaces = [\"eth0\"]",
            )),
        }
    }

    /// What the kernel cannot check goes unanswered even if it is forged, and one port that does
    /// not answer among others that do is seen.
    pub(super) fn check_appearance<'a>(
        &self,
        file: &File,
        mut unchecked: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        match (self.appearance, unchecked.next()) {
            (Appearance::Filtered, _) | (Appearance::Closed { .. }, None) => Ok(()),
            (Appearance::Closed { .. }, Some(key)) => Err(file.error(
                self.appearance_at.clone(),
                format!(
                    "`appearance` cannot be \"closed\" with {key}.key, which is a key for \
                     AES-256-GCM-SIV: the kernel cannot tell its forgeries, so they would go \
                     unanswered and show the gate; make a new key for {key} with \
                     `ruroco-client gen`, or write appearance = \"filtered\""
                ),
            )),
        }
    }
}

fn interfaces(file: &File, names: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Error> {
    let mut interfaces: Vec<String> = Vec::new();
    for interface in names.get_ref() {
        let (name, span) = (interface.get_ref(), interface.span());
        let is_name = !name.is_empty()
            && name.len() <= MAX_INTERFACE_NAME
            && !matches!(name.as_str(), "." | "..")
            && !name.contains(|c: char| matches!(c, '\0' | '/' | ':') || c.is_whitespace());
        if !is_name {
            return Err(file.error(span, format!("`{name}` cannot be the name of an interface")));
        }
        if interfaces.contains(name) {
            return Err(file.error(span, format!("`{name}` is named twice")));
        }
        interfaces.push(name.clone());
    }
    if interfaces.is_empty() {
        let message = "`interfaces` is empty; write, for example, interfaces = [\"eth0\"]";
        return Err(file.error(names.span(), message));
    }
    Ok(interfaces)
}

fn appearance(
    file: &File,
    appearance: RawAppearance,
    limit: Option<&Spanned<u32>>,
) -> Result<Appearance, Error> {
    match (appearance, limit) {
        (RawAppearance::Filtered, None) => Ok(Appearance::Filtered),
        (RawAppearance::Filtered, Some(limit)) => Err(file.error(
            limit.span(),
            "`max_passed_per_second` goes with appearance = \"closed\"; a filtered port passes \
             nothing on, so leave it out",
        )),
        (RawAppearance::Closed, limit) => {
            let limit = limit.map(|limit| positive(file, limit)).transpose()?;
            let max_passed_per_second = limit.unwrap_or(defaults::MAX_PASSED_PER_SECOND);
            Ok(Appearance::Closed { max_passed_per_second })
        }
    }
}
