//! What `--help` prints.

use std::fmt::Write;

use super::{Action, CommandLine, CommandOption};

/// The options of every program.
const HELP_AND_VERSION: [CommandOption; 2] = [
    CommandOption { long: "help", short: Some('h'), help: "Print this help", value: None },
    CommandOption { long: "version", short: Some('V'), help: "Print the version", value: None },
];

impl CommandLine {
    /// The help for the program, or for one of its actions.
    pub fn help(&self, action: Option<&str>) -> String {
        match self.actions.iter().find(|known| Some(known.name) == action) {
            Some(action) => self.help_for_action(action),
            None => self.help_for_program(),
        }
    }

    fn help_for_program(&self) -> String {
        let Self { program, about, details, options, actions } = self;
        let action = if actions.is_empty() { "" } else { " [ACTION]" };
        let mut text = format!("{about}.\n\n{details}\n\nUsage: {program} [OPTIONS]{action}\n");
        let rows = actions.iter().map(|action| (format!("  {}", action.name), action.about));
        list(&mut text, "Actions", rows);
        list_options(&mut text, options);
        text
    }

    fn help_for_action(&self, action: &Action) -> String {
        let Action { name, about, options } = action;
        let mut text = format!("{about}.\n\nUsage: {} {name} [OPTIONS]\n", self.program);
        list_options(&mut text, options);
        text
    }
}

fn list_options(text: &mut String, options: &[CommandOption]) {
    let options = options.iter().chain(&HELP_AND_VERSION);
    let rows = options.map(|option| (names(option), meaning(option)));
    list(text, "Options", rows);
}

/// A list in two columns.
fn list<T: AsRef<str>>(text: &mut String, title: &str, rows: impl Iterator<Item = (String, T)>) {
    let rows: Vec<_> = rows.collect();
    let Some(width) = rows.iter().map(|(left, _)| left.chars().count()).max() else { return };
    let _ = write!(text, "\n{title}:\n");
    for (left, right) in rows {
        let mut lines = right.as_ref().lines();
        let _ = writeln!(text, "{left:width$}  {}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(text, "{:width$}  {line}", "");
        }
    }
}

/// `  -c, --config <PATH>`
fn names(option: &CommandOption) -> String {
    let short = option.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let value = option.value.map(|value| format!(" <{}>", value.name)).unwrap_or_default();
    format!("  {short}--{}{value}", option.long)
}

/// The meaning, and below it the values that are possible.
fn meaning(option: &CommandOption) -> String {
    let Some(value) = option.value else { return option.help.to_owned() };
    if value.choices.is_empty() {
        return format!("{} [default: {}]", option.help, value.default);
    }
    let mut text = option.help.to_owned();
    for (choice, meaning) in value.choices {
        let default = if *choice == value.default { " [default]" } else { "" };
        let _ = write!(text, "\n{choice}: {meaning}{default}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Action, CommandLine, CommandOption, OptionValue};

    #[test]
    fn the_help_lists_every_option_with_its_default_and_every_action() {
        const CONFIG: CommandOption = CommandOption {
            long: "config",
            short: Some('c'),
            help: "Configuration file",
            value: Some(OptionValue { name: "PATH", default: "/x", choices: &[] }),
        };
        const HOW: CommandOption = CommandOption {
            long: "how",
            short: None,
            help: "How",
            value: Some(OptionValue {
                name: "WAY",
                default: "fast",
                choices: &[("slow", "In time"), ("fast", "Now")],
            }),
        };
        let line = CommandLine {
            program: "daemon",
            about: "Do it",
            details: "Again.",
            options: &[CONFIG, HOW],
            actions: &[Action { name: "init", about: "Make it", options: &[CONFIG] }],
        };
        let expected = "\
Do it.

Again.

Usage: daemon [OPTIONS] [ACTION]

Actions:
  init  Make it

Options:
  -c, --config <PATH>  Configuration file [default: /x]
      --how <WAY>      How
                       slow: In time
                       fast: Now [default]
  -h, --help           Print this help
  -V, --version        Print the version
";
        assert_eq!(line.help(None), expected);
        let action = line.help(Some("init"));
        assert!(action.starts_with("Make it.\n\nUsage: daemon init [OPTIONS]\n"), "{action}");
        assert!(action.contains("--config <PATH>") && !action.contains("Actions"), "{action}");
    }
}
