//! A real sshd behind a firewall that drops: knocking opens it for whoever knocked, for a moment, and
//! for nobody else. The firewall and the command are those of the examples that come with the packages.

use std::{
    fs,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use ruroco_lab::{
    daemon::Daemon,
    lab::{Lab, require_tool},
    mount::Mount,
    namespace::Namespace,
    network::{self, CLIENT, Family, SERVER},
    programs, wait,
};
use serde_json::Value;

/// sshd's port.
const SSH: u16 = 22;

/// How long an answer may take on the lab's wire. The firewall drops, so no answer is the usual one.
const ANSWER: Duration = Duration::from_millis(200);

/// The lab with sshd on the server's host.
struct Site {
    // In the order in which they are to be dropped.
    _sshd: Daemon,
    lab: Lab,
    _run: Mount,
    _shadow: Mount,
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/examples").join(name);
    fs::read_to_string(path).unwrap()
}

/// Runs a command that is expected to succeed.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("run {command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Site {
    /// With a port that is shut again while somebody waits for it.
    fn new() -> Self {
        Self::open_for("4s")
    }

    /// With a command that opens the port for so long, in nft's notation.
    fn open_for(time: &str) -> Self {
        for tool in ["ssh", "ssh-keygen", "nft"] {
            require_tool(tool);
        }
        let mut lab = Lab::new(&Default::default());
        // Where sshd wants a folder; and an account for it that is not locked. The lab's thread has a
        // view of the file systems of its own.
        let run_folder = Mount::memory(Path::new("/run"), 1 << 20);
        fs::create_dir("/run/sshd").unwrap();
        let shadow = lab.files.path("shadow");
        fs::write(&shadow, "root:*:20000:0:99999:7:::\n").unwrap();
        let shadow = Mount::file(&shadow, Path::new("/etc/shadow"));

        let rules = lab.files.path("nftables.conf");
        fs::write(&rules, example("nftables.conf")).unwrap();
        run(lab.network.server.command().args(["nft", "-f"]).arg(&rules));
        let commands = example("commands.toml");
        assert!(commands.contains("timeout 30s"));
        fs::write(
            lab.files.commands(),
            commands.replace("timeout 30s", &format!("timeout {time}")),
        )
        .unwrap();
        lab.start_commander();
        lab.start_gate();
        lab.start_server();
        let sshd = start_sshd(&lab);
        let site = Self { _sshd: sshd, lab, _run: run_folder, _shadow: shadow };
        site.write_client_files();
        site
    }

    fn write_client_files(&self) {
        let key = self.lab.files.client_key("laptop");
        let hosts = Family::BOTH.map(|family| {
            format!(
                "[hosts.{}]\naddress = \"{}\"\nkey = {key:?}\ncommands = [\"open_ssh\"]\nwait = {SSH}\n",
                name(family),
                network::gate(family)
            )
        });
        fs::write(self.lab.files.client_state().join("client.toml"), hosts.concat()).unwrap();
        let host_key = fs::read_to_string(self.path("host_key.pub")).unwrap();
        let hosts = Family::BOTH.map(|family| format!("{} {host_key}", SERVER.of(family)));
        fs::write(self.path("known_hosts"), hosts.concat()).unwrap();
        let hosts = Family::BOTH
            .map(|family| format!("Host {}\n  HostName {}\n", name(family), SERVER.of(family)));
        let all = format!(
            "Host *\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  BatchMode yes\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  \
             ConnectTimeout 15\n",
            self.path("user_key").display(),
            self.path("known_hosts").display()
        );
        fs::write(self.path("ssh_config"), hosts.concat() + &all).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.files.path(name)
    }

    /// A program on the client's host, with the person's folder.
    fn on_client(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.lab.network.client.command();
        command.arg(program).env("RUROCO_CONF_DIR", self.lab.files.client_state());
        command
    }

    /// `ssh` with options, to be given a host.
    fn ssh(&self, options: &[&str]) -> Command {
        let mut command = self.on_client("ssh");
        command.arg("-F").arg(self.path("ssh_config"));
        command.args(options.iter().flat_map(|option| ["-o", option]));
        command
    }

    fn is_open_for(&self, host: &Namespace, family: Family) -> bool {
        host.enter(|| TcpStream::connect_timeout(&sshd(family), ANSWER)).is_ok()
    }

    /// Waits until the client cannot connect any more, and makes sure that nobody else can.
    fn expect_shut_again(&self, family: Family) {
        let (client, third) = (&self.lab.network.client, &self.lab.network.third);
        wait::until("sshd to be shut again", || (!self.is_open_for(client, family)).then_some(()));
        assert!(!self.is_open_for(third, family), "sshd is open for somebody else");
    }

    /// Runs nft on the server's host; what it prints.
    fn nft(&self, arguments: &[&str]) -> Vec<u8> {
        let mut nft = self.lab.network.server.command();
        let output = nft.arg("nft").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// For how many more seconds the client's address may connect.
    fn seconds_left(&self, family: Family) -> u64 {
        let listed = self.nft(&["-j", "list", "set", "inet", "knock", set(family)]);
        let listed: Value = serde_json::from_slice(&listed).unwrap();
        let elements = listed["nftables"][1]["set"]["elem"].as_array().unwrap();
        let [element] = &elements[..] else { panic!("not one element: {elements:?}") };
        assert_eq!(element["elem"]["val"], CLIENT.of(family).to_string());
        element["elem"]["expires"].as_u64().unwrap()
    }

    /// Does something while a bystander tries to connect again and again, for whom nothing opens.
    fn while_shut_for_others<T: Send>(&self, family: Family, action: impl FnOnce() -> T) -> T {
        let (over, attempts) = (AtomicBool::new(false), AtomicUsize::new(0));
        let third = self.lab.network.third.handle();
        thread::scope(|scope| {
            let bystander = scope.spawn(|| {
                third.enter(|| {
                    let mut met = Vec::new();
                    while !over.load(Ordering::SeqCst) {
                        met.push(TcpStream::connect_timeout(&sshd(family), ANSWER).map(drop));
                        attempts.fetch_add(1, Ordering::SeqCst);
                    }
                    met
                })
            });
            let done = action();
            // At least one attempt that began after it was done with.
            let so_far = attempts.load(Ordering::SeqCst);
            wait::until("the bystander to try once more", || {
                (attempts.load(Ordering::SeqCst) > so_far + 1).then_some(())
            });
            over.store(true, Ordering::SeqCst);
            for met in bystander.join().unwrap() {
                let error = met.expect_err("sshd was open for somebody else");
                assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            }
            done
        })
    }
}

/// Where sshd listens.
fn sshd(family: Family) -> SocketAddr {
    (SERVER.of(family), SSH).into()
}

/// The firewall's set of the addresses that may connect.
fn set(family: Family) -> &'static str {
    match family {
        Family::V4 => "ssh4",
        Family::V6 => "ssh6",
    }
}

/// What the client calls the server.
fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "home",
        Family::V6 => "home6",
    }
}

/// sshd with keys of its own, as root in the server's network.
fn start_sshd(lab: &Lab) -> Daemon {
    let path = |name: &str| lab.files.path(name);
    for key in ["host_key", "user_key"] {
        let mut make = Command::new("ssh-keygen");
        run(make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(key)));
    }
    fs::copy(path("user_key.pub"), path("authorized_keys")).unwrap();
    let config = format!(
        "Port {SSH}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
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

fn text(output: &Output) -> (String, String) {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    (out.into_owned(), err.into_owned())
}

/// Bytes in, the same bytes out, and how it ended.
fn through(command: &mut Command, bytes: &[u8]) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || _ = input.write_all(bytes));
        child.wait_with_output().unwrap()
    })
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn plain_ssh_knocks_by_itself_and_the_port_is_shut_before_and_after() {
    let mut site = Site::new();
    let client = programs::path("ruroco-client");
    let proxy = format!("ProxyCommand={} proxy %h %p", client.display());
    let by_name = format!("ProxyCommand={} proxy %n %p", client.display());
    let passing = format!("ProxyCommand={} proxy --fdpass %h %p", client.display());
    for family in Family::BOTH {
        site.expect_shut_again(family);
        let without =
            site.ssh(&["ConnectTimeout=1"]).args([name(family), "true"]).output().unwrap();
        assert_eq!(without.status.code(), Some(255), "ssh came in without a knock");

        for options in [&[&*proxy][..], &[&by_name], &[&passing, "ProxyUseFdpass=yes"]] {
            let went = site.while_shut_for_others(family, || {
                // What goes in comes back, through a shell on the server.
                let mut ssh = site.ssh(options);
                ssh.args([name(family), "echo \"$SSH_CONNECTION\"; cat; exit 5"]);
                through(&mut ssh, &[b'x'; 1 << 20])
            });
            let (out, err) = text(&went);
            assert_eq!(went.status.code(), Some(5), "{options:?}: {err}");
            let (connection, rest) = out.split_once('\n').unwrap();
            let from = CLIENT.of(family).to_string();
            assert!(connection.starts_with(&format!("{from} ")), "{connection}");
            assert!(rest.len() == 1 << 20 && rest.bytes().all(|byte| byte == b'x'), "{options:?}");
        }
        site.expect_shut_again(family);
    }
    let replies = site.lab.capture.replies_from_gate();
    assert!(replies.is_empty(), "{replies:#?}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn send_waits_for_the_port_and_open_becomes_ssh() {
    let site = Site::new();
    let client = || site.on_client(programs::path("ruroco-client"));
    for family in Family::BOTH {
        site.expect_shut_again(family);
        let sent = client().args(["knock", name(family)]).output().unwrap();
        let (out, err) = text(&sent);
        assert_eq!(sent.status.code(), Some(0), "{err}");
        let opened = format!("{} is open, ", sshd(family));
        let opens = out
            .lines()
            .any(|line| line.starts_with(&opened) && line.ends_with(" ms after the knock"));
        assert!(opens, "{out}");
        site.expect_shut_again(family);

        let config = site.path("ssh_config");
        let ssh = ["ssh", "-F", config.to_str().unwrap(), name(family), "echo in; exit 6"];
        let opened = client().args(["open", name(family), "--"]).args(ssh).output().unwrap();
        let (out, err) = text(&opened);
        assert_eq!((opened.status.code(), &*out), (Some(6), "in\n"), "{err}");
        site.expect_shut_again(family);

        // A command that the host does not have opens nothing, and ssh is not started.
        let marker = site.path("started");
        let touch = ["--", "touch", marker.to_str().unwrap()];
        let nothing = ["open", name(family), "no_such_command", "--timeout", "0.5"];
        let shut = client().args(nothing).args(touch).output().unwrap();
        let (out, err) = text(&shut);
        assert_eq!((shut.status.code(), &*out), (Some(3), ""), "{err}");
        assert!(err.contains("did not open within 500ms") && err.contains("clock"), "{err}");
        assert!(!marker.exists());
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_second_knock_extends_the_time_for_which_the_port_is_open() {
    let mut site = Site::open_for("3000s");
    for family in Family::BOTH {
        let address = CLIENT.of(family);
        // As a knock leaves it that came 2900 seconds ago.
        let element = format!(
            "element inet knock {} {{ {address} timeout 3000s expires 100s }}",
            set(family)
        );
        site.nft(&["add", &element]);
        assert!(site.seconds_left(family) <= 100);
        site.lab.knock(family, &["--command", "open_ssh"]);
        site.lab.commander().wait_for(&["ended", "open_ssh", &address.to_string(), "exit:0"]);
        assert!(site.seconds_left(family) > 2000, "the second knock extends nothing");
    }
}
