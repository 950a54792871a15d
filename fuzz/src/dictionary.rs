//! The dictionaries of the configuration files: every field with its default, and what may stand within a line.

use std::fmt::Write;

use ruroco_client::profiles::fields as client;
use ruroco_config::fields;
use ruroco_files::toml_file::field::{Info, Shown};

/// What may stand within a line of any of the files.
const WITHIN: &str = r##""\"192.0.2.1\""
"\"::1\""
"\"laptop\""
"\"root\""
"\"/bin/true\""
"RUROCO_"
", \"eth1\""
"65535"
"86400"
"\"24h\""
"\\u0000"
"\\u0085"
"\\n"
"\"\"\""
"'''"
"true"
"1979-05-27T07:32:00Z"
"{ "
" }"
"# "
"\x0d\x0a"
"##;

/// Writes a dictionary.
type Text = fn() -> String;

/// The name of each dictionary, and its content.
pub const DICTIONARIES: [(&str, Text); 3] = [
    ("config", || of(&[fields::top(), fields::gate(), fields::key(), fields::door()].concat())),
    ("client_toml", || of(&[client::host(), client::door_fields::door_of_host()].concat())),
    ("commands", || {
        use ruroco_commands::{fields, notify};
        of(&[fields::command(), notify::fields::notify()].concat())
    }),
];

/// A dictionary with these fields.
fn of(fields: &[Info]) -> String {
    let mut text =
        String::from("# Written by `cargo run --package ruroco-fuzz --example seeds`.\n");
    for field in fields {
        let value = match &field.default {
            Shown::Value(value) => value,
            Shown::Required | Shown::Words(_) => "",
        };
        let line = format!("{} = {value}", field.name).replace('"', "\\\"");
        let _ = writeln!(text, "\"{line}\"");
    }
    text + WITHIN
}
