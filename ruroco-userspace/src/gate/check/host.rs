//! What configuration says of the host it is on.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{ifaddrs::getifaddrs, unistd::User};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::{
    config::{Config, Field, Source},
    key_directory,
    problems::Problem,
    toml_file::nearest,
};

/// Warnings, each at the field it is about: an address may come later, and an interface is waited
/// for.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let Ok(entries) = getifaddrs() else { return Vec::new() };
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        let ip = entry.address.as_ref().and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        });
        addresses.extend(ip);
        names.insert(entry.interface_name);
    }
    let mut problems = missing_addresses(config, &addresses);
    if config.source == Source::Xdp {
        problems.extend(missing_interfaces(config, &names));
    }
    problems
}

fn missing_addresses(config: &Config, present: &BTreeSet<IpAddr>) -> Vec<Problem> {
    let is_reachable = |ip: &&IpAddr| !ip.is_loopback() && !is_link_local(ip);
    let ours: Vec<String> = present.iter().filter(is_reachable).map(ToString::to_string).collect();
    let ours = if ours.is_empty() { "none".to_owned() } else { ours.join(", ") };
    let is_missing = |ip: &&ruroco_common::address::Address| !present.contains(&IpAddr::from(**ip));
    let all_are_missing = config.ips.iter().all(|ip| is_missing(&ip));
    let problem = |ip: &ruroco_common::address::Address| {
        let consequence = match all_are_missing {
            true => "so is every other of `ips`, and no packet for this host would be judged",
            false => "right for the outer one behind NAT, as long as the inner one is there, too",
        };
        let message = format!(
            "{} is on no interface of this host: {consequence}; this host has: {ours}",
            IpAddr::from(*ip)
        );
        config.problem(Field::Ip(*ip), message).as_warning()
    };
    config.ips.iter().filter(is_missing).map(problem).collect()
}

/// fe80::/10 (RFC 4291, section 2.5.6)
fn is_link_local(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn missing_interfaces(config: &Config, present: &BTreeSet<String>) -> Vec<Problem> {
    let problem = |name: &String| {
        let mut message = format!(
            "there is no interface {name} now; the gate starts, stays open there and waits"
        );
        if let Some(meant) = nearest(name, present.iter().map(String::as_str)) {
            message = format!("{message}; did you mean `{meant}`?");
        }
        config.problem(Field::Interface(name), message).as_warning()
    };
    config.gate.interfaces.iter().filter(|name| !present.contains(*name)).map(problem).collect()
}

/// Keys of the server's own: root can read them, and the commander of the package's unit cannot, which
/// has not that privilege.
pub(super) fn keys_of_the_server(config: &Config, user: &User) -> Vec<Problem> {
    let Ok(paths) = key_directory::list(&config.config_dir) else { return Vec::new() };
    let is_servers = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.uid() == user.uid.as_raw())
    };
    let problem = |path: PathBuf| {
        let message = format!(
            "it belongs to {}: a commander that its unit starts cannot read it; run: chown root {}, and \
             have systemd pass the keys to the server (LoadCredential=)",
            user.name,
            path.display()
        );
        Problem::error(&path, message).as_warning()
    };
    paths.into_iter().filter(is_servers).map(problem).collect()
}

/// Why the server, as whose user this is called, could not keep its floors here.
pub(in crate::gate) fn state_problem(dir: &Path, user: &User) -> Option<Problem> {
    let shown = dir.display();
    let name = &user.name;
    let make = format!("run: install -d -o {name} -m 700 {shown}");
    let metadata = match std::fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Some(Problem::error(dir, format!("could not be looked at: {error}; {make}")));
        }
    };
    if !metadata.is_dir() {
        return Some(Problem::error(dir, format!("it is no directory; {make}")));
    }
    if let Err(error) = accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        let message = format!("the server could not write its floors there: {error}; {make}");
        return Some(Problem::error(dir, message));
    }
    let mode = metadata.mode() & 0o7777;
    (mode & 0o022 != 0).then(|| {
        let message = format!(
            "its mode {mode:04o} lets others remove the floors, after which packets could run again; \
             run: chmod 700 {shown}"
        );
        Problem::error(dir, message).as_warning()
    })
}
