//! What the units are allowed, by systemd's own account.

use crate::host::{Host, UNITS};

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn units_are_exposed_as_little_as_they_can_be() {
    let host = Host::boot();
    host.install();
    // In tenths, as `systemd-analyze` takes a threshold.
    for (unit, most) in UNITS.into_iter().zip([17, 5, 35]) {
        let security = "systemd-analyze security --no-pager --offline=true";
        let path = format!("/usr/lib/systemd/system/{unit}.service");
        let report = host.guest.try_run(&format!("{security} --threshold={most} {path}"));
        assert!(report.status.success(), "{unit}: {}", String::from_utf8_lossy(&report.stdout));
        // It can tell: none is perfect.
        let perfect = host.guest.try_run(&format!("{security} --threshold=0 {path}"));
        assert!(!perfect.status.success());
    }
}
