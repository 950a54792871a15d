//! `ruroco status`, in all its forms.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Output, Stdio},
};

use openmetrics_parser::prometheus::parse_prometheus;
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    files::{DEFAULT_COMMAND, KEY, OTHER_COMMAND},
    knock::forge,
    lab::Lab,
    network::{CLIENT, Family},
    wait,
};
use serde_json::Value;

fn status(lab: &Lab, arguments: &[&str]) -> Output {
    lab.tool_command(&[&["status"], arguments].concat()).output().expect("run ruroco")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The status as JSON, once the last knock that was carried out has ended.
fn after_the_last_end(lab: &Lab) -> Value {
    wait::until("the last knock to end", || {
        let status = lab.status();
        (!status["knocks"][0]["result"].is_null()).then_some(status)
    })
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn it_shows_the_gate_and_what_came_of_the_last_knocks() {
    let mut lab = Lab::running(&Default::default());
    for _ in 0..6 {
        lab.expect_next_knock_to_run(Family::V4);
    }
    lab.knock(Family::V6, &["--command", OTHER_COMMAND]);
    lab.expect_one_run();
    let forged = forge(lab.seal(&lab.good_knock(Family::V4)));
    lab.expect_verdict(Verdict::Forged, 3, |lab| {
        (0..3).for_each(|_| lab.send(Family::V4, &forged));
    });

    let json = after_the_last_end(&lab);
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    let tag = json["program"]["tag"].as_str().unwrap();
    assert!(tag.len() == 16 && u64::from_str_radix(tag, 16).unwrap() != 0, "{tag}");
    // The ring alone has a megabyte.
    assert!(json["program"]["map_memory_bytes"].as_u64().unwrap() > 1 << 20, "{json:#}");
    assert_eq!(json["verdicts"]["forged"], 3);
    assert_eq!((&json["rates"], &json["audit_problem"]), (&Value::Null, &Value::Null));
    assert_eq!(json["knock_totals"]["succeeded"], 7);
    let knocks = json["knocks"].as_array().unwrap();
    assert_eq!(knocks.len(), 5);
    assert_eq!((&knocks[0]["command"], &knocks[0]["key"]), (&OTHER_COMMAND.into(), &KEY.into()));
    assert_eq!(knocks[0]["ip"], CLIENT.v6.to_string());
    assert_eq!((&knocks[0]["result"], &knocks[4]["result"]), (&"exit:0".into(), &"exit:0".into()));
    assert_eq!(knocks[1]["command"], DEFAULT_COMMAND);

    let shown = status(&lab, &["--knocks", "2"]);
    assert!(shown.status.success());
    let shown = text(&shown.stdout);
    assert!(
        shown.starts_with("ready       a knock would work now\ngate        attached since 20"),
        "{shown}"
    );
    assert!(shown.contains(&format!("program {tag}")), "{shown}");
    let knocks: Vec<_> = shown.lines().filter(|line| line.starts_with("knock ")).collect();
    assert_eq!(knocks.len(), 2, "{shown}");
    let first = format!(" {KEY} {OTHER_COMMAND} {} exit:0 ", CLIENT.v6);
    assert!(knocks[0].contains(&first), "{shown}");
    let forged = shown.lines().find(|line| line.starts_with("verdict     forged")).unwrap();
    let words: Vec<_> = forged.split_whitespace().collect();
    assert_eq!(words, ["verdict", "forged", "3", "0.0/s"]);
    assert!(!shown.contains('\x1b'));
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn its_exit_code_tells_open_from_closed_and_from_nobody_knows() {
    let mut lab = Lab::running(&Default::default());
    let codes = |lab: &Lab| {
        [&[][..], &["--json"], &["--prometheus"]].map(|form| status(lab, form).status.code())
    };
    assert_eq!(codes(&lab), [Some(0); 3]);
    let since = lab.status()["since"].clone();
    lab.network.disconnect_client();
    lab.gate().wait_for(&["gate is not attached to all of its interfaces"]);
    assert_eq!(codes(&lab), [Some(3); 3]);
    let open = lab.status();
    assert_eq!(open["attached"], false);
    assert_ne!(open["since"], since);
    let shown = text(&status(&lab, &[]).stdout);
    assert!(shown.contains("\ngate        NOT ATTACHED to some interface"), "{shown}");
    lab.network.connect_client();
    wait::until("the gate to close again", || {
        (status(&lab, &["--json"]).status.code() == Some(0)).then_some(())
    });
    lab.gate().crash();
    assert_eq!(codes(&lab), [Some(1); 3]);
    let said = text(&status(&lab, &[]).stdout);
    assert!(said.contains("gate: ruroco-gate is not running"), "{said}");
    assert!(said.contains("still attached") && !said.contains("os error"), "{said}");
    // Of a command line that is not understood that is told by a code of its own.
    assert_eq!(status(&lab, &["--output", "x"]).status.code(), Some(2));
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn prometheus_gets_a_file_that_is_never_half_written_nor_stale() {
    let mut lab = Lab::running(&Default::default());
    lab.expect_next_knock_to_run(Family::V4);
    after_the_last_end(&lab);
    let file = lab.files.path("ruroco.prom");
    let arguments = ["--prometheus", "--output", file.to_str().unwrap()];
    let families = |text: &str| parse_prometheus(text).unwrap_or_else(|e| panic!("{e:?}: {text}"));

    assert!(status(&lab, &arguments).status.success());
    let exposed = fs::read_to_string(&file).unwrap();
    assert_eq!(families(&exposed).families.len(), 17, "{exposed}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o644);
    for line in [
        "ruroco_gate_up 1",
        "ruroco_attached 1",
        "ruroco_server_connected 1",
        "ruroco_interface_attached{interface=\"server0\",mode=\"native\"} 1",
        "ruroco_packets_total{verdict=\"candidate\"} 1",
        "ruroco_knocks_total{result=\"succeeded\"} 1",
        "ruroco_knocks_total{result=\"refused\"} 0",
    ] {
        assert!(exposed.lines().any(|is| is == line), "no {line} in:\n{exposed}");
    }
    let printed = status(&lab, &["--prometheus"]);
    assert_eq!(families(&text(&printed.stdout)).families.len(), 17);

    lab.gate().crash();
    assert_eq!(status(&lab, &arguments).status.code(), Some(1));
    let exposed = fs::read_to_string(&file).unwrap();
    assert!(exposed.contains("\nruroco_gate_up 0\n"), "{exposed}");
    assert!(!exposed.contains("ruroco_attached"), "{exposed}");
    families(&exposed);
    assert!(!file.with_extension("prom.new").exists());
}

/// A `status` that goes on until it is dropped.
struct Watch(Child);

impl Watch {
    fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).spawn().expect("run ruroco"))
    }

    fn output(&mut self) -> BufReader<impl Read> {
        BufReader::new(self.0.stdout.take().unwrap())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn it_can_be_watched_through_a_pipe_and_the_gate_may_go_and_come() {
    let mut lab = Lab::running(&Default::default());
    let mut watch = Watch::start(lab.tool_command(&["status", "--watch", "--json"]));
    let mut lines = watch.output().lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["rates"], Value::Null);
    let forged = forge(lab.seal(&lab.good_knock(Family::V4)));
    lab.expect_verdict(Verdict::Forged, 5, |lab| {
        (0..5).for_each(|_| lab.send(Family::V4, &forged));
    });
    let seen = wait::until("the rate of what was forged", || {
        next()["rates"]["forged"].as_f64().filter(|rate| *rate > 0.0)
    });
    assert!(seen <= 5.5, "{seen} in a second of 5 in all");

    lab.gate().crash();
    wait::until("the gate to be missed", || next()["error"].as_str().map(|_| ()));
    lab.start_gate();
    wait::until("the gate to be back", || (next()["attached"] == true).then_some(()));

    let mut watch = Watch::start(lab.tool_command(&["status", "--watch"]));
    let mut lines = watch.output().lines().map(Result::unwrap);
    for _ in 0..2 {
        let screen: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        assert!(screen[0].starts_with("ready "), "{screen:?}");
        assert!(screen[1].starts_with("gate        attached"), "{screen:?}");
        assert!(screen.contains(&"keys        1".to_owned()), "{screen:?}");
        assert!(!screen.concat().contains('\x1b'), "{screen:?}");
    }
}
