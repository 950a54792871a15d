//! What fails once, and what a full disk keeps from being written: doors end up as they should be, and the operator
//! learns of it.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ruroco_lab::{
    lab::{Lab, require_tool},
    mount::Mount,
    network::Family,
    wait,
};

use super::{
    kind::{ALONE, BESIDE_XDP, WITHOUT_XDP},
    nftables::nft,
    site::{LONG, PORT, Site, expect_closed_for},
};

/// Where the gate finds `nft`.
const NFT: &str = "/usr/sbin/nft";

/// In the place of `nft`, for this test only: changes the kernel's tables as `nft` does, except when told to fail.
struct Nft {
    countdown: PathBuf,
    _mount: Mount,
}

impl Nft {
    fn new(lab: &Lab) -> Self {
        require_tool("nft");
        let [real, script, countdown] =
            ["real-nft", "nft", "countdown"].map(|name| lab.files.path(name));
        fs::copy(NFT, &real).unwrap();
        let (real, file) = (real.display(), countdown.display());
        let text = format!(
            "#!/bin/sh\n\
             if [ \"$1\" = -f ] && [ -s {file} ]; then\n\
             read -r left <{file}\n\
             left=$((left - 1))\n\
             if [ \"$left\" -eq 0 ]; then : >{file}; echo 'Error: resource busy' >&2; exit 1; fi\n\
             echo \"$left\" >{file}\n\
             fi\n\
             exec {real} \"$@\"\n"
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        Self { countdown, _mount: Mount::file(&script, Path::new(NFT)) }
    }

    /// Has this change from now on fail, counted from 1, and no other.
    fn fail_at(&self, change: usize) {
        fs::write(&self.countdown, format!("{change}\n")).unwrap();
    }

    #[track_caller]
    fn expect_failed(&self) {
        assert!(fs::read(&self.countdown).unwrap().is_empty(), "there were fewer changes");
    }
}

fn problem(site: &Site) -> serde_json::Value {
    site.lab.status()["nftables"]["problem"].clone()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_lease_that_nftables_does_not_end_at_once_is_ended_soon() {
    for kind in [WITHOUT_XDP, BESIDE_XDP] {
        let mut site = kind.site(LONG, "");
        let nft = Nft::new(&site.lab);
        let family = Family::V4;
        site.open(family);
        let mut session = site.connect(family);
        fs::remove_file(site.lab.files.server_key("laptop")).unwrap();
        // A reload writes the table before and after the change, and then ends the leases of the key.
        nft.fail_at(3);
        site.lab.reload_gate();
        site.lab.gate().wait_for(&["could not close the door", "door=test", "resource busy"]);
        nft.expect_failed();
        site.lab.gate().wait_for(&["closed the door: its key"]);
        site.expect_closed(family);
        session.expect_alive();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_table_that_nftables_does_not_take_is_written_again() {
    for kind in [WITHOUT_XDP, BESIDE_XDP] {
        let mut site = kind.site(LONG, "");
        let tool = Nft::new(&site.lab);
        let family = Family::V6;
        let port = PORT + 1;
        let has_door = |site: &Site| {
            nft(&site.lab, &["list", "table", "inet", "ruroco"]).contains(&port.to_string())
        };
        let before = site.lab.files.change_config(|text| {
            format!("{text}[doors.other]\nport = \"tcp/{port}\"\nbackend = \"nftables\"\n")
        });
        // Before the reload changes anything: it is rejected as a whole.
        tool.fail_at(1);
        site.lab.expect_no_reload_of_gate(&["resource busy"]);
        tool.expect_failed();
        assert!(!has_door(&site));
        expect_closed_for(&site.lab.network.third, family);
        site.lab.reload_gate();
        assert!(has_door(&site));
        // After the change: the gate tries again.
        fs::write(site.lab.files.config(), before).unwrap();
        tool.fail_at(2);
        site.lab.reload_gate();
        site.lab.gate().wait_for(&["doors of nftables may be OPEN", "resource busy"]);
        tool.expect_failed();
        wait::until("the table to be written again", || (!has_door(&site)).then_some(()));
        wait::until("the end of the problem", || problem(&site).is_null().then_some(()));
        expect_closed_for(&site.lab.network.third, family);
        site.open(family);
        site.connect(family).expect_alive();
    }
}

/// Leaves no room in the directory in which the gate remembers that doors are disarmed.
fn fill_disk(lab: &Lab) -> Mount {
    let directory = lab.files.doors_dir();
    let disk = Mount::memory(&directory, 1 << 16);
    fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
    let mut file = File::create(directory.join("full")).unwrap();
    while file.write_all(&[0; 1 << 10]).is_ok() {}
    disk
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_full_disk_keeps_no_operator_from_opening_doors_and_begins_no_trial() {
    for kind in ALONE {
        let site = kind.site(LONG, "");
        let _disk = fill_disk(&site.lab);
        let run = |arguments: &[&str]| {
            let output = site.lab.tool_command(arguments).output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        // After the next start of the host, nothing would open the doors again.
        let (is_armed, said) = run(&["arm", "--for", "1h"]);
        assert!(!is_armed && said.contains("disarmed"), "{said}");
        site.expect_closed(Family::V4);
        assert!(site.lab.status()["arming"]["left_ms"].is_null());

        let (is_done, said) = run(&["disarm"]);
        let told = "doors are open now, but they are closed after the next start of this host";
        assert!(!is_done && said.contains(told), "{said}");
        for family in Family::BOTH {
            site.connect(family).expect_alive();
        }
        assert_eq!(run(&["arm"]), (true, String::new()));
        site.expect_closed(Family::V6);
    }
}
