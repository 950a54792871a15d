//! Reading `commands.toml`: raw text to checked [`Commands`], with all that is wrong told by file,
//! line and what to write. Whatever is found out here cannot go wrong when a knock comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::Group;
use ruroco_common::{command::CommandHash, datagram::KeyId};
use ruroco_files::toml_file::{LeftOut, Parsed, Source, look_alike, nearest};
use ruroco_keys::command_name;
use ruroco_messages::problems::{Checked, Problem, Problems};
use ruroco_trust::{trusted_file, trusted_path::Trust, users};
use rustix::process::{getgid, getuid};
use toml::Spanned;

use self::raw::{Raw, RawProgram, RawTable};
use super::{
    commands::{Command, Commands, SAFE_PATH, collisions},
    keys::Keys,
    program_file::{self, Trouble},
};

mod raw;
#[cfg(test)]
mod tests;

/// The program behind `shell = "…"`.
const SHELL: &str = "/bin/sh";

/// Seconds a run may take where `timeout` says nothing.
const DEFAULT_TIMEOUT: u64 = 30;

/// What takes longer than a day is a service, not a command.
const MAX_TIMEOUT: u64 = 86_400;

/// Beginning of the names of variables that the commander sets itself.
const OWN_VARIABLES: &str = "RUROCO_";

const EXAMPLE: &str = "\
    [commands.open_port] and below it, for example, run = [\"/usr/local/bin/open-port\"]";

/// Reads and checks the file; commands may name the given keys, or any if it is not known which
/// there are.
pub fn read(path: &Path, keys: Option<&Keys>) -> Checked<Commands> {
    let mut problems = Problems::default();
    let file = trusted_file::read_toml(path).map_err(|error| match error.is_not_found() {
        true => Problem::error(
            path,
            "not found; run `ruroco init` to create it, or pass --commands PATH",
        ),
        false => error.into(),
    });
    match problems.good(file) {
        Some(file) => check(&file, keys),
        None => problems.of_nothing(),
    }
}

/// Checks a file that has been read.
pub fn check(file: &Source, keys: Option<&Keys>) -> Checked<Commands> {
    let mut problems = Problems::default();
    let Some(Parsed { raw, left_out }) = problems.good_of(file.parse::<Raw>()) else {
        return problems.of_nothing();
    };
    if raw.commands.is_empty() && left_out.is_empty() {
        problems.add(file.missing(format!("there is no command; write {EXAMPLE}")));
    }
    let names = raw.commands.keys().map(|name| (CommandHash::of(name.get_ref()), name));
    for (a, b) in collisions(names) {
        let later = a.span().start.max(b.span().start);
        let message = format!(
            "`{}` and `{}` have the same hash, so no knock could say which is meant; rename one",
            a.get_ref(),
            b.get_ref(),
        );
        problems.add(file.error(later..later, message));
    }
    let mut checker = Checker { file, keys, left_out, problems };
    let commands =
        raw.commands.into_iter().filter_map(|(name, raw)| checker.command(name, RawTable::of(raw)));
    let commands: Vec<Command> = commands.collect();
    checker.problems.of(commands.into_iter().collect())
}

/// A program and its arguments.
type Program = (String, Vec<String>);

/// The one table of the file.
const COMMANDS: &str = "commands";

struct Checker<'a> {
    file: &'a Source,
    keys: Option<&'a Keys>,
    left_out: LeftOut,
    problems: Problems,
}

impl Checker<'_> {
    /// A command that can be run, if it is one.
    fn command(&mut self, name: Spanned<String>, raw: RawTable) -> Option<Command> {
        let programs = [
            raw.run.map(RawProgram::Run),
            raw.shell.map(|line| RawProgram::Shell("shell", line)),
            raw.cmd.map(|line| RawProgram::Shell("cmd", line)),
        ];
        let program = self.program(&name, programs.into_iter().flatten());
        let span = program.as_ref().map(|(span, _)| span.clone());
        let program = program.map(|(_, program)| program);
        let user_and_group = self.user_and_group(raw.user.as_ref(), raw.group.as_ref());
        let timeouts = [("timeout", raw.timeout), ("timeout_sec", raw.timeout_sec)];
        let timeout = self.good(|checker| checker.timeout(timeouts));
        let cwd = self.cwd(raw.cwd);
        let env = self.env(raw.env);
        if let (Some(span), Some(program), Some((uid, _))) = (span, &program, user_and_group) {
            self.check_program(
                span,
                program,
                uid,
                env.get("PATH").map_or(SAFE_PATH, String::as_str),
            );
        }
        let keys = raw.keys.map(|keys| self.keys(&keys));
        let name = self.good(|checker| checker.name(name));
        let ((program, arguments), (uid, gid)) = (program?, user_and_group?);
        let (timeout, cwd, name) = (timeout?, cwd?, name?);
        Some(Command { name, program, arguments, uid, gid, timeout, cwd, env, keys })
    }

    /// What is good in what one check finds.
    fn good<T>(&mut self, check: impl FnOnce(&Self) -> Result<T, Problem>) -> Option<T> {
        let result = check(self);
        self.problems.good(result)
    }

    fn name(&self, name: Spanned<String>) -> Result<String, Problem> {
        let place = name.span();
        command_name::check(name.into_inner()).map_err(|error| {
            self.file.error(place, format!("{error}; write a word, as in [commands.open_port]"))
        })
    }

    fn program(
        &mut self,
        name: &Spanned<String>,
        mut programs: impl Iterator<Item = RawProgram>,
    ) -> Option<(Range<usize>, Program)> {
        let Some(program) = programs.next() else {
            let is_left_out = |field| self.left_out.has(&[COMMANDS, name.get_ref(), field]);
            if !["run", "shell", "cmd"].into_iter().any(is_left_out) {
                let message = format!(
                    "`{}` has neither `run` nor `shell`; write, for example, \
                     run = [\"/usr/local/bin/open-port\"]",
                    name.get_ref(),
                );
                self.problems.add(self.file.error(name.span(), message));
            }
            return None;
        };
        if let Some(other) = programs.next() {
            let message =
                format!("`{}` and `{}` are both there; keep one", program.name(), other.name());
            self.problems.add(self.file.error(other.span(), message));
            return None;
        }
        match program {
            RawProgram::Run(words) => self.run(words),
            RawProgram::Shell(field, line) => {
                let span = line.span();
                let line = self.good(|checker| checker.text(line))?;
                if line.trim().is_empty() {
                    let message = format!("`{field}` is empty; write a shell command");
                    self.problems.add(self.file.error(span, message));
                    return None;
                }
                if let Some(look_alike) = look_alike(&line) {
                    let message = format!("{look_alike}; sh takes it for a part of a word");
                    self.problems.add(self.file.error(span.clone(), message).as_warning());
                }
                Some((span, (SHELL.to_owned(), vec!["-c".to_owned(), line])))
            }
        }
    }

    fn run(&mut self, run: Spanned<Vec<Spanned<String>>>) -> Option<(Range<usize>, Program)> {
        let span = run.span();
        let words: Vec<_> =
            run.into_inner().into_iter().map(|word| self.good(|c| c.text(word))).collect();
        let mut words = words.into_iter().collect::<Option<Vec<String>>>()?.into_iter();
        let Some(program) = words.next().filter(|program| !program.is_empty()) else {
            let message = "`run` names no program; write the program and its arguments, for \
                           example, run = [\"/usr/sbin/nft\", \"-f\", \"/etc/open.nft\"]";
            self.problems.add(self.file.error(span, message));
            return None;
        };
        if program.contains('/') && !program.starts_with('/') {
            let message = format!("`{program}` depends on a directory; write its whole path");
            self.problems.add(self.file.error(span, message));
            return None;
        }
        Some((span, (program, words.collect())))
    }

    /// Makes sure that nobody but root and the user that it runs as can change the program; what a shell
    /// line begins with counts as one, too.
    fn check_program(
        &mut self,
        span: Range<usize>,
        (program, arguments): &Program,
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
    fn text(&self, text: Spanned<String>) -> Result<String, Problem> {
        match text.get_ref().contains('\0') {
            true => Err(self
                .file
                .error(text.span(), "a NUL character cannot be passed on; write it without")),
            false => Ok(text.into_inner()),
        }
    }

    /// A user brings the primary group along; a group of its own overrides that.
    fn user_and_group(
        &mut self,
        user: Option<&Spanned<String>>,
        group: Option<&Spanned<String>>,
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

    fn user(&self, name: &Spanned<String>) -> Result<(u32, u32), Problem> {
        match users::find(name.get_ref()) {
            Ok(user) => Ok((user.uid.as_raw(), user.gid.as_raw())),
            Err(error) => Err(self.file.error(name.span(), format!("{error:#}"))),
        }
    }

    fn group(&self, name: &Spanned<String>) -> Result<u32, Problem> {
        let message = match Group::from_name(name.get_ref()) {
            Ok(Some(group)) => return Ok(group.gid.as_raw()),
            Ok(None) => format!(
                "there is no group {name}; make one with: groupadd --system {name}",
                name = name.get_ref()
            ),
            Err(error) => format!("could not look up the group {}: {error}", name.get_ref()),
        };
        Err(self.file.error(name.span(), message))
    }

    /// Only root may run things as somebody else. Others are told now and not at the first knock.
    fn can_become(&self, name: &Spanned<String>, is_own: bool) -> Result<(), Problem> {
        if is_own || getuid().is_root() {
            return Ok(());
        }
        let message = format!(
            "the commander does not run as root and cannot become `{}`; leave it out",
            name.get_ref()
        );
        Err(self.file.error(name.span(), message))
    }

    fn timeout(
        &self,
        timeouts: [(&'static str, Option<Spanned<u64>>); 2],
    ) -> Result<Duration, Problem> {
        let mut timeouts =
            timeouts.into_iter().filter_map(|(field, timeout)| Some((field, timeout?)));
        let Some((field, timeout)) = timeouts.next() else {
            return Ok(Duration::from_secs(DEFAULT_TIMEOUT));
        };
        if let Some((other, second)) = timeouts.next() {
            let message = format!("`{field}` and `{other}` are both there; keep one");
            return Err(self.file.error(second.span(), message));
        }
        match *timeout.get_ref() {
            seconds @ 1..=MAX_TIMEOUT => Ok(Duration::from_secs(seconds)),
            _ => Err(self.file.error(
                timeout.span(),
                format!("`{field}` is in seconds; write a number between 1 and {MAX_TIMEOUT}"),
            )),
        }
    }

    fn cwd(&mut self, cwd: Option<Spanned<PathBuf>>) -> Option<PathBuf> {
        let Some(cwd) = cwd else { return Some("/".into()) };
        let (span, cwd) = (cwd.span(), cwd.into_inner());
        if !cwd.is_absolute() || cwd.as_os_str().as_encoded_bytes().contains(&0) {
            self.problems.add(self.file.error(span, "`cwd` must be a whole path, from / on"));
            return None;
        }
        if !cwd.is_dir() {
            let message =
                format!("there is no directory {}; make it, or write another", cwd.display());
            self.problems.add(self.file.error(span, message).as_warning());
        }
        Some(cwd)
    }

    fn env(&mut self, env: BTreeMap<Spanned<String>, Spanned<String>>) -> BTreeMap<String, String> {
        let variables = env.into_iter().filter_map(|(name, value)| {
            let name = self.good(|checker| checker.variable(name));
            let value = self.good(|checker| checker.value(name.as_deref(), value));
            Some((name?, value?))
        });
        variables.collect()
    }

    /// The value of a variable. An element of `PATH` that is not absolute would be looked for in `cwd`, and a
    /// program that nobody has checked be found there.
    fn value(&self, name: Option<&str>, value: Spanned<String>) -> Result<String, Problem> {
        let span = value.span();
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

    fn variable(&self, name: Spanned<String>) -> Result<String, Problem> {
        let span = name.span();
        let name = self.text(name)?;
        if name.is_empty() || name.contains('=') {
            let message =
                format!("`{name}` cannot be the name of a variable; write, as in sh, LANG");
            return Err(self.file.error(span, message));
        }
        if name.starts_with(OWN_VARIABLES) {
            let message = format!("{OWN_VARIABLES}* is set by the commander; choose another");
            return Err(self.file.error(span, message));
        }
        Ok(name)
    }

    fn keys(&mut self, names: &Spanned<Vec<Spanned<String>>>) -> BTreeSet<KeyId> {
        if names.get_ref().is_empty() {
            let message = "`keys` is empty, so nobody could call this; name a key, or leave `keys` \
                           out to let every key call it";
            self.problems.add(self.file.error(names.span(), message));
        }
        let Some(keys) = self.keys else { return BTreeSet::new() };
        let mut ids = BTreeSet::new();
        for name in names.get_ref() {
            match keys.id(name.get_ref()) {
                Some(id) => _ = ids.insert(id),
                // The one problem with it is told already.
                None if keys.is_unusable(name.get_ref()) => {}
                None => {
                    let mut message =
                        format!("there is no key file {}.key in config_dir", name.get_ref());
                    if let Some(meant) = nearest(name.get_ref(), keys.all_names()) {
                        message = format!("{message}; did you mean `{meant}`?");
                    }
                    self.problems.add(self.file.error(name.span(), message));
                }
            }
        }
        ids
    }
}
