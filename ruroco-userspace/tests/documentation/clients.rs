//! `docs/start/clients.md`: every field of `client.toml` has its row, no row is about another, and a default
//! that is stated is the one in force.

use std::collections::BTreeSet;

use ruroco_client::profiles::Profiles;
use ruroco_files::toml_file::Source;

use super::{listed_words, page, quoted, section, table};

/// A name that no field has.
const NO_FIELD: &str = "zzzz";

/// The shortest good host.
const HOST: &str = "[hosts.h]\naddress = \"a\"\nkey = \"k\"\n";

fn check(text: &str) -> Result<Profiles, String> {
    let checked = Profiles::check(&Source::new("/client.toml", text));
    checked.or_problems().map_err(|problems| problems.to_string())
}

#[test]
fn every_field_has_its_row_and_every_row_its_field() {
    let page = page("start/clients.md");
    let rows = table(section(&page, "## client.toml"));
    let described: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(row[0])).collect();
    let told = check(&format!("{HOST}{NO_FIELD} = 1\n")).unwrap_err();
    let known = told.split("expected one of ").nth(1).unwrap().split(';').next().unwrap();
    assert_eq!(described, quoted(known).into_iter().collect());
}

#[test]
fn every_default_that_is_stated_is_in_force() {
    let page = page("start/clients.md");
    let profiles = check(HOST).unwrap();
    let host = profiles.get("h").unwrap();
    let first = check(&format!("{HOST}commands = [\"x\"]\n")).unwrap();
    assert_eq!(first.get("h").unwrap().command, "x", "the first of `commands`");
    let none = |is_none: bool| if is_none { "none" } else { "something" }.to_owned();
    for row in table(section(&page, "## client.toml")) {
        let in_force = match quoted(row[0])[0] {
            field @ ("address" | "key") => {
                let without: String = HOST
                    .lines()
                    .filter(|line| !line.starts_with(field))
                    .collect::<Vec<_>>()
                    .join("\n");
                assert!(check(&without).is_err(), "{field}");
                "required".to_owned()
            }
            "family" => format!("`\"{}\"`", host.family.field()),
            "all_addresses" => format!("`{}`", host.all_addresses),
            "command" => format!("the first of `commands`, else `\"{}\"`", host.command),
            "commands" => format!("`{:?}`", host.commands),
            "confirm" => format!("`{:?}`", host.confirm),
            "wait" => none(host.wait.is_none()),
            "ip" => none(host.ip.is_none()),
            "permissive" => format!("`{}`", host.permissive),
            other => panic!("say here what {other} is by default"),
        };
        assert_eq!(row[1], in_force, "the default of {}", row[0]);
    }
}

#[test]
fn every_word_that_a_field_takes_is_in_its_row() {
    let page = page("start/clients.md");
    let told = check(&format!("{HOST}family = \"{NO_FIELD}\"\n")).unwrap_err();
    let rows = table(section(&page, "## client.toml"));
    let row = rows.iter().find(|row| row[0] == "`family`").unwrap();
    for word in listed_words(&told) {
        assert!(row[2].contains(&format!("`\"{word}\"`")), "{word}: {row:?}");
    }
}

#[test]
fn the_example_is_one() {
    let page = page("start/clients.md");
    let text = section(&page, "## client.toml").split("```toml\n").nth(1).unwrap();
    let profiles = check(text.split("```").next().unwrap()).unwrap();
    assert!(profiles.get("home").is_some());
}
