//! Doors of nftables, and rulesets that other programs save and load.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use ruroco_lab::{files::Options, network::Family, wait};

use super::{
    nftables::{crash_gate, nft},
    site::{ANSWER, LONG, Site, behind, options, run_tool},
};

const NFTABLES: &str = "backend = \"nftables\"\n";

fn site() -> Site {
    Site::new(&options(LONG, NFTABLES))
}

/// What an administrator writes into /etc/nftables.conf.
fn save(site: &Site) -> PathBuf {
    let path = site.lab.files.path("saved.nft");
    fs::write(&path, nft(&site.lab, &["list", "table", "inet", "ruroco"])).unwrap();
    path
}

/// In place of the table, as `systemctl restart nftables` does it.
fn load(site: &Site, saved: &PathBuf) {
    let script = site.lab.files.path("load.nft");
    fs::write(&script, format!("flush ruleset\ninclude {saved:?}\n")).unwrap();
    nft(&site.lab, &["-f", script.to_str().unwrap()]);
}

/// The host starts, which loads a saved ruleset before the gate.
fn start_host_with(site: &mut Site, saved: &PathBuf) {
    crash_gate(&mut site.lab);
    fs::remove_file(site.lab.files.path("run").join("nftables")).unwrap();
    load(site, saved);
    site.lab.start_gate();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn no_lease_and_no_arming_outlives_a_start_of_the_host() {
    let mut site = site();
    site.open(Family::V4);
    let with_lease = save(&site);
    start_host_with(&mut site, &with_lease);
    assert!(site.leases(Family::V4).is_empty());
    site.expect_closed(Family::V4);

    run_tool(&site.lab, &["disarm"]);
    let disarmed = save(&site);
    run_tool(&site.lab, &["arm"]);
    start_host_with(&mut site, &disarmed);
    site.expect_closed(Family::V4);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_earlier_state_that_another_program_loads_is_replaced() {
    let mut site = site();
    let family = Family::V6;
    site.open(family);
    let with_lease = save(&site);
    run_tool(&site.lab, &["doors", "close", "test"]);
    site.expect_closed(family);
    load(&site, &with_lease);
    site.lab.gate().wait_for(&["restored"]);
    site.expect_closed(family);

    run_tool(&site.lab, &["disarm"]);
    let disarmed = save(&site);
    run_tool(&site.lab, &["arm"]);
    load(&site, &disarmed);
    site.lab.gate().wait_for_nth(2, &["restored"]);
    site.expect_closed(family);
    assert!(!site.lab.files.doors_dir().join("disarmed").exists());
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_door_is_closed_all_the_time_while_its_backend_changes() {
    let mut site =
        Site::new(&Options { interfaces: vec!["server0", "third1"], ..options(LONG, "") });
    let xdp = fs::read_to_string(site.lab.files.config()).unwrap();
    let nftables = xdp.replace("[doors.test]\n", &format!("[doors.test]\n{NFTABLES}"));
    assert_ne!(xdp, nftables);
    let third = site.lab.network.third.handle();
    let (is_over, tries) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let connect = || TcpStream::connect_timeout(&behind(Family::V4), ANSWER / 60);
                assert!(third.enter(connect).is_err(), "the door is open");
                tries.fetch_add(1, Ordering::Relaxed);
            }
        });
        for config in [&nftables, &xdp].repeat(5) {
            let before = tries.load(Ordering::Relaxed);
            wait::until("an attempt", || {
                let is_enough = tries.load(Ordering::Relaxed) > before + 3;
                (is_enough || attacker.is_finished()).then_some(())
            });
            fs::write(site.lab.files.config(), config).unwrap();
            site.lab.reload_gate();
        }
        is_over.store(true, Ordering::Relaxed);
        attacker.join().unwrap();
    });
}
