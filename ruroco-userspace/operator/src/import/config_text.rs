//! `config.toml` with the current names of fields, and with the values that upstream ruroco, or an earlier
//! release, gave to the fields that the file does not contain.

use std::{
    fmt::Write,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
};

use ruroco_files::toml_file::Source as File;
use ruroco_messages::problems::Problem;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::edit::Edit;

/// The names that fields had, and the ones they have.
const RENAMED: [(&str, &str); 8] = [
    ("ips", "addresses"),
    ("config_dir", "keys_dir"),
    ("blocklist_dir", "state_dir"),
    ("socket_user", "server_user"),
    ("max_requests_per_second", "max_knocks_per_second_per_key"),
    ("max_requests_per_second_global", "max_knocks_per_second"),
    ("max_clock_skew_seconds", "max_clock_skew"),
    ("allow_non_routable_ips", "allow_non_public_addresses"),
];

/// Fields that upstream does not know. A file with one of them is ours.
const OWN_FIELDS: [&str; 5] = ["port", "source", "audit_dir", "gate", "keys"];

/// Upstream's port where the file names none.
const UPSTREAM_PORT: u16 = 34020;

/// Where keys were by default, and upstream's floors.
const FORMER_KEYS_DIR: &str = "/etc/ruroco";

/// The comment with which `ruroco init` begins a file.
const INIT_COMMENT: &str = "# `ruroco check` lists the errors in this file.";

/// The comment with which earlier releases did.
const FORMER_INIT_COMMENT: &str =
    concat!("# `ruroco-gate check` says what is", " wrong with this file.");

/// A file that was converted.
pub(super) struct Converted {
    /// Its new content.
    pub(super) text: String,
    /// Whether it was written for upstream, and no server of ours has worked with it.
    pub(super) is_upstreams: bool,
    pub(super) old_keys_dir: PathBuf,
    pub(super) keys_dir: PathBuf,
    pub(super) old_state_dir: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) server_user: String,
}

/// Converts a file; `None` if it has no name that has changed.
///
/// # Errors
/// If it is not TOML, or its `address` is not one.
pub(super) fn convert(file: &File) -> Result<Option<Converted>, Problem> {
    let table = DeTable::parse(file.text())
        .map_err(|error| file.error(error.span().unwrap_or(0..0), error.message()))?;
    let fields = Fields { file, table: table.into_inner() };
    let is_earlier = |name: &str| {
        RENAMED.iter().any(|(old, _)| *old == name) || matches!(name, "address" | "socket_group")
    };
    if !fields.table.keys().any(|name| is_earlier(name.get_ref())) {
        return Ok(None);
    }
    let has_own = OWN_FIELDS.iter().any(|name| fields.has(name));
    let old_keys_dir = fields.path("config_dir").unwrap_or_else(|| FORMER_KEYS_DIR.into());
    let default_state_dir = match has_own {
        true => "/var/lib/ruroco".into(),
        false => old_keys_dir.clone(),
    };
    let old_state_dir = fields.path("blocklist_dir").unwrap_or(default_state_dir);
    // A server of ours that has taken over such a host goes on where it is.
    let is_upstreams = !has_own && !old_state_dir.join(ruroco_config::FLOORS).exists();

    let mut edit = Edit::of(file.text());
    let mut added = String::new();
    for (old, new) in RENAMED {
        if let Some(at) = fields.name_at(old) {
            edit.replace(at, new);
        }
    }
    if let Some(at) = fields.whole("socket_group") {
        edit.replace(at, "# `socket_group` is no longer a field");
    }
    fields.convert_address(has_own, &mut edit, &mut added)?;
    let mut converted = Converted {
        text: String::new(),
        is_upstreams,
        keys_dir: old_keys_dir.clone(),
        state_dir: old_state_dir.clone(),
        old_keys_dir,
        old_state_dir,
        server_user: fields.text("socket_user").unwrap_or("ruroco").trim().to_owned(),
    };
    if is_upstreams {
        // The server's user could write to upstream's directory with the keys.
        converted.keys_dir = converted.old_keys_dir.join("keys");
        if converted.state_dir == converted.old_keys_dir {
            converted.state_dir = "/var/lib/ruroco".into();
        }
    }
    for (old, new, dir) in [
        ("config_dir", "keys_dir", &converted.keys_dir),
        ("blocklist_dir", "state_dir", &converted.state_dir),
    ] {
        let is_implied = new == "state_dir" && dir == Path::new("/var/lib/ruroco");
        match fields.value_at(old) {
            Some(at) if fields.path(old).as_ref() != Some(dir) => {
                edit.replace(at, format!("{dir:?}"));
            }
            None if !is_implied => _ = writeln!(added, "{new} = {dir:?}"),
            Some(_) | None => {}
        }
    }
    if !has_own {
        added.push_str("source = \"udp\"\n");
        if !fields.has("allow_non_routable_ips") {
            added.push_str("allow_non_public_addresses = false\n");
        }
    }
    let rest = edit.finish().unwrap_or_else(|| file.text().to_owned());
    // It names a command that is gone.
    let rest = rest.replacen(FORMER_INIT_COMMENT, INIT_COMMENT, 1);
    converted.text = match added.is_empty() {
        true => rest,
        false => {
            // A byte order mark is one at the beginning only.
            let rest = rest.trim_start_matches('\u{feff}');
            format!("# By `ruroco import`, to keep what this host did before:\n{added}\n{rest}")
        }
    };
    Ok(Some(converted))
}

/// The fields at the top of a file.
struct Fields<'a> {
    file: &'a File,
    table: DeTable<'a>,
}

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<(&Spanned<toml::de::DeString<'a>>, &Spanned<DeValue<'a>>)> {
        self.table.iter().find(|(key, _)| key.get_ref() == name)
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn name_at(&self, name: &str) -> Option<Range<usize>> {
        self.get(name).map(|(key, _)| key.span())
    }

    fn value_at(&self, name: &str) -> Option<Range<usize>> {
        self.get(name).map(|(_, value)| value.span())
    }

    /// From the name to the end of the value.
    fn whole(&self, name: &str) -> Option<Range<usize>> {
        self.get(name).map(|(key, value)| key.span().start..value.span().end)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.1.get_ref().as_str()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        // Without a slash at the end.
        self.text(name).map(|path| Path::new(path).components().collect())
    }

    /// An address is an IP address and a port, which are two fields now.
    fn convert_address(
        &self,
        has_own: bool,
        edit: &mut Edit<'_>,
        added: &mut String,
    ) -> Result<(), Problem> {
        let Some(at) = self.whole("address") else {
            if !has_own {
                let _ = writeln!(added, "port = {UPSTREAM_PORT}");
            }
            return Ok(());
        };
        let address: Option<SocketAddr> = self.text("address").and_then(|text| text.parse().ok());
        let Some(address) = address else {
            return Err(self.file.error(
                at,
                "`address` must be an IP address and a port, as in \"[::]:80\", to be converted",
            ));
        };
        edit.replace(at, format!("listen = \"{}\"", address.ip()));
        if !self.has("port") {
            let _ = writeln!(added, "port = {}", address.port());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_config::{Config, Source};

    fn converted(text: &str) -> (Converted, Config) {
        let converted = convert(&File::new("/config.toml", text)).unwrap().unwrap();
        let config = Config::check(File::new("/config.toml", converted.text.as_str()));
        let config =
            config.or_problems().unwrap_or_else(|error| panic!("{}{error}", converted.text));
        (converted, config)
    }

    /// The sample that upstream ships, with addresses.
    const UPSTREAMS: &str = "\
# my host
ips = [\"203.0.113.5\", \"2001:db8::5\"] # both
address = \"[::]:34020\"
config_dir = \"/no/etc/ruroco/\"
blocklist_dir = \"/no/var/lib/ruroco\"
socket_dir = \"/run/ruroco\"
socket_user = \"ruroco\"
socket_group = \"ruroco\"
";

    #[test]
    fn a_file_of_upstream_means_what_it_meant_there_and_keeps_its_comments() {
        let (sample, config) = converted(UPSTREAMS);
        assert!(sample.is_upstreams);
        assert_eq!((config.source, config.port), (Source::Udp, 34020));
        assert_eq!(config.listen, "[::]:34020".parse().unwrap());
        assert_eq!(config.keys_dir, Path::new("/no/etc/ruroco/keys"));
        assert_eq!(config.state_dir, Path::new("/no/var/lib/ruroco"));
        assert_eq!(config.socket_dir, Path::new("/run/ruroco"));
        assert_eq!(config.server_user, "ruroco");
        assert!(!config.allow_non_public_addresses);
        assert!(sample.text.contains("# my host\naddresses = "), "{}", sample.text);
        assert!(sample.text.contains("# both\n"), "{}", sample.text);

        let (shortest, config) = converted("ips = [\"203.0.113.5\"]\nconfig_dir = \"/no/keys\"\n");
        assert_eq!((config.source, config.port), (Source::Udp, 34020));
        assert_eq!(config.keys_dir, Path::new("/no/keys/keys"));
        // The server may not write where the keys are.
        assert_eq!(config.state_dir, Path::new("/var/lib/ruroco"));
        assert_eq!(shortest.old_state_dir, Path::new("/no/keys"));
        assert_eq!((config.max_knocks_per_second_per_key, config.max_knocks_per_second), (2, 100));
        assert!(!config.allow_non_public_addresses);

        let all = "max_requests_per_second = 5\nmax_requests_per_second_global = 6\n\
                   max_clock_skew_seconds = 7\nallow_non_routable_ips = true\n";
        let (_, all) = converted(&format!("{UPSTREAMS}{all}"));
        assert_eq!((all.max_knocks_per_second_per_key, all.max_knocks_per_second), (5, 6));
        assert_eq!((all.max_clock_skew.as_secs(), all.allow_non_public_addresses), (7, true));
    }

    #[test]
    fn a_file_of_an_earlier_release_means_what_it_meant_there() {
        let own =
            "ips = [\"203.0.113.5\"]\n[gate]\ninterfaces = [\"a\"]\n[keys.laptop]\ncommands = []\n";
        let (earlier, config) = converted(own);
        assert!(!earlier.is_upstreams);
        assert_eq!((config.source, config.port), (Source::Xdp, 80));
        assert_eq!(config.keys_dir, Path::new("/etc/ruroco"));
        assert_eq!(config.state_dir, Path::new("/var/lib/ruroco"));
        assert!(config.allow_non_public_addresses && config.rules_of("laptop").is_some());

        let udp = "source = \"udp\"\nips = [\"203.0.113.5\"]\naddress = \"192.0.2.1:81\"\n\
                   config_dir = \"/k\"\nblocklist_dir = \"/s\"\n";
        let (_, config) = converted(udp);
        assert_eq!(config.listen, "192.0.2.1:81".parse().unwrap());
        assert_eq!(
            (config.keys_dir.as_path(), config.state_dir.as_path()),
            (Path::new("/k"), Path::new("/s"))
        );
    }

    #[test]
    fn a_byte_order_mark_and_the_comment_of_an_earlier_init_do_not_remain() {
        let text = format!(
            "\u{feff}{FORMER_INIT_COMMENT}\nips = [\"192.0.2.1\"]\n[gate]\ninterfaces = [\"a\"]\n"
        );
        let (earlier, config) = converted(&text);
        assert_eq!(config.keys_dir, Path::new("/etc/ruroco"));
        assert!(earlier.text.contains(INIT_COMMENT), "{}", earlier.text);
        assert!(!earlier.text.contains("ruroco-gate"), "{}", earlier.text);
    }

    #[test]
    fn a_file_of_now_is_left_alone_and_a_wrong_one_named_by_its_line() {
        let now =
            File::new("/config.toml", "addresses = [\"192.0.2.1\"]\ngate.interfaces = [\"a\"]\n");
        assert!(convert(&now).unwrap().is_none());
        for (text, line) in [("ips = 1\nport =\n", 2), ("ips = 1\naddress = \"host:80\"\n", 2)] {
            let Err(problem) = convert(&File::new("/config.toml", text)) else { panic!("{text}") };
            assert_eq!(problem.line(), Some(line), "{problem}");
        }
    }
}
