//! `commands.toml`: any text.
//!
//! What is accepted is what an untyped reader finds in the same text, to the last argument: these
//! are programs that root runs. Nothing in it ends early at a NUL character, names another variable
//! than it says, or lets a key call what its table does not. What is refused is refused with file,
//! line and a message of one line.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ruroco_commands::{
    command_file::{self, Known},
    commands::{Command, Commands},
    fields,
    keys::Keys,
    notify::{self, Notify},
    task::DoorAction,
};
use ruroco_common::{command::CommandHash, datagram::KeyId};
use ruroco_config::Config;
use ruroco_files::toml_file::Source;
use toml::{Table, Value};

use crate::text;

/// The keys that the file may name.
const KEYS: [(KeyId, &str); 2] = [(KeyId([1; 8]), "laptop"), (KeyId([2; 8]), "phone")];

/// Each field with a good value, and with those at the edge of what is good.
pub const LINES: [&str; 52] = [
    "[commands.x]",
    r#"[commands."y z"]"#,
    r#"[commands.""]"#,
    "[commands.x.env]",
    r#"commands.a.run = ["true"]"#,
    r#"run = ["/bin/true"]"#,
    r#"run = ["true", ""]"#,
    r#"run = ["bin/true"]"#,
    r#"run = [""]"#,
    "run = []",
    r#"shell = "true""#,
    r#"shell = " ""#,
    r#"cmd = "true""#,
    r#"cmd = " ""#,
    "[commands]",
    r#"z = "true""#,
    r#"z = { cmd = "true", timeout_sec = 1 }"#,
    r#"timeout = "90s""#,
    r#"user = "root""#,
    r#"user = """#,
    r#"group = "root""#,
    r#"group = "no-such-group""#,
    "timeout = 1",
    "timeout = 0",
    "timeout = 86400",
    "timeout = 86401",
    r#"cwd = "/tmp""#,
    r#"cwd = "tmp""#,
    r#"env = { A = "1" }"#,
    r#"env.B = """#,
    r#"env.RUROCO_IP = """#,
    r#"env."A=B" = """#,
    r#"env."" = """#,
    r#"A = "\u0000""#,
    r#"keys = ["laptop"]"#,
    r#"keys = ["laptop", "phone"]"#,
    r#"keys = ["tablet"]"#,
    "keys = []",
    r#"open = "ssh""#,
    r#"open = ["ssh", "web"]"#,
    r#"open = "shh""#,
    "open = []",
    r#"close = "ssh""#,
    r#"close = ["web"]"#,
    r#"commands.o.open = "ssh""#,
    r#"commands.c = { close = "ssh", open = "web" }"#,
    "[notify]",
    r#"notify = { run = ["/bin/true", "a"], timeout = 300 }"#,
    r#"notify.run = ["true"]"#,
    r#"events = ["door", "ended", "door"]"#,
    r#"events = ["opened"]"#,
    "events = []",
];

/// The doors that the file may name.
const DOORS: &str = "addresses = ['192.0.2.1']\ngate.interfaces = ['a']\n\
                     doors.ssh = { port = 'tcp/22', for = '1m' }\ndoors.web = { port = 'tcp/443' }\n";

/// How long they are open, in seconds.
const DURATIONS: [(&str, u64); 2] = [("ssh", 60), ("web", 30)];

/// Takes any bytes for a `commands.toml`.
pub fn commands(data: &[u8]) -> bool {
    let Some(text) = text::short(data) else { return false };
    let keys = Keys::from_iter(KEYS);
    let config = Config::check(Source::new("/config.toml", DOORS)).or_problems().unwrap();
    let known = Known { keys: &keys, config: &config };
    let check = |file| command_file::check(&file, Some(known));
    let (untyped, commands) = (text::untyped(text), text::check(text, check));
    let Some(commands) = commands else { return untyped.is_some() };
    let untyped = untyped.expect("accepted, and no TOML");
    text::assert_known(&untyped, &["commands", "notify"]);
    check_notify(commands.notify().map(AsRef::as_ref), untyped.get("notify"));
    check_all(&commands, untyped["commands"].as_table().unwrap());
    true
}

fn check_all(commands: &Commands, tables: &Table) {
    assert!(!tables.is_empty(), "no command");
    let names: BTreeSet<&str> = commands.names().collect();
    assert_eq!(names, tables.keys().map(String::as_str).collect());
    assert_eq!(names.len(), commands.names().count(), "one of two with the same hash");
    for (name, table) in tables {
        assert!(!name.is_empty() && !name.contains(char::is_control), "{name:?} in a log line");
        let command = commands.get(CommandHash::of(name)).expect("cannot be called");
        assert_eq!(command.name, *name);
        let table = table.as_table().unwrap();
        text::assert_known(table, &text::names(&fields::command(), &[fields::ENV]));
        check_program(command, table);
        check_doors(command, table);
        check_surroundings(command, table);
        check_rights(command, table);
    }
}

fn check_notify(notify: Option<&Notify>, table: Option<&Value>) {
    let (notify, table) = match (notify, table) {
        (None, None) => return,
        (notify, table) => (notify.unwrap(), table.unwrap().as_table().unwrap()),
    };
    text::assert_known(table, &text::names(&notify::fields::notify(), &[fields::ENV]));
    let words = text::strings(&table["run"]);
    let (path, arguments) = words.split_first().unwrap();
    assert_eq!(
        (notify.program.path.as_str(), notify.program.arguments.len()),
        (*path, arguments.len())
    );
    assert_eq!(notify.program.arguments, arguments);
    assert!(words.iter().all(|word| !word.contains('\0')), "{words:?} would end early");
    let timeout = table.get("timeout").map_or(Some(10), text::seconds).unwrap();
    assert_eq!(notify.timeout, Duration::from_secs(timeout));
    assert!((1..=300).contains(&timeout), "{timeout} s");
    let wanted =
        table.get("events").map_or_else(|| vec!["running", "door", "refused"], text::strings);
    for event in ["running", "door", "ended", "refused", "opened", ""] {
        assert_eq!(notify.wants(event), wanted.contains(&event), "{event}");
    }
    assert_eq!(notify.uid.is_some(), table.contains_key("user"));
    assert!(notify.env.keys().all(|name| !name.starts_with("RUROCO_")), "{:?}", notify.env.keys());
}

fn check_program(command: &Command, table: &Table) {
    let words = match (table.get("run"), table.get("shell")) {
        (Some(run), None) => text::strings(run),
        (None, Some(line)) => {
            assert!(!line.as_str().unwrap().trim().is_empty(), "an empty line");
            vec!["/bin/sh", "-c", line.as_str().unwrap()]
        }
        (None, None) => {
            assert_eq!(command.task.program(), None);
            assert!(!command.task.doors().is_empty(), "nothing to do");
            return;
        }
        both => panic!("run and shell: {both:?}"),
    };
    let (path, arguments) = words.split_first().unwrap();
    let program = command.task.program().expect("it is not run");
    assert_eq!(program.path, *path);
    assert_eq!(program.arguments, arguments);
    assert!(!path.is_empty() && (path.starts_with('/') || !path.contains('/')));
    assert!(words.iter().all(|word| !word.contains('\0')), "{words:?} would end early");
}

fn check_doors(command: &Command, table: &Table) {
    let names = |field| match table.get(field) {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(several) => text::strings(several),
    };
    let duration = |name: &str| DURATIONS.into_iter().find(|door| door.0 == name).unwrap().1;
    let opened = names("open").into_iter().map(|name| {
        (name.to_owned(), DoorAction::Open { duration: Duration::from_secs(duration(name)) })
    });
    let closed = names("close").into_iter().map(|name| (name.to_owned(), DoorAction::Close));
    let expected: Vec<_> = opened.chain(closed).collect();
    let doors = command.task.doors().iter().map(|door| (door.door.to_string(), door.action));
    assert_eq!(doors.collect::<Vec<_>>(), expected);
    let different: BTreeSet<_> = expected.iter().map(|(name, _)| name).collect();
    assert_eq!(different.len(), expected.len(), "a door twice");
}

fn check_surroundings(command: &Command, table: &Table) {
    let timeout = table.get("timeout").map_or(Some(30), text::seconds).unwrap();
    assert_eq!(command.timeout, Duration::from_secs(timeout));
    assert!((1..=86_400).contains(&timeout), "{timeout} s");

    let cwd = command.cwd.to_str().unwrap();
    assert_eq!(table.get("cwd").map_or(Some("/"), Value::as_str), Some(cwd));
    assert!(cwd.starts_with('/') && !cwd.contains('\0'), "{cwd:?}");

    let none = Table::new();
    let env = table.get("env").map_or(&none, |env| env.as_table().unwrap());
    let env: BTreeMap<_, _> = env
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(command.env, env);
    for (name, value) in env {
        assert!(!name.is_empty() && !name.contains(['=', '\0']), "{name:?} is another variable");
        assert!(!name.starts_with("RUROCO_"), "{name:?} is the commander's to set");
        assert!(!value.contains('\0'), "{name} would end early");
    }
}

fn check_rights(command: &Command, table: &Table) {
    let keys = table.get("keys").map(text::strings);
    assert!(keys.as_ref().is_none_or(|keys| !keys.is_empty()), "nobody could call it");
    for (id, name) in KEYS {
        assert_eq!(command.allows(id), keys.as_ref().is_none_or(|keys| keys.contains(&name)));
    }
    assert_eq!(command.allows(KeyId([3; 8])), keys.is_none());
    assert_eq!(command.uid.is_some(), table.contains_key("user"));
    assert_eq!(command.gid.is_some(), table.contains_key("user") || table.contains_key("group"));
}
