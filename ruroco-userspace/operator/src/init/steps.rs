//! The steps of a first set-up. No step changes existing files.

use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    io::Write,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use ruroco_config::{Config, FLOORS, Source, UPSTREAM_BLOCKLIST};
use ruroco_files::{durable, toml_file::Source as File};
use ruroco_seal::generate_key;
use ruroco_trust::private_directory;

use super::{doors::Doors, units};
use crate::{floors, key};

/// One of the steps, in the order in which they are taken.
#[derive(Debug)]
pub(super) enum Step {
    /// Write `config.toml`.
    Config,
    /// Write a `commands.toml` with a command that only says that it works.
    Commands,
    /// Make the server's floors.
    Floors,
    /// Make the first key, with this name. This comes after the floors: if there are keys but no floors, the
    /// keys may have been used already, and the next attempt would stop there.
    FirstKey(String),
    /// Leave doors open until they are armed.
    Disarm,
    /// Have systemd start everything, now and at each boot.
    Units,
    /// Close the doors for a trial.
    Arm,
}

/// What to set up, and where.
#[derive(Debug)]
pub(super) struct Setup {
    config: PathBuf,
    keys: PathBuf,
    floors: PathBuf,
    /// As whom the server runs.
    user: String,
    source: Source,
    interfaces: Vec<String>,
    ips: Vec<IpAddr>,
    port: u16,
    /// The doors to set up, and not those that an earlier configuration has.
    doors: Doors,
    /// Whether there are doors, old or new.
    has_doors: bool,
    /// Whether there were keys before.
    had_keys: bool,
}

/// What a first `commands.toml` holds.
const COMMANDS: &str = "\
# The commands that accepted knocks may request. More examples: /usr/share/doc/ruroco/examples/commands.toml
[commands.default]
run = [\"/bin/echo\", \"it works\"]
";

impl Setup {
    /// With everything where the package has it.
    pub(super) fn new(
        config: &Path,
        source: Source,
        interfaces: Vec<String>,
        ips: Vec<IpAddr>,
        port: u16,
        doors: Doors,
    ) -> Self {
        Self {
            config: config.to_owned(),
            keys: super::keys_beside(config),
            floors: "/var/lib/ruroco".into(),
            user: "ruroco".to_owned(),
            source,
            interfaces,
            ips,
            port,
            has_doors: !doors.is_empty(),
            doors,
            had_keys: has_keys(&super::keys_beside(config)),
        }
    }

    /// As an earlier configuration says.
    ///
    /// # Errors
    /// If floors of an earlier configuration are left.
    pub(super) fn of_config(path: &Path, config: &Config) -> anyhow::Result<Self> {
        if let Some(problem) = config.check_floors_left_behind() {
            return Err(problem.into());
        }
        Ok(Self {
            config: path.to_owned(),
            keys: config.keys_dir.clone(),
            floors: config.state_dir.clone(),
            user: config.server_user.clone(),
            source: config.source,
            interfaces: config.gate.interfaces.clone(),
            ips: config.addresses.iter().map(|ip| IpAddr::from(*ip)).collect(),
            port: config.port,
            doors: Doors::default(),
            has_doors: !config.doors.is_empty(),
            had_keys: has_keys(&config.keys_dir),
        })
    }

    /// What the operator should know before the new doors close.
    pub(super) fn door_warning(&self) -> Option<String> {
        self.doors.warning()
    }

    /// Makes sure that the daemons would accept the new configuration.
    ///
    /// # Errors
    /// The errors that they would report.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        Config::check(File::new(&self.config, self.text())).or_problems()?;
        Ok(())
    }

    /// Makes sure that the programs are installed that the new configuration needs.
    ///
    /// # Errors
    /// What is missing, and the command that installs it.
    pub(super) fn check_programs(&self) -> anyhow::Result<()> {
        self.doors.check_programs(self.source)
    }

    /// The path of a new key with this name.
    ///
    /// # Errors
    /// If no new key can have this name.
    pub(super) fn key_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        key::new_key_file(&self.keys, name)
    }

    /// Whether there are doors to set up.
    pub(super) fn has_new_doors(&self) -> bool {
        !self.doors.is_empty()
    }

    /// What the first `commands.toml` holds.
    fn commands_text(&self) -> String {
        match self.doors.is_empty() {
            true => COMMANDS.to_owned(),
            false => self.doors.commands_text(),
        }
    }

    /// The configuration, which daemons have from the file that was written.
    fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::read(&self.config).or_problems()?)
    }

    /// Whether the first key is made now.
    pub(super) fn is_first(&self) -> bool {
        !self.had_keys
    }

    fn text(&self) -> String {
        let list = |items: Vec<String>| {
            items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ")
        };
        let mut text = String::from("# `ruroco check` lists the errors in this file.\n");
        let ips = list(self.ips.iter().map(ToString::to_string).collect());
        let _ = writeln!(text, "addresses = [{ips}]\nport = {}", self.port);
        let _ = writeln!(text, "keys_dir = {:?}", self.keys.display().to_string());
        match self.source {
            Source::Xdp => {
                let interfaces = list(self.interfaces.clone());
                let _ = writeln!(text, "\n[gate]\ninterfaces = [{interfaces}]");
            }
            Source::Udp => text.insert_str(0, "source = \"udp\"\n"),
        }
        text.push_str(&self.doors.config_text(self.source));
        text
    }
}

impl Step {
    /// Takes it, unless it has been taken.
    ///
    /// # Errors
    /// What could not be done.
    pub(super) fn take(self, setup: &Setup, out: &mut impl Write) -> anyhow::Result<()> {
        match self {
            Self::Config => write_new(&setup.config, &setup.text(), 0o644, out),
            Self::Commands => {
                write_new(&commands_beside(&setup.config), &setup.commands_text(), 0o600, out)
            }
            Self::Floors => make_floors(setup, out),
            Self::FirstKey(name) => first_key(setup, &name, out),
            Self::Disarm => Doors::disarm(&setup.config()?),
            Self::Units => match setup.source {
                Source::Xdp => units::start(out),
                Source::Udp => units::start_without_xdp(setup.port, setup.has_doors, out),
            },
            Self::Arm => Ok(writeln!(out, "{}", setup.doors.arm(&setup.config()?)?)?),
        }
    }
}

/// The path of `commands.toml` in the directory of `config.toml`.
pub(super) fn commands_beside(config: &Path) -> PathBuf {
    config.with_file_name("commands.toml")
}

/// Writes a file that is not there yet: the whole of it or none, as what is there is left alone.
pub(super) fn write_new(
    path: &Path,
    text: &str,
    mode: u32,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let failed = || format!("could not write {}", path.display());
    if path.try_exists().with_context(failed)? {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        private_directory::prepare(folder, 0o755)?;
    }
    durable::create_with(path, |mut file| {
        // Whatever the umask is: the server has to be able to read its configuration.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())
    })
    .with_context(failed)?;
    Ok(writeln!(out, "wrote {}", path.display())?)
}

/// Whether a folder, if there is one, has keys in it.
fn has_keys(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.any(|entry| entry.path().extension().is_some_and(|kind| kind == "key"))
}

/// Makes a key, unless there is one.
fn first_key(setup: &Setup, name: &str, out: &mut impl Write) -> anyhow::Result<()> {
    private_directory::prepare(&setup.keys, 0o700)?;
    if setup.had_keys {
        return Ok(writeln!(out, "{} contains a key already", setup.keys.display())?);
    }
    let path = setup.key_file(name)?;
    let key = generate_key().context("could not make a key: no random numbers")?;
    durable::create(&path, key.to_line().as_bytes())
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(writeln!(out, "created the key {}", path.display())?)
}

fn make_floors(setup: &Setup, out: &mut impl Write) -> anyhow::Result<()> {
    let has_floors =
        [FLOORS, UPSTREAM_BLOCKLIST].iter().any(|file| setup.floors.join(file).exists());
    if setup.had_keys && !has_floors {
        bail!(
            "there are keys, but no floors in {}: packets that have already run could run again. If these keys were \
            never used, create the floors as {}: ruroco-server init. Otherwise make new keys first",
            setup.floors.display(),
            setup.user
        );
    }
    let place = floors::Place { dir: &setup.floors, user: &setup.user };
    out.write_all(&floors::make(place, &setup.config)?)?;
    Ok(())
}
