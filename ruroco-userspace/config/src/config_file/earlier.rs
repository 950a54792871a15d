//! Configurations of upstream ruroco or of an earlier release: no daemon starts with one. `ruroco import`
//! converts it.
//!
//! Rationale: decisions 0017 and 0036.

use ruroco_files::toml_file::table::Table;
use ruroco_messages::problems::Problem;

/// Names of fields that no longer exist.
pub(super) const NAMES: [&str; 10] = [
    "address",
    "allow_non_routable_ips",
    "blocklist_dir",
    "config_dir",
    "ips",
    "max_clock_skew_seconds",
    "max_requests_per_second",
    "max_requests_per_second_global",
    "socket_group",
    "socket_user",
];

/// That a file has such names.
pub(super) fn names(table: &Table<'_>) -> Option<Problem> {
    let found = NAMES.iter().find(|name| table.has(name))?;
    let file = table.file();
    let message = format!(
        "this file was written for upstream ruroco or an earlier release (it has a field `{found}`). Run \
         `ruroco import` to convert it"
    );
    Some(file.missing(message))
}
