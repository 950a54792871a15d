//! The package's life on a host: installed, set up, running, and gone.

use std::collections::BTreeSet;

use ruroco_lab::{
    guest::PACKAGES_INSIDE,
    network::{CLIENT, PORT, SERVER, SERVER_INTERFACE},
    wait,
};

use crate::{
    flood::Flood,
    host::{Host, KEY, UNITS},
};

/// Another key.
const PHONE: &str = "phone";

const RELOADS: usize = 10;

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn it_installs_runs_a_knock_survives_a_power_cut_and_leaves_nothing_behind() {
    let mut host = Host::boot();
    let before = files(&host);

    host.install();
    for unit in UNITS {
        // Nothing runs before it is set up, and nothing has failed either.
        assert_eq!(host.guest.property(unit, "ActiveState"), "inactive");
        assert_eq!(host.guest.property(unit, "UnitFileState"), "enabled");
    }
    // Beside a gate it would hold the port open, and the server would have a network socket.
    assert_eq!(host.guest.property("ruroco-udp.socket", "UnitFileState"), "disabled");
    host.configure();
    host.start();
    host.expect_a_knock_to_run(KEY);
    let confined = "server: connected, seccomp, no-new-privs, an empty capability bounding set";
    let status = host.guest.run("ruroco status");
    assert!(status.contains(confined), "{status}");
    let log = host.guest.run("journalctl --unit ruroco-server --output cat");
    assert!(log.contains("sandbox: enforced: ") && !log.contains(" not: "), "{log}");

    host.guest.reboot(&host.network.server);
    for unit in UNITS {
        host.guest.wait_until(&format!("systemctl is-active {unit}"));
    }
    assert!(
        host.guest.property("ruroco-gate", "Before").contains("network-pre.target"),
        "the gate is attached before there is a network"
    );
    host.expect_a_knock_to_run(KEY);
    host.expect_silence();

    host.guest.run("DEBIAN_FRONTEND=noninteractive dpkg --purge ruroco");
    let left: Vec<String> = files(&host).difference(&before).cloned().collect();
    assert!(left.is_empty(), "purged, and still there: {left:#?}");
    let programs = host.guest.run("ip -detail link show dev server0");
    assert!(!programs.contains("xdp"), "{programs}");
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn a_purge_keeps_a_user_that_existed_and_succeeds_beside_mounts_and_processes() {
    let host = Host::boot();
    host.guest.run("useradd --system --create-home --shell /bin/sh ruroco");
    host.guest.run("touch /home/ruroco/file && chown ruroco: /home/ruroco/file");
    let user = host.guest.run("getent passwd ruroco");
    host.install();
    for folder in ["/var/lib/ruroco-commander", "/var/lib/ruroco"] {
        host.guest.run(&format!("mkdir -p {folder} && mount -t tmpfs tmpfs {folder}"));
        host.guest.run(&format!("touch {folder}/file"));
    }
    host.guest.run("systemd-run --quiet --unit of-that-user --uid ruroco sleep infinity");

    let purged = host.guest.try_run("DEBIAN_FRONTEND=noninteractive dpkg --purge ruroco");
    assert!(purged.status.success(), "{purged:?}");
    assert_eq!(host.guest.run("getent passwd ruroco"), user);
    assert_eq!(host.guest.run("stat --format %U /home/ruroco/file").trim(), "ruroco");
    host.guest.run("systemctl is-active of-that-user");
    for folder in ["/var/lib/ruroco-commander", "/var/lib/ruroco"] {
        host.guest.run(&format!("mountpoint {folder}"));
        assert_eq!(host.guest.run(&format!("ls -A {folder}")).trim(), "file");
        let said = String::from_utf8_lossy(&purged.stderr);
        assert!(said.contains(&format!("{folder} was kept, because")), "{said}");
    }
}

/// A person who only knocks from a terminal gets no window, and no library of one.
#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn the_command_line_installs_without_the_window_and_both_go_together() {
    let host = Host::boot();
    let simulate = |package: &str| {
        let file = format!("{PACKAGES_INSIDE}/{package}_*.deb");
        let simulated =
            host.guest.run(&format!("apt-get install --simulate --install-recommends {file}"));
        let installed = simulated.lines().filter_map(|line| line.strip_prefix("Inst "));
        installed.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(simulate("ruroco-client"), ["ruroco-client"]);
    let field = |package: &str, field: &str| {
        host.guest.run(&format!("dpkg-deb --field {PACKAGES_INSIDE}/{package}_*.deb {field}"))
    };
    // The guest has no package lists, so apt would not show what is only recommended.
    assert_eq!(field("ruroco-client", "Recommends").trim(), "");
    assert!(field("ruroco-client-ui", "Depends").contains("libegl1"));
    // The gate runs `ip`, which not every base system has.
    assert!(field("ruroco", "Depends").contains("iproute2"));
    assert!(!field("ruroco-client-ui", "Recommends").contains("xdg-utils"));
    // The libraries of a window are not in the base system; that no file is in both packages is tried.
    host.guest.run(&format!("dpkg --install --force-depends {PACKAGES_INSIDE}/ruroco*.deb"));
    host.guest.run("ruroco-client --version && ruroco-client-ui --version");
    for page in ["1 ruroco-client", "1 ruroco-client-ui", "7 ruroco", "8 ruroco-gate"] {
        let (section, name) = page.split_once(' ').unwrap();
        host.guest.run(&format!("test -e /usr/share/man/man{section}/{name}.{section}.gz"));
    }
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn whichever_daemon_is_killed_comes_back_and_the_others_stay() {
    let host = Host::boot();
    host.install();
    host.configure();
    host.start();
    for unit in UNITS {
        let pids = || UNITS.map(|unit| host.guest.property(unit, "MainPID"));
        let before = pids();
        host.guest.run(&format!("systemctl kill --signal KILL --kill-who main {unit}"));
        let gone = &before[UNITS.iter().position(|other| *other == unit).unwrap()];
        host.wait_for_successor(unit, gone);
        for ((name, before), after) in UNITS.into_iter().zip(&before).zip(&pids()) {
            assert_eq!(before == after, name != unit, "{name}, when {unit} was killed");
        }
        host.expect_a_knock_to_run(KEY);
    }
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn whichever_daemon_hangs_is_replaced_and_the_gate_stays_closed_meanwhile() {
    let mut host = Host::boot();
    host.install();
    host.configure();
    for unit in UNITS {
        // Half a minute, as packaged; shorter here, and yet more than a busy machine keeps one waiting.
        host.guest.run(&format!("grep WatchdogSec=30 /usr/lib/systemd/system/{unit}.service"));
        host.guest.run(&format!("mkdir -p /etc/systemd/system/{unit}.service.d"));
        host.guest.write(
            &format!("/etc/systemd/system/{unit}.service.d/watchdog.conf"),
            "[Service]\nWatchdogSec=5\n",
        );
    }
    host.guest.run("systemctl daemon-reload");
    host.start();
    let pids = || UNITS.map(|unit| host.guest.property(unit, "MainPID"));
    for unit in UNITS {
        let before = pids();
        let hanging = &before[UNITS.iter().position(|other| *other == unit).unwrap()];
        host.guest.run(&format!("kill -STOP {hanging}"));
        host.wait_for_successor(unit, hanging);
        let log = host.guest.run(&format!("journalctl --unit {unit} --output cat"));
        assert!(log.contains("Watchdog timeout"), "{log}");
        host.expect_a_knock_to_run(KEY);
        // The others have given signs of life all the time.
        for ((name, before), after) in UNITS.into_iter().zip(&before).zip(&pids()) {
            let journal = || host.guest.journal();
            assert_eq!(before == after, name != unit, "{name}, {unit} was stopped\n{}", journal());
        }
    }
    host.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn another_user_for_the_server_takes_what_the_doctor_says() {
    let host = Host::boot();
    host.install();
    host.configure();
    host.guest.run("useradd --system --shell /usr/sbin/nologin other");
    host.guest.run("sed -i '1i server_user = \"other\"' /etc/ruroco/config.toml");
    let doctor = host.guest.try_run("ruroco doctor");
    let said = String::from_utf8_lossy(&doctor.stdout);
    let edits =
        [("ruroco-server", "User=other Group=other"), ("ruroco-gate", "SupplementaryGroups=other")];
    for (unit, settings) in edits {
        assert!(said.contains(&format!("systemctl edit {unit}: [Service] {settings}")), "{said}");
        host.guest.run(&format!("mkdir -p /etc/systemd/system/{unit}.service.d"));
        host.guest.write(
            &format!("/etc/systemd/system/{unit}.service.d/user.conf"),
            &format!("[Service]\n{}\n", settings.replace(' ', "\n")),
        );
    }
    host.guest.run("systemctl daemon-reload");
    host.start();
    host.expect_a_knock_to_run(KEY);
    let doctor = host.guest.try_run("ruroco doctor");
    assert!(!String::from_utf8_lossy(&doctor.stdout).contains("systemctl edit"), "{doctor:?}");
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn reloads_under_a_flood_lose_no_knock_and_a_key_that_is_revoked_ends_at_once() {
    let mut host = Host::boot();
    host.install();
    host.configure();
    host.start();
    host.add_key(PHONE);
    host.guest.run("systemctl reload ruroco-commander ruroco-gate");
    host.wait_for_keys(&[KEY, PHONE]);
    host.expect_a_knock_to_run(PHONE);

    let before = host.runs();
    let flood = Flood::start(&host.network);
    for _ in 0..RELOADS {
        host.guest.run("systemctl reload ruroco-gate ruroco-server ruroco-commander");
        host.knock(KEY);
        host.knock(PHONE);
    }
    let sent = flood.stop();
    assert!(sent > 10_000, "only {sent} packets of a flood");
    host.expect_runs(before + 2 * RELOADS);

    host.guest.run(&format!("rm /etc/ruroco/keys/{PHONE}.key"));
    host.guest.run("systemctl reload ruroco-commander ruroco-gate");
    host.wait_for_keys(&[KEY]);
    let unknown = || host.verdict("unknown_key");
    let refused = unknown();
    host.knock(PHONE);
    host.expect_a_knock_to_run(KEY);
    assert_eq!(unknown(), refused + 1, "the kernel knows the key no more");
    host.expect_silence();
}

/// All files, but for those that any system writes while it runs, and what dpkg itself remembers.
fn files(host: &Host) -> BTreeSet<String> {
    let pruned = [
        "/proc",
        "/sys",
        "/dev",
        "/run",
        "/tmp",
        "/var/tmp",
        "/packages",
        "/var/lib/dpkg",
        "/var/log/journal",
    ];
    let pruned = pruned.map(|path| format!("-path {path} -prune")).join(" -o ");
    let all = host
        .guest
        .run(&format!("find / {pruned} -o -print; ls -d /run/ruroco 2>/dev/null || true"));
    all.lines().map(str::to_owned).collect()
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn a_restart_does_not_open_the_gate_and_a_stop_does() {
    let mut host = Host::boot();
    host.install();
    host.configure();
    host.start();
    let flood = Flood::start(&host.network);
    for _ in 0..3 {
        host.guest.run("systemctl restart ruroco-gate");
    }
    flood.stop();
    host.expect_a_knock_to_run(KEY);
    host.expect_silence();

    host.guest.run("systemctl stop ruroco-gate");
    host.knock(KEY);
    wait::until("the stack to answer", || {
        (!host.capture.replies_from_gate().is_empty()).then_some(())
    });
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn an_upgrade_under_a_flood_exchanges_all_daemons_and_does_not_open_the_gate() {
    let mut host = Host::boot();
    host.install();
    host.configure();
    host.start();
    upgrade_under_a_flood(&host);
    host.expect_a_knock_to_run(KEY);
    host.expect_silence();
}

/// Installs the packages over themselves while a flood arrives, and waits until all daemons are exchanged.
#[track_caller]
fn upgrade_under_a_flood(host: &Host) {
    let before = UNITS.map(|unit| host.guest.property(unit, "MainPID"));
    let flood = Flood::start(&host.network);
    host.install();
    for (unit, before) in UNITS.into_iter().zip(&before) {
        host.wait_for_successor(unit, before);
    }
    let sent = flood.stop();
    assert!(sent > 10_000, "only {sent} packets of a flood");
}

/// The configuration is what `ruroco-gate init` of the release before wrote, with two of its limits.
#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn an_upgrade_converts_the_configuration_of_the_release_before_and_runs_no_knock_twice() {
    let mut host = Host::boot();
    host.install();
    host.configure();
    host.start();
    let knock = host.seal_knock(KEY);
    host.send(&knock);
    host.expect_runs(1);
    let earlier = format!(
        "# `ruroco-gate check` says what is wrong with this file.\nips = [\"{}\", \"{}\"]\n\
         port = {PORT}\nconfig_dir = \"/etc/ruroco/keys\"\nmax_requests_per_second = 1000\n\
         max_clock_skew_seconds = 600\n\n[gate]\ninterfaces = [\"{SERVER_INTERFACE}\"]\n",
        SERVER.v4, SERVER.v6
    );
    host.guest.write("/etc/ruroco/config.toml", &earlier);
    upgrade_under_a_flood(&host);
    let converted = host.guest.run("cat /etc/ruroco/config.toml");
    for told in [
        "addresses = [",
        "keys_dir = ",
        "max_knocks_per_second_per_key = 1000",
        "max_clock_skew = 600",
    ] {
        assert!(converted.contains(told), "{told}: {converted}");
    }
    let kept = host.guest.run("cat /etc/ruroco/config.toml.before-import");
    assert_eq!(kept, earlier);
    host.guest.run("ruroco check");
    host.send(&knock);
    host.expect_a_knock_to_run(KEY);
    host.expect_runs(2);
    host.expect_silence();
}

/// The README, word for word, but that nobody is asked, nobody sits at a terminal, so that the invitation
/// is asked for, and the knock comes from another namespace.
#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn the_readme_leads_to_a_first_knock() {
    let mut host = Host::boot();
    host.guest.run(&format!("apt-get install --yes {PACKAGES_INSIDE}/ruroco_*.deb"));
    let said = host.guest.run(&format!(
        "ruroco init --interface {SERVER_INTERFACE} --address {} --port 80",
        SERVER.v4
    ));
    assert!(said.contains(&format!("ruroco invite {KEY}")), "{said}");
    assert!(!said.contains("ruroco://"), "a key for whatever keeps this: {said}");
    let shown = host.guest.run(&format!("ruroco invite {KEY}"));
    // The line that is to be pasted.
    let invitation = shown.lines().find(|line| line.starts_with("ruroco://")).unwrap();
    let accepted = host.accept(invitation);
    let knock = accepted.trim_end().rsplit("ruroco-client ").next().unwrap();
    host.run_client(&knock.split(' ').collect::<Vec<_>>());
    host.expect_runs(1);
    let log = host.guest.run("journalctl --unit ruroco-commander --output cat");
    assert!(log.contains("it works"), "{log}");
    // What the installed README leads to.
    host.guest.run("test -s /usr/share/doc/ruroco/docs/operate/operations.md");
    let status = host.guest.run("ruroco status");
    assert!(status.contains(&format!("{KEY} default {}", CLIENT.v4)), "{status}");
    // It looks at itself last.
    assert!(said.contains("silence"), "{said}");
    println!("{said}\n{shown}\n{accepted}\n{status}");
    let again = host.guest.run("ruroco init --yes");
    assert!(
        again.contains("exists already and is not changed") && !again.contains("ruroco://"),
        "{again}"
    );
    host.expect_silence();
}
