//! The command lines of gate, server and commander.
#![cfg(all(feature = "with-gate", feature = "with-server", feature = "with-commander"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail loudly")]

use std::process::{Command, Output};

const GATE: &str = env!("CARGO_BIN_EXE_ruroco-gate");
const SERVER: &str = env!("CARGO_BIN_EXE_ruroco-server");
const COMMANDER: &str = env!("CARGO_BIN_EXE_ruroco-commander");

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// What a program says of a command line that it rejects.
fn rejected(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{program} {arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{program} {arguments:?}");
    assert!(said.starts_with("Error: "), "{said}");
    said
}

/// What a program prints, with exit code 0.
fn printed(program: &str, argument: &str) -> String {
    let output = run(program, &[argument]);
    assert!(output.status.success() && output.stderr.is_empty(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_wrong_argument_is_named_and_has_an_exit_code_of_its_own() {
    for (program, name) in
        [(GATE, "ruroco-gate"), (SERVER, "ruroco-server"), (COMMANDER, "ruroco-commander")]
    {
        let said = rejected(program, &["--confg", "/x"]);
        assert!(said.contains("unknown option --confg; did you mean --config?"), "{said}");
        assert!(said.contains(&format!("`{name} --help`")), "{said}");
        assert!(rejected(program, &["nonsense"]).contains("\"nonsense\""));
        assert!(rejected(program, &["-c"]).contains("--config <PATH>"));
        let key = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
        assert!(!rejected(program, &[key]).contains("AAECAwQ"));
    }
    for moved in ["check", "status"] {
        let said = rejected(GATE, &[moved, "--json"]);
        assert!(said.contains(&format!("Run `ruroco {moved}`")), "{said}");
    }
    assert!(rejected(COMMANDER, &["--comands", "/x"]).contains("--comands"));
    assert!(rejected(SERVER, &["--sandbox", "none"]).contains("strict or best-effort"));
    let both = rejected(SERVER, &["init", "--if-missing", "--floors"]);
    assert!(both.contains("--if-missing cannot be used with --floors"), "{both}");
}

#[test]
fn help_and_version_are_printed() {
    for (program, name, files) in [
        (GATE, "ruroco-gate", &["/etc/ruroco/config.toml"][..]),
        (SERVER, "ruroco-server", &["/etc/ruroco/config.toml", "init", "best-effort"]),
        (COMMANDER, "ruroco-commander", &["/etc/ruroco/config.toml", "/etc/ruroco/commands.toml"]),
    ] {
        let version = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(printed(program, "--version"), version);
        assert_eq!(printed(program, "-V"), version);
        let help = printed(program, "--help");
        assert_eq!(printed(program, "-h"), help);
        assert!(help.contains(&format!("Usage: {name} [OPTIONS]")), "{help}");
        for file in files {
            assert!(help.contains(file), "{file}: {help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}
