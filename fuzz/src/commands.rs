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
    command_file,
    commands::{Command, Commands},
    fields,
    keys::Keys,
};
use ruroco_common::{command::CommandHash, datagram::KeyId};
use toml::{Table, Value};

use crate::text;

/// The keys that the file may name.
const KEYS: [(KeyId, &str); 2] = [(KeyId([1; 8]), "laptop"), (KeyId([2; 8]), "phone")];

/// Each field with a good value, and with those at the edge of what is good.
pub const LINES: [&str; 38] = [
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
];

/// Takes any bytes for a `commands.toml`.
pub fn commands(data: &[u8]) -> bool {
    let Some(text) = text::short(data) else { return false };
    let keys = Keys::from_iter(KEYS);
    let check = |file| command_file::check(&file, Some(&keys));
    let (untyped, commands) = (text::untyped(text), text::check(text, check));
    let Some(commands) = commands else { return untyped.is_some() };
    let untyped = untyped.expect("accepted, and no TOML");
    text::assert_known(&untyped, &["commands"]);
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
        check_surroundings(command, table);
        check_rights(command, table);
    }
}

fn check_program(command: &Command, table: &Table) {
    let words = match (table.get("run"), table.get("shell")) {
        (Some(run), None) => text::strings(run),
        (None, Some(line)) => {
            assert!(!line.as_str().unwrap().trim().is_empty(), "an empty line");
            vec!["/bin/sh", "-c", line.as_str().unwrap()]
        }
        both_or_none => panic!("run and shell: {both_or_none:?}"),
    };
    let (program, arguments) = words.split_first().unwrap();
    assert_eq!(command.program, *program);
    assert_eq!(command.arguments, arguments);
    assert!(!program.is_empty() && (program.starts_with('/') || !program.contains('/')));
    assert!(words.iter().all(|word| !word.contains('\0')), "{words:?} would end early");
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
