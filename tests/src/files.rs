//! The server's files, and the client's: configuration, keys, floors, sockets, pins, and the record
//! of the commands that ran.

use std::{
    fmt::Write as _,
    fs,
    net::IpAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::User;
use ruroco_keys::key::Key;

use crate::{
    directory::Directory,
    mount::{self, Mount},
    network::{Family, PORT, SERVER, SERVER_INTERFACE},
    programs,
};

/// The name of the key that every lab has.
pub const KEY: &str = "laptop";

/// The command that a knock asks for if it names none; every lab has it.
pub const DEFAULT_COMMAND: &str = "default";

/// Another command that every lab has.
pub const OTHER_COMMAND: &str = "open_port";

/// How a server is configured, where labs differ.
#[derive(Clone, Debug)]
pub struct Options {
    /// `source`
    pub source: &'static str,
    /// `mode` of the gate.
    pub mode: &'static str,
    /// `interfaces` of the gate.
    pub interfaces: Vec<&'static str>,
    /// `max_knocks_per_second_per_key`; high, so that only the test that wants to meets it.
    pub max_knocks_per_second_per_key: u32,
    /// Names of keys beside the one that every lab has.
    pub more_keys: Vec<&'static str>,
    /// Lines to be added to `[gate]`.
    pub gate: &'static str,
    /// Tables to be added to `config.toml`.
    pub config: String,
    /// Lines to be added to the default command in `commands.toml`.
    pub default_command: String,
    /// Tables to be added to `commands.toml`.
    pub commands: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            source: "xdp",
            mode: "native",
            interfaces: vec![SERVER_INTERFACE],
            max_knocks_per_second_per_key: 1_000,
            more_keys: Vec::new(),
            gate: "",
            config: String::new(),
            default_command: String::new(),
            commands: String::new(),
        }
    }
}

/// One run of a command, as the command itself recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Nanoseconds since 1970.
    pub started_at: u128,
    /// `RUROCO_COMMAND`
    pub command: String,
    /// `RUROCO_KEY`
    pub key: String,
    /// `RUROCO_IP`
    pub ip: IpAddr,
}

/// A temporary directory with everything, gone when dropped.
#[derive(Debug)]
pub struct Files {
    // In the order in which they are to be dropped.
    _bpf: Mount,
    directory: Directory,
    user: User,
    /// Whether the server reads the keys itself, so that they have to be its own.
    server_reads_keys: bool,
}

impl Files {
    /// Makes directories and files, for a server that runs as `user`. What is mounted there is
    /// there for this thread and the programs that it starts.
    ///
    /// # Panics
    /// If a step fails.
    pub fn new(user: User, options: &Options) -> Self {
        mount::keep_to_this_thread();
        let directory = Directory::new();
        let root = directory.path();
        set_mode(root, 0o755);
        for (name, mode) in
            [("etc", 0o755), ("floors", 0o700), ("run", 0o755), ("client", 0o700), ("bin", 0o755)]
        {
            let path = root.join(name);
            fs::create_dir(&path).expect("make a directory");
            set_mode(&path, mode);
        }
        let bpf = Mount::bpf(&root.join("bpf"));
        let server_reads_keys = options.source == "udp";
        let files = Self { _bpf: bpf, directory, user, server_reads_keys };
        files.give_to_user(&files.floors_dir());
        files.add_key(KEY);
        write(&files.config(), &files.config_text(options));
        write(&files.commands(), &files.commands_text(options));
        files
    }

    /// `config.toml`
    pub fn config(&self) -> PathBuf {
        self.path("etc/config.toml")
    }

    /// `commands.toml`
    pub fn commands(&self) -> PathBuf {
        self.path("etc/commands.toml")
    }

    /// The server's copy of a key.
    pub fn server_key(&self, name: &str) -> PathBuf {
        self.path(&format!("etc/{name}.key"))
    }

    /// The client's copy of a key.
    pub fn client_key(&self, name: &str) -> PathBuf {
        self.path(&format!("client/{name}.key"))
    }

    /// Where the client keeps its counter.
    pub fn client_state(&self) -> PathBuf {
        self.path("client")
    }

    /// `state_dir`: where the server keeps its floors.
    pub fn floors_dir(&self) -> PathBuf {
        self.path("floors")
    }

    /// `socket_dir`
    pub fn sockets(&self) -> PathBuf {
        self.path("run")
    }

    /// `audit_dir`
    pub fn audit(&self) -> PathBuf {
        self.path("audit")
    }

    /// `doors_dir`
    pub fn doors_dir(&self) -> PathBuf {
        self.path("doors")
    }

    /// `pin_dir`
    pub fn pins(&self) -> PathBuf {
        self.path("bpf/ruroco")
    }

    /// What is pinned now, which is only what keeps programs attached.
    pub fn pinned(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.pins()).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.path()).filter(|path| !path.is_dir()).collect()
    }

    /// Where programs can be put that the server's user could not reach otherwise.
    pub fn programs(&self) -> PathBuf {
        self.path("bin")
    }

    /// The user that the server runs as.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Any other file or directory of the lab.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a file or directory the server's.
    ///
    /// # Panics
    /// If it is not there.
    pub fn give_to_user(&self, path: &Path) {
        let (user, group) = (self.user.uid.as_raw(), self.user.gid.as_raw());
        chown(path, Some(user), Some(group)).expect("change the owner of a file");
    }

    /// Makes `config.toml` another one and returns what it was.
    ///
    /// # Panics
    /// If it then says the same.
    pub fn change_config(&self, change: impl FnOnce(&str) -> String) -> String {
        let text = fs::read_to_string(self.config()).expect("read the configuration");
        let changed = change(&text);
        assert_ne!(text, changed, "nothing was changed");
        fs::write(self.config(), changed).expect("write the configuration");
        text
    }

    /// Makes a key with the real client and gives it to client and server.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn add_key(&self, name: &str) {
        let (client, server) = (self.client_key(name), self.server_key(name));
        let made = Command::new(programs::path("ruroco-client"))
            .args(["key", "gen", "--out"])
            .arg(&client)
            .env("RUROCO_CONF_DIR", self.client_state())
            .output()
            .expect("run ruroco-client");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::copy(&client, &server).expect("copy a key");
        self.make_private(&server);
    }

    /// Makes a file the server's copy of a key: readable only by whoever reads the keys, which is the
    /// server, or else root.
    ///
    /// # Panics
    /// If it is not there.
    pub fn make_private(&self, key: &Path) {
        set_mode(key, 0o600);
        if self.server_reads_keys {
            self.give_to_user(key);
        }
    }

    /// Makes a key as upstream ruroco has them: for AES-256-GCM-SIV, which the kernel cannot check.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn add_upstream_key(&self, name: &str) {
        self.add_key(name);
        for path in [self.client_key(name), self.server_key(name)] {
            let text = fs::read_to_string(&path).expect("read a key");
            let (_, bare) = text.split_once(':').expect("a key with a prefix");
            // Written over, so that mode and owner stay.
            fs::write(&path, bare).expect("write a key");
        }
    }

    /// A key, to seal knocks that the client would not make.
    ///
    /// # Panics
    /// If there is none of this name.
    pub fn key(&self, name: &str) -> Key {
        Key::read(&self.client_key(name)).expect("read a key")
    }

    /// The commands that have run so far, in the order in which they wrote their line.
    ///
    /// # Panics
    /// If one of them did not write what it should have.
    pub fn runs(&self) -> Vec<Run> {
        let text = fs::read_to_string(self.record()).unwrap_or_default();
        // A line without an end is still being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| {
                let words: Vec<_> = line.split(' ').collect();
                let [started_at, command, key, ip] = words[..] else {
                    panic!("a command recorded {line:?}");
                };
                Run {
                    started_at: started_at.parse().expect("a time"),
                    command: command.to_owned(),
                    key: key.to_owned(),
                    ip: ip.parse().expect("an address"),
                }
            })
            .collect()
    }

    fn record(&self) -> PathBuf {
        self.path("record")
    }

    fn config_text(&self, options: &Options) -> String {
        let ips = Family::BOTH.map(|family| SERVER.of(family).to_string());
        let mut text = format!(
            "addresses = {ips:?}\nport = {PORT}\nsource = {:?}\n\
             keys_dir = {:?}\nstate_dir = {:?}\nsocket_dir = {:?}\naudit_dir = {:?}\nserver_user = {:?}\n\
             max_knocks_per_second_per_key = {}\nmax_knocks_per_second = 100000\n",
            options.source,
            self.path("etc"),
            self.floors_dir(),
            self.sockets(),
            self.audit(),
            self.user.name,
            options.max_knocks_per_second_per_key,
        );
        if options.source == "xdp" {
            write!(
                text,
                "\n[gate]\ninterfaces = {:?}\nmode = {:?}\npin_dir = {:?}\ndoors_dir = {:?}\n{}\n",
                options.interfaces,
                options.mode,
                self.pins(),
                self.doors_dir(),
                options.gate,
            )
            .expect("write to a string");
        } else {
            let (pins, doors, gate) = (self.pins(), self.doors_dir(), options.gate);
            write!(text, "\n[gate]\npin_dir = {pins:?}\ndoors_dir = {doors:?}\n{gate}\n")
                .expect("write to a string");
        }
        text + "\n" + &options.config
    }

    fn commands_text(&self, options: &Options) -> String {
        let script = format!(
            "echo \"$(date +%s%N) $RUROCO_COMMAND $RUROCO_KEY $RUROCO_IP\" >> {}; \
             echo \"the door is open for $RUROCO_IP\"",
            self.record().display()
        );
        format!(
            "[commands.{DEFAULT_COMMAND}]\nshell = '{script}'\n{}\n\n\
             [commands.{OTHER_COMMAND}]\nrun = [\"/bin/sh\", \"-c\", '{script}']\n\n{}",
            options.default_command, options.commands
        )
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    set_mode(path, 0o644);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set the mode of a file");
}
