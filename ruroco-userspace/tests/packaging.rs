//! The scripts of the Debian package, run on folders that exist only for the test: an upgrade moves the
//! audit trail only if that is safe, and a purge deletes nothing that belongs to somebody else.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use rustix::process::geteuid;

/// What a script printed, and what `look` printed after it.
struct Outcome {
    script: String,
    look: String,
}

/// Runs one of the package's scripts with mounts of its own: the folders that the scripts change are empty
/// at first. `arrange` and `look` are shell lines that run before and after it.
fn run(script: &str, arrange: &str, look: &str) -> Outcome {
    let stubs = tempfile::tempdir().unwrap();
    for name in ["systemd-sysusers", "systemd-tmpfiles", "ruroco"] {
        let path = stubs.path().join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/debian");
    let lines = format!(
        "set -e; for folder in /etc /run /sys/fs /var; do mount -t tmpfs -o mode=755 tmpfs $folder; done\n\
         mkdir -p /var/lib /var/log /etc/ruroco\n{arrange}\n\
         PATH=$STUBS:$PATH sh {script} >/var/printed 2>&1\n\
         {look}\n\
         echo; echo ----; cat /var/printed"
    );
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &lines])
        .env("STUBS", stubs.path())
        .current_dir(folder.canonicalize().unwrap())
        .output()
        .expect("unshare (Debian: util-linux)");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (look, script) = text.split_once("\n----\n").unwrap();
    Outcome { script: script.to_owned(), look: look.trim().to_owned() }
}

fn is_root(test: &str) -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED, NOT TESTED: {test} needs root");
    }
    is_root
}

const TRAIL: &str = "mkdir -m 700 /var/log/ruroco; echo old >/var/log/ruroco/audit.jsonl.1; \
                     echo new >/var/log/ruroco/audit.jsonl;";

const UPGRADE: &str = "postinst configure 0.1.0-1";

#[test]
fn an_upgrade_moves_the_audit_trail_to_its_new_folder() {
    if !is_root("an_upgrade_moves_the_audit_trail_to_its_new_folder") {
        return;
    }
    let look = "cd /var/lib/ruroco-commander; stat -c %a .; cat audit.jsonl audit.jsonl.1; \
                ls /var/log/ruroco";
    assert_eq!(run(UPGRADE, TRAIL, look).look, "700\nnew\nold");
    // Without a trail there is nothing to do.
    assert_eq!(run(UPGRADE, "", "ls /var/lib").look, "");
}

#[test]
fn an_upgrade_leaves_an_audit_trail_that_is_not_safely_moved() {
    if !is_root("an_upgrade_leaves_an_audit_trail_that_is_not_safely_moved") {
        return;
    }
    for why in [
        // Another user could have put it there.
        "chmod 770 /var/log/ruroco",
        "chown 12345 /var/log/ruroco",
        "mv /var/log/ruroco /var/elsewhere; ln -s /var/elsewhere /var/log/ruroco",
        // It would be copied.
        "mkdir /var/old; mv /var/log/ruroco/* /var/old; mount -t tmpfs -o mode=700 tmpfs /var/log/ruroco; \
         mv /var/old/* /var/log/ruroco",
        // It is where the configuration has it, or there is another one.
        "echo 'audit_dir = \"/var/log/ruroco\"' >/etc/ruroco/config.toml",
        "mkdir /var/lib/ruroco-commander; echo later >/var/lib/ruroco-commander/audit.jsonl",
    ] {
        let look =
            "cat /var/log/ruroco/audit.jsonl; cat /var/lib/ruroco-commander/* 2>/dev/null || true";
        let left = run(UPGRADE, &format!("{TRAIL} {why}"), look).look;
        let expected = if why.contains("later") { "new\nlater" } else { "new" };
        assert_eq!(left, expected, "{why}");
    }
}

#[test]
fn an_upgrade_stops_before_it_restarts_anything_if_the_configuration_cannot_be_converted() {
    if !is_root(
        "an_upgrade_stops_before_it_restarts_anything_if_the_configuration_cannot_be_converted",
    ) {
        return;
    }
    let arrange =
        "echo >/etc/ruroco/config.toml; printf '#!/bin/sh\\nexit 1\\n' >\"$STUBS/ruroco\"";
    let outcome = run(&format!("-c 'sh {UPGRADE} || echo stopped'"), arrange, "true");
    assert!(outcome.script.contains("were not restarted"), "{}", outcome.script);
    assert!(outcome.script.ends_with("stopped\n"), "{}", outcome.script);
}

const FOLDERS: &str = "/etc/ruroco /run/ruroco /sys/fs/bpf/ruroco /var/lib/ruroco \
                       /var/lib/ruroco-commander /var/lib/ruroco-gate /var/log/ruroco";

#[test]
fn a_purge_removes_all_folders() {
    if !is_root("a_purge_removes_all_folders") {
        return;
    }
    let arrange =
        format!("for folder in {FOLDERS}; do mkdir -p $folder/x; touch $folder/x/file; done");
    let outcome = run("postrm purge", &arrange, &format!("ls -d {FOLDERS} 2>/dev/null || true"));
    assert_eq!((outcome.look.as_str(), outcome.script.as_str()), ("", ""));
}

#[test]
fn a_purge_keeps_what_is_mounted_in_a_folder_and_says_how_to_remove_it() {
    if !is_root("a_purge_keeps_what_is_mounted_in_a_folder_and_says_how_to_remove_it") {
        return;
    }
    for place in ["/var/lib/ruroco", "/var/lib/ruroco/in use"] {
        // Of the same file system, so `rm --one-file-system` takes no notice of it.
        let arrange = format!(
            "mkdir -p '{place}' /var/elsewhere; touch /var/elsewhere/file; \
             mount --bind /var/elsewhere '{place}'"
        );
        let outcome = run("postrm purge", &arrange, "ls /var/elsewhere");
        assert_eq!(outcome.look, "file", "{place}");
        let told = "run: rm -r --one-file-system -- /var/lib/ruroco\n";
        assert!(outcome.script.contains("is a mount point"), "{}", outcome.script);
        assert!(outcome.script.contains(told), "{}", outcome.script);
    }
    // A neighbour whose name begins alike is no reason.
    let arrange =
        "mkdir -p /var/lib/ruroco/x /var/lib/ruroco2; mount -t tmpfs tmpfs /var/lib/ruroco2";
    assert_eq!(run("postrm purge", arrange, "ls /var/lib").look, "ruroco2");
}

#[test]
fn a_purge_removes_a_link_keeps_what_it_led_to_and_says_so() {
    if !is_root("a_purge_removes_a_link_keeps_what_it_led_to_and_says_so") {
        return;
    }
    let arrange = "mkdir /var/data; touch /var/data/file; ln -s /var/data /var/lib/ruroco";
    let outcome = run("postrm purge", arrange, "ls /var/lib /var/data");
    assert_eq!(outcome.look, "/var/data:\nfile\n\n/var/lib:");
    assert!(outcome.script.contains("the link /var/lib/ruroco"), "{}", outcome.script);
    assert!(outcome.script.contains("was kept: /var/data"), "{}", outcome.script);
}
