//! Knocks and ssh logins while others flood the port with SYNs: who gets in, and how soon.
//!
//! Client, ssh and sshd are real. Each attempt begins with the port closed: the client knocks and waits until the
//! port is open, and then ssh logs in and runs `true`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ruroco_common::verdict::Verdict;
use ruroco_lab::{
    attacker::{self, ATTACKED_INTERFACE, Attacker},
    daemon::Daemon,
    files::{KEY, Options},
    knock::Knock,
    lab::Lab,
    mount::Mount,
    network::{self, Family, SERVER, SERVER_INTERFACE},
    programs,
    verdicts::Verdicts,
};
use serde::Serialize;

use super::host::{SOURCE_BITS, nft, route_back};
use crate::{
    flood::{receive_on_own_cpu, run_in_real_time},
    frame,
    generator::{GENERATOR_CPU, Generator, Rate, Recipe, Sent, Target, alongside, repeat},
    paths::Paths,
    scale::Scale,
    statistics::Summary,
};

/// sshd's port.
const PORT: u16 = 22;

/// What closes the port of sshd to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Closed {
    /// A door.
    Door,
    /// The packaged example: an nftables set that a command fills. Knocks come by the gate.
    Nftables,
    /// Nothing: nobody knocks.
    Not,
}

impl Closed {
    const ALL: [Self; 3] = [Self::Door, Self::Nftables, Self::Not];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Nftables => "gate for knocks, nftables set",
            Self::Not => "no gate",
        }
    }
}

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Meanwhile {
    Nothing,
    /// The CPU that floods is as busy as then, and sends nothing.
    BusyCpu,
    Syns,
    SynsAndForged,
}

impl Meanwhile {
    const ALL: [Self; 4] = [Self::Nothing, Self::BusyCpu, Self::Syns, Self::SynsAndForged];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::BusyCpu => "no packet, one CPU busy",
            Self::Syns => "SYNs",
            Self::SynsAndForged => "SYNs and forged knocks",
        }
    }
}

/// One row.
#[derive(Debug, Serialize)]
pub(crate) struct Logins {
    pub(super) closed: Closed,
    pub(super) meanwhile: Meanwhile,
    /// Packets a second that the generator made, and that the gate judged.
    pub(super) offered: f64,
    pub(super) judged: Option<f64>,
    pub(super) attempts: usize,
    /// Knocks after which the port was open; none where nobody knocks.
    pub(super) opened: Option<usize>,
    pub(super) succeeded: usize,
    /// From the start of the client to the open port, for those that opened it.
    pub(super) knock_ms: Option<Summary>,
    /// From the start of ssh to its end, for logins that succeeded.
    pub(super) login_ms: Option<Summary>,
}

/// Takes every measurement.
pub(super) fn measure(paths: &Paths, scale: &Scale) -> Result<Vec<Logins>> {
    let mut all = Vec::new();
    for closed in Closed::ALL {
        let site = Site::new(closed)?;
        let mut generator = Generator::load(paths, &site.attacker)?;
        // The first login makes more than the others.
        site.attempt()?;
        for meanwhile in Meanwhile::ALL {
            // Without a gate, a forged knock is a packet to a port where nothing listens.
            let is_for_gate = meanwhile == Meanwhile::SynsAndForged;
            if closed == Closed::Not && is_for_gate {
                continue;
            }
            // What a busy CPU costs is the same behind all of them.
            if closed != Closed::Door && meanwhile == Meanwhile::BusyCpu {
                continue;
            }
            let logins = site.measure(&mut generator, meanwhile, scale)?;
            print(&logins);
            all.push(logins);
        }
    }
    Ok(all)
}

fn print(logins: &Logins) {
    let ms = |summary: Option<Summary>| {
        summary
            .map_or("?".to_owned(), |of| format!("p50 {:.0} ms, p99 {:.0} ms", of.median, of.p99))
    };
    println!(
        "   {:<30} {:<24} {:>8}/s, {} of {} opened, {} logins, {}",
        logins.closed.name(),
        logins.meanwhile.name(),
        crate::numbers::rate(logins.offered),
        logins.opened.map_or("-".to_owned(), |opened| opened.to_string()),
        logins.attempts,
        logins.succeeded,
        ms(logins.login_ms),
    );
}

/// The lab with sshd on the server's host.
struct Site {
    // In the order in which they are to be dropped.
    _sshd: Daemon,
    lab: Lab,
    attacker: Attacker,
    _run: Mount,
    _shadow: Mount,
    closed: Closed,
}

/// What became of one attempt, in milliseconds.
struct Attempt {
    knock: Option<f64>,
    login: Option<f64>,
}

impl Site {
    fn new(closed: Closed) -> Result<Self> {
        let mut lab = Lab::new(&options(closed));
        // Where sshd wants a folder, and an account for it that is not locked. The lab's thread has a view of the
        // file systems of its own.
        let run = Mount::memory(Path::new("/run"), 1 << 20);
        fs::create_dir("/run/sshd")?;
        let shadow = lab.files.path("shadow");
        fs::write(&shadow, "root:*:20000:0:99999:7:::\n")?;
        let shadow = Mount::file(&shadow, Path::new("/etc/shadow"));
        let attacker = Attacker::join(&lab.network);
        attacker::poll(&lab.network.server, ATTACKED_INTERFACE);
        route_back(&lab.network.server);
        if closed != Closed::Not {
            lab.start_commander();
            lab.start_gate();
            lab.start_server();
            for pid in [lab.server().pid(), lab.commander().pid()] {
                run_in_real_time(pid)?;
            }
        }
        if closed == Closed::Nftables {
            nft(&lab.network.server, NFTABLES)?;
        }
        receive_on_own_cpu(&lab.network.server, ATTACKED_INTERFACE)?;
        let sshd = start_sshd(&lab)?;
        let site = Self { _sshd: sshd, lab, attacker, _run: run, _shadow: shadow, closed };
        site.write_client_files()?;
        Ok(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.files.path(name)
    }

    fn write_client_files(&self) -> Result<()> {
        let (key, gate) = (self.lab.files.client_key(KEY), network::gate(Family::V4));
        let host = format!(
            "[hosts.home]\naddress = \"{gate}\"\nkey = {key:?}\ncommands = [\"open_ssh\"]\nwait = {PORT}\n"
        );
        fs::write(self.lab.files.client_state().join("client.toml"), host)?;
        let host_key = fs::read_to_string(self.path("host_key.pub"))?;
        fs::write(self.path("known_hosts"), format!("{} {host_key}", SERVER.v4))?;
        let config = format!(
            "Host home\n  HostName {}\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  BatchMode yes\n  \
             UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  \
             ConnectTimeout {}\n",
            SERVER.v4,
            self.path("user_key").display(),
            self.path("known_hosts").display(),
            PATIENCE.as_secs()
        );
        Ok(fs::write(self.path("ssh_config"), config)?)
    }

    fn on_client(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.lab.network.client.command();
        command.arg(program).env("RUROCO_CONF_DIR", self.lab.files.client_state());
        command
    }

    /// Closes the port to the client.
    fn close(&self) -> Result<()> {
        match self.closed {
            Closed::Door => {
                let output = self.lab.tool_command(&["doors", "close", "ssh"]).output()?;
                ensure!(output.status.success(), "ruroco doors close: {}", said(&output));
                Ok(())
            }
            Closed::Nftables => nft(&self.lab.network.server, "flush set inet knock ssh4\n"),
            Closed::Not => Ok(()),
        }
    }

    fn attempt(&self) -> Result<Attempt> {
        self.close()?;
        let mut knock = None;
        if self.closed != Closed::Not {
            let timeout = PATIENCE.as_secs().to_string();
            let mut client = self.on_client(programs::path("ruroco-client"));
            let (output, took) = timed(client.args(["knock", "home", "--timeout", &timeout]))?;
            knock = output.status.success().then_some(took);
        }
        let mut ssh = self.on_client("ssh");
        ssh.arg("-F").arg(self.path("ssh_config")).args(["home", "true"]);
        let (output, took) = timed(&mut ssh)?;
        Ok(Attempt { knock, login: output.status.success().then_some(took) })
    }

    fn measure(
        &self,
        generator: &mut Generator,
        meanwhile: Meanwhile,
        scale: &Scale,
    ) -> Result<Logins> {
        let before = self.verdicts();
        let attempts =
            || (0..scale.doors.logins).map(|_| self.attempt()).collect::<Result<Vec<_>>>();
        let (attempts, sent) = self.while_flooded(generator, meanwhile, attempts)?;
        let judged = before.zip(self.verdicts()).map(|(before, after)| {
            let risen = after.since(&before);
            FLOODED.iter().filter_map(|verdict| risen.get(verdict.name())).sum()
        });
        let knocks: Vec<f64> = attempts.iter().filter_map(|attempt| attempt.knock).collect();
        let logins: Vec<f64> = attempts.iter().filter_map(|attempt| attempt.login).collect();
        let per_second = |packets: u64| {
            if sent.seconds > 0.0 { packets as f64 / sent.seconds } else { 0.0 }
        };
        Ok(Logins {
            closed: self.closed,
            meanwhile,
            offered: per_second(sent.packets),
            judged: judged.map(per_second),
            attempts: attempts.len(),
            opened: (self.closed != Closed::Not).then_some(knocks.len()),
            succeeded: logins.len(),
            knock_ms: Summary::of(knocks),
            login_ms: Summary::of(logins),
        })
    }

    fn while_flooded<T>(
        &self,
        generator: &mut Generator,
        meanwhile: Meanwhile,
        attempts: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Sent)> {
        let kind = match meanwhile {
            Meanwhile::Nothing => return Ok((attempts()?, Sent::default())),
            Meanwhile::BusyCpu => {
                let (done, _) = alongside(attempts, |end| {
                    // Calls that send nothing.
                    crate::cpu::on(GENERATOR_CPU, || repeat(Rate::Maximum, 0, end, |_| Ok(())))
                })?;
                return Ok((done, Sent::default()));
            }
            Meanwhile::Syns => frame::SYN,
            Meanwhile::SynsAndForged => frame::SYN_AND_FORGED,
        };
        let datagram = self.lab.seal(&Knock::to(SERVER.of(Family::V4), "open_ssh"));
        let recipe = Recipe::new(kind, SOURCE_BITS, &datagram).at_door(SERVER.v4, PORT)?;
        let target = Target::own_link(&self.attacker.namespace, network::PORT);
        generator.flood(&target, &recipe, Rate::Maximum, attempts)
    }

    /// The gate's counters, if there is a gate.
    fn verdicts(&self) -> Option<Verdicts> {
        (self.closed != Closed::Not).then(|| self.lab.verdicts())
    }
}

/// The verdicts on a flood.
const FLOODED: [Verdict; 3] = [Verdict::DoorClosed, Verdict::Forged, Verdict::NotOurs];

/// How long a knock or a login may take. It is longer than the first three pauses between two SYNs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The packaged example, which the test of it reads, too.
const NFTABLES: &str = include_str!("../../../packaging/examples/nftables.conf");

fn options(closed: Closed) -> Options {
    let interfaces = vec![SERVER_INTERFACE, ATTACKED_INTERFACE];
    let (config, commands) = match closed {
        Closed::Door => (
            format!("[doors.ssh]\nport = \"tcp/{PORT}\"\n"),
            "[commands.open_ssh]\nopen = \"ssh\"\n".to_owned(),
        ),
        Closed::Nftables => (
            String::new(),
            "[commands.open_ssh]\nshell = 'nft add element inet knock ssh4 \"{ $RUROCO_IP timeout 30s }\"'\n"
                .to_owned(),
        ),
        Closed::Not => (String::new(), String::new()),
    };
    Options { interfaces, config, commands, ..Options::default() }
}

/// What it said, and milliseconds to its end.
fn timed(command: &mut Command) -> Result<(Output, f64)> {
    let begun = Instant::now();
    let output = command.output().with_context(|| format!("could not run {command:?}"))?;
    Ok((output, begun.elapsed().as_secs_f64() * 1e3))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// sshd with keys of its own, as root in the server's network.
fn start_sshd(lab: &Lab) -> Result<Daemon> {
    let path = |name: &str| lab.files.path(name);
    for key in ["host_key", "user_key"] {
        let mut make = Command::new("ssh-keygen");
        let (output, _) = timed(make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(key)))?;
        ensure!(output.status.success(), "ssh-keygen: {}", said(&output));
    }
    fs::copy(path("user_key.pub"), path("authorized_keys"))?;
    let config = format!(
        "Port {PORT}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
         PermitRootLogin prohibit-password\nPasswordAuthentication no\n",
        path("host_key").display(),
        path("authorized_keys").display()
    );
    fs::write(path("sshd_config"), config)?;
    let mut command = lab.network.server.command();
    programs::add_launcher(&mut command, None);
    command.args(["/usr/sbin/sshd", "-D", "-e", "-f"]).arg(path("sshd_config"));
    let sshd = Daemon::start("sshd", &mut command);
    sshd.wait_for(&["listening on 0.0.0.0"]);
    Ok(sshd)
}
