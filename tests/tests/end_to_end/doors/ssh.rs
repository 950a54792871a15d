//! A real sshd behind a door, through the real client as `ProxyCommand`.

use std::time::Duration;

use ruroco_lab::{
    files::Options,
    lab::Lab,
    network::{CLIENT, Family, Network},
    shell::Shell,
};

use super::{
    site::{LONG, PORT, Site, expect_closed_for, options},
    switch::Switch,
};
use crate::{
    networks::kernel_has,
    sshd::{Sshd, name, proxy},
};

const THREE_HOURS: Duration = Duration::from_secs(3 * 60 * 60);

/// The wire between client and server.
#[derive(Clone, Copy)]
enum Wire {
    Plain,
    /// What goes to the server has a tag.
    Tagged,
    /// Both have a VLAN device.
    Vlan,
}

impl Wire {
    fn lay(self, network: &Network) -> Option<Switch> {
        match self {
            Self::Plain => None,
            Self::Tagged => Some(Switch::between(network)),
            Self::Vlan => {
                lay_vlan(network);
                None
            }
        }
    }
}

fn lay_vlan(network: &Network) {
    network.disconnect_client();
    network.add_client_link();
    for (host, interface) in [(&network.server, "server0"), (&network.client, "client0")] {
        host.ip(&format!(
            "link set {interface} up\n\
             link add link {interface} name {interface}.5 type vlan id 5\n"
        ));
    }
    network.bring_link_up("server0.5", "client0.5");
}

struct Host {
    // In the order in which they are to be dropped.
    sessions: Vec<Shell>,
    sshd: Sshd,
    site: Site,
    _switch: Option<Switch>,
}

impl Host {
    /// With sshd, and with sessions that begin before the gate does.
    fn new(mode: &'static str, wire: Wire) -> Self {
        let mut lab = Lab::new(&Options { mode, ..options(LONG, "") });
        let switch = wire.lay(&lab.network);
        let sshd = Sshd::start(&lab, PORT, "open_test");
        let sessions = Family::BOTH.map(|family| shell(&sshd, &lab, family, &[])).into();
        lab.start_commander();
        lab.start_gate();
        lab.start_server();
        Self { sessions, sshd, site: Site::without_listeners(lab), _switch: switch }
    }

    /// Neither a bystander nor `ssh` without a knock comes in.
    #[track_caller]
    fn expect_closed(&self, family: Family) {
        expect_closed_for(&self.site.lab.network.third, family);
        let mut ssh = self.sshd.ssh(&self.site.lab, &["ConnectTimeout=1"]);
        let ended = ssh.args([name(family), "true"]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(255), "ssh came in without a knock: {said}");
        assert!(said.contains("timed out"), "{said}");
    }

    /// `ssh` knocks and comes in.
    #[track_caller]
    fn log_in(&mut self, family: Family) {
        let session = shell(&self.sshd, &self.site.lab, family, &[&proxy()]);
        self.sessions.push(session);
        expect_closed_for(&self.site.lab.network.third, family);
    }

    #[track_caller]
    fn expect_sessions(&mut self) {
        self.sessions.iter_mut().for_each(Shell::expect_alive);
    }

    /// Kills one daemon after the other.
    fn crash_all(&mut self) {
        self.site.lab.commander().crash();
        self.expect_sessions();
        self.site.lab.server().crash();
        self.expect_sessions();
        self.site.lab.gate().crash();
        self.expect_sessions();
    }
}

#[track_caller]
fn shell(sshd: &Sshd, lab: &Lab, family: Family, options: &[&str]) -> Shell {
    let mut ssh = sshd.ssh(lab, options);
    ssh.arg(name(family));
    let shell = Shell::start(ssh);
    assert_eq!(shell.from(), CLIENT.of(family).to_string());
    shell
}

fn expect_door_before_sshd(mode: &'static str, wire: Wire) {
    let mut host = Host::new(mode, wire);
    for family in Family::BOTH {
        host.expect_closed(family);
        host.log_in(family);
    }
    host.expect_sessions();

    // Nobody has sent anything for three hours, the leases have ended, and everything else of the door with them.
    host.site.let_time_pass(THREE_HOURS);
    host.expect_sessions();
    for family in Family::BOTH {
        host.expect_closed(family);
    }
    host.site.reload_all();
    host.expect_sessions();
    host.crash_all();
    host.site.expect_closed(Family::V4);
    host.site.lab.start_gate();
    host.site.lab.start_server();
    host.site.lab.start_commander();
    for family in Family::BOTH {
        host.site.expect_closed(family);
    }
    host.log_in(Family::V6);
    host.expect_sessions();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn ssh_comes_in_by_a_knock_and_stays_past_a_native_gate() {
    expect_door_before_sshd("native", Wire::Plain);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn ssh_comes_in_by_a_knock_and_stays_past_a_generic_gate() {
    expect_door_before_sshd("generic", Wire::Plain);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn ssh_comes_in_by_a_knock_and_stays_with_tags() {
    expect_door_before_sshd("native", Wire::Tagged);
    expect_door_before_sshd("generic", Wire::Tagged);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn ssh_comes_in_by_a_knock_and_stays_on_a_vlan() {
    if kernel_has(&["vlan"]) {
        expect_door_before_sshd("native", Wire::Vlan);
        expect_door_before_sshd("generic", Wire::Vlan);
    }
}
