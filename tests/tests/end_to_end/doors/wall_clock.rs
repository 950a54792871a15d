//! Leases and the wall clock, which an administrator or NTP may set at any time: leases go by the boot clock.
//!
//! The wall clock of this machine stays as it is. Daemons read it through the C library, and a small library in its place
//! (ld.so(8), `LD_PRELOAD`) adds a step to what they read.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ruroco_lab::{
    lab::{Lab, require_tool},
    network::Family,
    wait,
};

use super::{
    kind::{ALONE, Kind},
    nftables::crash_gate,
    site::{LONG, SHORT, SHORT_TIME, Site, expect_closed_for},
    trail,
};

/// Adds the number in the file that `LAB_STEP` names to the wall clock's seconds.
const LIBRARY: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile long *step;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("LAB_STEP");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(0, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) step = map;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && step && clock == CLOCK_REALTIME) time->tv_sec += *step;
    return result;
}
"#;

const LONG_TIME: Duration = Duration::from_secs(60 * 60);

/// How late a test may notice what has happened.
const LATE: Duration = Duration::from_secs(5);

const DAY: i64 = 24 * 60 * 60;

/// The wall clock, as gate and commander read it.
struct WallClock {
    library: PathBuf,
    step: PathBuf,
}

impl WallClock {
    fn new(lab: &Lab) -> Self {
        require_tool("cc");
        let [source, library, step] =
            ["wall_clock.c", "wall_clock.so", "step"].map(|name| lab.files.path(name));
        fs::write(&source, LIBRARY).unwrap();
        let mut cc = Command::new("cc");
        let made = cc.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap();
        assert!(made.success());
        let clock = Self { library, step };
        clock.set(0);
        clock
    }

    /// Sets it so many seconds away from the true time.
    fn set(&self, seconds: i64) {
        // In place: the daemons have mapped it.
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&self.step);
        std::os::unix::fs::FileExt::write_all_at(&file.unwrap(), &seconds.to_ne_bytes(), 0)
            .unwrap();
    }

    fn pass_to(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", &self.library).env("LAB_STEP", &self.step);
        command
    }
}

/// Restarts gate and commander by this clock.
fn restart(site: &mut Site, kind: Kind, clock: &WallClock) {
    let lab = &mut site.lab;
    lab.commander().crash();
    lab.start_commander_by(&mut clock.pass_to(lab.commander_command()));
    restart_gate(site, kind, clock);
}

fn restart_gate(site: &mut Site, kind: Kind, clock: &WallClock) {
    let lab = &mut site.lab;
    crash_gate(lab);
    lab.start_gate_by(&mut clock.pass_to(lab.gate_command()), &[kind.ready_line()]);
}

/// That the clock was set: the trail has a line of this action, the last of so many, at this distance from the true time.
#[track_caller]
fn expect_logged(site: &Site, action: &str, count: usize, step: i64) {
    let line = trail::expect_nth(&site.lab, action, count);
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap();
    let true_time = seconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    let away = line["at"].as_i64().unwrap() - true_time;
    assert!((away - step).abs() < 300, "{away} {line}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_lease_is_neither_shorter_nor_longer_when_the_wall_clock_is_set() {
    for (kind, family) in ALONE.into_iter().zip([Family::V4, Family::V6, Family::V4]) {
        let mut site = kind.site(SHORT, "");
        let clock = WallClock::new(&site.lab);
        restart(&mut site, kind, &clock);
        for (step, ends) in [(DAY, 1), (-DAY, 2)] {
            clock.set(0);
            site.open(family);
            let opened = Instant::now();
            clock.set(step);
            let mut session = site.connect(family);
            assert_eq!(site.leases(family).len(), 1, "{kind:?} {step}");
            wait::until("the lease to be over", || (opened.elapsed() > SHORT_TIME).then_some(()));
            site.expect_closed(family);
            session.expect_alive();
            assert!(site.leases(family).is_empty());
            expect_logged(&site, "expired", ends, step);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_starts_by_another_time_of_day_adopts_leases_as_they_are() {
    for (kind, family) in ALONE.into_iter().zip([Family::V6, Family::V4, Family::V6]) {
        let mut site = kind.site(LONG, "");
        let clock = WallClock::new(&site.lab);
        restart(&mut site, kind, &clock);
        let before = Instant::now();
        site.open(family);
        for step in [DAY, -DAY] {
            clock.set(step);
            restart_gate(&mut site, kind, &clock);
            let least = LONG_TIME.saturating_sub(before.elapsed());
            let left = site.leases(family)[0]["left_ms"].as_u64().unwrap();
            let left = Duration::from_millis(left);
            // It was opened after the clock was read.
            assert!(
                least <= left + LATE && left < LONG_TIME,
                "{kind:?} {step}: {left:?} of {least:?}"
            );
            site.connect(family).expect_alive();
            expect_closed_for(&site.lab.network.third, family);
        }
    }
}
