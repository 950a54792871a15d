//! Converts upstream's `commands.toml`: a command that is a single line becomes a command with `shell`, and
//! `cmd` and `timeout_sec` get their current names.

use ruroco_files::toml_file::Source as File;
use ruroco_messages::problems::Problem;
use toml::de::{DeTable, DeValue};

use super::edit::Edit;

/// The names that fields have upstream, and the ones they have here.
const RENAMED: [(&str, &str); 2] = [("cmd", "shell"), ("timeout_sec", "timeout")];

/// Converts a file: the new text, unless nothing changes, and a line for each of upstream's commands.
///
/// # Errors
/// If it is not TOML.
pub(super) fn convert(file: &File) -> Result<(Option<String>, Vec<String>), Problem> {
    let table = DeTable::parse(file.text())
        .map_err(|error| file.error(error.span().unwrap_or(0..0), error.message()))?;
    let commands = table.get_ref().get("commands").map(|commands| commands.get_ref());
    let mut edit = Edit::of(file.text());
    let mut lines = Vec::new();
    for (name, command) in commands.and_then(DeValue::as_table).into_iter().flatten() {
        let mut show = |line: &str| {
            lines.push(format!("{}: {}", name.get_ref().escape_debug(), line.escape_debug()));
        };
        match command.get_ref() {
            DeValue::String(line) => {
                show(line);
                let at = command.span();
                edit.replace(at.start..at.start, "{ shell = ");
                edit.replace(at.end..at.end, " }");
            }
            DeValue::Table(table) => {
                for (field, value) in table.iter() {
                    let renamed = RENAMED.iter().find(|(old, _)| field.get_ref() == old);
                    if let Some((_, new)) = renamed {
                        edit.replace(field.span(), *new);
                    }
                    if field.get_ref() == "cmd" {
                        show(value.get_ref().as_str().unwrap_or_default());
                    }
                }
            }
            // Not a command: the check of the new text says so.
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {}
        }
    }
    Ok((edit.finish(), lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_commands::command_file;

    #[test]
    fn each_form_of_upstream_becomes_a_command_that_does_the_same() {
        let text = "# mine\n[commands] # all\na = \"echo \\\"$RUROCO_IP\\\"\"\n\
                    b = { cmd = \"true\", timeout_sec = 120 }\nc = '''\ntrue\nfalse'''\n\
                    [commands.d]\ncmd = \"echo ${RUROCO_IP}\"\n";
        let (converted, lines) = convert(&File::new("/commands.toml", text)).unwrap();
        let converted = converted.unwrap();
        assert!(converted.starts_with("# mine\n[commands] # all\na = { shell = "), "{converted}");
        let commands = command_file::check(&File::new("/commands.toml", converted), None);
        let commands = commands.or_problems().unwrap();
        let run = |name: &str| {
            let hash = ruroco_common::command::CommandHash::of(name);
            let command = commands.get(hash).unwrap();
            let program = command.task.program().unwrap();
            (program.arguments[1].clone(), command.timeout.as_secs())
        };
        assert_eq!(run("a"), ("echo \"$RUROCO_IP\"".to_owned(), 30));
        assert_eq!(run("b"), ("true".to_owned(), 120));
        assert_eq!(run("c"), ("true\nfalse".to_owned(), 30));
        assert_eq!(run("d"), ("echo ${RUROCO_IP}".to_owned(), 30));
        assert_eq!(lines.len(), 4);
        assert!(lines.contains(&"b: true".to_owned()), "{lines:?}");
    }

    #[test]
    fn a_file_of_now_is_left_alone() {
        let text = "[commands.x]\nrun = [\"/bin/true\"]\n";
        assert_eq!(convert(&File::new("/commands.toml", text)).unwrap().0, None);
    }
}
