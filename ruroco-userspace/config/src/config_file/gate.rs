//! `[gate]`: where the gate stands and what it looks like.

use std::{ops::Range, path::PathBuf};

use ruroco_common::rate::Rate;
use ruroco_files::toml_file::{LeftOut, Source as File};
use ruroco_messages::problems::{Problem, Problems};
use serde::Deserialize;
use toml::Spanned;

use super::{Source, interface_name, positive};

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
    interfaces_at: Vec<Range<usize>>,
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
    interfaces: Option<Spanned<Vec<Spanned<String>>>>,
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

impl Gate {
    pub(super) fn check(
        file: &File,
        raw: Option<Spanned<Raw>>,
        source: &Spanned<Source>,
        left_out: &LeftOut,
        problems: &mut Problems,
    ) -> Self {
        let mut gate = Self {
            interfaces: Vec::new(),
            mode: defaults::mode().into_inner(),
            pin_dir: defaults::pin_dir().into_inner(),
            appearance: Appearance::Filtered,
            interfaces_at: Vec::new(),
            mode_at: 0..0,
            pin_dir_at: 0..0,
            appearance_at: 0..0,
        };
        let is_needed = *source.get_ref() == Source::Xdp;
        let Some(raw) = raw else {
            if is_needed && !left_out.has(&["gate"]) {
                problems.add(no_interface(file, source));
            }
            return gate;
        };
        let (gate_at, raw) = (raw.span(), raw.into_inner());
        match &raw.interfaces {
            Some(names) => {
                (gate.interfaces, gate.interfaces_at) = interfaces(file, names, problems)
            }
            None if left_out.has(&["gate", "interfaces"]) => {}
            None => problems.add(file.error(
                gate_at,
                "[gate] has no `interfaces`; write, for example, interfaces = [\"eth0\"]",
            )),
        }
        let limit = raw.max_passed_per_second.as_ref();
        // Where it was left out, nobody knows what goes with it.
        if !left_out.has(&["gate", "appearance"]) {
            let appearance = appearance(file, *raw.appearance.get_ref(), limit);
            gate.appearance = problems.good(appearance).unwrap_or(gate.appearance);
        }
        Self {
            mode_at: raw.mode.span(),
            mode: raw.mode.into_inner(),
            pin_dir_at: raw.pin_dir.span(),
            pin_dir: raw.pin_dir.into_inner(),
            appearance_at: raw.appearance.span(),
            ..gate
        }
    }

    /// Where an interface is named.
    pub(super) fn interface_at(&self, name: &str) -> Option<Range<usize>> {
        let mut named = self.interfaces.iter().zip(&self.interfaces_at);
        named.find(|(named, _)| *named == name).map(|(_, span)| span.clone())
    }

    /// What the kernel cannot check goes unanswered even if it is forged, and one port that does
    /// not answer among others that do is seen.
    pub(super) fn check_appearance<'a>(
        &self,
        file: &File,
        unchecked: impl Iterator<Item = &'a str>,
    ) -> Problems {
        let mut problems = Problems::default();
        if let Appearance::Closed { .. } = self.appearance {
            problems.extend(unchecked.map(|key| {
                file.error(
                    self.appearance_at.clone(),
                    format!(
                        "`appearance` cannot be \"closed\" with {key}.key, which is a key for \
                         AES-256-GCM-SIV: the kernel cannot tell its forgeries, so they would go \
                         unanswered and show the gate; make a new key for {key} with \
                         `ruroco-client key gen --out NAME.key`, or write appearance = \"filtered\""
                    ),
                )
            }));
        }
        problems
    }
}

fn no_interface(file: &File, source: &Spanned<Source>) -> Problem {
    file.error(
        source.span(),
        "`source` is \"xdp\", but no interface is named; write [gate] and below it, for example, \
         interfaces = [\"eth0\"]",
    )
}

/// Those of the names that are good, and where they stand.
fn interfaces(
    file: &File,
    names: &Spanned<Vec<Spanned<String>>>,
    problems: &mut Problems,
) -> (Vec<String>, Vec<Range<usize>>) {
    let (mut interfaces, mut places) = (Vec::new(), Vec::new());
    for interface in names.get_ref() {
        let (name, span) = (interface.get_ref(), interface.span());
        if let Some(mistake) = interface_name::mistake(name) {
            problems.add(file.error(span, mistake));
        } else if interfaces.contains(name) {
            problems.add(file.error(span, format!("`{name}` is named twice; remove one")));
        } else {
            interfaces.push(name.clone());
            places.push(span);
        }
    }
    if names.get_ref().is_empty() {
        let message = "`interfaces` is empty; write, for example, interfaces = [\"eth0\"]";
        problems.add(file.error(names.span(), message));
    }
    (interfaces, places)
}

fn appearance(
    file: &File,
    appearance: RawAppearance,
    limit: Option<&Spanned<u32>>,
) -> Result<Appearance, Problem> {
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
