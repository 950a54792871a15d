//! Which `[notify]` is accepted or rejected, and the messages.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use crate::{command_file::tests::check_with, keys::Keys, notify::Notify};

const COMMAND: &str = "[commands.x]\nrun = [\"true\"]\n";

fn check(text: &str) -> Result<Option<Notify>, String> {
    let checked = check_with(&format!("{COMMAND}{text}\n"), &Keys::default());
    let commands = checked.or_problems().map_err(|problems| problems.to_string())?;
    Ok(commands.notify().map(|notify| notify.as_ref().clone()))
}

#[test]
fn a_file_without_the_table_notifies_nothing() {
    assert_eq!(check(""), Ok(None));
}

#[test]
fn one_line_is_enough_and_every_field_arrives() {
    let notify = check("[notify]\nrun = [\"/bin/echo\", \"a b\", \"$HOME\"]").unwrap().unwrap();
    assert_eq!(notify.program.path, "/bin/echo");
    assert_eq!(notify.program.arguments, ["a b", "$HOME"]);
    assert_eq!((notify.timeout, notify.uid), (Duration::from_secs(10), None));
    let wanted = |notify: &Notify| {
        ["running", "door", "refused", "ended", "other"].map(|event| notify.wants(event))
    };
    assert_eq!(wanted(&notify), [true, true, true, false, false]);

    let text = "notify = { run = [\"true\"], timeout = \"5m\", events = [\"ended\"], cwd = \"/tmp\", \
                env = { A = \"1\" } }\n";
    let checked = check_with(&format!("{text}{COMMAND}"), &Keys::default());
    let commands = checked.or_problems().unwrap();
    let notify = commands.notify().unwrap();
    assert_eq!(wanted(notify), [false, false, false, true, false]);
    assert_eq!((notify.timeout.as_secs(), notify.cwd.to_str()), (300, Some("/tmp")));
    assert_eq!(notify.env["A"], "1");
}

#[test]
fn every_mistake_names_its_line_and_the_remedy() {
    for (text, line, told) in [
        ("", 3, "[notify] has no `run`. Set, for example"),
        ("run = []", 4, "`run` names no program"),
        ("run = [\"bin/true\"]", 4, "Use its absolute path"),
        ("run = \"true\"", 4, "`run = \"true\"` is not valid"),
        ("run = [\"a\\u0000\"]", 4, "NUL"),
        ("run = [\"true\"]\nshell = \"true\"", 5, "unknown field `shell`"),
        ("run = [\"true\"]\nevent = [\"door\"]", 5, "did you mean `events`?"),
        ("run = [\"true\"]\nevents = [\"doors\"]", 5, "did you mean \"door\"?"),
        ("run = [\"true\"]\nevents = []", 5, "`events` is empty"),
        ("run = [\"true\"]\ntimeout = \"1h\"", 5, "from 1 second to 5 minutes"),
        ("run = [\"true\"]\nuser = \"no-such-user\"", 5, "useradd --system"),
        ("run = [\"true\"]\ngroup = \"no-such-group\"", 5, "groupadd --system"),
        ("run = [\"true\"]\nenv.RUROCO_KEY = \"x\"", 5, "sets RUROCO_* itself"),
        ("run = [\"true\"]\nenv.PATH = \"bin\"", 5, "absolute paths only"),
    ] {
        let error = check(&format!("[notify]\n{text}")).unwrap_err();
        assert!(error.contains(&format!("/commands.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(told), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{text}: {error}");
    }
    let error = check("notify = 1").unwrap_err();
    assert!(error.contains("unknown field `notify`"), "in a command: {error}");
}

#[test]
fn a_program_that_others_can_change_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("notify");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o777)).unwrap();
    let error = check(&format!("[notify]\nrun = [{program:?}]")).unwrap_err();
    assert!(error.contains("/commands.toml:4: ") && error.contains("chmod go-w"), "{error}");
}
