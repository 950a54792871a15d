//! Which files are accepted or rejected, and the messages.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

const LAPTOP: KeyId = KeyId([1; 8]);

fn check(text: &str) -> Result<Commands, String> {
    let keys = [(LAPTOP, "laptop"), (KeyId([2; 8]), "phone")].into_iter().collect();
    let checked = check_with(text, &keys);
    checked.or_problems().map_err(|problems| problems.to_string())
}

/// A host with two doors, and one with an error.
pub(super) fn check_with(text: &str, keys: &Keys) -> Checked<Commands> {
    let config = "addresses = [\"192.0.2.1\"]\ngate.interfaces = [\"eth0\"]\n\
                  [doors.ssh]\nport = \"tcp/22\"\nfor = \"5m\"\n[doors.web]\nport = \"tcp/443\"\n\
                  [doors.Broken]\nport = \"tcp/1\"\n";
    let mut problems = Problems::default();
    let config = problems.good_of(Config::check(Source::new("/config.toml", config))).unwrap();
    let known = Known { keys, config: &config };
    super::check(&Source::new("/commands.toml", text), Some(known))
}

/// The program and the arguments that a command runs.
fn words(command: &Command) -> Vec<&str> {
    let program = command.task.program().unwrap();
    let arguments = program.arguments.iter().map(String::as_str);
    [program.path.as_str()].into_iter().chain(arguments).collect()
}

fn command(text: &str) -> std::sync::Arc<Command> {
    let commands = check(text).unwrap();
    std::sync::Arc::clone(commands.get(CommandHash::of("x")).unwrap())
}

#[test]
fn one_line_is_a_whole_command() {
    let command = command("[commands.x]\nrun = [\"/bin/echo\", \"a b\", \"$HOME\", \"\"]\n");
    assert_eq!(words(&command), ["/bin/echo", "a b", "$HOME", ""]);
    assert_eq!(command.task.doors(), []);
    assert_eq!((command.uid, command.gid), (None, None));
    assert_eq!((command.timeout.as_secs(), command.cwd.as_path()), (30, Path::new("/")));
    assert!(command.env.is_empty() && command.keys.is_none());
}

#[test]
fn every_field_arrives() {
    let who = match getuid().is_root() {
        true => "user = \"root\"\ngroup = \"root\"\n",
        false => "",
    };
    let command = command(&format!(
        "[commands.x]\nshell = \"echo $RUROCO_IP\"\ntimeout = 86400\ncwd = \"/tmp\"\n\
         env = {{ LANG = \"C\", EMPTY = \"\" }}\nkeys = [\"laptop\"]\n{who}"
    ));
    assert_eq!(words(&command), ["/bin/sh", "-c", "echo $RUROCO_IP"]);
    assert_eq!((command.timeout.as_secs(), command.cwd.as_path()), (86_400, Path::new("/tmp")));
    assert_eq!(command.env["LANG"], "C");
    assert_eq!(command.env["EMPTY"], "");
    assert!(command.allows(LAPTOP) && !command.allows(KeyId([2; 8])));
    if getuid().is_root() {
        assert_eq!((command.uid, command.gid), (Some(0), Some(0)));
    }
}

#[test]
fn a_file_of_upstream_is_one_problem_that_names_the_command() {
    for text in [
        "[commands]\nx = \"true\"\n",
        "commands = { x = \"true\" }\n",
        "[commands]\nx = { cmd = \"true\" }\n",
        "[commands.y]\nrun = [\"true\"]\n[commands.x]\ncmd = \"true\"\ntimeout_sec = 1\n",
    ] {
        let error = check(text).unwrap_err();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains("Run `ruroco import`"), "{error}");
    }
}

#[test]
fn every_mistake_names_its_line_and_the_remedy() {
    let good = "[commands.x]\nrun = [\"true\"]\n";
    for (text, line, told) in [
        ("usr = \"root\"\n", 3, "did you mean `user`?"),
        ("run = [\"true\"]\n", 3, "duplicate key"),
        ("shell = \"true\"\n", 3, "has either `run` or `shell`"),
        ("user = \"no-such-user\"\n", 3, "useradd --system"),
        ("user = \"\"\n", 3, "there is no user"),
        ("group = \"no-such-group\"\n", 3, "groupadd --system no-such-group"),
        ("timeout = 0\n", 3, "from 1 second to 1 day"),
        (
            "timeout = \"25h\"\n",
            3,
            "`timeout = \"25h\"` is not valid. Use a time from 1 second to 1 day",
        ),
        ("timeout = 18446744073709551616\n", 3, ""),
        ("timeout = -1\n", 3, "`timeout = -1` is not valid"),
        ("timeout = 1.5\n", 3, "`timeout = 1.5` is not valid"),
        ("cwd = \"tmp\"\n", 3, "begins with /"),
        ("cwd = \"/t\\u0000mp\"\n", 3, "begins with /"),
        ("[commands.x.env]\nA = \"1\"\nRUROCO_IP = \"::\"\n", 5, "the commander sets"),
        ("[commands.x.env]\n\"A=B\" = \"1\"\n", 4, "is not a valid name"),
        ("[commands.x.env]\n\"\" = \"1\"\n", 4, "is not a valid name"),
        ("[commands.x.env]\nA = \"\\u0000\"\n", 4, "NUL"),
        ("env = { PATH = \":/usr/bin\" }\n", 3, "an empty element"),
        ("env = { PATH = \"/usr/bin:\" }\n", 3, "an empty element"),
        ("env = { PATH = \"\" }\n", 3, "an empty element"),
        ("env = { PATH = \"/usr/bin::/bin\" }\n", 3, "an empty element"),
        ("[commands.x.env]\nPATH = \"/usr/bin:bin\"\n", 4, "`bin`, which depends on `cwd`"),
        ("[commands.x.env]\nPATH = \".\"\n", 4, "use absolute paths only"),
        ("[commands.x.env]\nA = 1234\n", 4, "the value of `A` is not valid. Use a text in quotes"),
        ("keys = [\"laptop\",\n\"tablet\"]\n", 4, "no key file tablet.key"),
        ("[commands.x]\nrun = [\"true\"]\n", 3, "duplicate key"),
        ("[commands.y]\n", 3, "none of `open`, `close`, `run` and `shell`"),
        ("[commands.y]\nrun = []\n", 4, "names no program"),
        ("[commands.y]\nrun = [\"\"]\n", 4, "names no program"),
        ("[commands.y]\nrun = [\"bin/true\"]\n", 4, "its absolute path"),
        ("[commands.y]\nrun = [\"true\",\n\"\\u0000\"]\n", 5, "NUL"),
        ("[commands.y]\nrun = \"true\"\n", 4, "`run = [\"true\"]`"),
        ("[commands.y]\nshell = \" \"\n", 4, "`shell` is empty"),
        ("[commands.\"a\\nb\"]\nrun = [\"true\"]\n", 3, "text-direction"),
        ("[commands.\"a\\u200b\"]\nrun = [\"true\"]\n", 3, "text-direction"),
        ("[commands.\"a\\u202eb\"]\nrun = [\"true\"]\n", 3, "text-direction"),
        ("[commands.\"\"]\nrun = [\"true\"]\n", 3, "must not be empty"),
        ("[command.y]\nrun = [\"true\"]\n", 3, "did you mean `commands`?"),
    ] {
        let error = check(&format!("{good}{text}")).unwrap_err();
        assert!(error.starts_with(&format!("/commands.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(told), "{text}: {error}");
    }
    for (text, line, told) in [
        ("", 1, "the file contains no command"),
        ("[commands]\n", 1, "the file contains no command"),
        ("[commands]\nx = 5\n", 2, "`x` must be a table"),
        ("[commands]\nx = [\"true\"]\n", 2, "`x` must be a table"),
    ] {
        let error = check(text).unwrap_err();
        assert!(error.starts_with(&format!("/commands.toml:{line}: ")), "{text}: {error}");
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn a_file_that_others_can_write_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("commands.toml");
    fs::write(&path, "[commands.x]\nrun = [\"true\"]\n").unwrap();
    let read_with_mode = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read(&path, None).or_problems().map_err(|error| error.to_string())
    };
    assert!(read_with_mode(0o644).is_ok());
    for mode in [0o620, 0o602, 0o666] {
        let error = read_with_mode(mode).unwrap_err();
        assert!(error.contains("chmod go-w"), "{error}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_none_that_follows_from_another() {
    let text = "[commands.x]\nrun = [\"true\", \"\\u0000\"]\ntimeout = 0\ncwd = \"x\"\n\
                [commands.y]\nrun = 5\nuser = \"no-such-user\"\ngroup = \"no-such-group\"\n\
                keys = [\"labtop\",\n\"none\"]\n[commands.z]\n";
    let problems = check(text).unwrap_err();
    let lines: Vec<_> = problems.lines().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(lines, ["2", "3", "4", "6", "7", "8", "9", "10", "11"], "{problems}");
    assert!(problems.contains("did you mean `laptop`?"), "{problems}");
    let problems = check("commands = 5").unwrap_err();
    assert_eq!(problems.lines().count(), 1, "{problems}");
}

#[test]
fn a_command_that_no_key_may_request_is_a_warning() {
    let text = "[commands.x]\nrun = [\"/bin/sh\"]\nkeys = []\n";
    let checked = check_with(text, &Keys::default());
    let (_, warnings) = checked.or_all_problems().unwrap();
    assert!(warnings.to_string().contains("remove `keys` to allow every key"), "{warnings}");
}

#[test]
fn a_program_that_is_not_there_is_a_warning() {
    let keys = Keys::default();
    let told = |program: &str| {
        let text = format!("[commands.x]\nrun = [\"{program}\"]\n");
        let checked = check_with(&text, &keys);
        let (commands, warnings) = checked.or_all_problems().unwrap();
        assert_eq!(commands.names().count(), 1);
        warnings.iter().map(ToString::to_string).collect::<String>()
    };
    assert_eq!(told("/bin/sh") + &told("sh"), "");
    assert!(told("/no/such").starts_with("/commands.toml:2: /no/such not found"));
    assert!(told("/etc/passwd").contains("chmod u+x /etc/passwd"));
    assert!(told("/etc").contains("/etc not found"));
    assert!(told("no-such-program").contains("set its absolute path"));
}

/// A directory with a script in it, which everybody may run.
fn with_script(content: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("open");
    fs::write(&script, content).unwrap();
    for path in [dir.path(), &script] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let shown = script.to_str().unwrap().to_owned();
    (dir, shown)
}

#[test]
fn a_program_that_others_can_change_is_refused_with_what_to_run() {
    let (dir, script) = with_script("#!/bin/sh\n");
    let folder = dir.path().to_str().unwrap();
    let forms = [
        format!("run = [\"{script}\", \"x\"]"),
        format!("shell = \"{script} x\""),
        format!("shell = \"exec {script} x\""),
        format!("run = [\"open\"]\nenv = {{ PATH = \"/no/such:{folder}\" }}"),
    ];
    for form in &forms {
        let text = format!("[commands.x]\n{form}\n");
        assert!(check(&text).is_ok(), "{form}");
        for path in [script.as_str(), folder] {
            for loose in [0o757, 0o775] {
                fs::set_permissions(path, fs::Permissions::from_mode(loose)).unwrap();
                let error = check(&text).unwrap_err();
                assert!(error.starts_with("/commands.toml:2: "), "{form}: {error}");
                for part in [&format!("mode {loose:04o}"), &format!("chmod go-w {path}")] {
                    assert!(error.contains(part), "{form}: {error}");
                }
            }
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    // It runs with the rights of another user, who may change it.
    if getuid().is_root() {
        let unprivileged = users::find("daemon").unwrap();
        std::os::unix::fs::chown(&script, Some(unprivileged.uid.as_raw()), None).unwrap();
        for form in &forms {
            let text = format!("[commands.x]\n{form}\n");
            assert!(check(&text).unwrap_err().contains("user daemon"), "{form}");
            assert!(check(&format!("{text}user = \"daemon\"\n")).is_ok(), "{form}");
        }
    }
}

#[test]
fn of_a_file_that_others_can_change_and_a_program_is_given_there_is_a_warning() {
    let (_dir, script) = with_script("echo\n");
    let text = format!("[commands.x]\nrun = [\"/bin/sh\", \"{script}\"]\n");
    let warnings = || {
        let checked = super::check(&Source::new("/commands.toml", text.as_str()), None);
        checked.or_all_problems().unwrap().1.to_string()
    };
    assert_eq!(warnings(), "");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o777)).unwrap();
    let told = format!("chmod go-w {script}");
    assert!(warnings().contains(&told), "{}", warnings());
}

#[test]
fn lines_that_end_as_on_windows_run_as_any_others() {
    let command = command("[commands.x]\r\nshell = '''\r\necho a\r\necho b\r\n'''\r\n");
    assert_eq!(words(&command), ["/bin/sh", "-c", "echo a\necho b\n"]);

    let (_dir, script) = with_script("#!/bin/sh\r\necho\r\n");
    let text = format!("[commands.x]\nrun = [\"{script}\"]\n");
    let checked = super::check(&Source::new("/commands.toml", text), None);
    let warnings = checked.or_all_problems().unwrap().1.to_string();
    assert!(warnings.contains(&format!("sed -i 's/\\r$//' {script}")), "{warnings}");
}

#[test]
fn what_a_shell_would_not_take_for_a_space_is_named() {
    let text = "[commands.x]\nshell = \"echo\u{a0}a\"\n";
    let checked = super::check(&Source::new("/commands.toml", text), None);
    let warnings = checked.or_all_problems().unwrap().1.to_string();
    assert!(warnings.starts_with("/commands.toml:2: there is a U+00A0"), "{warnings}");
}
