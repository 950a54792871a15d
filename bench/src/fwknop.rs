//! fwknop (<https://www.cipherdyne.org/fwknop/>), where it is installed: single packet authorization
//! by an encrypted UDP packet, as ruroco's, with its own server and client.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use ruroco_lab::{
    attacker::{self, ATTACKED_INTERFACE, Attacker},
    daemon::Daemon,
    directory::Directory,
    network::{Network, SERVER, SERVER_INTERFACE},
    packet_socket::Receiver,
    programs,
    verdicts::Verdicts,
    wait,
};

use crate::{paths::Paths, peer::Peer};

/// Where fwknopd listens if nobody says otherwise.
const FWKNOP_PORT: u16 = 62201;

/// A running fwknopd.
pub(crate) struct Fwknop {
    // In the order in which they are to be dropped.
    server: Daemon,
    directory: Directory,
    network: Network,
    keys: [String; 2],
    version: String,
}

/// Whether both of its programs are there.
pub(crate) fn is_installed() -> bool {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    runs("fwknopd") && runs("fwknop")
}

impl Fwknop {
    /// Starts it on the lab's server, with the attacker's link in place.
    pub(crate) fn start(paths: &Paths) -> Result<(Self, Attacker)> {
        let network = Network::new();
        let attacker = Attacker::join(&network);
        attacker::poll(&network.server, ATTACKED_INTERFACE);
        let directory = Directory::new();
        let path = |name: &str| directory.path().join(name);
        let keys = generate_keys(&directory)?;
        let (stamp, stamps) = (paths.program("ruroco-bench-stamp")?, path("stamps"));
        let [key, hmac] = &keys;
        fs::write(
            path("access.conf"),
            format!(
                "SOURCE ANY\nKEY_BASE64 {key}\nHMAC_KEY_BASE64 {hmac}\n\
                 CMD_CYCLE_OPEN {} {} $IP\nCMD_CYCLE_CLOSE NONE\n",
                stamp.display(),
                stamps.display()
            ),
        )?;
        fs::write(
            path("fwknopd.conf"),
            format!(
                "ENABLE_UDP_SERVER Y;\nUDPSERV_PORT {FWKNOP_PORT};\nPCAP_INTF {SERVER_INTERFACE};\n\
                 ENABLE_DIGEST_PERSISTENCE Y;\n"
            ),
        )?;
        let mut command = network.server.command();
        programs::add_launcher(&mut command, None);
        command.args(["fwknopd", "--foreground"]);
        command.arg("--config-file").arg(path("fwknopd.conf"));
        command.arg("--access-file").arg(path("access.conf"));
        command.arg("--pid-file").arg(path("fwknopd.pid"));
        command.arg("--digest-file").arg(path("digest.cache"));
        command.arg("--run-dir").arg(directory.path());
        command.stdout(Stdio::null());
        let server = Daemon::start("fwknopd", &mut command);
        let version = text_of(Command::new("fwknopd").arg("--version"))?;
        let version = version.trim().to_owned();
        Ok((Self { server, directory, network, keys, version }, attacker))
    }

    fn client(&self, address: Ipv4Addr) -> Command {
        let [key, hmac] = &self.keys;
        let mut command = self.network.client.command();
        command.args(["fwknop", "--no-rc-file", "-A", "tcp/22", "-D"]);
        command.arg(SERVER.v4.to_string()).arg("-a").arg(address.to_string());
        command.args(["--key-base64-rijndael", key, "--key-base64-hmac", hmac, "--use-hmac"]);
        command.args(["--no-save-args"]);
        command.env("HOME", self.directory.path());
        command
    }
}

/// A key for encryption and one for authentication, as fwknop makes them.
fn generate_keys(home: &Directory) -> Result<[String; 2]> {
    // It begins a file of settings in whatever home there is.
    let text = text_of(Command::new("fwknop").arg("--key-gen").env("HOME", home.path()))?;
    let key = |name: &str| {
        let key = text.lines().find_map(|line| line.strip_prefix(name));
        key.map(|key| key.trim().to_owned()).with_context(|| format!("fwknop made no {name}"))
    };
    Ok([key("KEY_BASE64:")?, key("HMAC_KEY_BASE64:")?])
}

fn text_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("could not run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Peer for Fwknop {
    fn name(&self) -> &'static str {
        "fwknopd"
    }

    fn configuration(&self) -> String {
        format!(
            "{}; ENABLE_UDP_SERVER on port {FWKNOP_PORT}, Rijndael and HMAC keys, replays \
             remembered on disk, the same command by CMD_CYCLE_OPEN; all else as by default",
            self.version
        )
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn port(&self) -> u16 {
        FWKNOP_PORT
    }

    fn knock(&self, address: Ipv4Addr) -> Result<()> {
        let output = self.client(address).output().context("could not run fwknop")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "fwknop failed: {said}");
        Ok(())
    }

    fn record(&self) -> PathBuf {
        self.directory.path().join("stamps")
    }

    fn processes(&mut self) -> Vec<(&'static str, u32)> {
        vec![("server", self.server.pid())]
    }

    fn verdicts(&self) -> Option<Verdicts> {
        None
    }

    fn accepted(&mut self) -> Result<Vec<u8>> {
        let mut wire = self.network.client.enter(Receiver::of_both_directions);
        // It says nothing when it is ready. So one knocks until it is.
        let address = Ipv4Addr::new(198, 19, 255, 255);
        let ran = wait::poll(wait::DEADLINE, || {
            self.knock(address).ok()?;
            wait::poll(std::time::Duration::from_millis(500), || {
                fs::read_to_string(self.record()).ok().filter(|text| text.contains("198.19"))
            })
        });
        ran.context("fwknopd has not run a command")?;
        // Ethernet, IPv4 and UDP headers are 42 bytes.
        let to_fwknop = |frame: &Vec<u8>| frame.get(36..38) == Some(&FWKNOP_PORT.to_be_bytes()[..]);
        let frame = wire.received().into_iter().rfind(to_fwknop);
        Ok(frame.context("no knock was on the wire")?.split_off(42))
    }
}
