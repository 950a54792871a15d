//! The reference of all fields of the configuration files in the book, out of the definitions that the
//! programs read the files by.

use std::fmt::Write;

use ruroco_client::profiles::fields as client;
use ruroco_commands::{fields as commands, notify::fields as notify};
use ruroco_config::fields as config;
use ruroco_files::toml_file::field::{Change, Info, Shown};

/// Name of the page.
pub(crate) const PAGE: &str = "configuration.md";

const BEGINNING: &str = "\
# Fields of the configuration files

[Configuration](../configuration.md) explains how a host uses its files, and [Clients](../../start/clients.md#clienttoml)
how a client uses `client.toml`. You may leave out every field that is not required.

This page is written by `cargo run -p ruroco-manual -- --docs docs/operate/reference`, and a test fails if it is
out of date.
";

/// The page.
pub(crate) fn page() -> String {
    let mut page = BEGINNING.to_owned();
    for (title, fields) in [
        ("config.toml", config::top()),
        ("[gate] in config.toml", config::gate()),
        ("[keys.NAME] in config.toml", config::key()),
        ("[doors.NAME] in config.toml", config::door()),
        ("[commands.NAME] in commands.toml", commands::command()),
        ("[notify] in commands.toml", notify::notify()),
        ("[hosts.NAME] in client.toml", client::host()),
        ("[hosts.NAME.doors.NAME] in client.toml", client::door_fields::door_of_host()),
    ] {
        let _ = write!(
            page,
            "\n## Fields of {title}\n\n| field | value | default | meaning |\n|---|---|---|---|\n"
        );
        for field in fields {
            let _ = writeln!(page, "{}", row(&field));
        }
    }
    page
}

fn row(field: &Info) -> String {
    let default = match &field.default {
        Shown::Required => "required".to_owned(),
        Shown::Words(words) => (*words).to_owned(),
        Shown::Value(value) => format!("`{value}`"),
    };
    let change = match field.change {
        Change::Reload => String::new(),
        Change::Restart(daemons) => {
            let programs: Vec<_> = daemons.iter().map(|daemon| daemon.program()).collect();
            format!(" To change it, restart {}.", programs.join(", "))
        }
    };
    let kind = quoted(&field.kind);
    format!("| `{}` | {kind} | {default} | {}{change} |", field.name, field.doc.trim())
}

/// A kind of value with its literal values as code.
fn quoted(kind: &str) -> String {
    let part = |(at, part): (usize, &str)| match at % 2 {
        0 => part.to_owned(),
        _ => format!("`\"{part}\"`"),
    };
    kind.split('"').enumerate().map(part).collect()
}
