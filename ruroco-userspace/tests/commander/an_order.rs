//! Orders: what is not right or has no room is rejected, and the next one is run.

use super::*;

#[test]
fn that_is_not_exactly_right_is_refused_and_the_next_one_is_run() {
    let host =
        Host::new(&format!("{TRUE}[commands.phone]\nrun = [\"true\"]\nkeys = [\"phone\"]\n"));
    let commander = host.start();
    let connection = commander.connect();
    let good = order("noop");
    let [mut short, mut long, mut version] = [0; 3].map(|_| good.encode().to_vec());
    short.truncate(SIZE - 1);
    long.push(0);
    version[0] = 1;
    let received_at = good.received_at.saturating_sub(MAX_WAIT);
    for (message, reason) in [
        (short, "wrong_length"),
        (version, "wrong_version"),
        (Order { received_at, ..good }.encode().to_vec(), "expired"),
        (order("nothing").encode().to_vec(), "unknown_command"),
        (Order { key: KeyId([9; 8]), ..good }.encode().to_vec(), "unknown_key"),
        (order("phone").encode().to_vec(), "key_not_allowed"),
        (Order { address: Address::UNSPECIFIED, ..good }.encode().to_vec(), "unusable_address"),
    ] {
        connection.send_bytes(&message);
        commander.line(&["refused", &format!("reason={reason} count=1 ")]);
    }
    connection.send_bytes(&long);
    assert_eq!(commander.lines_with(&["running command="]), [""; 0]);
    connection.send(&good);
    commander.line(&["ended command=noop", "result=exit:0"]);
    connection.send(&Order { key: PHONE, ..order("phone") });
    commander.line(&["ended command=phone key=phone", "result=exit:0"]);
    assert_eq!(commander.lines_with(&["running command="]).len(), 2);
}

#[test]
fn beyond_the_rate_limit_waits_for_its_turn() {
    let host = Host::new(TRUE);
    host.configure_rate(1);
    let commander = host.start();
    let connection = commander.connect();
    let start = Instant::now();
    for counter in 1..=3 {
        connection.send(&Order { counter, ..order("noop") });
    }
    commander.line(&["running command=noop", "counter=3"]);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(commander.lines_with(&["refused"]), [""; 0]);
}

#[test]
fn that_waits_too_long_for_its_turn_is_rejected() {
    let host = Host::new(TRUE);
    host.configure_rate(1);
    let commander = host.start();
    let connection = commander.connect();
    let good = order("noop");
    connection.send(&good);
    let received_at = (good.received_at + Duration::from_millis(500)).saturating_sub(MAX_WAIT);
    connection.send(&Order { received_at, counter: 18, ..good });
    commander.line(&["refused reason=expired"]);
    assert_eq!(commander.lines_with(&["running", "counter=18"]), [""; 0]);
    connection.reported("no run", |read, taken| (read == 2 && taken.is_empty()).then_some(()));
}

#[test]
fn of_a_key_that_has_its_share_is_rejected_and_every_one_of_another_key_is_run() {
    let host = Host::new(&format!("[commands.long]\nrun = [\"sleep\", \"600\"]\n{TRUE}"));
    let mut commander = host.start();
    let connection = commander.connect();
    for counter in 0..40 {
        connection.send(&Order { counter, ..order("long") });
    }
    connection.reported("all that this key may have", |read, taken| {
        (read == 40).then(|| assert_eq!(taken, [LAPTOP; 32]))
    });
    commander.line(&["refused reason=too_many_running", "the key laptop"]);
    for counter in 0..100 {
        connection.send(&Order { key: PHONE, counter, ..order("noop") });
        let ended = format!("counter={counter} ");
        commander.line(&["ended command=noop key=phone", &ended, "result=exit:0"]);
    }
    commander.signal(Signal::TERM);
    assert!(commander.ended().success());
    eventually("32 ends", || {
        (commander.lines_with(&["ended", "result=stopped"]).len() == 32).then_some(())
    });
}

#[test]
fn in_a_flood_of_wrong_ones_is_run_and_the_flood_makes_few_lines() {
    let host = Host::new(TRUE);
    let commander = host.start();
    let (flood, good) = (commander.connect(), commander.connect());
    let start = Instant::now();
    for _ in 0..20_000 {
        flood.send_bytes(b"x");
    }
    good.send(&order("noop"));
    commander.line(&["ended command=noop", "result=exit:0"]);
    let lines = commander.lines_with(&["reason=wrong_length"]).len();
    let most = 1 + start.elapsed().as_secs() / 5;
    assert!((1..=most).contains(&u64::try_from(lines).unwrap()), "{lines}");
}
