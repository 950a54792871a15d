//! The commander: whether it accepts orders, and whether the server can send it orders.

use std::{
    io,
    os::fd::AsFd,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use ruroco_commands::approved::Approved;
use ruroco_config::{Config, key_directory::Occasion};
use ruroco_daemon::wait::wait;
use ruroco_ipc::{commander_status, order, private_socket::connect};
use ruroco_messages::{
    plain_error::plain,
    problems::{Level, shell_word},
};
use rustix::net::{RecvFlags, recv};
use serde::{Deserialize, Serialize};

use super::{COMMANDER, COMMANDS, ORDERS, is_away, is_forbidden};
use crate::{
    doctor::{Finding, files::let_group_enter},
    identity,
};

/// How long a commander that is running may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest answer.
const MAX_ANSWER: usize = 8192;

/// What a running commander says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its release.
    pub version: String,
    /// When it was started, in seconds since 1970.
    pub start_time_seconds: u64,
    /// How many commands are running.
    pub running: u64,
    /// How many may run at the same time.
    pub max_running: u64,
    /// How many servers are connected.
    pub connections: u64,
    /// Where its commands are defined.
    pub commands_file: String,
    /// The program that is notified of events, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
}

/// Asks the running commander.
///
/// # Errors
/// If none answers, or this process may not ask.
pub(super) fn ask(socket_dir: &Path) -> anyhow::Result<State> {
    let path = socket_dir.join(commander_status::SOCKET);
    let question = || -> anyhow::Result<State> {
        let commander = connect(&path)?;
        let [answered] = wait([Some(commander.as_fd())], Instant::now().checked_add(PATIENCE))?;
        if !answered {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        let mut answer = [0; MAX_ANSWER];
        let (length, _) = recv(&commander, &mut answer[..], RecvFlags::DONTWAIT)?;
        Ok(serde_json::from_slice(answer.get(..length).unwrap_or_default())?)
    };
    question().with_context(|| format!("cannot reach ruroco-commander at {}", path.display()))
}

/// Whether it takes orders.
pub(super) fn alive(asked: &anyhow::Result<State>, socket_dir: &Path) -> Finding {
    const LOST: &str = "the server rejects every knock (commander_away) without using it up";
    match asked {
        Err(error) if is_forbidden(error) => Finding::unknown(COMMANDER, plain(error)),
        // 0.1.0 has no status socket.
        Err(error) if is_away(error) && connect(&socket_dir.join(order::SOCKET)).is_ok() => {
            Finding::problem(
                COMMANDER,
                format!("a ruroco-commander of an older release is running: {LOST}"),
                "run `systemctl restart ruroco-commander`",
            )
        }
        Err(error) if is_away(error) => Finding::problem(
            COMMANDER,
            format!("ruroco-commander is not running: {LOST}"),
            "run `systemctl start ruroco-commander`; the reason is in `journalctl -u ruroco-commander`",
        ),
        Err(error) => Finding::problem(
            COMMANDER,
            format!("ruroco-commander does not answer: {}", plain(error)),
            "run `systemctl restart ruroco-commander`; see `journalctl -u ruroco-commander`",
        ),
        Ok(state) if state.running >= state.max_running => Finding::problem(
            COMMANDER,
            format!(
                "all {} slots for running commands are in use: further knocks are rejected \
                 (too_many_running)",
                state.max_running
            ),
            "find the commands that do not end with `ruroco status --knocks 100`; set a shorter \
             `timeout` for them in commands.toml",
        ),
        Ok(state) if state.version != env!("CARGO_PKG_VERSION") => Finding::warning(
            COMMANDER,
            format!(
                "ruroco-commander {} is running, and this is ruroco-gate {}",
                state.version,
                env!("CARGO_PKG_VERSION")
            ),
            "run `systemctl restart ruroco-gate ruroco-server ruroco-commander`",
        ),
        Ok(state) => {
            let State { running, max_running, notify, .. } = state;
            let notified = notify.as_ref().map(|program| format!("; notifies {program}"));
            let notified = notified.unwrap_or_default();
            Finding::ok(
                COMMANDER,
                format!("accepts orders; {running} of {max_running} commands running{notified}"),
            )
        }
    }
}

/// Whether the server's user gets through to the running commander: it tries, as that user.
pub(super) fn reachable(config: &Config) -> Option<Finding> {
    let path = config.socket_dir.join(order::SOCKET);
    let shown = path.display();
    // Without such a user the configuration is in error, and `check` says so.
    let user = config.find_server_user().ok()?;
    let name = &user.name;
    let restart = "run `systemctl restart ruroco-commander`";
    Some(match identity::run_as(&user, || connect(&path).map(drop)) {
        Err(error) => Finding::unknown(ORDERS, plain(&error)),
        Ok(Ok(())) => Finding::ok(ORDERS, format!("the server's user {name} can reach {shown}")),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Finding::problem(
            ORDERS,
            format!(
                "the server's user {name} has no access to {shown}: knocks are rejected (commander_away)"
            ),
            format!(
                "{}; then {restart}",
                let_group_enter(&config.socket_dir, &format!("$(id -gn {name})"))
            ),
        ),
        Ok(Err(error)) => Finding::problem(
            ORDERS,
            format!("the server cannot connect to {shown}: {}", plain(&error)),
            restart,
        ),
    })
}

/// Whether the commander could start again with what is in the files now. A mistake in one of them may be
/// that it names something which is no longer in another, such as a key.
pub(super) fn commands(config: &Path, state: &State) -> Finding {
    let path = Path::new(&state.commands_file);
    let checked = Approved::read(config, path, Occasion::Start);
    let problems = checked.problems();
    let mut errors = problems.iter().filter(|problem| problem.level() == Level::Error);
    let Some(first) = errors.next() else {
        return Finding::ok(COMMANDS, format!("{} is valid", path.display()));
    };
    let more = match errors.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Finding::problem(
        COMMANDS,
        format!("the commander runs, but will neither restart nor reload: {first}{more}"),
        format!(
            "fix it, then run `ruroco check --config {} --commands {}`",
            shell_word(config),
            shell_word(path)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor;
    use ruroco_ipc::private_socket::PrivateListener;
    use rustix::process::geteuid;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn commands_that_name_a_key_which_is_gone_keep_the_commander_from_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let user = ruroco_trust::users::own();
        let config = format!(
            "addresses = [\"192.0.2.1\"]\nsource = \"udp\"\nkeys_dir = {:?}\nserver_user = {user:?}\n",
            dir.path()
        );
        let config = write("config.toml", &config, 0o644);
        let [laptop, phone] = ["AAEC", "BAEC"].map(|start| {
            format!("chacha20poly1305:{start}AwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==")
        });
        write("laptop.key", &laptop, 0o600);
        let phone = write("phone.key", &phone, 0o600);
        let commands_file = write(
            "commands.toml",
            "[commands.x]\nrun = [\"/bin/true\"]\nkeys = [\"phone\"]\n",
            0o600,
        );
        let state = State {
            version: String::new(),
            start_time_seconds: 0,
            running: 0,
            max_running: 1,
            connections: 0,
            commands_file: commands_file.to_str().unwrap().to_owned(),
            notify: None,
        };
        let finding = commands(&config, &state);
        assert_eq!(finding.state(), doctor::State::Ok, "{finding}");
        fs::remove_file(phone).unwrap();
        let finding = commands(&config, &state);
        assert_eq!(finding.state(), doctor::State::Problem, "{finding}");
        assert!(finding.detail().contains("commands.toml:3: "), "{finding}");
    }

    #[test]
    fn a_commander_without_a_status_socket_is_one_of_an_older_release() {
        let dir = tempfile::tempdir().unwrap();
        let finding = || alive(&ask(dir.path()), dir.path());
        assert!(finding().detail().contains("is not running"), "{}", finding());
        let path = dir.path().join(order::SOCKET);
        let _listener = PrivateListener::listen(&path, geteuid().as_raw()).unwrap();
        let finding = finding();
        assert!(finding.detail().contains("of an older release is running"), "{finding}");
        assert!(finding.remedy().unwrap().contains("restart ruroco-commander"), "{finding}");
    }
}
