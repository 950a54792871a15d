//! A real sshd on the server's host, and what `ssh` on the client's host needs for it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use ruroco_lab::{
    daemon::Daemon,
    lab::{Lab, require_tool},
    mount::Mount,
    network::{self, Family, SERVER},
    programs,
};

/// sshd with keys of its own, as root. It is to be dropped before the lab.
pub(crate) struct Sshd {
    _daemon: Daemon,
    _run: Mount,
    _shadow: Mount,
    port: u16,
    files: PathBuf,
}

/// Runs a command that is expected to succeed.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("run {command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Sshd {
    /// Starts it, and makes the server known to the client: `command` is what a knock requests.
    pub(crate) fn start(lab: &Lab, port: u16, command: &str) -> Self {
        for tool in ["ssh", "ssh-keygen"] {
            require_tool(tool);
        }
        // Where sshd wants a folder; and an account for it that is not locked. The lab's thread has a
        // view of the file systems of its own.
        let run_folder = Mount::memory(Path::new("/run"), 1 << 20);
        fs::create_dir("/run/sshd").unwrap();
        let shadow = lab.files.path("shadow");
        fs::write(&shadow, "root:*:20000:0:99999:7:::\n").unwrap();
        let shadow = Mount::file(&shadow, Path::new("/etc/shadow"));
        let files = lab.files.path("");
        let daemon = start_daemon(lab, &files, port);
        let sshd = Self { _daemon: daemon, _run: run_folder, _shadow: shadow, port, files };
        sshd.write_client_files(lab, command);
        sshd
    }

    fn write_client_files(&self, lab: &Lab, command: &str) {
        let (key, port) = (lab.files.client_key("laptop"), self.port);
        let hosts = Family::BOTH.map(|family| {
            format!(
                "[hosts.{}]\naddress = \"{}\"\nkey = {key:?}\ncommands = [\"{command}\"]\nwait = {port}\n",
                name(family),
                network::gate(family)
            )
        });
        fs::write(lab.files.client_state().join("client.toml"), hosts.concat()).unwrap();
        let host_key = fs::read_to_string(self.path("host_key.pub")).unwrap();
        let hosts = Family::BOTH.map(|family| format!("[{}]:{port} {host_key}", SERVER.of(family)));
        let plain = Family::BOTH.map(|family| format!("{} {host_key}", SERVER.of(family)));
        fs::write(self.path("known_hosts"), hosts.concat() + &plain.concat()).unwrap();
        let hosts = Family::BOTH
            .map(|family| format!("Host {}\n  HostName {}\n", name(family), SERVER.of(family)));
        let all = format!(
            "Host *\n  Port {port}\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  BatchMode yes\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  \
             ConnectTimeout 15\n",
            self.path("user_key").display(),
            self.path("known_hosts").display()
        );
        fs::write(self.config(), hosts.concat() + &all).unwrap();
    }

    /// The client's configuration of `ssh`.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("ssh_config")
    }

    /// `ssh` with options, to be given a host.
    pub(crate) fn ssh(&self, lab: &Lab, options: &[&str]) -> Command {
        let mut command = on_client(lab, "ssh");
        command.arg("-F").arg(self.config());
        command.args(options.iter().flat_map(|option| ["-o", option]));
        command
    }

    /// Where it listens.
    pub(crate) fn address(&self, family: Family) -> SocketAddr {
        (SERVER.of(family), self.port).into()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }
}

/// A program on the client's host, with the person's folder.
pub(crate) fn on_client(lab: &Lab, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = lab.network.client.command();
    command.arg(program).env("RUROCO_CONF_DIR", lab.files.client_state());
    command
}

/// The option that has `ssh` knock by itself.
pub(crate) fn proxy() -> String {
    format!("ProxyCommand={} proxy %h %p", programs::path("ruroco-client").display())
}

/// What the client calls the server.
pub(crate) fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "home",
        Family::V6 => "home6",
    }
}

fn start_daemon(lab: &Lab, files: &Path, port: u16) -> Daemon {
    let path = |name: &str| files.join(name);
    for key in ["host_key", "user_key"] {
        let mut make = Command::new("ssh-keygen");
        run(make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(key)));
    }
    fs::copy(path("user_key.pub"), path("authorized_keys")).unwrap();
    let config = format!(
        "Port {port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
         PermitRootLogin prohibit-password\nPasswordAuthentication no\n",
        path("host_key").display(),
        path("authorized_keys").display()
    );
    fs::write(path("sshd_config"), config).unwrap();
    let mut command = lab.network.server.command();
    programs::add_launcher(&mut command, None);
    command.args(["/usr/sbin/sshd", "-D", "-e", "-f"]).arg(path("sshd_config"));
    let sshd = Daemon::start("sshd", &mut command);
    sshd.wait_for(&["listening on 0.0.0.0"]);
    sshd.wait_for(&["listening on ::"]);
    sshd
}
