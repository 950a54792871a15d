//! What the server refuses: each knock for its own reason, without a trace in the floors, and the
//! next good knock works.

use ruroco_common::{address::Address, command::CommandHash, verdict::Verdict};
use ruroco_lab::{
    files::{OTHER_COMMAND, Options},
    knock::{Bytes, Knock},
    lab::Lab,
    network::{CLIENT, Family, SERVER, THIRD},
};

const SECOND: u128 = 1_000_000_000;
const HOUR: u128 = 3600 * SECOND;

/// In a lab of its own for each family: has `make` seal something, which must become a candidate
/// and then be refused for this reason.
fn expect_refused(options: &Options, reason: &str, make: impl Fn(&mut Lab, Family) -> Bytes) {
    for family in Family::BOTH {
        eprintln!("{family:?}");
        let mut lab = Lab::running(options);
        let datagram = make(&mut lab, family);
        lab.expect_verdict(Verdict::Candidate, 1, |lab| lab.send(family, &datagram));
        lab.expect_refusal(reason);
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

/// What makes something wrong in a good knock.
type Change<'a> = &'a dyn Fn(&mut Knock);

/// As [`expect_refused`], with a good knock in which `change` makes something wrong.
fn expect_changed_refused(reason: &str, change: impl Fn(&mut Knock)) {
    expect_refused(&Options::default(), reason, |lab, family| {
        let mut knock = lab.good_knock(family);
        change(&mut knock);
        lab.seal(&knock)
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn another_version_is_a_wrong_version() {
    for version in [0, 2, 255] {
        expect_changed_refused("wrong_version", |knock| knock.version = version);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_same_counter_in_another_packet_is_an_old_counter() {
    expect_refused(&Options::default(), "old_counter", |lab, family| {
        let knock = lab.good_knock(family);
        lab.send(family, &lab.seal(&knock));
        lab.expect_one_run();
        let again = lab.seal(&knock);
        assert_ne!(again, lab.seal(&knock), "sealed with another nonce");
        again
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_older_counter_is_an_old_counter() {
    for older in [1, SECOND, 24 * HOUR] {
        expect_refused(&Options::default(), "old_counter", |lab, family| {
            let mut knock = lab.good_knock(family);
            lab.send(family, &lab.seal(&knock));
            lab.expect_one_run();
            knock.plaintext.counter -= older;
            lab.seal(&knock)
        });
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_from_before_the_first_start_has_an_old_counter() {
    expect_changed_refused("old_counter", |knock| knock.plaintext.counter -= 60 * SECOND);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_counter_too_far_ahead_is_refused_and_moves_no_floor() {
    // The good knock that follows in each case has a far lower counter.
    expect_changed_refused("future_counter", |knock| knock.plaintext.counter += 2 * HOUR);
    expect_changed_refused("future_counter", |knock| knock.plaintext.counter = u128::MAX);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_for_another_host_has_a_wrong_destination() {
    for family in Family::BOTH {
        expect_changed_refused("wrong_destination", |knock| {
            knock.plaintext.destination = Address::from(THIRD.of(family));
        });
    }
    expect_changed_refused("wrong_destination", |knock| {
        knock.plaintext.destination = Address::UNSPECIFIED;
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_strict_knock_from_another_address_has_a_wrong_source() {
    for family in Family::BOTH {
        expect_changed_refused("wrong_source", |knock| {
            knock.plaintext.strict = true;
            knock.plaintext.claimed_source = Some(Address::from(THIRD.of(family)));
        });
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_real_clients_strict_claim_is_refused_as_well() {
    for family in Family::BOTH {
        let mut lab = Lab::running(&Options::default());
        lab.knock(family, &["--ip", "203.0.113.9"]);
        lab.expect_refusal("wrong_source");
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_command_that_the_key_may_not_run_is_refused() {
    let options = Options {
        config: "[keys.laptop]\ncommands = [\"default\"]\n".to_owned(),
        ..Options::default()
    };
    expect_refused(&options, "command_not_allowed", |lab, family| {
        let mut knock = lab.good_knock(family);
        knock.plaintext.command = CommandHash::of(OTHER_COMMAND);
        lab.seal(&knock)
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_refusal_says_which_key_it_was_and_what_was_compared() {
    let options = Options {
        config: "[keys.laptop]\ncommands = [\"default\"]\n".to_owned(),
        ..Options::default()
    };
    let hash = CommandHash::of(OTHER_COMMAND);
    for family in Family::BOTH {
        let mut lab = Lab::running(&options);
        let [third, client] = [THIRD, CLIENT].map(|host| host.of(family).to_string());
        let ours = Family::BOTH.map(|family| SERVER.of(family).to_string());
        let hash_text = hash.to_string();
        let elsewhere = Address::from(THIRD.of(family));
        let changes: [(&str, Change<'_>, &[&str]); _] = [
            ("wrong_version", &|knock| knock.version = 2, &["version 2", "accepts 1"]),
            (
                "old_counter",
                &|knock| knock.plaintext.counter -= HOUR,
                &["below the key's floor", "behind this host's clock"],
            ),
            (
                "future_counter",
                &|knock| knock.plaintext.counter += 3 * HOUR,
                &["ahead of this host's clock", "max_clock_skew_seconds is 3600"],
            ),
            (
                "wrong_destination",
                &|knock| knock.plaintext.destination = elsewhere,
                &[&third, &ours[0], &ours[1]],
            ),
            (
                "wrong_source",
                &|knock| {
                    knock.plaintext.strict = true;
                    knock.plaintext.claimed_source = Some(elsewhere);
                },
                &[&third, &client],
            ),
            (
                "command_not_allowed",
                &|knock| knock.plaintext.command = hash,
                &[&hash_text, "of this key: default"],
            ),
        ];
        for (reason, change, told) in changes {
            let mut knock = lab.good_knock(family);
            change(&mut knock);
            lab.send(family, &lab.seal(&knock));
            let told = [&["refused", reason, "laptop"], told].concat();
            lab.server().wait_for(&told);
        }
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_commander_refuses_what_its_own_file_does_not_allow() {
    let options = Options {
        default_command: "keys = [\"phone\"]".to_owned(),
        more_keys: vec!["phone"],
        ..Options::default()
    };
    for family in Family::BOTH {
        let mut lab = Lab::running(&options);
        lab.knock(family, &[]);
        lab.server().wait_for(&["accepted"]);
        lab.commander().wait_for(&["refused"]);

        let unheard_of = Knock::to(SERVER.of(family), "unheard_of");
        lab.send(family, &lab.seal(&unheard_of));
        lab.server().wait_for_nth(2, &["accepted"]);

        lab.knock(family, &["--command", OTHER_COMMAND]);
        assert_eq!(lab.expect_one_run().command, OTHER_COMMAND);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_that_knocks_too_often_is_limited_and_another_key_is_not() {
    let options = Options {
        max_knocks_per_second_per_key: 1,
        more_keys: vec!["phone"],
        ..Options::default()
    };
    for family in Family::BOTH {
        let mut lab = Lab::running(&options);
        // Sealed beforehand and sent at once: with one knock a second there is no time to lose.
        let laptop: Vec<_> = (0..5).map(|_| lab.seal(&lab.good_knock(family))).collect();
        let phone = lab.good_knock(family).seal(&lab.files.key("phone"));
        lab.expect_verdict(Verdict::Candidate, 6, |lab| {
            for datagram in &laptop {
                lab.send(family, datagram);
            }
            lab.send(family, &phone);
        });
        let told = ["refused", "rate_limited", "laptop", "max_knocks_per_second_per_key = 1"];
        lab.server().wait_for(&told);
        lab.server().wait_for(&["accepted", "phone"]);
        let accepted = lab.server().lines_with(&["accepted", "laptop"]).len();
        assert!((1..5).contains(&accepted), "{accepted} of 5 were accepted");
        lab.expect_silence();
    }
}
