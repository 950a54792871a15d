//! `systemctl reload`: what it refuses, and what it does not.

use std::process::Stdio;

use crate::host::{Host, KEY, UNITS};

/// How a unit's reload ends, and what its log has said of it.
fn reload(host: &Host, unit: &str) -> (bool, String) {
    let since = host.guest.run("journalctl --sync; date +%s.%N");
    let done = host.guest.try_run(&format!("systemctl reload {unit}")).status.success();
    let log = format!("journalctl --sync; journalctl --unit {unit} --output cat --since @");
    (done, host.guest.run(&format!("{log}{}", since.trim())))
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn a_reload_fails_if_the_daemon_would_refuse_it_and_says_why() {
    let host = Host::boot();
    host.install();
    host.configure();
    host.start();
    let pids = || UNITS.map(|unit| host.guest.property(unit, "MainPID"));
    let before = pids();

    host.guest.run("sed -i 's/^port/prot/' /etc/ruroco/config.toml");
    for unit in UNITS {
        let (done, log) = reload(&host, unit);
        assert!(!done, "{unit}: {log}");
        let why = "/etc/ruroco/config.toml:4: unknown field `prot`";
        assert!(log.contains(why) && log.contains("did you mean `port`?"), "{unit}: {log}");
        assert!(!log.contains("not reloaded"), "{unit} was asked nevertheless: {log}");
    }
    host.guest.run("sed -i 's/^prot/port/' /etc/ruroco/config.toml");

    // What is wrong with commands keeps nobody from taking a key away.
    host.guest.run("echo nonsense >> /etc/ruroco/commands.toml");
    for (unit, accepts) in UNITS.into_iter().zip([true, true, false]) {
        let (done, log) = reload(&host, unit);
        assert_eq!(done, accepts, "{unit}: {log}");
    }
    host.expect_a_knock_to_run(KEY);
    assert_eq!(pids(), before, "all stayed as it was");
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn a_reload_lasts_until_the_new_is_in_force() {
    let host = Host::boot();
    host.install();
    host.configure();
    host.start();
    for unit in UNITS {
        // One that takes its time.
        let pid = host.guest.property(unit, "MainPID");
        host.guest.run(&format!("kill -STOP {pid}"));
        let mut reload = host.guest.command();
        let reload = reload.args(["systemctl", "reload", unit]).stderr(Stdio::piped());
        let reload = reload.spawn().unwrap();
        // What the unit runs for a reload has run.
        host.guest.wait_until(&format!(
            "test \"$(systemctl show --property SubState,ControlPID {unit} | sort | xargs)\" = \
             'ControlPID=0 SubState=reload'"
        ));
        host.guest.run(&format!("kill -CONT {pid}"));
        let ended = reload.wait_with_output().unwrap();
        let log =
            host.guest.run(&format!("journalctl --sync; journalctl --unit {unit} --output cat"));
        assert!(ended.status.success(), "{unit}: {ended:?}: {log}");
        assert!(log.contains("reloaded"), "{unit}: {log}");
        assert_eq!(host.guest.property(unit, "MainPID"), pid);
    }
    host.expect_a_knock_to_run(KEY);
}
