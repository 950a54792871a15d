//! sshd behind a door, set up as the documentation tells a new operator to (docs/operate/doors.md): by five commands,
//! and no file is edited.

use std::{
    fs,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use ruroco_lab::{
    guest::PACKAGES_INSIDE,
    namespace::Namespace,
    network::{CLIENT, Family, SERVER},
    programs,
    shell::Shell,
    wait,
};
use serde_json::Value;

use crate::host::{Host, KEY};

/// How long an answer may take, where a closed door gives none.
const ANSWER: Duration = Duration::from_millis(500);

/// Brings the network up, as the network's service does on any other Debian. With a route to everywhere, `init` knows
/// where knocks come from.
const NETWORK: &str = "\
link set server0 up
addr replace 192.0.2.1/24 dev server0
addr replace 2001:db8:1::1/64 dev server0 nodad
neigh replace 192.0.2.2 lladdr 02:00:00:00:01:02 dev server0 nud permanent
neigh replace 2001:db8:1::2 lladdr 02:00:00:00:01:02 dev server0 nud permanent
route replace default via 192.0.2.2
";
const NETWORK_SERVICE: &str = "\
[Unit]
After=network-pre.target
Before=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/sbin/ip -batch /etc/lab-network

[Install]
WantedBy=multi-user.target
";

/// Has the host bring its network up by itself, now and at each boot.
fn add_network(host: &Host) {
    host.guest.write("/etc/lab-network", NETWORK);
    host.guest.write("/etc/systemd/system/lab-network.service", NETWORK_SERVICE);
    host.guest.run("systemctl daemon-reload && systemctl enable --now lab-network");
}

fn sshd() -> SocketAddr {
    (SERVER.of(Family::V4), 22).into()
}

fn connect(client: &Namespace, patience: Duration) -> io::Result<TcpStream> {
    client.enter(|| TcpStream::connect_timeout(&sshd(), patience))
}

#[track_caller]
fn expect_closed(host: &Host) {
    let error = connect(&host.network.client, ANSWER).expect_err("the door is open");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
}

/// Gives the operator a way in that any host with sshd has: a key of the laptop's.
fn authorize(host: &Host) {
    let [key, known] = ["id", "known_hosts"].map(|name| host.client_file(name));
    let mut make = Command::new("ssh-keygen");
    let made = make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    host.guest.run("install -d -m 700 /root/.ssh");
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    host.guest.write("/root/.ssh/authorized_keys", &public);
    let host_key = host.guest.run("cat /etc/ssh/ssh_host_ed25519_key.pub");
    fs::write(known, format!("{} {host_key}", SERVER.v4)).unwrap();
}

/// `ssh root@HOST`, as it is in the documentation but for the names of files and the time that it takes.
fn ssh(host: &Host, options: &[&str]) -> Command {
    let mut ssh = host.on_client("ssh");
    ssh.args(["-F", "none", "-o", "BatchMode=yes", "-i"]).arg(host.client_file("id"));
    let known = format!("UserKnownHostsFile={}", host.client_file("known_hosts").display());
    ssh.args(["-o", &known]);
    ssh.args(options.iter().flat_map(|option| ["-o", option]));
    ssh.arg(format!("root@{}", SERVER.v4));
    ssh
}

/// The same by a knock.
#[track_caller]
fn log_in(host: &Host) -> Shell {
    let client = programs::path("ruroco-client");
    let proxy = format!("ProxyCommand={} proxy %h %p", client.display());
    let mut shell = Shell::start(ssh(host, &[&proxy]));
    assert_eq!(shell.from(), CLIENT.v4.to_string());
    shell.expect_alive();
    shell
}

/// Pastes an invitation into `ruroco-client join`.
fn join(host: &Host, invitation: &str) -> String {
    let mut join = host.on_client(programs::path("ruroco-client"));
    let pipes = join.arg("join").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut join = pipes.stderr(Stdio::piped()).spawn().unwrap();
    writeln!(join.stdin.take().unwrap(), "{invitation}").unwrap();
    let output = join.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn arming(host: &Host) -> Value {
    let status: Value = serde_json::from_str(&host.guest.run("ruroco status --json")).unwrap();
    status["arming"].clone()
}

/// Reboots, from a network that is down, while somebody tries to connect all the time, who does not come in.
fn reboot_behind_the_door(host: &mut Host) {
    host.network.server.ip("link set server0 down\n");
    let (up, client) = (AtomicBool::new(false), host.network.client.handle());
    let is_up = || up.load(Ordering::SeqCst).then_some(());
    thread::scope(|scope| {
        let bystander = scope.spawn(|| {
            let mut came_in = 0;
            while wait::poll(Duration::from_millis(20), is_up).is_none() {
                came_in += usize::from(connect(&client, ANSWER).is_ok());
            }
            came_in
        });
        host.guest.reboot(&host.network.server);
        host.guest.wait_until("systemctl is-active ssh ruroco-gate ruroco-server ruroco-commander");
        up.store(true, Ordering::SeqCst);
        assert_eq!(bystander.join().unwrap(), 0, "the door was open while the host booted");
    });
    let [gate, network, sshd] = ["ruroco-gate", "lab-network", "ssh"].map(|unit| -> u64 {
        host.guest.property(unit, "ActiveEnterTimestampMonotonic").parse().unwrap()
    });
    assert!(0 < gate && gate < network && network < sshd, "{gate} {network} {sshd}");
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn ssh_is_behind_a_door_after_five_commands_and_stays_there() {
    let mut host = Host::boot();
    add_network(&host);
    authorize(&host);
    let mut before = Shell::start(ssh(&host, &[]));

    eprintln!(
        "{}",
        host.guest.run(&format!("apt-get install --yes {PACKAGES_INSIDE}/ruroco_*.deb"))
    );
    let said = host.guest.run("ruroco init --door ssh=tcp/22 --yes");
    eprintln!("{said}");
    assert!(
        said.contains("closed ssh. TCP sessions with this host continue. Within 10 minutes,"),
        "{said}"
    );
    expect_closed(&host);
    before.expect_alive();
    assert!(arming(&host)["left_ms"].is_u64());
    let invitation = host.guest.run(&format!("ruroco invite {KEY}"));
    let line = invitation.lines().find(|line| line.starts_with("ruroco://")).unwrap();
    let said = join(&host, line);
    eprintln!("{invitation}\n{said}");
    let mut session = log_in(&host);
    wait::until("the session to confirm the trial", || {
        arming(&host)["left_ms"].is_null().then_some(())
    });
    let shown = host.guest.run("ruroco doors");
    eprintln!("{shown}");
    assert!(shown.contains("ssh (tcp/22) is open for"), "{shown}");

    host.guest.run("systemctl kill --signal=KILL ruroco-gate ruroco-server ruroco-commander");
    session.expect_alive();
    host.guest.run("systemctl stop ruroco-gate ruroco-server ruroco-commander");
    host.guest.run("test -e /sys/fs/bpf/ruroco");
    session.expect_alive();
    before.expect_alive();

    reboot_behind_the_door(&mut host);
    expect_closed(&host);
    log_in(&host);

    host.guest.run("ruroco disarm && systemctl stop ruroco-gate");
    assert!(connect(&host.network.client, wait::DEADLINE).is_ok(), "disarm opens nothing");
    host.guest.run("dpkg --purge ruroco");
    host.guest.run("! test -e /var/lib/ruroco-gate && ! test -e /sys/fs/bpf/ruroco");
    assert!(connect(&host.network.client, wait::DEADLINE).is_ok());
    host.expect_silence();
}
