//! The directory in which the server keeps its floors: whether the server can write there, and how it gets a
//! directory.
//!
//! The owner of a directory controls its content. So no advice gives the server a directory that contains
//! other files than its own, least of all a directory that leads to configuration, commands or keys.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::unistd::User;
use ruroco_commands::commands;
use ruroco_config::{Config, FLOORS, UPSTREAM_BLOCKLIST};
use ruroco_ipc::refusal_record;
use ruroco_messages::problems::{Problem, shell_word};
use ruroco_trust::{
    private_directory,
    trusted_path::{self, Trust, layout},
};
use rustix::{
    fs::{Access, AtFlags, CWD, accessat},
    io::Errno,
};

/// The default directory for floors, and the directory to use if the default is occupied.
const USUAL_PLACES: [&str; 2] = ["/var/lib/ruroco", "/var/lib/ruroco-server"];

/// How the names of the server's files begin, and what a file system of its own begins with.
const OWN_FILES: [&str; 4] = [FLOORS, UPSTREAM_BLOCKLIST, refusal_record::FILE, "lost+found"];

/// `state_dir`. Root must check it first: other users may not see its content.
#[derive(Debug)]
pub(crate) struct StateDirectory<'a> {
    path: &'a Path,
    /// Whether it may belong to the server: it is for nothing else.
    is_servers: bool,
    /// How the server gets a directory.
    remedy: String,
}

/// Why the server could not keep its floors there.
#[derive(Debug)]
pub(crate) struct Trouble {
    path: PathBuf,
    /// As it goes on after the path.
    pub(crate) reason: String,
    pub(crate) remedy: String,
}

impl<'a> StateDirectory<'a> {
    /// That of a configuration, for the server's user.
    pub(crate) fn of(config: &'a Config, user: &User) -> Self {
        let path = config.state_dir.as_path();
        let is_servers = !is_needed(path, config) && holds_nothing_else(path);
        let remedy = match is_servers {
            true => install(path, user),
            false => move_to_its_own(path, config, user),
        };
        Self { path, is_servers, remedy }
    }

    /// Why the server could not keep its floors there. To be called as the server's user.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let trouble = |reason: String, remedy: &str| {
            Some(Trouble { path: self.path.to_owned(), reason, remedy: remedy.to_owned() })
        };
        match trusted_path::find_directory(self.path, Trust::own()) {
            Err(fault) if fault.is_not_found() => {
                return trouble("does not exist".to_owned(), &self.remedy);
            }
            Err(fault) => {
                let (path, reason) = (fault.path().to_owned(), fault.reason());
                // Only root gets further.
                let own = private_directory::remedy(&fault).filter(|_| !fault.is_denied());
                let own = own.filter(|_| self.is_servers || !fault.is_at_end());
                return Some(Trouble { path, reason, remedy: own.unwrap_or(self.remedy.clone()) });
            }
            Ok(_) => {}
        }
        let access = Access::WRITE_OK | Access::EXEC_OK;
        match accessat(CWD, self.path, access, AtFlags::EACCESS) {
            Ok(()) => None,
            Err(Errno::ROFS) => trouble(
                "is on a file system that is mounted read-only".to_owned(),
                "mount it so that the server can write its floors",
            ),
            Err(error) => {
                let error = io::Error::from(error);
                trouble(format!("cannot be written by the server: {error}"), &self.remedy)
            }
        }
    }
}

impl From<Trouble> for Problem {
    fn from(Trouble { path, reason, remedy }: Trouble) -> Self {
        Self::error(&path, format!("{reason}; {remedy}"))
    }
}

fn install(path: &Path, user: &User) -> String {
    format!("run: install -d -o {} -m 700 {}", user.name, shell_word(path))
}

/// How the server gets another directory, and the floors come along: without them, packets could run again.
fn move_to_its_own(path: &Path, config: &Config, user: &User) -> String {
    let usual = USUAL_PLACES.map(Path::new);
    let own = usual.into_iter().find(|place| !is_needed(place, config) && *place != path);
    let own = own.unwrap_or(Path::new("/var/lib/ruroco-floors"));
    let mut remedy = format!(
        "use a separate directory for the server: set state_dir = {own:?} and {}",
        install(own, user)
    );
    for floors in [FLOORS, UPSTREAM_BLOCKLIST].map(|name| path.join(name)) {
        if floors.symlink_metadata().is_ok() {
            remedy = format!("{remedy} && mv {} {}/", shell_word(&floors), shell_word(own));
        }
    }
    remedy
}

/// Whether it is the system's, or gate and commander depend on what is in it or below it.
fn is_needed(path: &Path, config: &Config) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = real(path);
    let needed = [
        config.path(),
        &config.keys_dir,
        &config.socket_dir,
        &config.audit_dir,
        &config.gate.pin_dir,
        Path::new(commands::DEFAULT_PATH),
    ];
    layout::is_systems(&path) || needed.into_iter().any(|needed| real(needed).starts_with(&path))
}

/// Whether the directory contains no other files, as far as this process may read it.
fn holds_nothing_else(path: &Path) -> bool {
    let is_own = |name: &str| OWN_FILES.iter().any(|own| name.starts_with(own));
    match fs::read_dir(path) {
        Ok(mut entries) => entries
            .all(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_own))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(_) => USUAL_PLACES.iter().any(|usual| path == Path::new(usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_files::toml_file::Source;

    fn remedy(dir: &Path, state_dir: &Path) -> String {
        let text = format!(
            "addresses = [\"192.0.2.1\"]\nsource = \"udp\"\nkeys_dir = {:?}\nstate_dir = {state_dir:?}\n",
            dir.join("etc/keys")
        );
        let config = Config::check(Source::new(dir.join("etc/config.toml"), text));
        let config = config.or_problems().unwrap();
        let user = User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        StateDirectory::of(&config, &user).remedy
    }

    #[test]
    fn only_a_directory_with_nothing_else_in_it_is_given_to_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for name in ["etc/keys", "state", "notes", "etc/state"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        for file in ["etc/config.toml", "notes/notes", "state/floors", "state/floors.lock"] {
            fs::write(dir.join(file), "").unwrap();
        }
        for given in ["state", "etc/state", "missing"] {
            let path = dir.join(given);
            let install =
                format!("install -d -o {} -m 700 {}", ruroco_trust::users::own(), path.display());
            assert!(remedy(dir, &path).contains(&install), "{given}");
        }
        let kept = ["etc", "etc/keys", "notes", "."].map(|name| dir.join(name));
        let systems = ["/", "/etc", "/tmp", "/var/lib"].map(PathBuf::from);
        for path in kept.iter().chain(&systems) {
            let told = remedy(dir, path);
            assert!(told.contains("set state_dir = \"/var/lib/ruroco\""), "{told}");
            assert!(told.ends_with("-m 700 /var/lib/ruroco"), "{told}");
        }
    }

    #[test]
    fn the_floors_come_along() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::create_dir_all(dir.join("etc/keys")).unwrap();
        fs::write(dir.join("etc/keys/floors"), "").unwrap();
        fs::write(dir.join("etc/keys/laptop.key"), "").unwrap();
        let told = remedy(dir, &dir.join("etc/keys"));
        let moved = format!("&& mv {} /var/lib/ruroco/", dir.join("etc/keys/floors").display());
        assert!(told.ends_with(&moved), "{told}");
    }
}
