//! Writing a host into `client.toml`. A value that does not change keeps its comments.

use ruroco_invite::door::{Door, Doors};
use toml_edit::{Array, Item, Table, Value, value};

use super::{
    Host,
    field_values::{FieldValue, HostField},
    fields::{DOORS, door_fields},
};

/// Sets every field of a host. Fields with their default value are left out.
pub(super) fn write_host(table: &mut dyn toml_edit::TableLike, host: &Host) {
    for HostField { name, value, is_default, .. } in host.fields() {
        let value = match value {
            FieldValue::Doors(doors) => {
                write_doors(table, doors);
                continue;
            }
            FieldValue::Nothing => None,
            FieldValue::Flag(flag) => Some(flag.into()),
            FieldValue::Number(number) => Some(i64::from(number).into()),
            FieldValue::Text(text) => Some(text.into()),
            FieldValue::Texts(texts) => Some(texts.into_iter().collect::<Array>().into()),
        };
        write_fields(table, [(name, value.filter(|_| !is_default))]);
    }
}

/// Sets the doors of a host, and removes those that it does not have.
fn write_doors(host: &mut dyn toml_edit::TableLike, doors: &Doors) {
    if doors.is_empty() {
        host.remove(DOORS);
        return;
    }
    let new = || {
        let mut doors = Table::new();
        // [hosts.home.doors.ssh] needs no line [hosts.home.doors] above it.
        doors.set_implicit(true);
        Item::Table(doors)
    };
    let Some(tables) = host.entry(DOORS).or_insert_with(new).as_table_like_mut() else { return };
    let old: Vec<String> = tables.iter().map(|(name, _)| name.to_owned()).collect();
    let is_left = |name: &&String| doors.keys().any(|door| door.to_string() == **name);
    old.iter().filter(|name| !is_left(name)).for_each(|name| _ = tables.remove(name));
    for (name, Door { port, duration, open, close }) in doors {
        let table = tables.entry(&name.to_string()).or_insert_with(|| Item::Table(Table::new()));
        let Some(table) = table.as_table_like_mut() else { continue };
        write_fields(
            table,
            [
                (door_fields::PORT.name, Some(port.to_string().into())),
                (door_fields::FOR.name, Some(format!("{}s", duration.as_secs()).into())),
                (door_fields::OPEN.name, one_or_more(open)),
                (door_fields::CLOSE.name, one_or_more(close)),
            ],
        );
    }
}

/// One text, or a list.
fn one_or_more(texts: &[String]) -> Option<Value> {
    match texts {
        [] => None,
        [one] => Some(one.into()),
        several => Some(several.iter().collect::<Array>().into()),
    }
}

/// Sets fields, and removes those without a value.
fn write_fields<const COUNT: usize>(
    table: &mut dyn toml_edit::TableLike,
    fields: [(&str, Option<Value>); COUNT],
) {
    for (name, field) in fields {
        match field {
            // An unchanged value keeps its comments.
            Some(new) => {
                let old = table.get(name).and_then(Item::as_value).map(bare);
                if old != Some(bare(&new)) {
                    table.insert(name, value(new));
                }
            }
            None => _ = table.remove(name),
        }
    }
}

/// A value without the white space and comments around it.
fn bare(value: &Value) -> String {
    value.clone().decorated("", "").to_string()
}
