//! A real sshd behind a firewall that drops: knocking opens it for whoever knocked, for a moment, and
//! for nobody else. The firewall and the command are those of the examples that come with the packages.

use std::{
    fs,
    io::{self, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use ruroco_lab::{
    lab::{Lab, require_tool},
    namespace::Namespace,
    network::{CLIENT, Family},
    programs, wait,
};
use serde_json::Value;

use crate::sshd::{Sshd, name, on_client, proxy, run};

/// sshd's port.
const SSH: u16 = 22;

/// How long an answer may take on the lab's wire. The firewall drops, so no answer is the usual one.
const ANSWER: Duration = Duration::from_millis(200);

/// The lab with sshd on the server's host.
struct Site {
    // In the order in which they are to be dropped.
    sshd: Sshd,
    lab: Lab,
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/examples").join(name);
    fs::read_to_string(path).unwrap()
}

impl Site {
    /// With a port that is shut again while somebody waits for it.
    fn new() -> Self {
        Self::open_for("4s")
    }

    /// With a command that opens the port for so long, in nft's notation.
    fn open_for(time: &str) -> Self {
        require_tool("nft");
        let mut lab = Lab::new(&Default::default());
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
        let sshd = Sshd::start(&lab, SSH, "open_ssh");
        Self { sshd, lab }
    }

    /// `ssh` with options, to be given a host.
    fn ssh(&self, options: &[&str]) -> Command {
        self.sshd.ssh(&self.lab, options)
    }

    fn is_open_for(&self, host: &Namespace, family: Family) -> bool {
        let sshd = self.sshd.address(family);
        host.enter(|| TcpStream::connect_timeout(&sshd, ANSWER)).is_ok()
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
        let (third, sshd) = (self.lab.network.third.handle(), self.sshd.address(family));
        thread::scope(|scope| {
            let bystander = scope.spawn(|| {
                third.enter(|| {
                    let mut met = Vec::new();
                    while !over.load(Ordering::SeqCst) {
                        met.push(TcpStream::connect_timeout(&sshd, ANSWER).map(drop));
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

/// The firewall's set of the addresses that may connect.
fn set(family: Family) -> &'static str {
    match family {
        Family::V4 => "ssh4",
        Family::V6 => "ssh6",
    }
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
    let proxy = proxy();
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
    let client = || on_client(&site.lab, programs::path("ruroco-client"));
    for family in Family::BOTH {
        site.expect_shut_again(family);
        let sent = client().args(["knock", name(family)]).output().unwrap();
        let (out, err) = text(&sent);
        assert_eq!(sent.status.code(), Some(0), "{err}");
        let opened = format!("{} is open, ", site.sshd.address(family));
        let opens = out
            .lines()
            .any(|line| line.starts_with(&opened) && line.ends_with(" ms after the knock"));
        assert!(opens, "{out}");
        site.expect_shut_again(family);

        let config = site.sshd.config();
        let ssh = ["ssh", "-F", config.to_str().unwrap(), name(family), "echo in; exit 6"];
        let opened = client().args(["open", name(family), "--"]).args(ssh).output().unwrap();
        let (out, err) = text(&opened);
        assert_eq!((opened.status.code(), &*out), (Some(6), "in\n"), "{err}");
        site.expect_shut_again(family);

        // A command that the host does not have opens nothing, and ssh is not started.
        let marker = site.lab.files.path("started");
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
