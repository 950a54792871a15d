//! From this process's arguments to its exit code. The arguments are checked for secrets before clap parses
//! them, because clap's error messages repeat the arguments that it rejects.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use ruroco_messages::redaction::{Kind, secret_in};
use {ruroco_command_line, ruroco_command_line::completion};

use super::{Cli, Exit, print_note, run};

/// The arguments after this one belong to another program.
const END_OF_OPTIONS: &str = "--";

/// Parses the arguments of this process and runs the command that they name.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    if let Some(code) = completion::answer::<Cli>(&arguments) {
        return code;
    }
    let ours = arguments.iter().skip(1).take_while(|argument| *argument != END_OF_OPTIONS);
    if let Some(kind) = ours.into_iter().find_map(|argument| secret(argument)) {
        print_note(&format!("Error: {}", advice(kind)));
        return Exit::WrongCommandLine.into();
    }
    match ruroco_command_line::parse::<Cli>(arguments) {
        Ok(cli) => run(cli).into(),
        Err(shown) => shown,
    }
}

fn secret(argument: &OsStr) -> Option<Kind> {
    secret_in(&argument.to_string_lossy())
}

fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Invitation => {
            "Do not put an invitation on the command line: other users can read it there. Run \
             `ruroco-client join` and paste it when prompted."
        }
        Kind::Key | Kind::Fragment => {
            "Do not put a key on the command line: other users can read it there. Run `ruroco-client \
             key import NAME` and paste it when prompted. Then pass NAME instead of the key."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, CommandFactory, Parser};
    use ruroco_messages::redaction::redacted;

    const KEY: &str = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
    const SECRET: &str = "ISIjJCUm";

    /// Texts that the user may have in the clipboard.
    fn secrets() -> [String; 4] {
        let bare = KEY.split(':').nth(1).unwrap();
        let encoded = KEY.replace(':', "%3A").replace('+', "%2B").replace('=', "%3D");
        let invitation = format!("ruroco://203.0.113.5:80?name=home&key={encoded}&command=a");
        [KEY.to_owned(), bare.to_owned(), bare[..54].to_owned(), invitation]
    }

    /// Every position in which a text can appear on the command line of a command and its subcommands.
    fn places(command: &Command, path: &[String], text: &str, found: &mut Vec<Vec<String>>) {
        let line = |more: &[&str]| {
            path.iter()
                .cloned()
                .chain(more.iter().map(|word| (*word).to_owned()))
                .collect::<Vec<_>>()
        };
        found.extend([
            line(&[text]),
            line(&["a", text]),
            line(&["a", "b", text]),
            line(&["a", "b", "c", text]),
        ]);
        found.extend([
            line(&["--", text]),
            line(&[&format!("--{text}")]),
            line(&[&format!("-{text}")]),
        ]);
        for argument in command.get_arguments() {
            if let Some(long) = argument.get_long() {
                found.push(line(&[&format!("--{long}"), text]));
                found.push(line(&[&format!("--{long}={text}")]));
                found.push(line(&["a", &format!("--{long}"), text, "b", "c", "d"]));
            }
            if let Some(short) = argument.get_short() {
                found.push(line(&[&format!("-{short}{text}")]));
                found.push(line(&[&format!("-{short}"), text]));
            }
        }
        for subcommand in command.get_subcommands() {
            let path = [path, &[subcommand.get_name().to_owned()]].concat();
            places(subcommand, &path, text, found);
        }
    }

    #[test]
    fn no_message_about_a_command_line_repeats_a_secret_in_it() {
        let mut repeated = 0;
        for secret in secrets() {
            let mut lines = Vec::new();
            places(&Cli::command(), &["ruroco-client".to_owned()], &secret, &mut lines);
            assert!(lines.len() > 200, "all subcommands: {}", lines.len());
            for line in lines {
                let Err(error) = Cli::try_parse_from(&line) else { continue };
                let message = error.render().to_string();
                repeated += usize::from(message.contains(SECRET));
                let shown = redacted(&message);
                assert!(!shown.contains(SECRET), "{line:?}: {shown}");
            }
        }
        assert!(repeated > 100, "clap repeats what it rejects: {repeated}");
    }

    #[test]
    fn a_secret_is_found_wherever_it_stands_on_the_command_line() {
        let [key, bare, part, invitation] = secrets();
        for (argument, kind) in [
            (key.clone(), Some(Kind::Key)),
            (bare, Some(Kind::Key)),
            (part, None),
            (format!("--key={key}"), Some(Kind::Key)),
            (format!("-k{key}"), Some(Kind::Key)),
            (invitation.clone(), Some(Kind::Invitation)),
            (format!("--name={invitation}"), Some(Kind::Invitation)),
            ("home".to_owned(), None),
        ] {
            assert_eq!(secret(OsStr::new(&argument)), kind, "{argument}");
        }
    }
}
