//! Leases that end together. For each of them, the gate could be waiting for an `nft` that hangs.

use std::{fs, net::IpAddr};

use ruroco_lab::{daemon::Daemon, files::Options, lab::Lab, wait};

use super::{
    nftables::nft,
    site::{LONG, Site, options, run_tool},
};

/// How many leases end.
const LEASES: usize = 5;

/// What the kernel reports of changes to its tables.
struct Monitor(Daemon);

impl Monitor {
    fn start(lab: &Lab) -> Self {
        let mut command = lab.network.server.command();
        Self(Daemon::start("nft monitor", command.args(["sh", "-c", "exec nft monitor >&2"])))
    }

    /// Waits until it has reported all changes up to now.
    fn catch_up(&self, lab: &Lab, mark: &str) {
        let line = format!("add table inet {mark}");
        wait::until("the monitor to report a table", || {
            for action in ["add", "delete"] {
                nft(lab, &[action, "table", "inet", mark]);
            }
            self.0.lines_with(&[&line]).first().map(drop)
        });
    }

    /// How many leases each change has ended, of those that have ended any.
    fn ended(&self) -> Vec<usize> {
        let lines = self.0.lines();
        let changes = lines.split(|line| line.starts_with("# new generation"));
        let ended = |lines: &[String]| {
            let of_leases = lines.iter().filter(|line| line.contains(" ruroco lease_test_"));
            let deleted = |line: &&String| line.starts_with("delete ");
            // A lease that is opened is deleted, too, in place of an earlier one, and then added.
            of_leases.clone().next_back().filter(deleted)?;
            Some(of_leases.filter(deleted).count())
        };
        changes.filter_map(ended).collect()
    }
}

fn open_all(site: &mut Site) {
    for last in (1..).take(LEASES) {
        site.open_for(IpAddr::from([198, 51, 100, last]));
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn leases_that_end_together_are_one_change_of_the_table() {
    let options = options(LONG, "backend = \"nftables\"");
    let mut site = Site::new(&Options { more_keys: vec!["phone"], ..options });
    let monitor = Monitor::start(&site.lab);
    monitor.catch_up(&site.lab, "begun");

    open_all(&mut site);
    run_tool(&site.lab, &["doors", "close", "test"]);
    monitor.catch_up(&site.lab, "closed");
    assert_eq!(monitor.ended(), [LEASES]);

    open_all(&mut site);
    fs::remove_file(site.lab.files.server_key("laptop")).unwrap();
    site.lab.reload_gate();
    site.lab.gate().wait_for_nth(LEASES, &["closed the door", "door=test"]);
    monitor.catch_up(&site.lab, "revoked");
    assert_eq!(monitor.ended(), [LEASES; 2]);
}
