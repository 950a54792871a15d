//! What a shell completes: a real bash, with the script that the program gives it.

use std::process::Command;

use crate::person::{CLIENT, Person};

/// What bash offers at a TAB after these words; the last one is what has been typed of the next.
fn completions(person: &Person, words: &[&str]) -> Vec<String> {
    let script = format!(
        r#"source <(RUROCO_COMPLETE=bash {CLIENT}) || exit 9
        COMP_WORDS=(ruroco-client "$@")
        COMP_CWORD=$#
        COMP_TYPE=9
        _clap_complete_ruroco_client ruroco-client "${{!#}}"
        printf '%s\n' "${{COMPREPLY[@]}}""#
    );
    let mut bash: Command = person.command("/bin/bash");
    let done = bash.args(["-c", &script, "bash"]).args(words).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let offered = String::from_utf8(done.stdout).unwrap();
    offered.lines().filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn person() -> Person {
    let person = Person::with_key();
    person.write_hosts(
        "[hosts.web1]\naddress = \"192.0.2.1:62201\"\nkey = \"home\"\ncommands = [\"open_ssh\", \"stop\"]\n\
         [hosts.web2]\naddress = \"192.0.2.2:62201\"\nkey = \"home\"\ncommands = [\"open_www\"]\n\
         [hosts.broken]\nkey = 1\n",
    );
    person
}

#[test]
fn hosts_keys_and_commands_are_completed() {
    let person = person();
    for (words, expected) in [
        (&["knock", "w"][..], &["web1", "web2"][..]),
        (&["proxy", "web2"], &["web2"]),
        (&["knock", "web1", "o"], &["open_ssh"]),
        (&["open", "web2", ""], &["open_www"]),
        (&["proxy", "192.0.2.1", "22", "--command", ""], &["open_ssh", "stop"]),
        (&["proxy", "--command", "open"], &["open_ssh", "open_www"]),
        (&["knock", "web1", "--key", "h"], &["home"]),
        (&["host", "remove", "web"], &["web1", "web2"]),
        (&["key", "export", ""], &["home"]),
        (&["key", "ex"], &["export"]),
    ] {
        let mut offered = completions(&person, words);
        offered.retain(|word| !word.starts_with('-'));
        assert_eq!(offered, expected, "{words:?}");
    }
}

#[test]
fn a_shell_that_completes_changes_nothing_and_is_told_nothing_else() {
    let person = Person::new();
    assert!(completions(&person, &["knock", "w"]).is_empty());
    assert!(!person.folder().exists());
    let mut client = person.command(CLIENT);
    let done = client.arg("host").arg("list").env("COMPLETE", "bash").output().unwrap();
    assert!(String::from_utf8_lossy(&done.stdout).contains("No hosts yet"), "{done:?}");
}
