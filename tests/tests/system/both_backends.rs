//! Doors of the XDP program and of nftables on a booted system, with the units' real sandbox: across an upgrade of the
//! package, across a reboot, and on a host without XDP.

use ruroco_lab::{guest::PACKAGES_INSIDE, network::PORT, shell::Shell};

use crate::{
    door_host::{
        NFTABLES, Stranger, XDP, add_network, arming, authorize, expect_closed, expect_open,
        invite, log_in, reboot_behind_doors, set_up_both, ssh, status, wait_until_closed,
    },
    host::{Host, UNITS},
};

const BOTH: [u16; 2] = [XDP, NFTABLES];

/// A lease that ends while a test waits for it.
const LEASE: &str = "5s";

/// Installs the package with an earlier version number.
fn install_earlier(host: &Host) {
    host.guest.run(&format!(
        "dpkg-deb -R {PACKAGES_INSIDE}/ruroco_*.deb /tmp/earlier && \
         sed -i 's/^Version: .*/Version: 0.0.9-1/' /tmp/earlier/DEBIAN/control && \
         dpkg-deb -Znone -b /tmp/earlier /tmp/earlier.deb && dpkg --install /tmp/earlier.deb && \
         rm -r /tmp/earlier /tmp/earlier.deb"
    ));
}

fn version(host: &Host) -> String {
    host.guest.run("dpkg-query --show --showformat '${Version}' ruroco")
}

/// `ssh` without a knock does not come in.
#[track_caller]
fn expect_no_login(host: &Host, port: u16) {
    let ended = ssh(host, port, &["ConnectTimeout=1"]).arg("true").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(255), "{said}");
    assert!(said.contains("timed out"), "{said}");
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn sessions_through_doors_survive_an_upgrade_and_no_session_begins_after_the_lease() {
    let mut host = Host::boot();
    add_network(&host);
    authorize(&host);
    install_earlier(&host);
    set_up_both(&host, LEASE);
    assert_eq!(version(&host), "0.0.9-1");
    let stranger = Stranger::start(&host.network, &BOTH);
    BOTH.iter().for_each(|port| expect_closed(&host, *port));
    let mut sessions = BOTH.map(|port| log_in(&host, port));
    let before = UNITS.map(|unit| host.guest.property(unit, "MainPID"));
    host.install();
    assert_ne!(version(&host), "0.0.9-1");
    for (unit, before) in UNITS.into_iter().zip(&before) {
        host.wait_for_successor(unit, before);
    }
    sessions.iter_mut().for_each(Shell::expect_alive);
    for port in BOTH {
        wait_until_closed(&host, port);
        expect_no_login(&host, port);
        log_in(&host, port);
        wait_until_closed(&host, port);
    }
    sessions.iter_mut().for_each(Shell::expect_alive);
    stranger.expect_kept_out();

    reboot_behind_doors(&mut host, &BOTH);
    BOTH.iter().for_each(|port| expect_closed(&host, *port));
    BOTH.iter().for_each(|port| drop(log_in(&host, *port)));
    assert_eq!(status(&host)["nftables"]["restored"], 0, "the boot flushed the table");
    host.guest.run("dpkg --purge ruroco");
    host.guest.run("! nft list table inet ruroco");
    BOTH.iter().for_each(|port| expect_open(&host, *port));
    host.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn a_host_without_xdp_has_ssh_behind_a_door_of_nftables() {
    let mut host = Host::boot();
    add_network(&host);
    authorize(&host);
    host.install();
    let mut before = Shell::start(ssh(&host, XDP, &[]));
    let said =
        host.guest.run(&format!("ruroco init --source udp --port {PORT} --door ssh=tcp/22 --yes"));
    eprintln!("{said}");
    assert!(said.contains("closed ssh."), "{said}");
    host.guest.run("! test -e /sys/fs/bpf/ruroco");
    expect_closed(&host, XDP);
    before.expect_alive();
    host.guest.run(&format!(
        "sed -i 's/^port = .tcp.22.$/&\\nfor = \"{LEASE}\"/' /etc/ruroco/config.toml && ruroco check && \
         systemctl reload ruroco-commander ruroco-gate"
    ));
    invite(&host);
    assert!(arming(&host)["left_ms"].is_u64());
    let mut session = log_in(&host, XDP);
    ruroco_lab::wait::until("the session to confirm the trial", || {
        arming(&host)["left_ms"].is_null().then_some(())
    });
    let stranger = Stranger::start(&host.network, &[XDP]);
    wait_until_closed(&host, XDP);
    expect_no_login(&host, XDP);
    session.expect_alive();
    before.expect_alive();
    stranger.expect_kept_out();

    reboot_behind_doors(&mut host, &[XDP]);
    expect_closed(&host, XDP);
    log_in(&host, XDP);
    wait_until_closed(&host, XDP);

    // Stopped, it stays closed. The package takes its table along.
    host.guest.run("systemctl stop ruroco-gate");
    expect_closed(&host, XDP);
    host.guest.run("dpkg --purge ruroco");
    host.guest.run("! nft list table inet ruroco");
    expect_open(&host, XDP);
}
