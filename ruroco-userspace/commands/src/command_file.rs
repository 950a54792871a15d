//! Reading `commands.toml`: text to checked [`Commands`]. All errors are reported with file, line and
//! correction. An error that is found here cannot happen when a knock arrives.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
};

use nix::unistd::Group;
use ruroco_common::{command::CommandHash, datagram::KeyId};
use ruroco_config::Config;
use ruroco_files::toml_file::{
    Source, look_alike, nearest,
    table::{Table, Taken},
    value::Located,
};
use ruroco_keys::command_name;
use ruroco_messages::problems::{Checked, Problem, Problems};
use ruroco_trust::{trusted_file, trusted_path::Trust, users};
use rustix::process::{getgid, getuid};

use self::notify::NOTIFY;
use super::{
    commands::{Command, Commands, SAFE_PATH, collisions},
    fields,
    keys::Keys,
    program_file::{self, Trouble},
    task::{Program, Task},
};

mod doors;
mod notify;
#[cfg(test)]
mod tests;

/// The program behind `shell = "…"`.
const SHELL: &str = "/bin/sh";

/// Beginning of the names of variables that the commander sets itself.
const OWN_VARIABLES: &str = "RUROCO_";

const EXAMPLE: &str = "\
    [commands.open_port] and below it, for example, run = [\"/usr/local/bin/open-port\"]";

/// The names that commands may use.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The keys.
    pub keys: &'a Keys,
    /// The configuration, for its doors.
    pub config: &'a Config,
}

/// Reads and checks the file. Commands may name keys and doors that are known, or any if it is not known which
/// there are.
pub fn read(path: &Path, known: Option<Known<'_>>) -> Checked<Commands> {
    let mut problems = Problems::default();
    let file = trusted_file::read_toml(path).map_err(|error| match error.is_not_found() {
        true => Problem::error(
            path,
            "not found; run `ruroco init` to create it, or pass --commands PATH",
        ),
        false => error.into(),
    });
    match problems.good(file) {
        Some(file) => check(&file, known),
        None => problems.of_nothing(),
    }
}

/// Checks a file that has been read.
pub fn check(file: &Source, known: Option<Known<'_>>) -> Checked<Commands> {
    let mut problems = Problems::default();
    let Some(mut top) = Table::of_file(file, &mut problems) else { return problems.of_nothing() };
    let named = match top.take_table(COMMANDS, &mut problems) {
        Taken::Is(table) if is_of_upstream(&table.value) => {
            problems.add(file.missing(
                "this file was written for upstream ruroco. Run `ruroco import` to convert it",
            ));
            return problems.of_nothing();
        }
        Taken::Is(mut table) => table.value.take_tables(&mut problems),
        Taken::Absent | Taken::Wrong => Vec::new(),
    };
    let notify = top.take_table(NOTIFY, &mut problems);
    top.reject_unknown(&[], &[COMMANDS, NOTIFY], &mut problems);
    if named.is_empty() && problems.is_empty() {
        problems.add(file.missing(format!("the file contains no command. Write {EXAMPLE}")));
    }
    let names = named.iter().map(|(name, _)| (CommandHash::of(&name.value), name));
    for (a, b) in collisions(names) {
        let later = a.at.start.max(b.at.start);
        let message = format!(
            "`{}` and `{}` have the same hash, so knocks for them are identical. Rename one",
            a.value, b.value,
        );
        problems.add(file.error(later..later, message));
    }
    let mut checker = Checker { file, known, problems };
    let commands =
        named.into_iter().filter_map(|(name, table)| checker.command(&name, table.ok()?.value));
    let commands: Vec<Command> = commands.collect();
    let notify = checker.notify(notify);
    checker.problems.of(Commands::from_iter(commands).with_notify(notify))
}

/// Whether commands are written as upstream ruroco has them: as a line alone, or with its names of fields.
fn is_of_upstream(commands: &Table<'_>) -> bool {
    commands.has_text() || commands.has_within(&["cmd", "timeout_sec"])
}

/// What concerns the program of a command, and nothing else.
const OF_A_PROGRAM: [&str; 5] =
    [fields::USER.name, fields::GROUP.name, fields::TIMEOUT.name, fields::CWD.name, fields::ENV];

/// The table of the commands.
const COMMANDS: &str = "commands";

struct Checker<'a> {
    file: &'a Source,
    known: Option<Known<'a>>,
    problems: Problems,
}

impl Checker<'_> {
    /// A command that can be run, if it is one.
    fn command(&mut self, name: &Located<String>, mut table: Table<'_>) -> Option<Command> {
        let problems = &mut self.problems;
        let run = table.take(&fields::RUN, problems);
        let shell = table.take(&fields::SHELL, problems);
        let [open, close] =
            [&fields::OPEN, &fields::CLOSE].map(|field| table.take(field, problems));
        let place = |field: &&'static str| Some((*field, table.place(field)?));
        let of_a_program: Vec<_> = OF_A_PROGRAM.iter().filter_map(place).collect();
        let [user, group] =
            [&fields::USER, &fields::GROUP].map(|field| table.take(field, problems).ok());
        let timeout = table.take_or_default(&fields::TIMEOUT, problems);
        let cwd = table.take_or_default(&fields::CWD, problems);
        let keys = table.take(&fields::KEYS, problems);
        let env = table.take_table(fields::ENV, problems).ok();
        let env = env.map(|mut env| env.value.take_secret_texts(problems)).unwrap_or_default();
        table.reject_unknown(&fields::command(), &[fields::ENV], problems);

        let has_doors = !open.is_absent() || !close.is_absent();
        let has_program = !run.is_absent() || !shell.is_absent();
        let doors = self.doors(open, close);
        if !has_doors && !has_program {
            self.problems.add(self.nothing_to_do(name));
        } else if !has_program {
            for (field, at) in of_a_program {
                self.problems.add(self.in_vain(field, at));
            }
        }
        let program = self.program(run, shell);
        let user_and_group = self.user_and_group(user.as_ref(), group.as_ref());
        let cwd = cwd.map(|cwd| self.cwd(cwd));
        let env = self.env(env);
        if let (Some(program), Some((uid, _))) = (&program, user_and_group) {
            self.check_program(
                program.at.clone(),
                &program.value,
                uid,
                env.get("PATH").map_or(SAFE_PATH, String::as_str),
            );
        }
        let keys = keys.ok().map(|keys| self.keys(&keys));
        let name = self.good(|checker| checker.name(name));
        let task = Task::new(doors, program.map(|program| program.value))?;
        let (uid, gid) = user_and_group?;
        let (timeout, cwd, name) = (timeout?.value.0, cwd?, name?);
        Some(Command { name, task, uid, gid, timeout, cwd, env, keys })
    }

    /// What is good in what one check finds.
    fn good<T>(&mut self, check: impl FnOnce(&Self) -> Result<T, Problem>) -> Option<T> {
        let result = check(self);
        self.problems.good(result)
    }

    fn name(&self, name: &Located<String>) -> Result<String, Problem> {
        command_name::check(name.value.clone()).map_err(|error| {
            let message = format!("{error}. Use a word, as in [commands.open_port]");
            self.file.error(name.at.clone(), message)
        })
    }

    fn nothing_to_do(&self, name: &Located<String>) -> Problem {
        let message = format!(
            "`{}` has none of `open`, `close`, `run` and `shell`. Set, for example, open = \"ssh\" or run = \
             [\"/usr/local/bin/open-port\"]",
            name.value.escape_debug(),
        );
        self.file.error(name.at.clone(), message)
    }

    /// What is set for a program that does not exist.
    fn in_vain(&self, field: &str, at: Range<usize>) -> Problem {
        let message = match field {
            "timeout" => "`timeout` has no effect without `run` or `shell`. Remove it; to change how long a door is \
                        open, set `for` in its table in config.toml"
                .to_owned(),
            _ => format!("`{field}` has no effect without `run` or `shell`. Remove it"),
        };
        self.file.error(at, message).as_warning()
    }

    fn program(
        &mut self,
        run: Taken<Vec<Located<String>>>,
        shell: Taken<String>,
    ) -> Option<Located<Program>> {
        match (run, shell) {
            (Taken::Is(run), Taken::Absent) => self.run(run),
            (Taken::Absent, Taken::Is(line)) => self.shell(line),
            (Taken::Is(_), Taken::Is(line)) => {
                let message = "a command has either `run` or `shell`. Remove one";
                self.problems.add(self.file.error(line.at, message));
                None
            }
            (Taken::Absent, Taken::Absent) | (Taken::Wrong, _) | (_, Taken::Wrong) => None,
        }
    }

    fn shell(&mut self, line: Located<String>) -> Option<Located<Program>> {
        let span = line.at.clone();
        let line = self.good(|checker| checker.text(line))?;
        if line.trim().is_empty() {
            let message = "`shell` is empty. Set it to a shell command";
            self.problems.add(self.file.error(span, message));
            return None;
        }
        if let Some(look_alike) = look_alike(&line) {
            let message = format!("{look_alike}; sh treats it as part of a word");
            self.problems.add(self.file.error(span.clone(), message).as_warning());
        }
        let arguments = vec!["-c".to_owned(), line];
        Some(Located { value: Program { path: SHELL.to_owned(), arguments }, at: span })
    }

    fn run(&mut self, run: Located<Vec<Located<String>>>) -> Option<Located<Program>> {
        let Located { value: words, at: span } = run;
        let words: Vec<_> =
            words.into_iter().map(|word| self.good(|checker| checker.text(word))).collect();
        let mut words = words.into_iter().collect::<Option<Vec<String>>>()?.into_iter();
        let Some(path) = words.next().filter(|path| !path.is_empty()) else {
            let message = "`run` names no program. Set it to the program and its arguments, for \
                           example, run = [\"/usr/sbin/nft\", \"-f\", \"/etc/open.nft\"]";
            self.problems.add(self.file.error(span, message));
            return None;
        };
        if path.contains('/') && !path.starts_with('/') {
            let message = format!("`{path}` depends on a directory. Use its absolute path");
            self.problems.add(self.file.error(span, message));
            return None;
        }
        Some(Located { value: Program { path, arguments: words.collect() }, at: span })
    }

    /// Makes sure that only root and the command's user can change the program. The first word of a shell
    /// line counts as a program, too.
    fn check_program(
        &mut self,
        span: Range<usize>,
        Program { path: program, arguments }: &Program,
        user: Option<u32>,
        search: &str,
    ) {
        let trust = user.map_or_else(Trust::own, Trust::in_user);
        let first_word = match arguments.as_slice() {
            [_, line] if program == SHELL => {
                let line = line.trim_start();
                line.strip_prefix("exec ").unwrap_or(line).split_whitespace().next()
            }
            _ => None,
        };
        let first_word = first_word.filter(|word| word.starts_with('/'));
        for program in [Some(program.as_str()), first_word].into_iter().flatten() {
            let problem = match program_file::trouble_with(program, search, trust) {
                None => continue,
                Some(Trouble::Unsafe(why)) => self.file.error(span.clone(), why),
                // It may be installed later, or come with a file system that is not mounted yet.
                Some(Trouble::Missing(why)) => self.file.error(span.clone(), why).as_warning(),
            };
            self.problems.add(problem);
        }
        for argument in arguments {
            if let Some(why) = program_file::trouble_with_argument(argument, trust) {
                let message =
                    format!("{program} must not run or take commands from {argument}: {why}");
                self.problems.add(self.file.error(span.clone(), message).as_warning());
            }
        }
    }

    /// A text to hand to the kernel, for which a NUL character is an end.
    fn text(&self, text: Located<String>) -> Result<String, Problem> {
        match text.value.contains('\0') {
            true => Err(self
                .file
                .error(text.at, "a NUL character cannot be passed to a program. Remove it")),
            false => Ok(text.value),
        }
    }

    /// A user brings the primary group along; a group of its own overrides that.
    fn user_and_group(
        &mut self,
        user: Option<&Located<String>>,
        group: Option<&Located<String>>,
    ) -> Option<(Option<u32>, Option<u32>)> {
        let own = user.map(|name| self.good(|checker| checker.user(name)));
        let other = group.map(|name| self.good(|checker| checker.group(name)));
        let own = own.map_or(Some(None), |user| user.map(Some))?;
        let other = other.map_or(Some(None), |group| group.map(Some))?;
        let (uid, gid) = (own.map(|(uid, _)| uid), other.or(own.map(|(_, gid)| gid)));
        if let Some(name) = user {
            self.good(|checker| checker.can_become(name, uid == Some(getuid().as_raw())))?;
        }
        if let Some(name) = group.or(user) {
            self.good(|checker| checker.can_become(name, gid == Some(getgid().as_raw())))?;
        }
        Some((uid, gid))
    }

    fn user(&self, name: &Located<String>) -> Result<(u32, u32), Problem> {
        match users::find(&name.value) {
            Ok(user) => Ok((user.uid.as_raw(), user.gid.as_raw())),
            Err(error) => Err(self.file.error(name.at.clone(), format!("{error:#}"))),
        }
    }

    fn group(&self, name: &Located<String>) -> Result<u32, Problem> {
        let message = match Group::from_name(&name.value) {
            Ok(Some(group)) => return Ok(group.gid.as_raw()),
            Ok(None) => format!(
                "there is no group {name}; create it with: groupadd --system {name}",
                name = &name.value
            ),
            Err(error) => format!("could not look up the group {}: {error}", &name.value),
        };
        Err(self.file.error(name.at.clone(), message))
    }

    /// Only root may run commands as another user. This reports it at the start and not at the first knock.
    fn can_become(&self, name: &Located<String>, is_own: bool) -> Result<(), Problem> {
        if is_own || getuid().is_root() {
            return Ok(());
        }
        let message = format!(
            "the commander does not run as root and cannot become `{}`. Remove the line",
            &name.value
        );
        Err(self.file.error(name.at.clone(), message))
    }

    fn cwd(&mut self, cwd: Located<PathBuf>) -> PathBuf {
        let Located { value: cwd, at } = cwd;
        if !cwd.is_dir() {
            let message = format!(
                "the directory {} does not exist. Create it, or set another",
                cwd.display()
            );
            self.problems.add(self.file.error(at, message).as_warning());
        }
        cwd
    }

    fn env(&mut self, env: Vec<(Located<String>, Located<String>)>) -> BTreeMap<String, String> {
        let variables = env.into_iter().filter_map(|(name, value)| {
            let name = self.good(|checker| checker.variable(name));
            let value = self.good(|checker| checker.value(name.as_deref(), value));
            Some((name?, value?))
        });
        variables.collect()
    }

    /// The value of a variable. A relative element of `PATH` would be looked up in `cwd`, which may contain
    /// an unchecked program.
    fn value(&self, name: Option<&str>, value: Located<String>) -> Result<String, Problem> {
        let span = value.at.clone();
        let value = self.text(value)?;
        let is_relative = |element: &&str| !element.starts_with('/');
        let relative = value.split(':').find(is_relative).filter(|_| name == Some("PATH"));
        match relative {
            None => Ok(value),
            Some(element) => {
                let found = match element {
                    "" => "an empty element, which stands for `cwd`".to_owned(),
                    element => format!("`{element}`, which depends on `cwd`"),
                };
                let message = format!(
                    "`PATH` contains {found}; use absolute paths only, as in PATH = \"/usr/bin:/bin\""
                );
                Err(self.file.error(span, message))
            }
        }
    }

    fn variable(&self, name: Located<String>) -> Result<String, Problem> {
        let span = name.at.clone();
        let name = self.text(name)?;
        if name.is_empty() || name.contains('=') {
            let message = format!(
                "`{name}` is not a valid name of a variable. Write it as in sh, for example LANG"
            );
            return Err(self.file.error(span, message));
        }
        if name.starts_with(OWN_VARIABLES) {
            let message =
                format!("the commander sets {OWN_VARIABLES}* itself. Choose another name");
            return Err(self.file.error(span, message));
        }
        Ok(name)
    }

    fn keys(&mut self, names: &Located<Vec<Located<String>>>) -> BTreeSet<KeyId> {
        if names.value.is_empty() {
            let message = "`keys` is empty, so no key may request this command. Name a key, or remove \
                           `keys` to allow every key";
            self.problems.add(self.file.error(names.at.clone(), message).as_warning());
        }
        let Some(Known { keys, .. }) = self.known else { return BTreeSet::new() };
        let mut ids = BTreeSet::new();
        for name in &names.value {
            match keys.id(&name.value) {
                Some(id) => _ = ids.insert(id),
                // The one problem with it is told already.
                None if keys.is_unusable(&name.value) => {}
                None => {
                    let mut message =
                        format!("there is no key file {}.key in `keys_dir`", &name.value);
                    if let Some(meant) = nearest(&name.value, keys.all_names()) {
                        message = format!("{message}; did you mean `{meant}`?");
                    }
                    self.problems.add(self.file.error(name.at.clone(), message));
                }
            }
        }
        ids
    }
}
