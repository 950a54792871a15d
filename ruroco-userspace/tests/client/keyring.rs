//! Keys in the system's keyring.

use std::process::Command;

use crate::person::{CLIENT, INVITATION, KEY, KEY_ID, Person, expect_no_secret};

#[test]
fn without_a_keyring_nothing_is_put_anywhere_else() {
    let person = Person::new();
    for (arguments, input) in [
        (&["key", "gen", "home", "--keyring"][..], ""),
        (&["key", "import", "home", "--keyring"], KEY),
        (&["join", "--keyring"], INVITATION),
    ] {
        let refused = person.refused_input(arguments, input);
        assert!(refused.contains("cannot reach this system's keyring"), "{refused}");
        assert!(refused.contains("store the key in a file"), "{refused}");
    }
    assert!(person.run(&["key", "list"]).contains("No keys yet"));
    assert_eq!(person.hosts(), "");
}

#[test]
fn who_has_no_key_in_it_does_not_need_one() {
    let person = Person::with_key();
    person.run(&["host", "add", "home", "--address", "127.0.0.1:9", "--key", "home"]);
    person.run(&["knock", "home"]);
    // Nor does a list of what is in it.
    let marker = person.folder().join("keys/far.keyring");
    std::fs::write(&marker, format!("chacha20poly1305 {KEY_ID}\n")).unwrap();
    assert!(person.run(&["key", "list"]).contains("the system's keyring"));
    let refused = person.refused(&["knock", "--address", "127.0.0.1:9", "--key", "far"]);
    assert!(
        refused.contains("cannot use key far: cannot reach this system's keyring"),
        "{refused}"
    );
    assert!(
        person.refused_input(&["key", "import", "far"], KEY).contains("key far already exists")
    );
}

/// A real keyring, of its own session and in a home directory of its own.
#[test]
#[ignore = "needs a Secret Service: cargo xtask test"]
fn a_key_is_kept_in_a_real_keyring() {
    let person = Person::new();
    let script = format!(
        r#"
        set -e
        echo password | gnome-keyring-daemon --unlock --components=secrets >/dev/null
        echo '{KEY}' | '{CLIENT}' key import home --keyring
        '{CLIENT}' key list
        '{CLIENT}' host add here --address 127.0.0.1:9 --key home
        '{CLIENT}' send here
        echo "came-out $('{CLIENT}' key export home | sha256sum)"
        echo "went-in $(echo '{KEY}' | sha256sum)"
        # The same name out of another folder is not put over it.
        ! echo '{KEY}' | RUROCO_CONF_DIR="$HOME/other" '{CLIENT}' key import home --keyring
        # Another key than was put there is not taken.
        echo 'chacha20poly1305 ffffffffffffffff' > "$RUROCO_CONF_DIR/keys/home.keyring"
        ! '{CLIENT}' send here
        '{CLIENT}' key remove home --yes --force
        '{CLIENT}' key list
        ls -A "$RUROCO_CONF_DIR/keys"
        "#
    );
    let mut session: Command = person.command("dbus-run-session");
    session.args(["--", "sh", "-c", &script]).env("HOME", person.path("home"));
    session.env("XDG_RUNTIME_DIR", person.path("run")).env("XDG_DATA_HOME", person.path("data"));
    for name in ["home", "run", "data"] {
        std::fs::create_dir(person.path(name)).unwrap();
    }
    let done = session.output().expect("dbus-run-session");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}{err}");
    expect_no_secret(&format!("{out}{err}"));
    let said = format!("imported key home: chacha20poly1305 {KEY_ID}, in the system's keyring");
    assert!(out.contains(&said) && out.contains("sent default to 127.0.0.1:9"), "{out}{err}");
    let sum = |what: &str| {
        let line = out.lines().find(|line| line.starts_with(what));
        line.unwrap_or_else(|| panic!("{out}{err}")).split_once(' ').unwrap().1.to_owned()
    };
    assert_eq!(sum("came-out"), sum("went-in"));
    assert!(err.contains("already has an entry of this name"), "{err}");
    assert!(err.contains("contains a different key than the one stored as home"), "{err}");
    assert!(out.trim_end().ends_with("run `ruroco-client join`."), "nothing is left: {out}");
}
