//! `ruroco key`: each action is in force when it ends, and is undone or told if it cannot be.

use crate::host::{Host, KEY};

const PHONE: &str = "phone";

fn key_file(name: &str) -> String {
    format!("/etc/ruroco/keys/{name}.key")
}

/// Has the client have a key that the guest has made.
fn take_to_client(host: &Host, name: &str) {
    host.paste_key(name, &host.guest.run(&format!("cat {}", key_file(name))));
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn a_key_is_added_listed_renamed_and_revoked_with_one_command_each() {
    let mut host = Host::boot();
    host.install();
    host.configure();
    host.start();

    let rules = "--expires 2999-12-31 --source 192.0.2.0/24 --command default";
    let said = host.guest.run(&format!("ruroco key add {PHONE} {rules}"));
    assert!(said.contains("reloaded ruroco-commander\nreloaded ruroco-gate\n"), "{said}");
    assert!(said.contains("ruroco invite phone") && !said.contains("poly1305"), "{said}");
    take_to_client(&host, PHONE);
    host.expect_a_knock_to_run(PHONE);
    host.expect_a_knock_to_run(KEY);

    let listed = host.guest.run("ruroco key list");
    let of_phone = listed.lines().find(|line| line.starts_with(PHONE)).unwrap();
    assert!(
        of_phone.contains("default       default      expires 2999-12-31, from 192.0.2.0/24"),
        "{listed}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&host.guest.run("ruroco key list --json")).unwrap();
    assert_eq!(json[1]["name"], PHONE);
    assert_eq!(json[1]["last_command"], "default");

    host.guest.run("sed -i '/^shell/a keys = [\"laptop\", \"phone\"]' /etc/ruroco/commands.toml");
    let said = host.guest.run("ruroco key rename phone tablet");
    assert!(said.contains("renamed phone to tablet in /etc/ruroco/commands.toml"), "{said}");
    host.wait_for_keys(&[KEY, "tablet"]);
    host.expect_a_knock_to_run(PHONE);
    let log = host.guest.run("journalctl --sync; journalctl --unit ruroco-commander --output cat");
    assert!(log.lines().rev().any(|line| line.contains("key=tablet")), "{log}");

    let unknown = || host.verdict("unknown_key");
    let before = unknown();
    let said = host.guest.run("ruroco key revoke tablet");
    assert!(said.contains("tablet is revoked: the host rejects its next knock"), "{said}");
    host.knock(PHONE);
    host.expect_a_knock_to_run(KEY);
    assert_eq!(unknown(), before + 1);
    let left = host.guest.run("cat /etc/ruroco/config.toml /etc/ruroco/commands.toml");
    assert!(!left.contains("tablet") && !left.contains("2999"), "{left}");
    host.guest.run("ruroco check");
    host.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn a_key_action_that_cannot_be_in_force_says_so_and_leaves_nothing_half_done() {
    let host = Host::boot();
    host.install();
    host.configure();
    host.start();
    let failed = |command: &str| {
        let output = host.guest.try_run(command);
        assert!(!output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let files = || host.guest.run("ls /etc/ruroco/keys; cat /etc/ruroco/*.toml");
    let before = files();

    let said = failed("ruroco key add phone --source 192.0.2.7/24");
    assert!(said.contains("\"192.0.2.0/24\"") && said.contains("was not created"), "{said}");
    let said = failed("ruroco key add laptop");
    assert!(said.contains("laptop.key exists already"), "{said}");
    let said = failed("ruroco key add ../phone");
    assert!(said.contains("is not a valid name"), "{said}");
    let said = failed("ruroco key add phone --command defaul");
    assert!(said.contains("did you mean default?"), "{said}");
    let said = failed("ruroco key revoke labtop");
    assert!(said.contains("did you mean laptop?"), "{said}");
    let said = failed("ruroco key rename labtop phone");
    assert!(said.contains("did you mean laptop?"), "{said}");
    assert_eq!(files(), before);

    // A daemon that cannot reload keeps the key, and the tool does not claim otherwise.
    host.guest.run("ruroco key add phone");
    host.guest.run("echo 'prot = 80' >> /etc/ruroco/config.toml");
    let said = failed("ruroco key revoke phone");
    assert!(said.contains("phone may still be accepted"), "{said}");
    assert!(said.contains("unknown field `prot`"), "{said}");
    host.guest.run("sed -i '/^prot/d' /etc/ruroco/config.toml");
    // The file is gone, and the gate still has the key: the same command ends what it has begun.
    let said = host.guest.run("ruroco key revoke phone");
    assert!(said.contains("phone was deleted before, but ruroco-gate still has it"), "{said}");
    assert!(said.contains("reloaded ruroco-gate\n") && said.contains("phone is revoked"), "{said}");
    host.wait_for_keys(&[KEY]);
    assert!(failed("ruroco key revoke phone").contains("there is no key phone"));
}
