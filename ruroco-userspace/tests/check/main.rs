//! `ruroco check` on every kind of bad configuration: what it says, word for word.
//!
//! What it should say is in `snapshots/`, below what was written to get it. With
//! `RUROCO_SNAPSHOTS=write` in the environment the files are written anew, for reading what changed.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

mod cases;

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cases::{CASES, Case};
use nix::unistd::{Uid, User, geteuid};

/// A configuration with which everything starts. Cases change it.
const CONFIG: &str = "\
addresses = [\"127.0.0.1\"]
port = 34020
keys_dir = \"$DIR\"
state_dir = \"$DIR/state\"
socket_dir = \"$DIR/run\"
audit_dir = \"$DIR/audit\"
server_user = \"$USER\"

[gate]
interfaces = [\"lo\"]
pin_dir = \"$DIR/pins\"
";

const COMMANDS: &str = "\
[commands.open_ssh]
run = [\"/bin/true\"]
keys = [\"laptop\"]
";

/// What is said in the words of a library and not of those who write the files.
const LEAKS: [&str; 7] =
    ["os error", "u16", "u32", "u64", "unknown variant", "invalid type", "struct "];

/// Two keys with different ids, and one with the second's id as upstream ruroco has it.
const LAPTOP: &str = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
const PHONE: &str = "chacha20poly1305:BAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
const OLD: &str = "BAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

/// A directory with everything a check looks at.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    user: User,
}

impl Place {
    fn new() -> Self {
        // Root's server has another user, as it must have.
        let user = match geteuid().is_root() {
            true => User::from_name("nobody"),
            false => User::from_uid(geteuid()),
        };
        let place = Self { dir: tempfile::tempdir().unwrap(), user: user.unwrap().unwrap() };
        place.set_mode("", 0o755);
        place.write("config.toml", CONFIG);
        place.write("commands.toml", COMMANDS);
        place.add_key("laptop.key", LAPTOP);
        place.write("open", "#!/bin/sh\n");
        place.set_mode("open", 0o777);
        fs::create_dir(place.path("state")).unwrap();
        place.set_mode("state", 0o700);
        place.give_to_server("state");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn give(&self, name: &str, uid: u32) {
        chown(self.path(name), Some(uid), None).unwrap();
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let text = text.replace("$DIR", self.dir.path().to_str().unwrap());
        fs::write(self.path(name), text.replace("$USER", &self.user.name)).unwrap();
        self.set_mode(name, 0o644);
    }

    pub(crate) fn add_key(&self, name: &str, text: &str) {
        self.write(name, text);
        self.set_mode(name, 0o600);
    }

    pub(crate) fn give_to_server(&self, name: &str) {
        self.give(name, self.user.uid.as_raw());
    }

    pub(crate) fn make_fifo(&self, name: &str) {
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, self.path(name), kind, mode, 0).unwrap();
    }

    pub(crate) fn link(&self, name: &str, target: &str) {
        symlink(target, self.path(name)).unwrap();
    }

    pub(crate) fn make_dir(&self, name: &str, mode: u32) {
        fs::create_dir(self.path(name)).unwrap();
        self.set_mode(name, mode);
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn check(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ruroco"))
            .arg("check")
            .arg("--config")
            .arg(self.path("config.toml"))
            .arg("--commands")
            .arg(self.path("commands.toml"))
            .args(more)
            .output()
            .unwrap()
    }

    /// What it said, without what is only so on this machine.
    fn told(&self, output: &Output) -> String {
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = str::from_utf8(&output.stdout).unwrap();
        let text = text.replace(self.dir.path().to_str().unwrap(), "$DIR");
        let text = text.replace(&format!("as {} sees", self.user.name), "as $USER sees");
        let text = text.replace(&format!("to {}: ", self.user.name), "to $USER: ");
        let shown = |uid: Uid| match User::from_uid(uid).unwrap() {
            Some(user) => format!("user {} (uid {uid})", user.name),
            None => format!("uid {uid}"),
        };
        let text = text.replace(&shown(geteuid()), "user $ME");
        let text = text.replace(&shown(self.user.uid), "user $USER");
        let text = text.replace("chown nobody ", "chown $USER ");
        let text = text.replace(&format!("chown {} ", self.user.uid), "chown $USER ");
        let text = text.replace(&format!("-o {} ", self.user.name), "-o $USER ");
        let lines = text.lines().filter(|line| !line.starts_with("unseen"));
        lines.map(|line| line.split_inclusive("This host has: ").next().unwrap_or(line)).fold(
            String::new(),
            |mut text, line| {
                writeln!(text, "{line}").unwrap();
                text
            },
        )
    }
}

/// What a case changes, as it stands in the file.
fn changed(case: &Case) -> (String, String) {
    let mut config = CONFIG.to_owned();
    for (old, new) in case.config {
        assert!(config.contains(old), "{}: {old:?} is not there", case.name);
        config = config.replacen(old, new, 1);
    }
    (config, case.commands.unwrap_or(COMMANDS).to_owned())
}

fn snapshot(case: &Case) -> String {
    let place = Place::new();
    let (config, commands) = changed(case);
    place.write("config.toml", &config);
    place.write("commands.toml", &commands);
    (case.arrange)(&place);
    let output = place.check(&[]);
    let told = place.told(&output);
    let fails = told.lines().any(|line| line.starts_with("error"));
    assert_eq!(output.status.code(), Some(i32::from(fails)), "{}: {told}", case.name);
    for leak in LEAKS {
        assert!(!told.contains(leak), "{}: {leak:?} in {told}", case.name);
    }
    let strict = place.check(&["--strict"]);
    assert_eq!(strict.status.code(), Some(1), "{}: nothing is told", case.name);
    let mut text = String::new();
    for (file, now, was) in
        [("config.toml", &config, CONFIG), ("commands.toml", &commands, COMMANDS)]
    {
        let was: BTreeSet<&str> = was.lines().collect();
        for (number, line) in now.lines().enumerate().filter(|(_, line)| !was.contains(line)) {
            writeln!(text, "# {file}:{}  {line}", number + 1).unwrap();
        }
    }
    text + &told
}

#[test]
fn every_kind_of_bad_configuration_gets_its_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/snapshots");
    let write = env::var_os("RUROCO_SNAPSHOTS").is_some_and(|value| value == "write");
    let mut wrong = String::new();
    for case in CASES.iter().filter(|case| !case.needs_root || geteuid().is_root()) {
        let (path, is) = (folder.join(case.name).with_extension("txt"), snapshot(case));
        if write {
            fs::write(&path, &is).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if is != expected {
            writeln!(wrong, "== {}\n-- expected\n{expected}-- is\n{is}", case.name).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    let files: BTreeSet<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, CASES.iter().map(|case| case.name.to_owned()).collect());
    assert!(files.len() >= 30);
}

#[test]
fn a_good_configuration_is_good_as_text_and_as_json() {
    let place = Place::new();
    place.add_key("phone.key", PHONE);
    let output = place.check(&["--strict"]);
    assert_eq!(place.told(&output), "ok       configuration, commands and keys\n");
    assert!(output.status.success());
    let output = place.check(&["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["ok"], &json["errors"]), (&true.into(), &0.into()));
}

/// What may follow `chmod` in a remedy: nothing that lets others do more; or, for a group that the same
/// command names, reading and entering.
const CLOSING: [&str; 7] = ["go-w", "g-w,o-rwx", "600", "700", "400", "u+x", "u+r"];
const FOR_A_GROUP: [&str; 4] = ["g+r", "g+x", "640", "750"];

#[test]
fn no_remedy_lets_others_do_more() {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, found),
                false => found.push(path),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    files(root, &mut paths);
    // In tests, modes are what they are about.
    paths.retain(|path| path.iter().any(|part| part == "src" || part == "snapshots"));
    for folder in ["../docs", "../packaging"] {
        files(&root.join(folder), &mut paths);
    }
    let mut seen = 0;
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (at, _) in text.match_indices("chmod ") {
            let Some(mode) = text[at..].split_whitespace().nth(1) else { continue };
            let mode = mode.trim_matches(['`', ')', '"', '(', ';', ',', ':']);
            let before = &text[text.floor_char_boundary(at.saturating_sub(150))..at];
            let names_group = before.contains("chgrp ") || before.contains("chown root:ruroco");
            let is_good = CLOSING.contains(&mode) || (FOR_A_GROUP.contains(&mode) && names_group);
            assert!(is_good, "{}: chmod {mode}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn json_has_place_and_message_apart() {
    let place = Place::new();
    place.write("config.toml", &CONFIG.replace("34020", "0"));
    let output = place.check(&["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let problem = &json["problems"][0];
    assert_eq!((&problem["level"], &problem["line"]), (&"error".into(), &2.into()));
    assert_eq!(problem["file"], place.path("config.toml").to_str().unwrap());
    assert!(problem["message"].as_str().unwrap().contains("from 1 to 65535"));
}

#[test]
fn a_check_for_a_reload_lets_the_only_key_go() {
    let place = Place::new();
    place.write("commands.toml", "[commands.open_ssh]\nrun = [\"/bin/true\"]\n");
    for entry in fs::read_dir(place.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "key") {
            fs::remove_file(path).unwrap();
        }
    }
    for daemon in ["gate", "server", "commander"] {
        assert!(place.check(&["--daemon", daemon]).status.success(), "{daemon}");
    }
    let told = place.told(&place.check(&["--daemon", "gate"]));
    assert!(told.starts_with("warning  $DIR: there is no key"), "{told}");
    // A start would fail.
    assert!(!place.check(&[]).status.success());
}

#[test]
fn a_check_for_one_daemon_tells_what_that_one_would_refuse_and_nothing_else() {
    let place = Place::new();
    let verdicts = || {
        ["gate", "server", "commander"]
            .map(|name| place.check(&["--daemon", name]).status.success())
    };
    assert_eq!(verdicts(), [true; 3]);
    place.write("commands.toml", "nonsense\n");
    assert_eq!(verdicts(), [true, true, false]);
    // The gate hands the keys over, so the server reads none.
    place.add_key("phone.key", "nonsense\n");
    assert_eq!(verdicts(), [false, true, false]);
    place.write("config.toml", &CONFIG.replace("port", "prot"));
    assert_eq!(verdicts(), [false; 3]);
    let output = place.check(&["--daemon", "server"]);
    let told = place.told(&output);
    assert!(told.starts_with("error    $DIR/config.toml:2: unknown field `prot`"), "{told}");
}
