//! sshd behind a door, set up as the documentation tells a new operator to (docs/operate/doors.md): by five commands,
//! and no file is edited.

use ruroco_lab::{guest::PACKAGES_INSIDE, shell::Shell, wait};

use crate::{
    door_host::{
        XDP, add_network, arming, authorize, expect_closed, expect_open, invite, log_in,
        reboot_behind_doors, ssh,
    },
    host::Host,
};

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn ssh_is_behind_a_door_after_five_commands_and_stays_there() {
    let mut host = Host::boot();
    add_network(&host);
    authorize(&host);
    let mut before = Shell::start(ssh(&host, XDP, &[]));

    eprintln!(
        "{}",
        host.guest.run(&format!("apt-get install --yes {PACKAGES_INSIDE}/ruroco_*.deb"))
    );
    let said = host.guest.run("ruroco init --door ssh=tcp/22 --yes");
    eprintln!("{said}");
    assert!(
        said.contains("closed ssh. TCP sessions with this host continue. Within 10 minutes,"),
        "{said}"
    );
    expect_closed(&host, XDP);
    before.expect_alive();
    assert!(arming(&host)["left_ms"].is_u64());
    invite(&host);
    let mut session = log_in(&host, XDP);
    wait::until("the session to confirm the trial", || {
        arming(&host)["left_ms"].is_null().then_some(())
    });
    let shown = host.guest.run("ruroco doors");
    eprintln!("{shown}");
    assert!(shown.contains("ssh (tcp/22) is open for"), "{shown}");

    host.guest.run("systemctl kill --signal=KILL ruroco-gate ruroco-server ruroco-commander");
    session.expect_alive();
    host.guest.run("systemctl stop ruroco-gate ruroco-server ruroco-commander");
    host.guest.run("test -e /sys/fs/bpf/ruroco");
    session.expect_alive();
    before.expect_alive();

    reboot_behind_doors(&mut host, &[XDP]);
    expect_closed(&host, XDP);
    log_in(&host, XDP);

    host.guest.run("ruroco disarm && systemctl stop ruroco-gate");
    expect_open(&host, XDP);
    host.guest.run("dpkg --purge ruroco");
    host.guest.run("! test -e /var/lib/ruroco-gate && ! test -e /sys/fs/bpf/ruroco");
    expect_open(&host, XDP);
    host.expect_silence();
}
