//! `cargo xtask recording`: the terminal session in the README. The real programs run in the lab, and what they print
//! becomes an SVG in which the lines appear one after the other.
#![expect(clippy::arithmetic_side_effects, reason = "places in a picture of a few lines")]

use std::{
    fmt::Write as _,
    fs,
    net::{TcpListener, TcpStream},
    process::Output,
};

use anyhow::{Context, Result, ensure};
use ruroco_lab::{
    files::Options,
    interrupt,
    lab::Lab,
    network::{self, Family, SERVER},
};

use crate::{
    build_ebpf::{self, Logging},
    host::{cargo, require_root, step},
    setup::{self, Report, Scope},
    workspace::Workspace,
};

/// Where the picture is, below the workspace.
const PICTURE: &str = "docs/images/recording.svg";

/// The port behind the door.
const SSH: u16 = 22;

/// The look of the terminal, in pixels.
const LINE_HEIGHT: usize = 20;
const CHARACTER: usize = 8;
const MARGIN: usize = 16;

/// Seconds for a command to be read, and for all to be seen before it begins again.
const PAUSE: usize = 2;
const END: usize = 6;

/// A command and what it printed.
struct Scene {
    prompt: &'static str,
    command: String,
    output: String,
}

/// Records the session into the documentation.
///
/// # Errors
/// If anything is missing, or a program does not do what the recording is to show.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    require_root("recording")?;
    let tools = setup::ensure(workspace, Scope::Lab, Report::ChangesOnly)?;
    build_ebpf::build(workspace, &tools, Logging::Off)?;
    step("binaries", &mut cargo(workspace, &["build", "--package", "ruroco-userspace", "--bins"]))?;
    let path = workspace.root().join(PICTURE);
    fs::write(&path, picture(&record()?))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {PICTURE}");
    Ok(())
}

fn record() -> Result<Vec<Scene>> {
    interrupt::leave_nothing_behind();
    let lab = Lab::running(&Options {
        config: format!("[doors.ssh]\nport = \"tcp/{SSH}\"\n"),
        commands: "[commands.open_ssh]\nopen = \"ssh\"\n".to_owned(),
        ..Options::default()
    });
    let host = format!(
        "[hosts.home]\naddress = \"{}\"\nkey = {:?}\ncommands = [\"open_ssh\"]\nwait = {SSH}\n",
        network::gate(Family::V4),
        lab.files.client_key("laptop"),
    );
    fs::write(lab.files.client_state().join("client.toml"), host)
        .context("cannot write client.toml")?;
    // Stands for an SSH server; only the door decides who reaches it.
    let listener = lab.network.server.enter(|| TcpListener::bind((SERVER.v4, SSH)));
    let listener = listener.context("cannot listen for SSH")?;

    let ssh = format!("ssh -o ConnectTimeout=1 root@{} uptime", SERVER.v4);
    let mut before = lab.network.client.command();
    before.args(ssh.split(' '));
    let before = scene("laptop$", &ssh, &before.output()?);
    ensure!(before.output.contains("timed out"), "SSH is not shut: {}", before.output);
    let knock = lab.client(&["knock", "home"]);
    ensure!(knock.status.success(), "the knock failed: {}", String::from_utf8_lossy(&knock.stderr));
    let knock = scene("laptop$", "ruroco-client knock home", &knock);
    let session = lab.network.client.enter(|| TcpStream::connect((SERVER.v4, SSH)));
    let _session = (session.context("the door is not open")?, listener.accept()?);
    let doors = lab.tool_command(&["doors"]).output()?;
    ensure!(doors.status.success(), "no doors: {}", String::from_utf8_lossy(&doors.stderr));
    Ok(vec![before, knock, scene("host#", "ruroco doors", &doors)])
}

fn scene(prompt: &'static str, command: &str, said: &Output) -> Scene {
    let output = [&said.stderr[..], &said.stdout].concat();
    let output = String::from_utf8_lossy(&output).replace('\r', "");
    Scene { prompt, command: command.to_owned(), output: output.trim().to_owned() }
}

/// Each line with the second at which it appears.
fn lines(scenes: &[Scene]) -> (Vec<(usize, String)>, usize) {
    let mut lines = Vec::new();
    let mut at = 0_usize;
    for scene in scenes {
        lines.push((at, format!("{} {}", scene.prompt, scene.command)));
        at = at.saturating_add(PAUSE);
        lines.extend(scene.output.lines().map(|line| (at, line.to_owned())));
        lines.push((at, String::new()));
        at = at.saturating_add(PAUSE);
    }
    lines.pop();
    (lines, at.saturating_add(END))
}

fn picture(scenes: &[Scene]) -> String {
    let (lines, duration) = lines(scenes);
    let widest = lines.iter().map(|(_, line)| line.chars().count()).max().unwrap_or(0);
    let (width, height) = (MARGIN * 2 + widest * CHARACTER, MARGIN * 2 + lines.len() * LINE_HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" \
         font-size=\"13\" fill=\"#d8dee9\">\n<style>text {{ white-space: pre }}"
    );
    let mut moments: Vec<usize> = lines.iter().map(|(at, _)| *at).collect();
    moments.dedup();
    for at in moments.iter().filter(|at| **at > 0) {
        let percent = (at * 100).checked_div(duration).unwrap_or(0);
        let _ = write!(
            svg,
            "\n.s{at} {{ animation: s{at} {duration}s step-end infinite }} \
             @keyframes s{at} {{ 0% {{ opacity: 0 }} {percent}% {{ opacity: 1 }} }}"
        );
    }
    svg.push_str("</style>\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#2e3440\"/>\n");
    for (number, (at, line)) in lines.iter().enumerate().filter(|(_, (_, line))| !line.is_empty()) {
        let y = MARGIN + number * LINE_HEIGHT + 14;
        let line = line.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(svg, "<text class=\"s{at}\" x=\"{MARGIN}\" y=\"{y}\">{line}</text>");
    }
    svg + "</svg>\n"
}
