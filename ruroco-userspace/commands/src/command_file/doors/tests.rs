//! Which `open` and `close` are accepted or rejected, and the messages.

use std::time::Duration;

use super::*;
use rustix::process::getuid;

use crate::{
    command_file::tests::check_with,
    commands::{Command, Commands},
    keys::Keys,
};
use ruroco_common::command::CommandHash;
use ruroco_messages::problems::Problems;
use std::sync::Arc;

fn check(text: &str) -> Result<(Commands, Problems), Problems> {
    check_with(&format!("[commands.x]\n{text}\n"), &Keys::default()).or_all_problems()
}

fn command(text: &str) -> Arc<Command> {
    let (commands, warnings) = check(text).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    Arc::clone(commands.get(CommandHash::of("x")).unwrap())
}

fn open(door: &str, seconds: u64) -> DoorChange {
    let action = DoorAction::Open { duration: Duration::from_secs(seconds) };
    DoorChange { door: DoorName::new(door).unwrap(), action }
}

fn close(door: &str) -> DoorChange {
    DoorChange { door: DoorName::new(door).unwrap(), action: DoorAction::Close }
}

#[test]
fn a_door_is_open_for_as_long_as_the_configuration_says() {
    let command = command("open = \"ssh\"");
    assert_eq!(command.task.doors(), [open("ssh", 300)]);
    assert_eq!(command.task.program(), None);
}

#[test]
fn doors_are_one_or_a_list_with_or_without_a_program() {
    assert_eq!(
        command("open = [\"web\", \"ssh\"]").task.doors(),
        [open("web", 30), open("ssh", 300)]
    );
    assert_eq!(command("close = \"ssh\"").task.doors(), [close("ssh")]);
    let both =
        command("close = [\"web\"]\nopen = \"ssh\"\nrun = [\"/bin/sh\"]\ntimeout = 9\ncwd = \"/\"");
    assert_eq!(both.task.doors(), [open("ssh", 300), close("web")]);
    assert_eq!(both.task.program().unwrap().path, "/bin/sh");
    assert_eq!(both.task.opens().collect::<Vec<_>>(), [DoorName::new("ssh").unwrap()]);
    assert_eq!(both.task.closes().collect::<Vec<_>>(), [DoorName::new("web").unwrap()]);
}

#[test]
fn every_mistake_names_its_line_and_the_remedy() {
    for (text, line, told) in [
        ("open = \"shh\"", 2, "there is no door `shh` in config.toml; did you mean `ssh`?"),
        ("open = \"SSH\"", 2, "did you mean `ssh`?"),
        ("close = \"rdp\"", 2, "Add [doors.NAME] there, or remove the name here"),
        ("open = [\n\"ssh\",\n\"a\\nb\"]", 4, "there is no door `a\\nb`"),
        ("open = \"ssh\"\nclose = \"ssh\"", 3, "the door ssh is named twice in `open` and `close`"),
        ("open = [\"ssh\",\n\"ssh\"]", 3, "Remove one"),
        ("open = []", 2, "`open` is empty. List at least one"),
        ("open = 22", 2, "`open = 22` is not valid. Use a text in quotes"),
        ("opens = \"ssh\"\nrun = [\"/bin/sh\"]", 2, "did you mean `open`?"),
    ] {
        let problems = check(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}: {problems}");
        let error = problems.to_string();
        assert!(error.starts_with(&format!("/commands.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn a_door_with_an_error_of_its_own_is_told_of_only_there() {
    assert!(check("open = [\"Broken\", \"ssh\"]").is_ok());
}

#[test]
fn a_reader_that_knows_no_doors_accepts_every_name_that_one_can_have() {
    let check = |door: &str| {
        let text = format!("[commands.x]\nopen = \"{door}\"\n");
        let file = ruroco_files::toml_file::Source::new("/commands.toml", text);
        crate::command_file::check(&file, None).or_problems().map(drop)
    };
    assert!(check("rdp").is_ok());
    let error = check("RDP").unwrap_err().to_string();
    assert!(error.starts_with("/commands.toml:2: `RDP` is not a valid name of a door"), "{error}");
}

#[test]
fn what_only_a_program_needs_is_a_warning_without_one() {
    for (field, told) in [
        ("timeout = \"5m\"", "to change how long a door is open, set `for`"),
        ("cwd = \"/\"", "`cwd` has no effect without `run` or `shell`. Remove it"),
        ("user = \"root\"", "`user` has no effect"),
        ("group = \"root\"", "`group` has no effect"),
        ("env = { A = \"1\" }", "`env` has no effect"),
    ] {
        if field.contains("root") && !getuid().is_root() {
            continue;
        }
        let (_, warnings) = check(&format!("open = \"ssh\"\n{field}")).unwrap();
        let warning = warnings.to_string();
        assert!(warning.starts_with("/commands.toml:3: "), "{warning}");
        assert!(warning.contains(told), "{warning}");
    }
}
