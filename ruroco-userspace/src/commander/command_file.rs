//! Reading `commands.toml`: raw text to checked [`Commands`], or an error with file, line and what
//! to write. Whatever is found out here cannot go wrong when a knock comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::unistd::Group;
use ruroco_common::command::CommandHash;
use rustix::process::{getgid, getuid};
use serde::Deserialize;
use toml::Spanned;

use super::{
    commands::{Command, Commands, collision},
    keys::Keys,
};
use crate::{
    toml_file::{Error, Source},
    users,
};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    commands: BTreeMap<Spanned<String>, RawCommand>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table with `run` or `shell`, as in [commands.open_port]"
)]
struct RawCommand {
    run: Option<Spanned<Vec<Spanned<String>>>>,
    shell: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    group: Option<Spanned<String>>,
    timeout: Option<Spanned<u64>>,
    cwd: Option<Spanned<PathBuf>>,
    #[serde(default)]
    env: BTreeMap<Spanned<String>, Spanned<String>>,
    keys: Option<Spanned<Vec<Spanned<String>>>>,
}

/// Reads and checks the file; commands may name the given keys.
///
/// # Errors
/// [`Error`] with file, line and what to write instead.
pub fn read(path: &Path, keys: &Keys) -> Result<Commands, Error> {
    check(&Source::read(path)?, keys)
}

/// Checks a file that has been read.
///
/// # Errors
/// [`Error::Content`] with file, line and what to write instead.
pub fn check(file: &Source, keys: &Keys) -> Result<Commands, Error> {
    let raw: Raw = file.parse()?;
    if raw.commands.is_empty() {
        return Err(file.missing(format!("there is no command; write {EXAMPLE}")));
    }
    let names = raw.commands.keys().map(|name| (CommandHash::of(name.get_ref()), name));
    if let Some((a, b)) = collision(names) {
        let later = a.span().start.max(b.span().start);
        let message = format!(
            "`{}` and `{}` have the same hash, so no knock could say which is meant; rename one",
            a.get_ref(),
            b.get_ref(),
        );
        return Err(file.error(later..later, message));
    }
    let checker = Checker { file, keys };
    raw.commands.into_iter().map(|(name, raw)| checker.command(name, raw)).collect()
}

struct Checker<'a> {
    file: &'a Source,
    keys: &'a Keys,
}

impl Checker<'_> {
    fn command(&self, name: Spanned<String>, raw: RawCommand) -> Result<Command, Error> {
        let (program, arguments) = self.program(&name, raw.run, raw.shell)?;
        let (uid, gid) = self.user_and_group(raw.user.as_ref(), raw.group.as_ref())?;
        let command = Command {
            program,
            arguments,
            uid,
            gid,
            timeout: self.timeout(raw.timeout)?,
            cwd: self.cwd(raw.cwd)?,
            env: self.env(raw.env)?,
            keys: raw.keys.map(|keys| self.keys(&keys)).transpose()?,
            name: self.name(name)?,
        };
        Ok(command)
    }

    fn name(&self, name: Spanned<String>) -> Result<String, Error> {
        // It is printed in log lines and passed in the environment.
        if name.get_ref().is_empty() || name.get_ref().contains(char::is_control) {
            let message = "a command's name must not be empty or have control characters";
            return Err(self.file.error(name.span(), message));
        }
        Ok(name.into_inner())
    }

    fn program(
        &self,
        name: &Spanned<String>,
        run: Option<Spanned<Vec<Spanned<String>>>>,
        shell: Option<Spanned<String>>,
    ) -> Result<(String, Vec<String>), Error> {
        match (run, shell) {
            (Some(run), None) => self.run(run),
            (None, Some(line)) => {
                let span = line.span();
                let line = self.text(line)?;
                if line.trim().is_empty() {
                    return Err(self.file.error(span, "`shell` is empty; write a shell command"));
                }
                Ok((SHELL.to_owned(), vec!["-c".to_owned(), line]))
            }
            (Some(_), Some(shell)) => {
                Err(self.file.error(shell.span(), "`run` and `shell` are both there; keep one"))
            }
            (None, None) => Err(self.file.error(
                name.span(),
                format!(
                    "`{}` has neither `run` nor `shell`; write, for example, \
                     run = [\"/usr/local/bin/open-port\"]",
                    name.get_ref(),
                ),
            )),
        }
    }

    fn run(&self, run: Spanned<Vec<Spanned<String>>>) -> Result<(String, Vec<String>), Error> {
        let span = run.span();
        let mut words = run.into_inner().into_iter();
        let program = words.next().map(|program| self.text(program)).transpose()?;
        let Some(program) = program.filter(|program| !program.is_empty()) else {
            let message = "`run` names no program; write the program and its arguments, for \
                           example, run = [\"/usr/sbin/nft\", \"-f\", \"/etc/open.nft\"]";
            return Err(self.file.error(span, message));
        };
        if program.contains('/') && !program.starts_with('/') {
            let message = format!("`{program}` depends on a directory; write its whole path");
            return Err(self.file.error(span, message));
        }
        let arguments = words.map(|word| self.text(word)).collect::<Result<_, _>>()?;
        Ok((program, arguments))
    }

    /// A text to hand to the kernel, for which a NUL character is an end.
    fn text(&self, text: Spanned<String>) -> Result<String, Error> {
        match text.get_ref().contains('\0') {
            true => Err(self.file.error(text.span(), "a NUL character cannot be passed on")),
            false => Ok(text.into_inner()),
        }
    }

    /// A user brings the primary group along; a group of its own overrides that.
    fn user_and_group(
        &self,
        user: Option<&Spanned<String>>,
        group: Option<&Spanned<String>>,
    ) -> Result<(Option<u32>, Option<u32>), Error> {
        let (mut uid, mut gid) = (None, None);
        if let Some(name) = user {
            let user = users::find(name.get_ref())
                .map_err(|error| self.file.error(name.span(), format!("{error:#}")))?;
            uid = Some(user.uid.as_raw());
            gid = Some(user.gid.as_raw());
            self.can_become(name, uid == Some(getuid().as_raw()))?;
        }
        if let Some(name) = group {
            gid = Some(self.group(name)?);
        }
        if let Some(name) = group.or(user) {
            self.can_become(name, gid == Some(getgid().as_raw()))?;
        }
        Ok((uid, gid))
    }

    fn group(&self, name: &Spanned<String>) -> Result<u32, Error> {
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
    fn can_become(&self, name: &Spanned<String>, is_own: bool) -> Result<(), Error> {
        if is_own || getuid().is_root() {
            return Ok(());
        }
        let message = format!(
            "the commander does not run as root and cannot become `{}`; leave it out",
            name.get_ref()
        );
        Err(self.file.error(name.span(), message))
    }

    fn timeout(&self, timeout: Option<Spanned<u64>>) -> Result<Duration, Error> {
        let timeout = timeout.unwrap_or_else(|| Spanned::new(0..0, DEFAULT_TIMEOUT));
        match *timeout.get_ref() {
            seconds @ 1..=MAX_TIMEOUT => Ok(Duration::from_secs(seconds)),
            _ => Err(self.file.error(
                timeout.span(),
                format!("`timeout` is in seconds; write a number between 1 and {MAX_TIMEOUT}"),
            )),
        }
    }

    fn cwd(&self, cwd: Option<Spanned<PathBuf>>) -> Result<PathBuf, Error> {
        let Some(cwd) = cwd else { return Ok("/".into()) };
        let has_nul = cwd.get_ref().as_os_str().as_encoded_bytes().contains(&0);
        match cwd.get_ref().is_absolute() && !has_nul {
            true => Ok(cwd.into_inner()),
            false => Err(self.file.error(cwd.span(), "`cwd` must be a whole path, from / on")),
        }
    }

    fn env(
        &self,
        env: BTreeMap<Spanned<String>, Spanned<String>>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let variable = |(name, value): (Spanned<String>, Spanned<String>)| {
            let span = name.span();
            let name = self.text(name)?;
            if name.is_empty() || name.contains('=') {
                let message = format!("`{name}` cannot be the name of a variable");
                return Err(self.file.error(span, message));
            }
            if name.starts_with(OWN_VARIABLES) {
                let message = format!("{OWN_VARIABLES}* is set by the commander; choose another");
                return Err(self.file.error(span, message));
            }
            Ok((name, self.text(value)?))
        };
        env.into_iter().map(variable).collect()
    }

    fn keys(
        &self,
        names: &Spanned<Vec<Spanned<String>>>,
    ) -> Result<BTreeSet<ruroco_common::datagram::KeyId>, Error> {
        let span: Range<usize> = names.span();
        if names.get_ref().is_empty() {
            let message = "`keys` is empty, so nobody could call this; name a key, or leave `keys` \
                           out to let every key call it";
            return Err(self.file.error(span, message));
        }
        let id = |name: &Spanned<String>| {
            self.keys.id(name.get_ref()).ok_or_else(|| {
                let message = format!("there is no key file {}.key in config_dir", name.get_ref());
                self.file.error(name.span(), message)
            })
        };
        names.get_ref().iter().map(id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_common::datagram::KeyId;
    use std::{fs, os::unix::fs::PermissionsExt};

    const LAPTOP: KeyId = KeyId([1; 8]);

    fn check(text: &str) -> Result<Commands, String> {
        let keys = [(LAPTOP, "laptop"), (KeyId([2; 8]), "phone")].into_iter().collect();
        super::check(&Source::new("/commands.toml", text), &keys).map_err(|error| error.to_string())
    }

    fn command(text: &str) -> std::sync::Arc<Command> {
        let commands = check(text).unwrap();
        std::sync::Arc::clone(commands.get(CommandHash::of("x")).unwrap())
    }

    #[test]
    fn one_line_is_a_whole_command() {
        let command = command("[commands.x]\nrun = [\"/bin/echo\", \"a b\", \"$HOME\", \"\"]\n");
        assert_eq!(command.program, "/bin/echo");
        assert_eq!(command.arguments, ["a b", "$HOME", ""]);
        assert_eq!((command.uid, command.gid), (None, None));
        assert_eq!((command.timeout.as_secs(), command.cwd.as_path()), (30, Path::new("/")));
        assert!(command.env.is_empty() && command.keys.is_none());
    }

    #[test]
    fn every_field_arrives() {
        let who = match getuid().is_root() {
            true => "user = \"root\"\ngroup = \"root\"\n",
            false => "",
        };
        let command = command(&format!(
            "[commands.x]\nshell = \"echo $RUROCO_IP\"\ntimeout = 86400\ncwd = \"/tmp\"\n\
             env = {{ LANG = \"C\", EMPTY = \"\" }}\nkeys = [\"laptop\"]\n{who}"
        ));
        assert_eq!(command.program, "/bin/sh");
        assert_eq!(command.arguments, ["-c", "echo $RUROCO_IP"]);
        assert_eq!((command.timeout.as_secs(), command.cwd.as_path()), (86_400, Path::new("/tmp")));
        assert_eq!(command.env["LANG"], "C");
        assert_eq!(command.env["EMPTY"], "");
        assert!(command.allows(LAPTOP) && !command.allows(KeyId([2; 8])));
        if getuid().is_root() {
            assert_eq!((command.uid, command.gid), (Some(0), Some(0)));
        }
    }

    #[test]
    fn every_mistake_names_its_line_and_the_remedy() {
        let good = "[commands.x]\nrun = [\"true\"]\n";
        for (text, line, told) in [
            ("usr = \"root\"\n", 3, "did you mean `user`?"),
            ("run = [\"true\"]\n", 3, "duplicate key"),
            ("shell = \"true\"\n", 3, "`run` and `shell` are both there"),
            ("user = \"no-such-user\"\n", 3, "useradd --system"),
            ("user = \"\"\n", 3, "there is no user"),
            ("group = \"no-such-group\"\n", 3, "groupadd --system no-such-group"),
            ("timeout = 0\n", 3, "between 1 and 86400"),
            ("timeout = 86401\n", 3, "between 1 and 86400"),
            ("timeout = 18446744073709551616\n", 3, ""),
            ("timeout = -1\n", 3, "expected u64"),
            ("timeout = 1.5\n", 3, "expected u64"),
            ("cwd = \"tmp\"\n", 3, "from / on"),
            ("cwd = \"/t\\u0000mp\"\n", 3, "from / on"),
            ("[commands.x.env]\nA = \"1\"\nRUROCO_IP = \"::\"\n", 5, "set by the commander"),
            ("[commands.x.env]\n\"A=B\" = \"1\"\n", 4, "cannot be the name"),
            ("[commands.x.env]\n\"\" = \"1\"\n", 4, "cannot be the name"),
            ("[commands.x.env]\nA = \"\\u0000\"\n", 4, "NUL"),
            ("[commands.x.env]\nA = 1\n", 4, "expected a string"),
            ("keys = []\n", 3, "leave `keys` out"),
            ("keys = [\"laptop\",\n\"tablet\"]\n", 4, "no key file tablet.key"),
            ("[commands.x]\nrun = [\"true\"]\n", 3, "duplicate key"),
            ("[commands.y]\n", 3, "neither `run` nor `shell`"),
            ("[commands.y]\nrun = []\n", 4, "names no program"),
            ("[commands.y]\nrun = [\"\"]\n", 4, "names no program"),
            ("[commands.y]\nrun = [\"bin/true\"]\n", 4, "whole path"),
            ("[commands.y]\nrun = [\"true\",\n\"\\u0000\"]\n", 5, "NUL"),
            ("[commands.y]\nrun = \"true\"\n", 4, "expected a sequence"),
            ("[commands.y]\nshell = \" \"\n", 4, "`shell` is empty"),
            ("[commands.\"a\\nb\"]\nrun = [\"true\"]\n", 3, "control characters"),
            ("[commands.\"\"]\nrun = [\"true\"]\n", 3, "must not be empty"),
            ("[command.y]\nrun = [\"true\"]\n", 3, "did you mean `commands`?"),
        ] {
            let error = check(&format!("{good}{text}")).unwrap_err();
            assert!(error.starts_with(&format!("/commands.toml:{line}: ")), "{text}: {error}");
            assert!(error.contains(told), "{text}: {error}");
        }
        for (text, line, told) in [
            ("", 1, "there is no command"),
            ("[commands]\n", 1, "there is no command"),
            ("[commands]\nx = \"true\"\n", 2, "as in [commands.open_port]"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.starts_with(&format!("/commands.toml:{line}: ")), "{text}: {error}");
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_that_others_can_write_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("commands.toml");
        fs::write(&path, "[commands.x]\nrun = [\"true\"]\n").unwrap();
        let read_with_mode = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read(&path, &Keys::default()).map_err(|error| error.to_string())
        };
        assert!(read_with_mode(0o644).is_ok());
        for mode in [0o620, 0o602, 0o666] {
            let error = read_with_mode(mode).unwrap_err();
            assert!(error.contains("chmod go-w"), "{error}");
        }
    }
}
