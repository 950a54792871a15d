//! The ports that sshd uses: as it has them in its configuration, and as its sockets have them.

use std::{collections::BTreeSet, process::Command};

/// The ports, in order; none if there is no sshd.
pub(super) fn ports() -> BTreeSet<u16> {
    let print = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let printed = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&printed).into_owned()
    };
    // What runs is what counts: a socket unit may have another port than the configuration.
    let bound = bound(&print("ss", &["-Htlnp"]));
    if !bound.is_empty() {
        return bound;
    }
    configured(&print("/usr/sbin/sshd", &["-T"]))
}

/// The ports in what `sshd -T` prints (sshd(8)).
fn configured(printed: &str) -> BTreeSet<u16> {
    let port = |line: &str| line.strip_prefix("port ")?.trim().parse().ok();
    printed.lines().filter_map(port).collect()
}

/// The ports of sshd's listeners in what `ss -Htlnp` prints, loopback left out.
fn bound(printed: &str) -> BTreeSet<u16> {
    let port = |line: &str| {
        let local = line.split_ascii_whitespace().nth(3)?;
        let (address, port) = local.rsplit_once(':')?;
        let is_local = address.starts_with("127.") || address == "[::1]";
        (line.contains("((\"sshd\",") && !is_local).then(|| port.parse().ok()).flatten()
    };
    printed.lines().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sshd_names_its_ports() {
        let printed = "addressfamily any\nport 2200\nport 2201\n";
        assert_eq!(configured(printed), [2200, 2201].into());
        assert!(configured("gatewayports no\n").is_empty());
    }

    #[test]
    fn the_ports_of_its_sockets_are_found_among_those_of_others() {
        let printed = "\
LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=7,fd=3))
LISTEN 0 128 [::]:2222 [::]:* users:((\"sshd\",pid=7,fd=4),(\"systemd\",pid=1,fd=9))
LISTEN 0 128 127.0.0.1:6010 0.0.0.0:* users:((\"sshd\",pid=9,fd=7))
LISTEN 0 128 0.0.0.0:80 0.0.0.0:* users:((\"nginx\",pid=8,fd=3))
";
        assert_eq!(bound(printed), [22, 2222].into());
    }
}
