//! Checks the values in the configuration against the host.

use std::{net::IpAddr, path::PathBuf};

use nix::unistd::User;
use ruroco_common::address::Address;
use ruroco_config::{Config, Mode, Place, Source, key_directory};
use ruroco_files::toml_file::nearest;
use ruroco_gate::{
    addresses::Present,
    interfaces::devices::{blindness, native_limits},
    netlink::{self, Link},
};
use ruroco_messages::problems::Problem;

/// What does not fit this host, each at the field it is about. Most are warnings: an address may come later,
/// and an interface is waited for.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let (Ok(links), Ok(present)) = (netlink::links(), Present::look()) else {
        return Vec::new();
    };
    let mut problems = missing_addresses(config, &present);
    if config.source == Source::Xdp {
        problems.extend(interfaces(config, &links));
    }
    problems
}

fn missing_addresses(config: &Config, present: &Present) -> Vec<Problem> {
    let ips: Vec<IpAddr> = config.addresses.iter().map(|ip| IpAddr::from(*ip)).collect();
    let missed = present.missed(&ips);
    let problem = |address: &Address| {
        let ip = IpAddr::from(*address);
        let protocol = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let consequence = match missed.contains(&ip) {
            true => format!(
                "and neither is any other {protocol} address in `addresses`: no knock over {protocol} would be \
                 recognised"
            ),
            false => "which is correct only for the outer address of a host behind NAT".to_owned(),
        };
        let message =
            format!("{ip} is not assigned to this host, {consequence}. This host has: {present}");
        config.problem(Place::Address(*address), message).as_warning()
    };
    config.addresses.iter().filter(|ip| !present.has(IpAddr::from(**ip))).map(problem).collect()
}

fn interfaces(config: &Config, links: &[Link]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known: Vec<(u32, &str)> = Vec::new();
    for name in &config.gate.interfaces {
        let link = netlink::link(name).ok().flatten();
        let problem = |message| config.problem(Place::Interface(name), message);
        let other =
            link.as_ref().and_then(|link| known.iter().find(|(index, _)| *index == link.index));
        problems.extend(match (&link, other) {
            (None, _) => Some(problem(missing_interface(name, links)).as_warning()),
            (Some(link), Some((_, other))) => {
                let message = format!(
                    "`{name}` and `{other}` are the same interface, {}; remove one of them",
                    link.name
                );
                Some(problem(message).as_warning())
            }
            // The gate does not start with it.
            (Some(link), None) => match blindness(link) {
                Some(blindness) => {
                    Some(problem(format!("the gate cannot use {}: {blindness}", link.name)))
                }
                None => limits(link, config.gate.mode).map(|message| problem(message).as_warning()),
            },
        });
        known.extend(link.map(|link| (link.index, name.as_str())));
    }
    problems
}

fn missing_interface(name: &str, links: &[Link]) -> String {
    let message = format!(
        "interface {name} does not exist. The gate starts without it, and attaches to it when it appears"
    );
    match nearest(name, links.iter().map(|link| link.name.as_str())) {
        Some(meant) => format!("{message}; did you mean `{meant}`?"),
        None => message,
    }
}

/// What the gate would keep the network from there.
fn limits(link: &Link, mode: Mode) -> Option<String> {
    let name = &link.name;
    let kind = link.kind.as_deref().filter(|_| mode == Mode::Native)?;
    Some(format!(
        "`mode` is \"native\", but {name} is a {kind} device: {}. Set mode = \"auto\", which selects generic mode \
        here, or guard the hardware interfaces instead",
        native_limits(kind)
    ))
}

/// Keys of the server's own: root can read them, and the commander of the package's unit cannot, which
/// has not that privilege.
pub(super) fn keys_of_the_server(config: &Config, user: &User) -> Vec<Problem> {
    let Ok(files) = key_directory::owners(&config.keys_dir) else { return Vec::new() };
    let problem = |path: PathBuf| {
        let message = format!(
            "it belongs to {}, so the commander cannot read it when systemd starts it; run: chown root {}, and pass \
            the keys to the server with LoadCredential=",
            user.name,
            path.display()
        );
        Problem::error(&path, message).as_warning()
    };
    let servers = files.into_iter().filter(|(_, owner)| *owner == user.uid.as_raw());
    servers.map(|(path, _)| problem(path)).collect()
}
