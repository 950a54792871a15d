//! `ruroco check`: lists all errors that gate, server and commander would report in their files if they
//! started now, and checks the files against this host.
//!
//! There is no second set of rules. The code of the daemons reads the files: first as root, as gate and
//! commander run; then without the capabilities that override file permissions, which their units do not
//! grant; and as the server's user (`identity`). `host` then checks the values against this host. It changes
//! nothing, and needs no running daemon.
//!
//! Rationale: decision 0016.

mod host;
mod keys;
mod report;
mod state;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use ruroco_commands::approved::Approved;
use ruroco_config::{Config, Place, Source, fields, key_directory::Occasion, settings::Settings};
use ruroco_messages::{
    plain_error::plain,
    problems::{Level, Problem, Problems},
};
use ruroco_trust::private_directory;
use rustix::process::geteuid;

pub use self::report::Report;
pub(super) use self::state::StateDirectory;
use super::identity;

/// One of those that read the files.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Daemon {
    /// ruroco-gate
    Gate,
    /// ruroco-server
    Server,
    /// ruroco-commander
    Commander,
}

/// Checks only what one daemon reads, as this process sees it: for a unit, which is to refuse a reload
/// by what its daemon would refuse, and by nothing else.
pub fn check_for(daemon: Daemon, config: &Path, commands: &Path) -> Report {
    const RELOAD: Occasion = Occasion::Reload;
    let mut problems = Problems::default();
    match daemon {
        Daemon::Gate => drop(problems.good_of(Settings::read(config, RELOAD))),
        Daemon::Server => drop(problems.good_of(Settings::read_as_server(config, RELOAD))),
        Daemon::Commander => drop(problems.good_of(Approved::read(config, commands, RELOAD))),
    }
    Report::of_one(problems.sorted())
}

/// Checks both files, the keys and the directories.
pub fn check(config: &Path, commands: &Path) -> Report {
    let mut problems = Problems::default();
    problems.good_of(Approved::read(config, commands, Occasion::Start));
    // What is wrong with it has been told; what is not can be held against the host.
    let readable = Problems::default().good_of(Config::read(config));
    let mut unseen = Vec::new();
    if let Some(readable) = &readable {
        problems.extend(host::problems(readable));
        problems.extend(keys::expiring(readable));
        problems.extend(directories(readable));
        problems.extend(readable.check_floors_left_behind());
        let keys_of_the_server = match (readable.source, readable.find_server_user()) {
            (Source::Udp, Ok(user)) if !user.uid.is_root() => {
                host::keys_of_the_server(readable, &user)
            }
            // A gate refuses them, and the server refuses to be root.
            _ => Vec::new(),
        };
        match as_units(config, commands) {
            Ok(seen) => {
                let errors = problems.iter().filter(|problem| problem.level() == Level::Error);
                let known: Vec<_> = errors.chain(&keys_of_the_server).map(place).collect();
                let told: Vec<Problem> = problems.iter().cloned().collect();
                let is_new = |seen: &Problem| !told.contains(seen) && !known.contains(&place(seen));
                let new = seen.into_iter().filter(is_new);
                problems.extend(new.map(|seen| seen.seen_by(WHO_UNITS_START)));
            }
            Err(why) => unseen.push(why),
        }
        problems.extend(keys_of_the_server);
        match as_server(config, readable) {
            // Where something is wrong already, more of it says nothing new.
            Ok(seen) => {
                let known: Vec<_> = problems.iter().map(place).collect();
                problems.extend(seen.into_iter().filter(|seen| !known.contains(&place(seen))));
            }
            Err(why) => unseen.push(why),
        }
    }
    Report::new(problems.sorted(), unseen)
}

fn place(problem: &Problem) -> (PathBuf, Option<usize>) {
    (problem.path().to_owned(), problem.line())
}

const WHO_UNITS_START: &str = "as gate and commander read it when systemd starts them";

/// What they would say. Or why that cannot be known.
fn as_units(config: &Path, commands: &Path) -> Result<Vec<Problem>, String> {
    let look = || {
        let mut problems = Problems::default();
        problems.good_of(Approved::read(config, commands, Occasion::Start));
        problems.into_iter().collect()
    };
    identity::run_without_overriding(look)
        .map_err(|error| format!("the files {WHO_UNITS_START}: {}", plain(&error)))
}

/// Those that gate and commander make if they are missing and refuse if others can change them.
fn directories(config: &Config) -> Vec<Problem> {
    let pins = (config.source == Source::Xdp).then_some(&config.gate.pin_dir);
    let made = [&config.socket_dir, &config.audit_dir].into_iter().chain(pins);
    made.filter_map(|dir| private_directory::trouble_with(dir)).collect()
}

/// Whether it is the file of a key that belongs to root.
fn is_roots_key(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix == "key")
        && fs::metadata(path).is_ok_and(|metadata| metadata.uid() == 0)
}

/// What the server would say, and what it could not write. Or why that cannot be known.
fn as_server(path: &Path, config: &Config) -> Result<Vec<Problem>, String> {
    // Told already.
    let Ok(user) = config.find_server_user() else { return Ok(Vec::new()) };
    let state = StateDirectory::of(config, &user);
    let look = || {
        let mut problems = Problems::default();
        problems.good_of(Settings::read_as_server(path, Occasion::Start));
        let who = format!("as {} sees it", user.name);
        let of_keys = |problem: &Problem| {
            let path = problem.path();
            path == config.keys_dir || path.extension().is_some_and(|suffix| suffix == "key")
        };
        let passed = "unless systemd passes the keys to the server";
        let tell = |problem: Problem| match of_keys(&problem) {
            // Root reads it: a key that belonged to the server would be one that the commander cannot read.
            true if is_roots_key(problem.path()) => {
                let message = "it belongs to root, as it should, so the server cannot read it; have systemd pass it \
                    the keys (LoadCredential=, as in /usr/share/doc/ruroco/examples/udp.conf)";
                Problem::error(problem.path(), message).seen_by(&who).as_warning()
            }
            // Whether it does nobody knows before it has started the server.
            true => problem.seen_by(&format!("{who}, {passed}")).as_warning(),
            false => problem.seen_by(&who),
        };
        let floors = state.trouble().map(|trouble| Problem::from(trouble).seen_by(&who));
        problems.into_iter().map(tell).chain(floors).collect()
    };
    if user.uid.is_root() {
        let refusal = "the server does not run as root. Set `server_user` to another user, created with: useradd \
            --system --shell /usr/sbin/nologin ruroco";
        return Ok(vec![config.problem(Place::Field(fields::SERVER_USER.name), refusal)]);
    }
    if user.uid.as_raw() == geteuid().as_raw() {
        return Ok(look());
    }
    identity::run_as(&user, look).map_err(|error| {
        format!("what the server can read and write as {}: {}", user.name, plain(&error))
    })
}
