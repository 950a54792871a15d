//! `ruroco init`: from an installed package to an attached gate and a key to knock with.
//!
//! `questions` asks for all answers that are not on the command line, with defaults from the host where
//! possible. Then each of the `steps` checks whether it has been done already: running `init` again changes
//! nothing that exists. At the end, the [`doctor`] checks the result. On a terminal, `init` then shows an
//! [invitation](invite) with the new key.

mod doors;
mod host;
mod questions;
mod steps;
mod units;

use std::{
    io::{self, IsTerminal, Write},
    net::IpAddr,
    num::NonZero,
    path::{self, Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use ruroco_config::{Config, DEFAULT_PORT, Source};
use ruroco_messages::plain_error::plain;

use self::{
    doors::Choice,
    host::Host,
    questions::Questions,
    steps::{Setup, Step},
};
use super::{doctor, health::paths, invite};

/// Answers from the command line.
#[derive(Args, Debug)]
pub struct Options {
    /// Where knocks come from: xdp, or udp for hosts without XDP, with an ordinary socket [default: xdp]
    #[arg(long, value_parser = source)]
    source: Option<Source>,
    /// Interface to guard; repeat for more
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,
    /// Address that clients send to; repeat for more
    #[arg(long, value_name = "IP")]
    address: Vec<IpAddr>,
    /// UDP port
    #[arg(long, value_parser = ruroco_command_line::port)]
    port: Option<NonZero<u16>>,
    /// Name of the first key: of the person or device that will knock
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Port that a knock opens, and that is closed to everyone else, such as ssh=tcp/22; repeat for more
    #[arg(long = "door", value_name = "NAME=PORT")]
    doors: Vec<Choice>,
    /// Do not prompt: use the default for each answer that is not given
    #[arg(long)]
    yes: bool,
    /// Only write files: neither enable nor start units
    #[arg(long)]
    no_start: bool,
}

fn source(text: &str) -> Result<Source, &'static str> {
    match text {
        "xdp" => Ok(Source::Xdp),
        "udp" => Ok(Source::Udp),
        _ => Err("use xdp or udp"),
    }
}

impl Options {
    /// Names the answers on the command line that would change a configuration that exists.
    fn report_answers_without_effect(&self, out: &mut impl Write) -> io::Result<()> {
        let answers = [
            ("--source", self.source.is_some()),
            ("--door", !self.doors.is_empty()),
            ("--interface", !self.interface.is_empty()),
            ("--address", !self.address.is_empty()),
            ("--port", self.port.is_some()),
        ];
        let given = answers.into_iter().filter_map(|(option, is_given)| is_given.then_some(option));
        let given: Vec<&str> = given.collect();
        let verb = if given.len() == 1 { "has" } else { "have" };
        match given.as_slice() {
            [] => Ok(()),
            given => writeln!(
                out,
                "{} {verb} no effect, because this file exists. To change it, edit it, then run: ruroco check && \
                 systemctl reload ruroco-gate",
                given.join(", ")
            ),
        }
    }
}

/// The name of the first key, unless there is another.
const KEY: &str = "laptop";

/// Asks, and does what is still to be done.
///
/// # Errors
/// What could not be found out or done. What was done before stays; running it again goes on there.
pub fn run(config: &Path, options: Options) -> anyhow::Result<()> {
    // The daemons are started elsewhere, and what is beside a bare name is in no directory.
    let config = &path::absolute(config).context("cannot determine the current directory")?;
    let is_seen = io::stdout().is_terminal();
    let mut out = io::stdout().lock();
    let setup = match config.try_exists() {
        Ok(true) => {
            writeln!(out, "{} exists already and is not changed", config.display())?;
            options.report_answers_without_effect(&mut out)?;
            let (found, warnings) = Config::read(config).or_all_problems()?;
            for warning in warnings {
                writeln!(out, "{warning}")?;
            }
            Setup::of_config(config, &found)?
        }
        _ => {
            let setup = ask(config, &options, &mut out)?;
            setup.check().context(
                "nothing was written: these answers would make an invalid configuration",
            )?;
            setup.check_programs().context("nothing was written")?;
            setup
        }
    };
    if options.key.is_some() && !setup.is_first() {
        writeln!(
            out,
            "--key has no effect, because there is a key already. To add another one, run: ruroco key add NAME"
        )?;
    }
    let key = options.key.filter(|_| setup.is_first()).unwrap_or_else(|| KEY.to_owned());
    setup.key_file(&key)?;
    let mut steps = vec![Step::Config, Step::Commands, Step::Floors, Step::FirstKey(key.clone())];
    // Doors that are new close only when everything runs, and for a trial.
    let has_new_doors = setup.has_new_doors();
    if has_new_doors {
        steps.push(Step::Disarm);
    }
    if let Some(warning) = setup.door_warning() {
        writeln!(out, "{warning}")?;
    }
    if !options.no_start {
        steps.push(Step::Units);
    }
    match (has_new_doors, options.no_start) {
        (true, false) => steps.push(Step::Arm),
        (true, true) => writeln!(out, "doors stay open until you run `ruroco arm`")?,
        (false, _) => {}
    }
    for step in steps {
        step.take(&setup, &mut out)?;
    }
    let commands = steps::commands_beside(config);
    if !options.no_start {
        write!(out, "\n{}", doctor::examine(config, &commands))?;
    }
    match (setup.is_first(), is_seen) {
        (false, _) => Ok(()),
        (true, true) => show_invitation(config, &commands, &key, &mut out),
        // What a program sets up goes to the log of that program, which is no place for a key.
        (true, false) => Ok(writeln!(
            out,
            "\nThe output is not a terminal, so the invitation, which contains the key, is not shown here. Show it \
            with: ruroco invite {key}"
        )?),
    }
}

/// What is set up stays so if there is something in its files that an invitation cannot be made of.
fn show_invitation(
    config: &Path,
    commands: &Path,
    key: &str,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    writeln!(out)?;
    let options = invite::Options::usual(key, commands);
    if let Err(error) = invite::run(config, options, out) {
        writeln!(out, "there is no invitation yet: {}", plain(&error))?;
    }
    Ok(writeln!(out, "\nShow it again with: ruroco invite {key}")?)
}

fn ask(config: &Path, options: &Options, out: &mut impl Write) -> anyhow::Result<Setup> {
    let source = options.source.unwrap_or(Source::Xdp);
    let is_guarded = source == Source::Xdp;
    if !is_guarded && !options.interface.is_empty() {
        bail!("--source udp guards no interface. Remove --interface");
    }
    let host = Host::look(source).context("could not list this host's interfaces")?;
    let stdin = io::stdin();
    let is_all_said = (!options.interface.is_empty() || !is_guarded)
        && !options.address.is_empty()
        && options.port.is_some();
    if !(is_all_said || options.yes || stdin.is_terminal()) {
        let all =
            if is_guarded { "--interface, --address and --port" } else { "--address and --port" };
        bail!("no terminal to prompt on. Pass {all}, or use --yes to accept the defaults");
    }
    let mut questions = Questions::new(stdin.lock(), &mut *out, options.yes);
    let interfaces = match options.interface.as_slice() {
        [] if !is_guarded => Vec::new(),
        [] => questions.interfaces(&host)?,
        given => {
            host::check_can_be_closed(given)?;
            given.to_vec()
        }
    };
    let ips = match options.address.as_slice() {
        [] if is_guarded => questions.addresses(&host.addresses_of(&interfaces))?,
        [] => questions.addresses(&host.addresses_of(&host.usual()))?,
        given => given.to_vec(),
    };
    let port = match options.port {
        None => questions.port(DEFAULT_PORT)?,
        Some(port) => port.get(),
    };
    let doors = match options.doors.as_slice() {
        // A port closes only if its operator has said so.
        [] if is_all_said || options.yes => Vec::new(),
        [] => questions.doors(&doors::ssh())?,
        given => given.to_vec(),
    };
    if is_guarded {
        warn_of_unguarded(&interfaces, &ips, config, out)?;
    }
    let doors = doors.into_iter().collect();
    Ok(Setup::new(config, source, interfaces, ips, port, doors))
}

/// Names the interfaces that would lead past the gate. It is only a warning, as one of them may be meant
/// to.
fn warn_of_unguarded(
    interfaces: &[String],
    ips: &[IpAddr],
    config: &Path,
    out: &mut impl Write,
) -> io::Result<()> {
    // Where it cannot be told now, the doctor says so at the end.
    let Ok(host) = paths::Host::look(&ips.iter().copied().collect()) else { return Ok(()) };
    let unguarded = host.unguarded(|link| link.is_among(interfaces));
    unguarded.iter().filter(|one| one.from.is_problem()).try_for_each(|one| {
        let in_place_of = match one.instead_of(interfaces).as_slice() {
            [] => String::new(),
            above => format!(", in place of {}", above.join(" and ")),
        };
        writeln!(
            out,
            "{name} is up but will not be guarded: if a knock arrives through it, it is lost, and the host \
             answers it with an ICMP error. To guard it, add it to `interfaces` in {config}{in_place_of}",
            name = one.interface,
            config = config.display()
        )
    })
}

/// The directory for keys in the directory of `config.toml`.
fn keys_beside(config: &Path) -> PathBuf {
    config.with_file_name("keys")
}
