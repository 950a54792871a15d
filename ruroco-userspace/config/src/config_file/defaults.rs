//! What it means if a file leaves a field out.
//!
//! Of a file that was written for upstream ruroco it means what it means there. Such a file has none of
//! the fields that only we know. Every file for us has at least one of them, `source` or `[gate]`: without
//! either there would be nothing to take packets from. So nobody has to guess.
//!
//! Rationale: decision 0017.

use std::{
    fmt::Write,
    ops::Range,
    path::{Path, PathBuf},
};

use ruroco_files::toml_file::LeftOut;
use ruroco_messages::problems::Problem;
use toml::Spanned;

use super::{Config, Raw, Source};

/// `audit_dir` where the configuration leaves it out. Unlike `/var/log`, which belongs to the group of
/// the system's logger on some distributions, everything above it is root's alone.
pub const AUDIT_DIR: &str = "/var/lib/ruroco-commander";

/// What the default was in earlier releases.
pub const FORMER_AUDIT_DIR: &str = "/var/log/ruroco";

/// The port where neither `port` nor `address` names one: the one that clients use by default.
pub const PORT: u16 = 80;

/// The same for a file of upstream's.
const UPSTREAM_PORT: u16 = 34020;

/// The fields that upstream does not know.
const OWN_FIELDS: [&str; 5] = ["port", "source", "audit_dir", "gate", "keys"];

/// What fields mean that a file leaves out.
pub(super) struct Defaults {
    pub(super) source: Source,
    pub(super) port: u16,
    pub(super) blocklist_dir: PathBuf,
    pub(super) allow_non_routable_ips: bool,
}

impl Defaults {
    /// Those of a file for us.
    pub(super) fn own() -> Self {
        Self {
            source: Source::Xdp,
            port: PORT,
            blocklist_dir: "/var/lib/ruroco".into(),
            allow_non_routable_ips: true,
        }
    }

    /// Those of a file for upstream.
    pub(super) fn upstreams(config_dir: &Path) -> Self {
        Self {
            source: Source::Udp,
            port: UPSTREAM_PORT,
            blocklist_dir: config_dir.to_owned(),
            allow_non_routable_ips: false,
        }
    }
}

/// Whether a file says nothing that upstream would not understand. One with a field of ours in it is
/// for us, and then has to say where packets come from: whoever forgot `[gate]` is told.
pub(super) fn is_upstreams(raw: &Raw, left_out: &LeftOut) -> bool {
    let has_own = raw.port.is_some()
        || raw.source.is_some()
        || raw.audit_dir.is_some()
        || raw.gate.is_some()
        || raw.keys.is_some();
    !has_own && !OWN_FIELDS.iter().any(|field| left_out.has(&[field]))
}

/// Those of the fields with two defaults that a file leaves to them.
pub(super) fn left_to_default(raw: &Raw) -> Vec<&'static str> {
    let fields = [
        ("address", raw.address.is_none()),
        ("blocklist_dir", raw.blocklist_dir.is_none()),
        ("allow_non_routable_ips", raw.allow_non_routable_ips.is_none()),
    ];
    fields.into_iter().filter_map(|(name, is_left)| is_left.then_some(name)).collect()
}

/// What is said of a file for upstream: it works, but perhaps somebody forgot `[gate]`. With a field of
/// ours what the file leaves out gets our defaults, so it has to be written down then.
pub(super) fn read_as_upstreams(config: &Config, left_to_default: &[&str]) -> String {
    let mut message = "there is neither `source` nor [gate], so this is read as a file of upstream \
         ruroco: the server takes packets from an ordinary socket, and no gate closes the port; to \
         close it, write [gate] and below it, for example, interfaces = [\"eth0\"], and to leave it so, \
         source = \"udp\""
        .to_owned();
    for (number, name) in left_to_default.iter().enumerate() {
        let value = match *name {
            "address" => format!("\"{}\"", config.address),
            "blocklist_dir" => format!("{:?}", config.blocklist_dir),
            _ => config.allow_non_routable_ips.to_string(),
        };
        let before = if number == 0 { "; and with either, to change nothing else," } else { "," };
        let _ = write!(message, "{before} {name} = {value}");
    }
    message
}

impl Config {
    /// What a reload changes for the addresses that commands run for, perhaps without anybody having meant
    /// it: a field of ours in a file of upstream's gives other fields other defaults.
    pub fn check_address_filter(&self, running: &Self) -> Option<Problem> {
        let is_changed = self.allow_non_routable_ips != running.allow_non_routable_ips;
        let is_ours_now = running.is_upstreams && !self.is_upstreams;
        let ours = "this is no longer read as a file of upstream ruroco, so what it leaves out gets the \
             defaults of ruroco";
        let other = format!(
            "`allow_non_routable_ips` is {} now and was {} before this reload; to have it as before, write \
             allow_non_routable_ips = {}",
            self.allow_non_routable_ips,
            running.allow_non_routable_ips,
            running.allow_non_routable_ips,
        );
        let message = match (is_ours_now, is_changed) {
            (true, true) => format!("{ours}: {other}"),
            (true, false) => format!(
                "{ours}; `allow_non_routable_ips` is {} as before",
                self.allow_non_routable_ips
            ),
            (false, true) => other,
            (false, false) => return None,
        };
        Some(self.file.missing(message).as_warning())
    }
}

/// A field, or what it is if it is left out, which stands at the file's beginning.
pub(super) fn or<T>(field: Option<Spanned<T>>, default: T) -> Spanned<T> {
    field.unwrap_or_else(|| Spanned::new(NOWHERE, default))
}

const NOWHERE: Range<usize> = 0..0;

pub(super) fn config_dir() -> PathBuf {
    "/etc/ruroco".into()
}
/// Upstream's would be `config_dir`. What is there is only for our own programs, and they refuse a
/// directory that the server can write to, as that often is.
pub(super) fn socket_dir() -> PathBuf {
    "/run/ruroco".into()
}
pub(super) fn audit_dir() -> PathBuf {
    AUDIT_DIR.into()
}
pub(super) fn socket_user() -> Spanned<String> {
    Spanned::new(NOWHERE, "ruroco".into())
}
pub(super) fn max_requests_per_second() -> Spanned<u32> {
    Spanned::new(NOWHERE, 2)
}
pub(super) fn max_requests_per_second_global() -> Spanned<u32> {
    Spanned::new(NOWHERE, 100)
}
pub(super) fn max_clock_skew_seconds() -> Spanned<u64> {
    Spanned::new(NOWHERE, 3600)
}
