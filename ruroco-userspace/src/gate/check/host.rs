//! What configuration says of the host it is on.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

use nix::unistd::User;

use crate::{
    config::{Config, Field, Mode, Source},
    gate::{
        addresses::is_for_others,
        interfaces::devices::{blindness, native_limits},
        netlink::{self, Link},
    },
    key_directory,
    problems::Problem,
    toml_file::nearest,
};

/// Warnings, each at the field it is about: an address may come later, and an interface is waited
/// for.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let (Ok(links), Ok(assigned)) = (netlink::links(), netlink::addresses()) else {
        return Vec::new();
    };
    let mut problems = missing_addresses(config, &assigned.into_iter().map(|one| one.ip).collect());
    if config.source == Source::Xdp {
        problems.extend(interfaces(config, &links));
    }
    problems
}

fn missing_addresses(config: &Config, present: &BTreeSet<IpAddr>) -> Vec<Problem> {
    let is_reachable = |ip: &&IpAddr| is_for_others(**ip);
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

fn interfaces(config: &Config, links: &[Link]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known: Vec<(u32, &str)> = Vec::new();
    for name in &config.gate.interfaces {
        let link = netlink::link(name).ok().flatten();
        let message = match &link {
            None => Some(missing_interface(name, links)),
            Some(link) => match known.iter().find(|(index, _)| *index == link.index) {
                Some((_, other)) => Some(format!(
                    "`{name}` and `{other}` are the same interface, {}; remove one of them",
                    link.name
                )),
                None => interface_problem(link, config.gate.mode),
            },
        };
        known.extend(link.map(|link| (link.index, name.as_str())));
        let problem = |message| config.problem(Field::Interface(name), message).as_warning();
        problems.extend(message.map(problem));
    }
    problems
}

fn missing_interface(name: &str, links: &[Link]) -> String {
    let message =
        format!("there is no interface {name} now; the gate starts, stays open there and waits");
    match nearest(name, links.iter().map(|link| link.name.as_str())) {
        Some(meant) => format!("{message}; did you mean `{meant}`?"),
        None => message,
    }
}

/// Why the gate would not start with an interface, or be in the way of the network there.
fn interface_problem(link: &Link, mode: Mode) -> Option<String> {
    let name = &link.name;
    if let Some(blindness) = blindness(link) {
        return Some(format!("the gate cannot use {name}: {blindness}"));
    }
    let kind = link.kind.as_deref().filter(|_| mode == Mode::Native)?;
    Some(format!(
        "`mode` is \"native\", and {name} is a {kind} device: {}; set mode = \"auto\", which is generic \
         here, or name interfaces of hardware",
        native_limits(kind)
    ))
}

/// Keys of the server's own: root can read them, and the commander of the package's unit cannot, which
/// has not that privilege.
pub(super) fn keys_of_the_server(config: &Config, user: &User) -> Vec<Problem> {
    let Ok(files) = key_directory::owners(&config.config_dir) else { return Vec::new() };
    let problem = |path: PathBuf| {
        let message = format!(
            "it belongs to {}: a commander that its unit starts cannot read it; run: chown root {}, and \
             have systemd pass the keys to the server (LoadCredential=)",
            user.name,
            path.display()
        );
        Problem::error(&path, message).as_warning()
    };
    let servers = files.into_iter().filter(|(_, owner)| *owner == user.uid.as_raw());
    servers.map(|(path, _)| problem(path)).collect()
}
