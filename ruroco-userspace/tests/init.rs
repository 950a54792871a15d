//! `ruroco init` with answers that lead to nothing: it says so, and writes nothing.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::{fs, process::Command};

#[test]
fn what_the_daemons_would_refuse_is_not_written() {
    for (option, value, told) in [
        ("--address", "0.0.0.0", ":2: 0.0.0.0 is not the address of a host"),
        (
            "--interface",
            "eth0:1",
            ":7: `eth0:1` is the label of an address, not an interface; write \"eth0\"",
        ),
        ("--interface", "", ":7: the name of an interface is empty"),
        ("--key", "a/b", "`a/b` is not a valid name"),
        ("--key", "a\nb", "`a\\nb` is not a valid name"),
        ("--key", "my phone", "`my phone` is not a valid name"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let config = place.path().join("config.toml");
        let mut init = Command::new(env!("CARGO_BIN_EXE_ruroco"));
        init.args(["init", "--no-start", "--interface", "eth0", "--address", "192.0.2.1"]);
        init.args(["--port", "80", option, value, "--config"]).arg(&config);
        let output = init.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{option} {value}: {said}");
        assert!(said.contains(told), "{said}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{option} {value}");
    }
}

#[test]
fn answers_that_have_no_effect_are_named() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("config.toml");
    let keys = place.path().join("keys");
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("my phone.key"), "").unwrap();
    let text = "addresses = [\"192.0.2.1\"]\nserver_user = \"nobody\"\n";
    let text = format!("{text}keys_dir = {keys:?}\n[gate]\ninterfaces = [\"eth0\"]\n");
    fs::write(&config, text).unwrap();
    // What is printed before it ends: there are keys, and no floors.
    let printed = |options: &[&str]| {
        let mut init = Command::new(env!("CARGO_BIN_EXE_ruroco"));
        init.args(["init", "--no-start", "--config"]).arg(&config).args(options);
        String::from_utf8(init.output().unwrap().stdout).unwrap()
    };
    let text = printed(&["--interface", "nope0", "--port", "99", "--key", "my phone"]);
    assert!(text.contains("--interface, --port have no effect"), "{text}");
    assert!(text.contains("--key has no effect"), "{text}");
    assert!(printed(&["--address", "192.0.2.9"]).contains("--address has no effect"));
    assert!(!printed(&["--yes"]).contains("no effect"));
}
