//! What the daemons keep on the disk while they run, beside what [`check`] reads.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use nix::unistd::{Group, User};

use super::Finding;
use crate::{
    audit,
    config::{Config, UPSTREAM_BLOCKLIST},
    gate::{attachment::LOCK, check, identity},
    plain_error::plain,
    problems::{Level, shell_word},
};

/// The server's floors (`floors` in `blocklist_dir`).
const FLOORS: &str = "floors";

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let user = config.find_socket_user().ok();
    vec![sockets(&config.socket_dir, user.as_ref()), audit_trail(&config.audit_dir)]
}

/// What the server keeps: whether it is whole, and the server can write it.
pub(in crate::gate) fn floors(dir: &Path, user: &User) -> Finding {
    const NAME: &str = "floors";
    let writable = match identity::run_as(user, || check::state_problem(dir, user)) {
        Ok(problem) => problem,
        Err(error) => return Finding::unknown(NAME, plain(&error)),
    };
    if let Some(problem) = writable.filter(|problem| problem.level() == Level::Error) {
        let (shown, name) = (dir.display(), &user.name);
        return Finding::problem(
            NAME,
            format!(
                "{shown}: {}: knocks are rejected (floor_not_persisted) as soon as the server has to write \
                 there",
                problem.message().split("; run: ").next().unwrap_or_default()
            ),
            format!("run `install -d -o {name} -m 700 {shown}`; see that its disk is writable"),
        );
    }
    let path = dir.join(FLOORS);
    let shown = path.display();
    match fs::metadata(&path) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && dir.join(UPSTREAM_BLOCKLIST).exists() =>
        {
            let blocklist = dir.join(UPSTREAM_BLOCKLIST);
            Finding::ok(NAME, format!("will be taken over from {}", blocklist.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::problem(
            NAME,
            format!("{shown} is not there: the server does not start without"),
            format!(
                "if this is the first start, run as {}: ruroco-server init; if not, make new keys first",
                user.name
            ),
        ),
        Err(error) => Finding::unknown(NAME, format!("{shown}: {error}")),
        Ok(file) if file.uid() != user.uid.as_raw() || file.mode() & 0o022 != 0 => {
            Finding::problem(
                NAME,
                format!("{shown} belongs to uid {}, mode {:04o}", file.uid(), file.mode() & 0o7777),
                format!(
                    "look at who changed it, then run: chown {} {shown}; chmod 600 {shown}",
                    user.name
                ),
            )
        }
        Ok(_) => Finding::ok(NAME, format!("{shown} is the server's")),
    }
}

/// Where no gate is to run: one that was not stopped before has left its program in front of the
/// socket.
pub(super) fn pins_left_behind(dir: &Path) -> Finding {
    const NAME: &str = "pins";
    let shown = dir.display();
    let remedy = format!("run: systemctl disable --now ruroco-gate; rm -r {shown}");
    let is_pin = |entry: &fs::DirEntry| entry.file_name() != LOCK;
    match fs::read_dir(dir).map(|pins| pins.filter_map(Result::ok).any(|entry| is_pin(&entry))) {
        Ok(true) => Finding::problem(
            NAME,
            format!(
                "`source` is \"udp\", but {shown} keeps the program of a gate in place, which lets no \
                 knock through to the socket"
            ),
            remedy,
        ),
        Ok(false) => Finding::ok(NAME, format!("none in {shown}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::ok(NAME, "no gate has left any")
        }
        Err(error) => Finding::unknown(NAME, format!("{shown}: {error}")),
    }
}

fn sockets(dir: &Path, server: Option<&User>) -> Finding {
    const NAME: &str = "sockets";
    let shown = shell_word(dir);
    let is_in = |group: u32| server.is_some_and(|user| user.gid.as_raw() == group);
    let can_enter = |there: &fs::Metadata| {
        there.mode() & 0o001 != 0 || (is_in(there.gid()) && there.mode() & 0o010 != 0)
    };
    let remedy = match server.map(|user| Group::from_gid(user.gid)) {
        Some(Ok(Some(group))) => {
            format!("run: chgrp {} {shown} && chmod g+x {shown}", group.name)
        }
        _ => format!("let the group of the server's user enter {shown}"),
    };
    match fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::ok(NAME, format!("{} will be made", dir.display()))
        }
        Err(error) => Finding::unknown(NAME, format!("{}: {error}", dir.display())),
        Ok(there) if !can_enter(&there) => Finding::problem(
            NAME,
            format!(
                "{} has mode {:04o}: the server cannot get to the sockets in it",
                dir.display(),
                there.mode() & 0o7777
            ),
            remedy,
        ),
        Ok(_) => Finding::ok(NAME, format!("{} can be entered", dir.display())),
    }
}

/// Whoever can write it can make it say anything; whoever can read it sees who knocks, and from where.
fn audit_trail(dir: &Path) -> Finding {
    const NAME: &str = "audit_trail";
    let path = dir.join(audit::FILE);
    let shown = path.display();
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::ok(NAME, format!("{shown} will be begun"))
        }
        Err(error) => Finding::unknown(NAME, format!("{shown}: {error}")),
        Ok(file) if !file.is_file() => Finding::problem(
            NAME,
            format!("{shown} is no file: the commander cannot write its trail"),
            "look at what it is, and remove it",
        ),
        Ok(file) if file.uid() != 0 || file.mode() & 0o026 != 0 => Finding::problem(
            NAME,
            format!("{shown} belongs to uid {}, mode {:04o}", file.uid(), file.mode() & 0o7777),
            format!(
                "look at who changed it, then run: chown root {shown} && chmod g-w,o-rwx {shown}"
            ),
        ),
        Ok(_) => Finding::ok(NAME, format!("{shown} is root's")),
    }
}
