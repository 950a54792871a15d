//! Writing a host into `client.toml`. A value that does not change keeps its comments.

use ruroco_invite::{
    destination::Family,
    door::{Door, Doors},
};
use ruroco_keys::command_name::DEFAULT_COMMAND;
use toml_edit::{Array, Item, Table, Value, value};

use super::{
    Host,
    fields::{self, DOORS, door_fields},
};

/// Sets every field of a host. Fields with their default value are left out.
pub(super) fn write_host(table: &mut dyn toml_edit::TableLike, host: &Host) {
    let Host {
        address,
        family,
        all_addresses,
        key,
        command,
        commands,
        confirm,
        wait,
        doors,
        connect,
        ip,
        permissive,
    } = host;
    let is_one = commands.is_empty();
    let all: Array = host.all_commands().collect();
    let confirmed: Array = confirm.iter().collect();
    let fields: [(&str, Option<Value>); 11] = [
        (fields::ADDRESS.name, Some(address.to_string().into())),
        (fields::KEY.name, Some(key.to_string().into())),
        (fields::COMMAND.name, (is_one && command != DEFAULT_COMMAND).then(|| command.into())),
        (fields::COMMANDS.name, (!is_one).then_some(all.into())),
        (fields::CONFIRM.name, (!confirm.is_empty()).then_some(confirmed.into())),
        (fields::WAIT.name, wait.map(|port| i64::from(port.get()).into())),
        (fields::CONNECT.name, connect.as_ref().map(Value::from)),
        (fields::IP.name, ip.map(|ip| ip.to_string().into())),
        (fields::PERMISSIVE.name, permissive.then_some(true.into())),
        (fields::FAMILY.name, (*family != Family::Any).then(|| family.field().into())),
        (fields::ALL_ADDRESSES.name, all_addresses.then_some(true.into())),
    ];
    write_fields(table, fields);
    write_doors(table, doors);
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
