//! docs/start/coming-from-ruroco.md, word for word, on a host as upstream ruroco leaves it: its user, its
//! units, its files, byte for byte. Only its programs are not there: something that sleeps runs in
//! their place.
//!
//! The lab's client has an address that is not public, for which upstream's files have no command run.
//! Its knocks claim one that is.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use ruroco_common::address::Address;
use ruroco_keys::key::Key;
use ruroco_lab::{
    guest::PACKAGES_INSIDE,
    knock::Knock,
    network::{CLIENT, SERVER, SERVER_INTERFACE},
    wait,
};

use crate::{
    host::{Host, KEY, UNITS},
    page,
};

const PAGE: &str = "start/coming-from-ruroco.md";

/// Upstream's socket is there, whatever `address` says.
const PORT: u16 = 80;

/// Upstream's units, but for what they run.
const SOCKET: &str = "\
[Unit]
Description=ruroco server socket
PartOf=ruroco.service

[Socket]
ListenDatagram=[::]:80

[Install]
WantedBy=sockets.target
";
const SERVER_UNIT: &str = "\
[Unit]
Description=ruroco server
Requires=network-online.target ruroco.socket ruroco-commander.service
After=network-online.target ruroco.socket ruroco-commander.service

[Service]
Type=simple
User=ruroco
Group=ruroco
ExecStart=/bin/sleep infinity
Restart=always
CapabilityBoundingSet=
AmbientCapabilities=
StateDirectory=ruroco
ProtectSystem=strict
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
NoNewPrivileges=yes
ProcSubset=pid
ProtectProc=noaccess
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX
SocketBindDeny=any
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
KeyringMode=private
RemoveIPC=yes
SystemCallFilter=@system-service
SystemCallFilter=~@chown @clock @cpu-emulation @debug @keyring @memlock @module @mount @obsolete
SystemCallFilter=~@privileged @raw-io @reboot @resources @setuid
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
";
const COMMANDER_UNIT: &str = "\
[Unit]
Description=ruroco commander

[Service]
Type=simple
ExecStart=/bin/sleep infinity
Restart=always
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_NET_ADMIN CAP_NET_RAW
RuntimeDirectory=ruroco
RuntimeDirectoryMode=0755
NoNewPrivileges=yes
PrivateTmp=yes
ProcSubset=pid
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
SystemCallFilter=~@clock @cpu-emulation @debug @keyring @memlock @module @obsolete @raw-io @reboot
SystemCallFilter=~@resources @setuid
UMask=0077

[Install]
WantedBy=multi-user.target
";
const UPSTREAMS_UNITS: [&str; 3] = ["ruroco.socket", "ruroco.service", "ruroco-commander.service"];

/// The sample that upstream ships, with an address in the place of its placeholders.
const SAMPLE: &str = r#"ips = ["192.0.2.1"]
address = "[::]:34020"
config_dir = "/etc/ruroco/"
blocklist_dir = "/var/lib/ruroco"
socket_dir = "/run/ruroco"
socket_user = "ruroco"
socket_group = "ruroco"
"#;

/// As little as upstream starts with.
const LEAST: &str = "ips = [\"192.0.2.1\"]\n";

/// Both values that a command may have, and the second in both spellings.
const COMMANDS: &str = r#"[commands]                   # MANDATORY - but can be empty
default = "echo default for $RUROCO_IP"
open_port = { cmd = "echo open_port for $RUROCO_IP", timeout_sec = 120 }

[commands.close_port]
cmd = "echo close_port for ${RUROCO_IP}"

[commands.write]
cmd = "echo allow $RUROCO_IP > /etc/ufw/user.rules && echo write for $RUROCO_IP"
"#;

/// A key as upstream's `gen` prints it, without an end of line.
const KEY_TEXT: &str = "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

/// The counter of the last packet that upstream has accepted of it.
const FLOOR: u128 = 0x17f3_5985_0147_3c02;

/// An address that upstream's filter lets pass.
const PUBLIC: &str = "1.1.1.1";

/// A `blocklist.msgpck` with that.
fn blocklist() -> Vec<u8> {
    let entry = [0x91, 0x81, 0x98, 0, 1, 2, 3, 4, 5, 6, 7, 0xc4, 0x10];
    [&entry[..], &FLOOR.to_be_bytes()].concat()
}

/// A guest on which upstream runs, with this `config.toml` and its floors in this directory.
fn host_of_upstreams(config: &str, state_dir: &str) -> Host {
    let host = Host::boot();
    let guest = &host.guest;
    guest.run("useradd --system ruroco --shell /bin/false");
    for (unit, text) in UPSTREAMS_UNITS.into_iter().zip([SOCKET, SERVER_UNIT, COMMANDER_UNIT]) {
        guest.write(&format!("/etc/systemd/system/{unit}"), text);
    }
    guest.run("mkdir /etc/ruroco");
    guest.write("/etc/ruroco/config.toml", config);
    guest.write("/etc/ruroco/commands.toml", COMMANDS);
    guest.write(&format!("/etc/ruroco/{KEY}.key"), KEY_TEXT);
    host.paste_key(KEY, KEY_TEXT);
    // As upstream's wizard and its instructions have them.
    guest.run("chmod 600 /etc/ruroco/*; chown -R ruroco:ruroco /etc/ruroco");
    let units = UPSTREAMS_UNITS.join(" ");
    guest.run(&format!("systemctl daemon-reload && systemctl enable {units}"));
    guest.run(&format!("systemctl start {units} && systemctl is-active {units}"));
    let path = format!("{state_dir}/blocklist.msgpck");
    guest.write_bytes(&path, &blocklist());
    guest.run(&format!("chown ruroco: {path} && chmod 600 {path}"));
    host
}

/// Runs a block as somebody who pastes it and stops at the first line that fails.
#[track_caller]
fn follow(host: &Host, block: &str) -> String {
    let done = host.guest.try_run(&format!("cd {PACKAGES_INSIDE}\nset -eu\n{block}"));
    assert!(done.status.success(), "{block}: {done:#?}\n{}", host.guest.journal());
    String::from_utf8(done.stdout).unwrap()
}

/// Steps 1 to 3.
fn exchange_the_server(host: &Host) {
    let [stop, import, start] = page::blocks(PAGE, "The server", "sh");
    follow(host, &stop);
    // Who follows the page has a terminal, and says yes.
    let said = follow(host, &import.replace("ruroco import", "ruroco import --yes"));
    assert!(said.contains("blocklist.msgpck: 1\n"), "{said}");
    follow(host, &start);
    for unit in ["ruroco-udp.socket", "ruroco-server", "ruroco-commander"] {
        host.guest.wait_until(&format!("systemctl is-active {unit}"));
    }
}

fn here() -> SocketAddr {
    (SERVER.v4, PORT).into()
}

/// Sends what upstream's client would have with this counter.
fn send(host: &Host, counter: u128) {
    let mut knock = Knock::to(SERVER.v4.into(), "default");
    knock.plaintext.counter = counter;
    knock.plaintext.claimed_source = Some(Address::from(PUBLIC.parse::<IpAddr>().unwrap()));
    let datagram = knock.seal(&Key::parse(KEY_TEXT).unwrap());
    host.network.client.enter(|| {
        let socket = UdpSocket::bind((CLIENT.v4, 0)).unwrap();
        socket.send_to(&datagram, here()).unwrap();
    });
}

/// Makes sure that the real client, with upstream's key, has this command run, and nothing else.
#[track_caller]
fn expect_a_knock_to_run(host: &Host, command: &str) {
    let before = host.runs();
    let more = ["--permissive", "--ip", PUBLIC, "--command", command];
    host.knock_with(KEY, here(), &more);
    host.expect_runs(before + 1);
    let log = host.guest.run("journalctl --unit ruroco-commander --output cat");
    let ran = log.lines().filter(|line| line.contains(&format!("{command} for {PUBLIC}")));
    assert_ne!(ran.count(), 0, "{log}");
}

/// Makes sure that `unit` gives this reason for the `count`th time.
#[track_caller]
fn expect_refusal(host: &Host, unit: &str, reason: &str, count: usize) {
    let refusals = || {
        let log = host.guest.run(&format!("journalctl --unit {unit} --output cat"));
        log.lines().filter(|line| line.contains("refused") && line.contains(reason)).count()
    };
    wait::until(reason, || (refusals() >= count).then_some(()));
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn a_host_of_upstreams_is_taken_over_by_the_page_and_gets_a_gate() {
    // More than two knocks in a second come.
    let limit = "max_requests_per_second = 1000\n";
    let mut host = host_of_upstreams(&format!("{SAMPLE}{limit}"), "/var/lib/ruroco");
    exchange_the_server(&host);

    send(&host, FLOOR);
    expect_refusal(&host, "ruroco-server", "old_counter", 1);
    send(&host, FLOOR + 1);
    host.expect_runs(1);
    send(&host, FLOOR + 1);
    expect_refusal(&host, "ruroco-server", "old_counter", 2);
    for command in ["default", "open_port", "close_port"] {
        expect_a_knock_to_run(&host, command);
    }
    expect_a_command_to_write_where_it_may(&host);
    // What the file leaves out means what it means to upstream.
    expect_a_private_address_to_be_refused(&host, 1);

    get_a_gate(&host);
    expect_a_knock_to_run(&host, "write");
    assert_eq!(host.verdict("candidate"), 1, "by the gate");
    send(&host, FLOOR + 1);
    expect_refusal(&host, "ruroco-server", "old_counter", 3);
    expect_a_private_address_to_be_refused(&host, 2);
    host.guest.reboot(&host.network.server);
    for unit in UNITS {
        host.guest.wait_until(&format!("systemctl is-active {unit}"));
    }
    expect_a_knock_to_run(&host, "default");
    host.expect_silence();
}

/// "Commands that write files".
#[track_caller]
fn expect_a_command_to_write_where_it_may(host: &Host) {
    let [steps] = page::blocks(PAGE, "Commands that write files", "sh");
    host.guest.run("mkdir -p /etc/ufw");
    let more = ["--permissive", "--ip", PUBLIC, "--command", "write"];
    host.knock_with(KEY, here(), &more);
    host.guest.wait_until("journalctl --unit ruroco-commander | grep 'Read-only file system'");
    follow(host, &steps);
    expect_a_knock_to_run(host, "write");
}

/// Makes sure that a knock from the client's own address is refused, for the `count`th time.
#[track_caller]
fn expect_a_private_address_to_be_refused(host: &Host, count: usize) {
    let before = host.runs();
    host.knock_with(KEY, here(), &[]);
    expect_refusal(host, "ruroco-server", "non_routable_address", count);
    assert_eq!(host.runs(), before);
}

/// "To the gate", on a host whose interface has another name.
fn get_a_gate(host: &Host) {
    let [lines] = page::blocks(PAGE, "To the gate", "toml");
    let [steps] = page::blocks(PAGE, "To the gate", "sh");
    let before = host.guest.run("cat /etc/ruroco/config.toml");
    let kept = before.lines().filter(|line| *line != "source = \"udp\"");
    let lines = lines.replace("eth0", SERVER_INTERFACE);
    let config: Vec<_> = kept.chain(lines.lines()).collect();
    host.guest.write("/etc/ruroco/config.toml", &(config.join("\n") + "\n"));
    let said = follow(host, &steps);
    assert!(said.contains("started ruroco-gate.service"), "{said}");
    assert!(said.contains("problems: 0"), "{said}");
    // Nothing is left of the way without a gate.
    assert_eq!(host.guest.property("ruroco-udp.socket", "ActiveState"), "inactive");
    assert_eq!(host.guest.property("ruroco-udp.socket", "UnitFileState"), "disabled");
    assert_eq!(host.guest.property("ruroco-server", "DropInPaths"), "");
    for unit in UNITS {
        host.guest.wait_until(&format!("systemctl is-active {unit}"));
    }
}

#[test]
#[cfg_attr(not(feature = "system"), ignore = "needs a booted Debian: cargo xtask test --system")]
fn floors_that_are_beside_the_keys_are_moved_too() {
    let host = host_of_upstreams(LEAST, "/etc/ruroco");
    exchange_the_server(&host);
    send(&host, FLOOR);
    expect_refusal(&host, "ruroco-server", "old_counter", 1);
    send(&host, FLOOR + 1);
    host.expect_runs(1);
    expect_a_knock_to_run(&host, "default");
}
