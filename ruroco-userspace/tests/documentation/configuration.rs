//! `docs/operate/configuration.md`: every field that the programs know has its row, no row is about another,
//! and a default that is stated is the one in force.

use std::collections::{BTreeMap, BTreeSet};

use ruroco_commands::{command_file, commands::Commands, keys::Keys};
use ruroco_common::command::CommandHash;
use ruroco_config::{Appearance, Config};
use ruroco_files::toml_file;

use super::{listed_words, page, quoted, section, tables};

const PAGE: &str = "operate/configuration.md";

/// A name that no field has.
const NO_FIELD: &str = "zzzz";

/// The shortest good configuration, and the shortest good commands.
const CONFIG: &str = "addresses = [\"192.0.2.1\"]\ngate.interfaces = [\"eth0\"]\n";
const COMMANDS: &str = "[commands.x]\nrun = [\"true\"]\n";

/// How these files are read stands here once.
fn config(text: &str) -> Result<Config, String> {
    let checked = Config::check(toml_file::Source::new("/config.toml", text));
    checked.or_problems().map_err(|problems| problems.to_string())
}

fn commands(text: &str) -> Result<Commands, String> {
    let file = toml_file::Source::new("/commands.toml", text);
    let checked = command_file::check(&file, Some(&Keys::default()));
    checked.or_problems().map_err(|problems| problems.to_string())
}

#[test]
fn every_field_has_its_row_and_every_row_its_field() {
    let page = page(PAGE);
    let shared = section(&page, "## config.toml");
    let [top, gate, key] = rows_of(shared);
    let [command, variables] = rows_of(section(&page, "## commands.toml"));

    let no_field = format!("{NO_FIELD} = 1\n");
    let fields = |error: Option<String>| known_names(&error.expect("a field that nobody knows"));
    let in_config = |start: &str| fields(config(&format!("{start}{no_field}")).err());

    // What is a table of its own is introduced by its head.
    let (tables, values): (BTreeSet<String>, BTreeSet<String>) =
        in_config("").into_iter().partition(|name| shared.contains(&format!("`[{name}")));
    assert_eq!(tables.len(), 2, "{tables:?}");
    assert_eq!(names(&top), values);
    assert_eq!(names(&gate), in_config("addresses = [\"192.0.2.1\"]\n[gate]\n"));
    assert_eq!(names(&key), in_config(&format!("{CONFIG}[keys.laptop]\n")));
    assert_eq!(names(&command), fields(commands(&format!("{COMMANDS}{no_field}")).err()));
    assert!(names(&variables).iter().all(|name| name.starts_with("RUROCO_")), "{variables:?}");
}

#[test]
fn every_word_that_a_field_takes_is_in_its_row() {
    let page = page(PAGE);
    let [top, gate, _] = rows_of(section(&page, "## config.toml"));
    for (rows, name, start) in
        [(&top, "source", ""), (&gate, "mode", "gate."), (&gate, "appearance", "gate.")]
    {
        let error = config(&format!("{start}{name} = \"{NO_FIELD}\"\n{CONFIG}")).unwrap_err();
        let row = &rows.iter().find(|(field, _)| field == name).expect(name).1;
        for word in listed_words(&error) {
            assert!(row.join(" ").contains(&format!("`\"{word}\"`")), "{name}: {word}: {row:?}");
        }
    }
}

#[test]
fn every_default_that_is_stated_is_in_force() {
    let config = config(CONFIG).unwrap();
    let commands = commands(COMMANDS).unwrap();
    let command = commands.get(CommandHash::of("x")).unwrap();
    let text = |value: &dyn std::fmt::Display| format!("\"{value}\"");
    let closed = self::config(&format!("{CONFIG}gate.appearance = \"closed\"")).unwrap();
    let Appearance::Closed { max_passed_per_second } = closed.gate.appearance else {
        panic!("asked to look closed: {:?}", closed.gate.appearance)
    };
    assert!(command.keys.is_none() && config.rules_of("laptop").is_none(), "\"all\"");
    assert_eq!(config.address.to_string(), format!("[::]:{}", config.port));
    assert_eq!((command.uid, command.gid), (None, None), "\"root\"");
    // As it stands in the page; what is not a value is in words.
    let in_force: BTreeMap<&str, String> = [
        ("ips", "required".to_owned()),
        ("port", format!("the port of `address`, else {}", config.port)),
        ("source", text(&format!("{:?}", config.source).to_lowercase())),
        ("address", text(&"[::]:PORT")),
        ("config_dir", text(&config.config_dir.display())),
        ("blocklist_dir", text(&config.blocklist_dir.display())),
        ("socket_dir", text(&config.socket_dir.display())),
        ("audit_dir", text(&config.audit_dir.display())),
        ("socket_user", text(&config.socket_user)),
        ("socket_group", String::new()),
        ("allow_non_routable_ips", config.allow_non_routable_ips.to_string()),
        ("cmd", String::new()),
        ("timeout_sec", command.timeout.as_secs().to_string()),
        ("max_requests_per_second", config.max_requests_per_second.to_string()),
        ("max_requests_per_second_global", config.max_requests_per_second_global.to_string()),
        ("max_clock_skew_seconds", config.max_clock_skew.as_secs().to_string()),
        ("interfaces", "required".to_owned()),
        ("mode", text(&format!("{:?}", config.gate.mode).to_lowercase())),
        ("pin_dir", text(&config.gate.pin_dir.display())),
        ("appearance", text(&config.gate.appearance.name())),
        ("max_passed_per_second", max_passed_per_second.to_string()),
        ("commands", "all".to_owned()),
        ("run", String::new()),
        ("shell", String::new()),
        ("user", "root, or the user's group".to_owned()),
        ("group", "root, or the user's group".to_owned()),
        ("timeout", command.timeout.as_secs().to_string()),
        ("cwd", command.cwd.display().to_string()),
        ("env", String::new()),
        ("keys", "all".to_owned()),
    ]
    .into();
    let page = page(PAGE);
    let [top, gate, key] = rows_of(section(&page, "## config.toml"));
    let [command, _] = rows_of(section(&page, "## commands.toml"));
    for (field, row) in [top, gate, key, command].iter().flatten() {
        let stated = row[1].strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
        let stated = stated.unwrap_or(row[1]);
        let in_force = in_force.get(field.as_str());
        let in_force = in_force.unwrap_or_else(|| panic!("say here what {field} is by default"));
        assert_eq!(stated, in_force, "the default of {field}");
    }
}

/// A field, and its row in the page.
type Row<'a> = (String, Vec<&'a str>);

/// The rows of all tables in a part of the page, by field.
fn rows_of<const TABLES: usize>(section: &str) -> [Vec<Row<'_>>; TABLES] {
    let tables = tables(section).into_iter().map(|rows| {
        let rows = rows.into_iter().flat_map(|row| {
            quoted(row[0]).into_iter().map(move |field| (field.to_owned(), row.clone()))
        });
        rows.collect()
    });
    let tables: Vec<Vec<Row<'_>>> = tables.collect();
    let count = tables.len();
    tables.try_into().unwrap_or_else(|_| panic!("{count} tables, not {TABLES}: {section}"))
}

fn names(rows: &[Row<'_>]) -> BTreeSet<String> {
    rows.iter().map(|(field, _)| field.clone()).collect()
}

/// The names that a message of `serde`'s lists: unknown field `zzzz`, expected one of `addresses`, `port`.
fn known_names(message: &str) -> BTreeSet<String> {
    let unknown = format!("`{NO_FIELD}`, expected ");
    let line = message.lines().find(|line| line.contains(&unknown));
    let line = line.unwrap_or_else(|| panic!("not about {NO_FIELD}: {message}"));
    let listed = line.split(&unknown).nth(1).unwrap().split(';').next().unwrap();
    quoted(listed).into_iter().map(str::to_owned).collect()
}
