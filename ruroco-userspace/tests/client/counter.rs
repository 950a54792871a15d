//! No counter is used twice, whatever happens to the folder, the clock or other clients. Each case ends
//! with a knock or one clear sentence. What needs a disk of its own or kills clients at every system call
//! is in `tests/tests/end_to_end/client.rs`.
//!
//! A clock that was set back looks to the client like a counter that is ahead of the clock; there is
//! no other way to see it. So that is what is put before it: no test can set the clock.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    process::Stdio,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ruroco_files::instance::PATIENCE;

use crate::harness::{Ended, Laptop, shut_port};

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

fn write(laptop: &Laptop, counter: u128) {
    laptop.write_private("counter", &counter.to_be_bytes());
}

#[test]
fn clients_at_the_same_time_use_different_counters() {
    const CLIENTS: usize = 12;
    let laptop = Laptop::new("");
    // Ahead of the clock, which would else hide it if two took the same.
    write(&laptop, now() + HOUR.as_nanos() / 2);
    let clients = (0..CLIENTS).map(|_| {
        laptop
            .command(&["knock", "home"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    });
    for mut client in clients.collect::<Vec<_>>() {
        assert_eq!(client.wait().unwrap().code(), Some(0));
    }
    let used: BTreeSet<u128> = (0..CLIENTS).map(|_| laptop.knock().counter).collect();
    assert_eq!(used.len(), CLIENTS);
    assert_eq!(used.last().copied(), laptop.counter());
}

#[test]
fn the_window_of_upstream_which_never_releases_the_counter_is_named() {
    let laptop = Laptop::new("");
    // The lock of upstream's clients.
    let lock = File::create(laptop.path("client.lock")).unwrap();
    lock.lock().unwrap();
    let told =
        ["client.lock", "If the window of upstream ruroco is open, close it", "nothing was sent"];
    laptop.client(&["knock", "home"]).expect_error(&told);
    // Nor is it waited for any longer than all of it may take.
    for flags in [&["--wait", "22"][..], &["--wait", "22", "--dry-run"]] {
        let begun = Instant::now();
        let limited = [&["knock", "home", "--timeout", "0.1"], flags].concat();
        laptop.client(&limited).expect_error(&told[..2]);
        assert!(begun.elapsed() < PATIENCE, "{flags:?}");
    }
    laptop.expect_nothing();
    drop(lock);
    laptop.client(&["knock", "home"]).expect(0);
}

#[test]
fn a_torn_file_is_told_and_after_reseed_counters_go_on() {
    let laptop = Laptop::new("");
    laptop.client(&["knock", "home"]).expect(0);
    let mut last = laptop.knock().counter;
    for length in [0, 3, 15] {
        let torn = File::options().write(true).open(laptop.path("counter")).unwrap();
        torn.set_len(length).unwrap();
        // As if the clock had been set back by half an hour since the file was written.
        torn.set_modified(SystemTime::now() + HOUR / 2).unwrap();
        laptop.client(&["knock", "home"]).expect_error(&["damaged", "ruroco-client reseed"]);
        laptop.expect_nothing();
        laptop.client(&["reseed"]).expect(0);
        laptop.client(&["knock", "home"]).expect(0);
        let next = laptop.knock().counter;
        assert!(next > last.max(now() + (HOUR / 3).as_nanos()), "{last} {next}");
        last = next;
    }
}

#[test]
fn a_counter_that_was_ahead_of_the_clock_when_its_file_was_torn_goes_back_to_the_clock() {
    let laptop = Laptop::new("");
    write(&laptop, now() + (HOUR / 2).as_nanos());
    laptop.client(&["knock", "home"]).expect(0);
    let ahead = laptop.knock().counter;
    laptop.write_private("counter", b"torn");
    let before = now();
    laptop.client(&["reseed"]).expect(0);
    laptop.client(&["knock", "home"]).expect(0);
    let next = laptop.knock().counter;
    assert!(before < next && next < ahead, "{before} {next} {ahead}");
}

#[test]
fn a_longer_file_is_read_as_upstream_reads_it() {
    let laptop = Laptop::new("");
    let ahead = now() + HOUR.as_nanos();
    laptop.write_private("counter", &[&ahead.to_be_bytes()[..], b"more"].concat());
    laptop.client(&["knock", "home"]).expect(0);
    assert_eq!(laptop.knock().counter, ahead + 1);
    assert_eq!(laptop.counter(), Some(ahead + 1));
}

#[test]
fn a_clock_set_back_by_an_hour_changes_nothing() {
    let laptop = Laptop::new("");
    // A little less, so that it is still so when the client looks.
    let before = now() + HOUR.as_nanos() - 1;
    write(&laptop, before);
    for more in 1..=3 {
        let sent = laptop.client(&["knock", "home"]).expect(0);
        assert!(sent.errors.contains("set back by 59 minutes"), "{sent:?}");
        assert_eq!(laptop.knock().counter, before + more);
    }
    // Nor does somebody who starts anew because of it.
    laptop.client(&["reseed"]).expect(0);
    laptop.client(&["knock", "home"]).expect(0);
    assert_eq!(laptop.knock().counter, before + 4);
}

#[test]
fn a_clock_that_was_far_ahead_is_told_of_with_the_remedy() {
    let laptop = Laptop::new(&format!("wait = {}\n", shut_port().port()));
    write(&laptop, now() + 50 * HOUR.as_nanos());
    let sent = laptop.client(&["knock", "home", "--timeout", "0.1"]).expect(3);
    assert!(sent.errors.contains("2 days ahead"), "{sent:?}");
    assert!(sent.errors.contains("ruroco-client reseed"), "{sent:?}");
    laptop.knock();
    laptop.client(&["reseed"]).expect(0);
    let sent = laptop.client(&["knock", "home", "--no-wait"]).expect(0);
    assert_eq!(sent.errors, "");
    assert!(laptop.knock().counter <= now());
}

#[test]
fn somebody_who_has_no_folder_yet_is_told_how_to_get_a_host() {
    let laptop = Laptop::new("");
    let mut client = laptop.command(&["knock", "home"]);
    // Nothing may lead to the folder of who runs this.
    client.env_clear().env("HOME", laptop.path("elsewhere"));
    let ended = Ended::of(client.output().unwrap());
    ended.expect_error(&["host home not found", "ruroco-client join"]);
    assert!(!laptop.path("elsewhere").exists(), "nothing is made where nothing is found");
    laptop.expect_nothing();
    assert!(fs::exists(laptop.path("client.toml")).unwrap());
}
