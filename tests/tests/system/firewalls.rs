//! Doors of both backends on hosts whose firewall is ufw or firewalld, which are really installed: doors open and close
//! as without them, and stay closed to strangers while the firewall is started, reloaded or flushed.

use ruroco_lab::wait;

use crate::{
    door_host::{
        NFTABLES, Stranger, XDP, add_network, authorize, expect_closed, expect_open, log_in,
        set_up_both, status, wait_until_closed,
    },
    host::Host,
};

const BOTH: [u16; 2] = [XDP, NFTABLES];

/// A lease that is open as long as the test wants.
const LEASE: &str = "1h";

fn restored(host: &Host) -> u64 {
    status(host)["nftables"]["restored"].as_u64().unwrap()
}

/// Doors open by a knock, stay open while the firewall does something, and close.
fn expect_doors_while(host: &Host, firewall: &str) {
    BOTH.iter().for_each(|port| expect_closed(host, *port));
    let stranger = Stranger::start(&host.network, &BOTH);
    let mut sessions = BOTH.map(|port| log_in(host, port));
    let before = restored(host);
    host.guest.run(firewall);
    sessions.iter_mut().for_each(|session| session.expect_alive());
    BOTH.iter().for_each(|port| expect_open(host, *port));
    host.guest.run("ruroco doors close ssh && ruroco doors close admin");
    BOTH.iter().for_each(|port| wait_until_closed(host, *port));
    sessions.iter_mut().for_each(|session| session.expect_alive());
    stranger.expect_kept_out();
    assert_eq!(restored(host), before, "{firewall} removes our table");
}

/// All tables of the host are removed while doors are open: that of doors comes back, and the door of the XDP program
/// was closed to strangers meanwhile.
fn expect_doors_after_a_flush(host: &Host) {
    let stranger = Stranger::start(&host.network, &[XDP]);
    let mut sessions = BOTH.map(|port| log_in(host, port));
    let before = restored(host);
    host.guest.run("nft flush ruleset");
    wait::until("the table to be restored", || (restored(host) > before).then_some(()));
    let second = Stranger::start(&host.network, &BOTH);
    sessions.iter_mut().for_each(|session| session.expect_alive());
    BOTH.iter().for_each(|port| expect_open(host, *port));
    host.guest.run("ruroco doors close ssh && ruroco doors close admin");
    BOTH.iter().for_each(|port| wait_until_closed(host, *port));
    stranger.expect_kept_out();
    second.expect_kept_out();
    let log = host.guest.run("journalctl --unit ruroco-gate --output cat");
    assert!(log.contains("restored"), "{log}");
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn doors_work_next_to_ufw_and_firewalld() {
    let mut host = Host::boot();
    add_network(&host);
    authorize(&host);
    host.install();
    set_up_both(&host, LEASE);
    let rules = BOTH.map(|port| format!("ufw allow {port}/tcp")).join(" && ");
    host.guest.run(&rules);
    expect_doors_while(&host, "ufw --force enable");
    // It is in force: ports that it does not allow are filtered.
    let policy = host.guest.run("iptables -S INPUT");
    assert!(policy.contains("-P INPUT DROP"), "{policy}");
    expect_doors_while(&host, "ufw reload");
    expect_doors_after_a_flush(&host);
    host.guest.run("ufw disable");

    host.guest.run(&format!("firewall-offline-cmd --quiet --add-port={NFTABLES}/tcp"));
    expect_doors_while(&host, "systemctl start firewalld");
    assert_eq!(host.guest.run("firewall-cmd --state").trim(), "running");
    expect_doors_while(&host, "firewall-cmd --reload");
    expect_doors_after_a_flush(&host);
    host.expect_silence();
}
