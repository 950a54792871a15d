//! `ruroco check` and `ruroco doctor` on a host, with a gate and without, and on one that
//! something is wrong with.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    programs::{Xdp, XdpMode},
};
use ruroco_common::{rate::Rate, verdict::Verdict};
use ruroco_gate::program::OBJECT;
use ruroco_lab::{
    files::Options,
    lab::Lab,
    network::{Family, PORT, SERVER, SERVER_INTERFACE},
    packet_socket::Receiver,
    programs, wait,
};
use ruroco_operator::doctor::silence;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice::name_to_index, socket_with};
use serde_json::Value;

/// What the doctor finds.
pub(crate) struct Findings {
    pub(crate) all: Vec<Value>,
    is_good: bool,
}

impl Findings {
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("run ruroco");
        let said = String::from_utf8_lossy(&output.stderr);
        let report: Value = serde_json::from_slice(&output.stdout).expect(&said);
        let is_good = output.status.success();
        assert_eq!(report["ok"], is_good, "{report:#}");
        assert_eq!(output.status.code(), Some(i32::from(!is_good)));
        let all = report["findings"].as_array().unwrap().clone();
        for finding in &all {
            let is_bad = ["warning", "problem"].contains(&finding["state"].as_str().unwrap());
            assert_eq!(finding["remedy"].is_string(), is_bad, "{finding:#}");
        }
        Self { all, is_good }
    }

    #[track_caller]
    pub(crate) fn expect(&self, name: &str, state: &str, parts: &[&str]) {
        let mut named = self.all.iter().filter(|finding| finding["name"] == name);
        let found = named.any(|finding| {
            let shown = finding.to_string();
            finding["state"] == state && parts.iter().all(|part| shown.contains(part))
        });
        assert!(found, "no {name} is {state} with {parts:?} in {:#?}", self.all);
    }

    #[track_caller]
    fn expect_good(&self, names: &[&str]) {
        let problems = self.all.iter().filter(|finding| finding["state"] == "problem");
        assert!(self.is_good, "{:#?}", problems.collect::<Vec<_>>());
        names.iter().for_each(|name| self.expect(name, "ok", &[]));
    }
}

pub(crate) fn doctor(lab: &Lab) -> Command {
    let mut command = lab.tool_command(&["doctor", "--json"]);
    command.arg("--commands").arg(lab.files.commands());
    command
}

/// What is good of a host with a lab on it, whatever runs.
const GOOD: [&str; 12] = [
    "kernel",
    "bpffs",
    "floors",
    "sockets",
    "audit_trail",
    "port",
    "listener",
    "interface",
    "native_xdp",
    "mtu",
    "lro",
    "silence",
];

fn reserve_port(lab: &Lab) {
    let port = PORT.to_string();
    lab.network.server.sysctl(&[("ipv4/ip_local_reserved_ports", &port)]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_host_with_a_gate_is_healthy_and_the_gate_does_not_notice() {
    let mut lab = Lab::running(&Default::default());
    reserve_port(&lab);
    let before = lab.verdicts();
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect_good(&GOOD);
    findings.expect("check", "warning", &["native mode on a veth device"]);
    findings.expect_good(&["gate", "server", "commander", "orders", "commands", "xdp_program"]);
    findings.expect("native_xdp", "ok", &["an XDP program runs in the driver"]);
    findings.expect("silence", "ok", &["16 packets got a verdict", "IPv4 and IPv6"]);
    let since = lab.verdicts().since(&before);
    assert!(since.values().all(|count| *count == 0), "packets of the doctor: {since:?}");
    let text = lab.tool_command(&["doctor"]).arg("--commands").arg(lab.files.commands()).output();
    let text = String::from_utf8(text.unwrap().stdout).unwrap();
    assert!(text.lines().last().unwrap().starts_with("problems: 0, "), "{text}");
    lab.expect_next_knock_to_run(Family::V4);
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_host_on_which_nothing_runs_is_otherwise_healthy_and_stays_as_it_is() {
    let lab = Lab::new(&Default::default());
    reserve_port(&lab);
    // Of the thread, because `self` is the process and its first namespace.
    let interfaces =
        || lab.network.server.enter(|| fs::read_to_string("/proc/thread-self/net/dev")).unwrap();
    let count = || interfaces().lines().count();
    let before = count();
    let findings = Findings::of(&mut doctor(&lab));
    GOOD.iter().for_each(|name| findings.expect(name, "ok", &[]));
    findings.expect("check", "warning", &["native mode on a veth device"]);
    for part in ["gate", "server", "commander"] {
        findings.expect(part, "problem", &["is not running", "systemctl start"]);
    }
    assert!(!findings.is_good, "no knock would work");
    findings.expect("native_xdp", "ok", &["veth supports native XDP"]);
    assert_eq!(count(), before);
    assert!(!lab.files.pins().exists(), "made by whom?");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn with_an_ordinary_socket_there_is_no_gate_to_look_at() {
    let lab = Lab::running(&Options { source: "udp", ..Options::default() });
    reserve_port(&lab);
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect_good(&["kernel", "floors", "port", "pins", "silence"]);
    // The lab's keys are its server's own.
    findings.expect("check", "warning", &["LoadCredential="]);
    for name in ["bpffs", "gate", "interface", "listener"] {
        assert!(findings.all.iter().all(|finding| finding["name"] != name), "{name}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_program_that_the_configuration_knows_nothing_of_any_more_is_a_problem() {
    let lab = Lab::running(&Default::default());
    let pins = lab.files.pins();
    let before = lab.files.change_config(|text| text.replace("bpf/ruroco", "bpf/other"));
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect("xdp_program", "problem", &[SERVER_INTERFACE, "bpf/other"]);
    fs::write(lab.files.config(), before).unwrap();

    lab.files.change_config(|text| text.replace("\"xdp\"", "\"udp\""));
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect("pins", "problem", &[&format!("rm -r {}", pins.display())]);
    assert!(!findings.is_good);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn somebody_at_the_gates_port_is_a_problem() {
    let lab = Lab::new(&Default::default());
    // A program that another test is starting may hold the last one for a moment.
    let bind = |address: IpAddr| {
        let bind = || UdpSocket::bind((address, PORT)).ok();
        wait::until("the port", || lab.network.server.enter(bind))
    };
    for family in Family::BOTH {
        for address in [family.unspecified(), SERVER.of(family)] {
            let bound = bind(address);
            let findings = Findings::of(&mut doctor(&lab));
            findings.expect("listener", "problem", &[&PORT.to_string(), "ss -Hulpn"]);
            assert!(!findings.is_good);
            drop(bound);
        }
    }
    let _other = bind(Ipv4Addr::LOCALHOST.into());
    Findings::of(&mut doctor(&lab)).expect("listener", "ok", &[]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_port_that_the_kernel_may_give_away_is_a_warning() {
    let lab = Lab::running(&Default::default());
    let remedy = format!("ip_local_reserved_ports=99,{PORT}");
    lab.network.server.sysctl(&[("ipv4/ip_local_reserved_ports", "99")]);
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect("port", "warning", &[&remedy]);
    assert!(findings.is_good, "a warning is no problem");
    lab.network.server.sysctl(&[("ipv4/ip_local_port_range", "40000 50000")]);
    Findings::of(&mut doctor(&lab)).expect_good(&["port"]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn another_xdp_program_on_the_interface_is_a_problem() {
    let lab = Lab::new(&Default::default());
    for mode in [XdpMode::Driver, XdpMode::Skb] {
        let _others = attach_others(&lab, SERVER_INTERFACE, mode);
        let findings = Findings::of(&mut doctor(&lab));
        findings.expect("xdp_program", "problem", &["(others)", "`bpftool link list`"]);
        assert!(!findings.is_good);
        // The kernel rejects it, or it does nothing.
        assert!(!findings.all.iter().any(|finding| finding.to_string().contains(" off`")));
    }
    Findings::of(&mut doctor(&lab)).expect("interface", "ok", &[]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_remedy_for_a_program_without_a_link_removes_it() {
    let lab = Lab::new(&Options { mode: "auto", ..Options::default() });
    let mut others = load_others();
    let pin = lab.files.path("bpf/others");
    program(&mut others).pin(&pin).unwrap();
    for mode in ["xdpgeneric", "xdpdrv"] {
        let attach = format!("link set dev {SERVER_INTERFACE} {mode} pinned {}", pin.display());
        lab.network.server.ip(&attach);
        let findings = Findings::of(&mut doctor(&lab));
        let remedy = format!("link set dev {SERVER_INTERFACE} {mode} off");
        findings.expect("xdp_program", "problem", &["(others)", &format!("`ip {remedy}`")]);
        lab.network.server.ip(&remedy);
        let findings = Findings::of(&mut doctor(&lab));
        assert!(findings.all.iter().all(|finding| finding["name"] != "xdp_program"), "{mode}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn where_auto_means_generic_mode_nothing_is_said_of_what_native_mode_needs() {
    let native = ["native_xdp", "mtu", "lro"];
    for (mode, interface, is_told) in [
        ("auto", SERVER_INTERFACE, false),
        ("native", SERVER_INTERFACE, true),
        ("auto", "lo", true),
    ] {
        let lab = Lab::new(&Options { mode, interfaces: vec![interface], ..Options::default() });
        lab.network.server.ip("link set dev server0 mtu 9000\n");
        let findings = Findings::of(&mut doctor(&lab));
        for name in native {
            let told = findings.all.iter().any(|finding| finding["name"] == name);
            assert_eq!(told, is_told, "{name} of {interface} in mode {mode}");
        }
    }
}

/// Attaches a program of others for as long as the result lives.
pub(crate) fn attach_others(lab: &Lab, interface: &str, mode: XdpMode) -> Ebpf {
    let mut others = load_others();
    lab.network.server.enter(|| {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).unwrap();
        let index = name_to_index(&socket, interface).unwrap();
        program(&mut others).attach_to_if_index(index, mode).unwrap()
    });
    others
}

/// A program of others: ours, by another name.
fn load_others() -> Ebpf {
    let mut object = OBJECT.to_vec();
    // The linker may keep the name as the end of a longer one.
    let (ours, others) = (b"ruroco\0", b"others\0");
    let places: Vec<usize> =
        (0..object.len()).filter(|at| object[*at..].starts_with(ours)).collect();
    places.iter().for_each(|at| object[*at..at + others.len()].copy_from_slice(others));
    let mut loader = EbpfLoader::new();
    // The default has the kernel write more than there is room for.
    loader.verifier_log_level(VerifierLogLevel::STATS);
    let mut ebpf = loader.load(&object).unwrap();
    program(&mut ebpf).load().unwrap();
    ebpf
}

fn program(others: &mut Ebpf) -> &mut Xdp {
    others.program_mut("others").unwrap().try_into().unwrap()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_is_not_silent_is_heard() {
    let silent = silence::listen(Rate::NEVER).unwrap();
    assert!(silent.is_silence(), "{silent:?}");

    // What a gate lets through that looks closed, the stack answers.
    let loud = silence::listen(Rate::per_second(1_000_000)).unwrap();
    assert!(!loud.is_silence(), "{loud:?}");
    assert_eq!(loud.verdicts, loud.expected, "it judges as the silent one does");
    // Of each protocol three of a wrong length, one each of unknown, forged and replayed; who sent
    // the truncated one gets no answer from Linux.
    assert_eq!(loud.answers, 2 * 6, "{loud:?}");

    let mut blind = silent;
    blind.verdicts.insert(Verdict::Forged.name(), 0);
    assert!(!blind.is_silence(), "a packet that was not judged");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_self_test_sends_nothing_on_the_hosts_interfaces() {
    let lab = Lab::new(&Default::default());
    let mut sent = lab.network.server.enter(Receiver::of_both_directions);
    sent.received();
    Findings::of(&mut doctor(&lab)).expect("silence", "ok", &[]);
    // What IPv6 tells all neighbours, it does by itself.
    let is_for_somebody = |frame: &Vec<u8>| frame[0] & 1 == 0;
    let sent: Vec<_> = sent.received().into_iter().filter(is_for_somebody).collect();
    assert!(sent.is_empty(), "{sent:?}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_root_the_doctor_says_what_it_could_not_look_at() {
    let lab = Lab::running(&Default::default());
    let mut command = lab.network.server.command();
    programs::add_launcher(&mut command, Some(lab.files.user()));
    let tool = programs::path("ruroco");
    command.arg(programs::reachable_by_all(&tool, &lab.files.programs()));
    command.args(["doctor", "--json", "--config"]).arg(lab.files.config());
    command.arg("--commands").arg(lab.files.commands());
    let findings = Findings::of(&mut command);
    for name in ["check", "gate", "xdp_program", "silence"] {
        findings.expect(name, "unknown", &["could not check"]);
    }
    findings.expect("interface", "ok", &[SERVER_INTERFACE]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_audit_trail_that_others_can_change_is_a_problem() {
    let mut lab = Lab::running(&Default::default());
    lab.expect_next_knock_to_run(Family::V4);
    let trail = lab.files.audit().join("audit.jsonl");
    Findings::of(&mut doctor(&lab)).expect("audit_trail", "ok", &["belongs to root"]);
    for mode in [0o660, 0o644, 0o642] {
        fs::set_permissions(&trail, fs::Permissions::from_mode(mode)).unwrap();
        let findings = Findings::of(&mut doctor(&lab));
        findings.expect(
            "audit_trail",
            "problem",
            &[&format!("mode {mode:04o}"), "chmod g-w,o-rwx"],
        );
        assert!(!findings.is_good);
    }
    fs::set_permissions(&trail, fs::Permissions::from_mode(0o640)).unwrap();
    lab.files.give_to_user(&trail);
    Findings::of(&mut doctor(&lab)).expect("audit_trail", "problem", &["chown -h root"]);
    fs::set_permissions(lab.files.audit(), fs::Permissions::from_mode(0o770)).unwrap();
    let findings = Findings::of(&mut doctor(&lab));
    findings.expect("check", "problem", &[lab.files.audit().to_str().unwrap(), "chmod go-w"]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_doctor_goes_on_where_the_files_are_wrong() {
    let lab = Lab::new(&Default::default());
    let text = fs::read_to_string(lab.files.config()).unwrap();
    fs::write(lab.files.config(), text.replacen("port = ", "prot = 1\nport = ", 1)).unwrap();
    fs::write(lab.files.commands(), "").unwrap();
    fs::remove_file(lab.files.floors_dir().join("floors")).unwrap();
    let findings = Findings::of(&mut doctor(&lab));
    assert!(!findings.is_good);
    findings.expect("check", "problem", &["config.toml:2", "did you mean `port`?"]);
    findings.expect("check", "problem", &["commands.toml:1"]);
    findings.expect("floors", "problem", &["ruroco-server init"]);
    findings.expect("silence", "ok", &[]);
}
