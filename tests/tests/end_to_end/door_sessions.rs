//! What came through a door: how it is counted, and how the operator ends it.

use std::{
    fs,
    io::{self, Read},
    net::{TcpStream, UdpSocket},
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Output, Stdio},
};

use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::Options,
    knock::Knock,
    lab::udp_socket,
    namespace::Namespace,
    network::{CLIENT, Family, SERVER, THIRD},
    wait,
};

use crate::doors::{LONG, SHORT, Session, Site, behind, options};

impl Site {
    /// A session from a host for which the door is open for a moment.
    fn connect_from(&mut self, host: &Namespace, family: Family, address: &str) -> Session {
        let arguments = ["--command", "open_test", "--ip", address, "--permissive"];
        self.lab.knock(family, &arguments);
        self.lab.gate().wait_for(&["door=test", &format!("ip={address} ")]);
        let near = host.enter(|| TcpStream::connect_timeout(&behind(family), wait::DEADLINE));
        let near = near.expect("the door is not open");
        let far = self.accept(family);
        Session { near, far }
    }

    /// Runs the tool, started by a process that has ended: the sessions that this test has are not the tool's own.
    fn tool(&self, arguments: &[&str]) -> Output {
        let tool = self.lab.tool_command(arguments);
        let [out, err, code] =
            ["tool.out", "tool.err", "tool.code"].map(|name| self.lab.files.path(name));
        let _ = fs::remove_file(&code);
        let line = "out=$1 err=$2 code=$3; shift 3; \
                    { \"$@\" >$out 2>$err; echo $? >$code.new; mv $code.new $code; } &";
        let mut shell = Command::new("sh");
        shell.args(["-c", line, "sh"]).args([&out, &err, &code]);
        shell.arg(tool.get_program()).args(tool.get_args());
        for sign in ["SSH_CONNECTION", "TMUX", "STY"] {
            shell.env_remove(sign);
        }
        assert!(shell.stdin(Stdio::null()).status().unwrap().success());
        let code = wait::until("the end of the tool", || fs::read_to_string(&code).ok());
        let code: i32 = code.trim().parse().unwrap();
        let [stdout, stderr] = [out, err].map(|path| fs::read(path).unwrap());
        Output { status: ExitStatus::from_raw(code << 8), stdout, stderr }
    }

    #[track_caller]
    fn expect_said(&self, arguments: &[&str], expected: &str) {
        let output = self.tool(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}

impl Session {
    /// The server's end was reset, and so is this.
    #[track_caller]
    fn expect_cut(&mut self) {
        self.near.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        let error = self.near.read(&mut [0]).expect_err("the session continues");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn sessions_end_for_one_address_or_for_all() {
    let mut site = Site::new(&options(LONG, ""));
    let third = site.lab.network.third.handle();
    let client = site.lab.network.client.handle();
    for family in Family::BOTH {
        let [near, far] = [CLIENT, THIRD].map(|host| host.of(family).to_string());
        let mut ours = site.connect_from(&client, family, &near);
        let mut other = site.connect_from(&third, family, &far);
        site.expect_said(
            &["doors", "close", "test", "--for", &near],
            &format!("closed test for {near}\n"),
        );
        ours.expect_alive();
        site.expect_said(
            &["doors", "close", "test", "--for", &near, "--cut"],
            &format!("test was not open for {near}\nended 1 TCP session through test\n"),
        );
        ours.expect_cut();
        other.expect_alive();
        site.expect_said(
            &["doors", "close", "test", "--cut"],
            "closed test\nended 1 TCP session through test\n",
        );
        other.expect_cut();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_revoked_key_takes_its_sessions_along_if_so_requested() {
    let mut site = Site::new(&Options { more_keys: vec!["phone"], ..options(LONG, "") });
    let family = Family::V4;
    let third = site.lab.network.third.handle();
    site.open(family);
    let mut session = site.connect(family);
    // The other key opens the door for another address.
    let mut knock = Knock::to(SERVER.of(family), "open_test");
    knock.plaintext.claimed_source = Some(THIRD.of(family).into());
    site.lab.send(family, &knock.seal(&site.lab.files.key("phone")));
    site.lab.gate().wait_for(&["door=test", &format!("ip={} ", THIRD.of(family))]);
    let near = third.enter(|| TcpStream::connect_timeout(&behind(family), wait::DEADLINE));
    let mut other = Session { near: near.unwrap(), far: site.accept(family) };

    let commands = site.lab.files.commands();
    let commands = ["--commands", commands.to_str().unwrap()];
    let revoked = site.tool(&[&["key", "revoke", "laptop", "--cut"][..], &commands].concat());
    let said = String::from_utf8_lossy(&revoked.stdout).into_owned();
    assert!(said.contains("ended 1 TCP session through test"), "{said}");
    session.expect_cut();
    other.expect_alive();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_flow_ends_with_the_key_that_opened_it_whoever_has_renewed_the_lease() {
    let mut options = Options { more_keys: vec!["phone"], ..options(SHORT, "") };
    options.config = options.config.replace("tcp/", "udp/");
    let mut site = Site::new(&options);
    for family in Family::BOTH {
        let server = site.lab.network.server.enter(|| UdpSocket::bind(behind(family))).unwrap();
        server.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        let flow = udp_socket(&site.lab.network.client, family.unspecified());
        let mut buffer = [0; 8];
        site.open(family);
        flow.send_to(b"open", behind(family)).unwrap();
        server.recv_from(&mut buffer).unwrap();
        let knock = Knock::to(SERVER.of(family), "open_test");
        site.lab.send(family, &knock.seal(&site.lab.files.key("phone")));
        let address = format!("ip={} ", CLIENT.of(family));
        site.lab.gate().wait_for(&["door=test", &address, "key=phone"]);
        site.wait_for_end_of_lease(family);
        flow.send_to(b"still", behind(family)).unwrap();
        server.recv_from(&mut buffer).unwrap();
        assert_eq!(site.doors()[0]["flows"], 1);

        let (file, key) = (site.lab.files.server_key("laptop"), site.lab.files.path("kept"));
        fs::rename(&file, &key).unwrap();
        site.lab.reload_gate();
        site.lab.expect_verdict(Verdict::DoorClosed, 1, |_| {
            flow.send_to(b"over", behind(family)).unwrap();
        });
        assert_eq!(site.doors()[0]["flows"], 0);
        fs::rename(&key, &file).unwrap();
        site.lab.reload_gate();
        // Without an address, a door closes for flows, too, whose leases have ended.
        site.open(family);
        flow.send_to(b"again", behind(family)).unwrap();
        server.recv_from(&mut buffer).unwrap();
        site.wait_for_end_of_lease(family);
        site.expect_said(
            &["doors", "close", "test"],
            "test was not open\nended flows through test: 1\n",
        );
        site.lab.expect_verdict(Verdict::DoorClosed, 1, |_| {
            flow.send_to(b"over", behind(family)).unwrap();
        });
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_a_door_has_admitted_is_counted_over_its_leases() {
    let mut site = Site::new(&options(LONG, ""));
    let admitted = |site: &Site| site.doors()[0]["admitted"].as_u64().unwrap();
    assert_eq!(admitted(&site), 0);
    site.open(Family::V4);
    let _sessions = [site.connect(Family::V4), site.connect(Family::V4)];
    assert_eq!(admitted(&site), 2);
    // A renewed lease, another one, and one that has been closed.
    site.open(Family::V4);
    site.open(Family::V6);
    let _more = [site.connect(Family::V4), site.connect(Family::V6)];
    assert_eq!(admitted(&site), 4);
    assert!(site.tool(&["doors", "close", "test"]).status.success());
    assert_eq!(admitted(&site), 4);
    site.open(Family::V4);
    let _last = site.connect(Family::V4);
    assert_eq!(admitted(&site), 5);
    let shown = String::from_utf8(site.tool(&["status", "--prometheus"]).stdout).unwrap();
    for line in [
        "ruroco_door_leases{door=\"test\"} 1",
        "ruroco_door_sessions{door=\"test\",kind=\"tcp\"} 5",
        "ruroco_door_admitted_total{door=\"test\"} 5",
    ] {
        assert!(shown.lines().any(|is| is == line), "no {line} in {shown}");
    }
    // The counter is that of the gate.
    site.lab.gate().crash();
    site.lab.start_gate();
    assert_eq!(admitted(&site), 0);
    let _again = site.connect(Family::V4);
    assert_eq!(admitted(&site), 1);
}
