//! What stands before the camera: a folder, a host that answers to a knock, and a screen.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ruroco_lab::namespace::Namespace;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process;

/// A display that nobody else has.
const DISPLAY: &str = ":97";

/// Of the blocks for documentation (RFC 5737).
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);

/// How long the window may take to come to rest.
const DEADLINE: Duration = Duration::from_secs(60);

const HOSTS: &str = r#"
[hosts.home]
address = "203.0.113.5"
key = "laptop"
commands = ["open_ssh", "close_ssh"]
wait = 22

[hosts.nas]
address = "nas.example.net:8080"
key = "laptop"
commands = ["wake_up", "open_backup", "shut_down"]
confirm = ["shut_down"]

[hosts.office]
address = "198.51.100.20"
key = "office"
wait = 443
"#;

/// A door of `home`.
const DOOR: &str = r#"
[hosts.home.doors.ssh]
port = "tcp/22"
for = "30s"
open = "open_ssh"
close = "close_ssh"
"#;

const FAULTS: &str = r#"
[hosts.cellar]
address = "192.0.2.8:99999"
key = "laptop"
comands = ["light"]
"#;

/// Keys of nobody.
const KEYS: [(&str, &str); 2] = [
    ("laptop", "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==\n"),
    ("office", "chacha20poly1305:8PHy8/T19vcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==\n"),
];

/// 3 and 4 November 2026, UTC.
const HISTORY: &str = r#"[
{"at":1793790720000000000,"host":"home","command":"open_ssh","address":"203.0.113.5:80","result":{"opened":{"port":22,"milliseconds":184}}},
{"at":1793789520000000000,"host":"nas","command":"wake_up","address":"198.51.100.77:8080","result":"sent"},
{"at":1793788200000000000,"host":"office","command":"default","address":"198.51.100.20:80","result":{"nothing-opened":{"port":443}}},
{"at":1793704320000000000,"host":"nas","command":"wake_up","address":null,"result":{"not-sent":{"why":"could not find the address of nas.example.net: failed to lookup address information; check the name and the network"}}},
{"at":1793701320000000000,"host":"home","command":"close_ssh","address":"203.0.113.5:80","result":"sent"},
{"at":1793701020000000000,"host":"home","command":"open_ssh","address":"203.0.113.5:80","result":{"opened":{"port":22,"milliseconds":97}}}
]"#;

/// What is to be seen.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) theme: &'static str,
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// What xdotool does.
    pub(super) keys: &'static str,
    /// Whether the host opens its port.
    pub(super) answers: bool,
    /// Whether there are mistakes in the file.
    pub(super) faulty: bool,
    /// Whether the port is a door.
    pub(super) door: bool,
}

impl Scene {
    pub(super) const fn new(name: &'static str, theme: &'static str, size: (u32, u32)) -> Self {
        Self { name, theme, size, keys: "", answers: true, faulty: false, door: false }
    }
}

/// The folder and the host.
#[derive(Debug)]
pub(super) struct Stage {
    folder: TempDir,
    namespace: Namespace,
}

impl Stage {
    pub(super) fn set(scene: &Scene) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).context("cannot make a folder for keys")?;
        for (name, key) in KEYS {
            put(&keys.join(format!("{name}.key")), key)?;
        }
        let added = |is_there, text| if is_there { text } else { "" };
        let hosts = [HOSTS, added(scene.faulty, FAULTS), added(scene.door, DOOR)].concat();
        put(&folder.path().join("client.toml"), hosts.trim_start())?;
        put(&folder.path().join("history.json"), HISTORY)?;
        let (width, height) = scene.size;
        let window = format!("{{\"theme\":\"{}\",\"size\":[{width}.0,{height}.0]}}", scene.theme);
        put(&folder.path().join("window.json"), &window)?;
        let namespace = Namespace::new();
        namespace.ip(&format!("address add {HOST}/24 dev lo"));
        if scene.answers {
            namespace.enter(answer).context("cannot be a host")?;
        }
        Ok(Self { folder, namespace })
    }

    pub(super) fn photograph(&self, scene: &Scene, program: &Path, picture: &Path) -> Result<()> {
        let (width, height) = scene.size;
        let screen = format!("{width}x{height}x24");
        let mut xvfb = self.namespace.command();
        let _screen = Running::start(xvfb.args([
            "Xvfb",
            DISPLAY,
            "-screen",
            "0",
            &screen,
            "-nolisten",
            "tcp",
        ]))?;
        until("the screen", || self.on_screen(&["xdotool", "getdisplaygeometry"]).is_ok())?;
        let mut window = self.namespace.command();
        window.arg(program);
        window.env("DISPLAY", DISPLAY).env_remove("WAYLAND_DISPLAY").env("TZ", "UTC");
        window.env("LIBGL_ALWAYS_SOFTWARE", "1").env("RUROCO_CONF_DIR", self.folder.path());
        let _window = Running::start(&mut window)?;
        let focus = ["xdotool", "search", "--onlyvisible", "--name", "ruroco", "windowfocus"];
        until("the window", || self.on_screen(&focus).is_ok())?;
        self.at_rest(picture)?;
        if !scene.keys.is_empty() {
            let words: Vec<&str> = ["xdotool"].into_iter().chain(scene.keys.split(' ')).collect();
            self.on_screen(&words)?;
            self.at_rest(picture)?;
        }
        Ok(())
    }

    /// Photographs until two pictures are the same; what is under way moves.
    fn at_rest(&self, picture: &Path) -> Result<()> {
        let name = picture.to_str().context("the picture's name is not UTF-8")?;
        let mut before = Vec::new();
        until("the window to come to rest", || {
            // Longer than between two frames.
            thread::sleep(Duration::from_millis(700));
            let taken = self.on_screen(&["import", "-window", "root", "-strip", name]);
            let now = taken.ok().and_then(|_| fs::read(picture).ok()).unwrap_or_default();
            let same = !now.is_empty() && now == before;
            before = now;
            same
        })
    }

    fn on_screen(&self, words: &[&str]) -> Result<String> {
        process::output(self.namespace.command().args(words).env("DISPLAY", DISPLAY))
    }
}

/// Waits for one knock in a thread of its own, and opens port 22 then.
fn answer() -> std::io::Result<()> {
    let knocks = UdpSocket::bind((HOST, 80))?;
    thread::spawn(move || {
        let _ = knocks.recv(&mut [0; 94]);
        // As long as a command takes.
        thread::sleep(Duration::from_millis(120));
        let _open = TcpListener::bind((HOST, 22));
        thread::sleep(DEADLINE);
    });
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let begin = Instant::now();
    while !is_so() {
        if begin.elapsed() > DEADLINE {
            bail!("waited {DEADLINE:?} in vain for {what}");
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A program that ends with its owner.
#[derive(Debug)]
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn();
        child.map(Self).with_context(|| format!("cannot run {}", process::line(command)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A screen that is killed leaves its lock behind.
        if let Ok(pid) = i32::try_from(self.0.id())
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}
