//! The files that the daemons keep while they run. [`check`](crate::check) covers the files that they only
//! read.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use nix::unistd::{Group, User};
use ruroco_config::{Config, FLOORS, UPSTREAM_BLOCKLIST};
use ruroco_gate::attachment::LOCK;
use ruroco_ipc::audit;
use ruroco_messages::{plain_error::plain, problems::shell_word};
use ruroco_trust::trusted_path::layout;

use super::Finding;
use crate::{check::StateDirectory, identity};

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let user = config.find_server_user().ok();
    vec![sockets(&config.socket_dir, user.as_ref()), audit_trail(&config.audit_dir)]
}

/// What the server keeps: whether it is whole, and the server can write it.
pub(crate) fn floors(config: &Config, user: &User) -> Finding {
    const NAME: &str = "floors";
    let dir = config.state_dir.as_path();
    let state = StateDirectory::of(config, user);
    match identity::run_as(user, || state.trouble()) {
        Ok(None) => {}
        Ok(Some(trouble)) => {
            let detail = format!(
                "{}: {}: knocks are rejected (floor_not_persisted) as soon as the server must write there",
                dir.display(),
                trouble.reason
            );
            return Finding::problem(NAME, detail, trouble.remedy);
        }
        Err(error) => return Finding::unknown(NAME, plain(&error)),
    }
    let path = dir.join(FLOORS);
    let shown = path.display();
    // The server can put anything there, so no link is followed.
    match fs::symlink_metadata(&path) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && dir.join(UPSTREAM_BLOCKLIST).exists() =>
        {
            let blocklist = dir.join(UPSTREAM_BLOCKLIST);
            Finding::ok(NAME, format!("the server will import them from {}", blocklist.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::problem(
            NAME,
            format!("{shown} does not exist, so the server does not start"),
            format!(
                "if the server has never run on this host, run as {}: ruroco-server init; otherwise make new keys \
                first",
                user.name
            ),
        ),
        Err(error) => Finding::unknown(NAME, format!("{shown}: {error}")),
        Ok(file) if !file.is_file() || file.nlink() > 1 => Finding::problem(
            NAME,
            format!("{shown} is not a regular file with a single name, but {}", kind_of(&file)),
            format!(
                "ruroco-server does not create this. Find out which program did. If an attacker may have controlled \
                {name}, make new keys. Then remove it and run as {name}: ruroco-server init",
                name = user.name
            ),
        ),
        Ok(file) if file.uid() != user.uid.as_raw() || file.mode() & 0o022 != 0 => {
            let (name, word) = (&user.name, shell_word(&path));
            Finding::problem(
                NAME,
                format!("{shown} belongs to uid {}, mode {:04o}", file.uid(), file.mode() & 0o7777),
                format!(
                    "find out who changed it, then run: chown -h {name} {word} && runuser -u {name} -- \
                     chmod 600 {word}"
                ),
            )
        }
        Ok(_) => Finding::ok(NAME, format!("{shown} belongs to the server's user")),
    }
}

/// What something is that is not a file with one name.
fn kind_of(there: &fs::Metadata) -> &'static str {
    let kind = there.file_type();
    match (kind.is_symlink(), kind.is_dir(), kind.is_file()) {
        (true, ..) => "a symbolic link",
        (_, true, _) => "a directory",
        (.., true) => "a file with a second name",
        _ => "a device, a socket or a pipe",
    }
}

/// For a host without a gate: a gate that crashed has left its program in front of the socket.
pub(super) fn pins_left_behind(dir: &Path) -> Finding {
    const NAME: &str = "pins";
    let shown = dir.display();
    let remedy = format!("run: systemctl disable --now ruroco-gate; rm -r {shown}");
    let is_pin = |entry: &fs::DirEntry| entry.file_name() != LOCK;
    match fs::read_dir(dir).map(|pins| pins.filter_map(Result::ok).any(|entry| is_pin(&entry))) {
        Ok(true) => Finding::problem(
            NAME,
            format!(
                "`source` is \"udp\", but {shown} keeps the XDP program of an earlier gate attached, which passes no \
                knock to the socket"
            ),
            remedy,
        ),
        Ok(false) => Finding::ok(NAME, format!("none in {shown}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::ok(NAME, "no gate has left an XDP program")
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
        Some(Ok(Some(group))) => let_group_enter(dir, &group.name),
        _ => format!("let the group of the server's user enter {shown}"),
    };
    match fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::ok(NAME, format!("{} will be created", dir.display()))
        }
        Err(error) => Finding::unknown(NAME, format!("{}: {error}", dir.display())),
        Ok(there) if !can_enter(&there) => Finding::problem(
            NAME,
            format!(
                "{} has mode {:04o}: the server cannot reach the sockets in it",
                dir.display(),
                there.mode() & 0o7777
            ),
            remedy,
        ),
        Ok(_) => Finding::ok(NAME, format!("the server can enter {}", dir.display())),
    }
}

/// How the server's group gets to the sockets, without a right in a directory that is not ours.
pub(crate) fn let_group_enter(dir: &Path, group: &str) -> String {
    let shown = shell_word(dir);
    match layout::is_systems(dir) {
        true => "use a separate directory: set socket_dir = \"/run/ruroco\"".to_owned(),
        false => format!("run: chgrp {group} {shown} && chmod g+x {shown}"),
    }
}

/// A user with write permission can falsify the trail; a user with read permission sees who knocks, and from
/// where.
fn audit_trail(dir: &Path) -> Finding {
    const NAME: &str = "audit_trail";
    let path = dir.join(audit::FILE);
    let shown = path.display();
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::ok(NAME, format!("{shown} will be created"))
        }
        Err(error) => Finding::unknown(NAME, format!("{shown}: {error}")),
        Ok(file) if !file.is_file() => Finding::problem(
            NAME,
            format!("{shown} is {}, so the commander cannot write the audit trail", kind_of(&file)),
            format!("move it away: mv {word} {word}.other", word = shell_word(&path)),
        ),
        Ok(file) if file.uid() != 0 || file.mode() & 0o026 != 0 => Finding::problem(
            NAME,
            format!("{shown} belongs to uid {}, mode {:04o}", file.uid(), file.mode() & 0o7777),
            format!(
                "find out who changed it, then run: chown -h root {word} && chmod g-w,o-rwx {word}",
                word = shell_word(&path)
            ),
        ),
        Ok(_) => Finding::ok(NAME, format!("{shown} belongs to root")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use nix::unistd::Uid;
    use ruroco_files::toml_file::Source;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    /// A configuration whose `state_dir` belongs to an unprivileged user, and that user.
    fn with_state(dir: &Path) -> (Config, User) {
        let unprivileged = User::from_name("daemon").unwrap().unwrap();
        let state = dir.join("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&state, Some(unprivileged.uid.as_raw()), None).unwrap();
        let text =
            format!("addresses = [\"192.0.2.1\"]\nsource = \"udp\"\nstate_dir = {state:?}\n");
        (Config::check(Source::new("/config.toml", text)).or_problems().unwrap(), unprivileged)
    }

    #[test]
    fn no_link_in_the_servers_directory_is_followed_and_none_changes_an_owner() {
        if !Uid::effective().is_root() {
            return; // nobody else can look as another user
        }
        let dir = tempfile::tempdir().unwrap();
        let (config, user) = with_state(dir.path());
        let floors_file = config.state_dir.join(FLOORS);
        let secret = dir.path().join("shadow");
        fs::write(&secret, "").unwrap();

        symlink(&secret, &floors_file).unwrap();
        let finding = floors(&config, &user);
        assert_eq!(finding.state(), State::Problem, "{finding}");
        assert!(finding.detail().contains("a symbolic link"), "{finding}");
        assert!(!finding.to_string().contains("chown"), "{finding}");
        fs::remove_file(&floors_file).unwrap();

        fs::hard_link(&secret, &floors_file).unwrap();
        let finding = floors(&config, &user);
        assert!(finding.detail().contains("a file with a second name"), "{finding}");
        assert!(!finding.to_string().contains("chown"), "{finding}");
        fs::remove_file(&floors_file).unwrap();

        fs::write(&floors_file, "").unwrap();
        let finding = floors(&config, &user);
        let remedy = finding.remedy().unwrap();
        assert!(
            remedy.contains("chown -h daemon") && remedy.contains("runuser -u daemon"),
            "{remedy}"
        );
        chown(&floors_file, Some(user.uid.as_raw()), None).unwrap();
        assert_eq!(floors(&config, &user).state(), State::Ok);
    }
}
