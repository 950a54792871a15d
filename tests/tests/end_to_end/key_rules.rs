//! Rules of a key in `[keys.NAME]`: until when it is accepted, from where, and with which addresses.

use std::{
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ruroco_common::{address::Address, verdict::Verdict};
use ruroco_lab::{
    files::Options,
    knock::{Bytes, Knock},
    lab::Lab,
    network::{CLIENT, Family, THIRD},
};

/// The key that has rules; the lab's own has none.
const PHONE: &str = "phone";

fn options(rules: &str) -> Options {
    Options {
        more_keys: vec![PHONE],
        config: format!("[keys.{PHONE}]\n{rules}\n"),
        ..Options::default()
    }
}

fn by_phone(lab: &Lab, knock: &Knock) -> Bytes {
    knock.seal(&lab.files.key(PHONE))
}

fn naming(knock: &Knock, address: std::net::IpAddr) -> Knock {
    let mut knock = knock.clone();
    knock.plaintext.claimed_source = Some(Address::from(address));
    knock
}

/// A moment as TOML has it.
fn in_future(from_now: Duration) -> String {
    let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + from_now;
    let date = Command::new("date")
        .args(["--utc", "+%Y-%m-%dT%H:%M:%SZ", "--date", &format!("@{}", moment.as_secs())])
        .output()
        .unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_that_expires_while_the_gate_runs_becomes_unknown() {
    let options = options(&format!("expires = {}", in_future(Duration::from_secs(3600))));
    let mut lab = Lab::running(&options);
    for family in Family::BOTH {
        lab.send(family, &by_phone(&lab, &lab.good_knock(family)));
        lab.expect_one_run();
    }
    let end = in_future(Duration::from_secs(2));
    lab.files.change_config(|text| {
        let (before, _) = text.split_once("expires = ").unwrap();
        format!("{before}expires = {end}\n")
    });
    lab.reload_gate();
    lab.gate().wait_for(&["WARN", "the key has expired", "key=phone", &end]);
    for family in Family::BOTH {
        let knock = by_phone(&lab, &lab.good_knock(family));
        lab.expect_verdict(Verdict::UnknownKey, 1, |lab| lab.send(family, &knock));
        lab.expect_next_knock_to_run(family);
    }
    let keys = lab.status()["keys"].clone();
    let expired = |name: &str| {
        let keys = keys.as_array().unwrap();
        keys.iter().find(|key| key["name"] == name).unwrap()["expired"].clone()
    };
    assert_eq!((expired(PHONE), expired("laptop")), (true.into(), false.into()));
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_that_has_expired_is_not_loaded_and_has_another_life_with_a_later_date() {
    let mut lab = Lab::running(&options("expires = 2026-01-31"));
    lab.gate().wait_for(&["WARN", "the key has expired", "key=phone", "2026-01-31"]);
    let knock = by_phone(&lab, &lab.good_knock(Family::V4));
    lab.expect_verdict(Verdict::UnknownKey, 1, |lab| lab.send(Family::V4, &knock));
    lab.files.change_config(|text| text.replace("2026-01-31", "2999-12-31"));
    lab.commander().signal(nix::sys::signal::Signal::SIGHUP);
    lab.commander().wait_for(&["INFO", "reloaded"]);
    lab.reload_gate();
    lab.send(Family::V4, &by_phone(&lab, &lab.good_knock(Family::V4)));
    assert_eq!(lab.expect_one_run().key, PHONE);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_a_gate_the_server_refuses_a_key_that_has_expired() {
    let mut lab =
        Lab::running(&Options { source: "udp", ..options("expires = 2026-01-31T00:00:00Z") });
    lab.send(Family::V4, &by_phone(&lab, &lab.good_knock(Family::V4)));
    lab.expect_refusal("key_expired");
    lab.server().wait_for(&["key=phone", "the key expired: expires = 2026-01-31T00:00:00Z"]);
    lab.expect_next_knock_to_run(Family::V4);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_knock_comes_from_the_networks_of_its_key_and_runs_for_an_address_in_them() {
    for family in Family::BOTH {
        let mut lab = Lab::running(&options(&format!("sources = [\"{}\"]", CLIENT.of(family))));
        let good = lab.good_knock(family);
        lab.send(family, &by_phone(&lab, &good));
        assert_eq!(lab.expect_one_run().key, PHONE);
        // Else a thief of the key could have it all from anywhere, with one packet whose source is forged.
        let claim = naming(&lab.good_knock(family), THIRD.of(family));
        lab.send(family, &by_phone(&lab, &claim));
        lab.expect_refusal("source_not_allowed");
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();

        let mut lab =
            Lab::running(&options("sources = [\"198.51.100.0/24\", \"2001:db8:2::/48\"]"));
        let claim = naming(&lab.good_knock(family), THIRD.of(family));
        lab.send(family, &by_phone(&lab, &claim));
        lab.expect_refusal("source_not_allowed");
        let address = CLIENT.of(family).to_string();
        lab.server().wait_for(&[&format!("{address} is not in the key's sources"), "/24"]);
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_key_can_require_that_its_knocks_name_an_address() {
    for family in Family::BOTH {
        let mut lab = Lab::running(&options("require_address = true"));
        lab.send(family, &by_phone(&lab, &lab.good_knock(family)));
        lab.expect_refusal("address_required");
        let named = naming(&lab.good_knock(family), CLIENT.of(family));
        lab.send(family, &by_phone(&lab, &named));
        assert_eq!(lab.expect_one_run().ip, CLIENT.of(family));
        lab.expect_next_knock_to_run(family);
        lab.expect_silence();
    }
}
