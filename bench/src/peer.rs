//! What is knocked at: ruroco behind XDP, ruroco behind a socket, and whoever else is installed.
//!
//! To measure another one takes a way to start it (the constructor), a command that knocks for a
//! given address, and a file in which its command writes when it began and for whom.

use std::{fs, net::Ipv4Addr, path::PathBuf};

use anyhow::{Result, ensure};
use ruroco_common::datagram::KeyId;
use ruroco_lab::{
    attacker::{self, ATTACKED_INTERFACE, Attacker},
    files::{KEY, Options},
    knock::Knock,
    lab::Lab,
    network::{self, Family, Network, PORT, SERVER, SERVER_INTERFACE},
    verdicts::Verdicts,
};

use crate::{packets, paths::Paths};

/// One server with its client.
pub(crate) trait Peer {
    /// Its one name in the report.
    fn name(&self) -> &'static str;

    /// How it was configured, where that matters.
    fn configuration(&self) -> String;

    /// The hosts.
    fn network(&self) -> &Network;

    /// The UDP port that is knocked at.
    fn port(&self) -> u16;

    /// Knocks on behalf of an address, and waits for the client to end.
    fn knock(&self, address: Ipv4Addr) -> Result<()>;

    /// The file that its command writes to.
    fn record(&self) -> PathBuf;

    /// Its processes, the one that looks at packets first.
    fn processes(&mut self) -> Vec<(&'static str, u32)>;

    /// The gate's counters, if there is a gate.
    fn verdicts(&self) -> Option<Verdicts>;

    /// A datagram that it has accepted, to be repeated.
    fn accepted(&mut self) -> Result<Vec<u8>>;
}

/// The command's name in `commands.toml`.
const COMMAND: &str = "bench";

/// ruroco, in the lab.
pub(crate) struct Ruroco {
    pub(crate) lab: Lab,
    /// Of all its keys.
    pub(crate) key_ids: Vec<KeyId>,
    source: &'static str,
}

impl Ruroco {
    /// Starts everything, with the attacker's link in place and this many keys.
    pub(crate) fn start(
        paths: &Paths,
        source: &'static str,
        keys: usize,
    ) -> Result<(Self, Attacker)> {
        let interfaces = vec![SERVER_INTERFACE, ATTACKED_INTERFACE];
        let mut lab = Lab::new(&Options { source, interfaces, ..Options::default() });
        let (stamp, record) = (paths.program("ruroco-bench-stamp")?, lab.files.path("stamps"));
        let commands = fs::read_to_string(lab.files.commands())?;
        let command = format!("\n[commands.{COMMAND}]\nrun = [{stamp:?}, {record:?}]\n");
        fs::write(lab.files.commands(), commands + &command)?;
        let mut key_ids = vec![lab.key().id];
        for number in 1..keys {
            key_ids.push(add_key(&lab, number)?);
        }
        let attacker = Attacker::join(&lab.network);
        lab.start_commander();
        match source {
            "xdp" => lab.start_gate(),
            // Otherwise nothing would take packets that no socket has sent.
            _ => attacker::poll(&lab.network.server, ATTACKED_INTERFACE),
        }
        lab.start_server();
        Ok((Self { lab, key_ids, source }, attacker))
    }
}

/// The server's copy of a key that nobody uses.
fn add_key(lab: &Lab, number: usize) -> Result<KeyId> {
    let (path, key) = (lab.files.server_key(&format!("key{number}")), packets::key()?);
    fs::write(&path, &*key.to_text())?;
    lab.files.make_private(&path);
    Ok(key.id)
}

impl Peer for Ruroco {
    fn name(&self) -> &'static str {
        if self.source == "xdp" { "ruroco, xdp" } else { "ruroco, udp" }
    }

    fn configuration(&self) -> String {
        format!(
            "source = {:?}; 1,000 requests a second and key, so that no limit is met; the log is \
             read by the benchmark",
            self.source
        )
    }

    fn network(&self) -> &Network {
        &self.lab.network
    }

    fn port(&self) -> u16 {
        PORT
    }

    fn knock(&self, address: Ipv4Addr) -> Result<()> {
        let (to, key) = (network::gate(Family::V4).to_string(), self.lab.files.client_key(KEY));
        let (key, address) = (key.to_string_lossy(), address.to_string());
        let sent = self.lab.client(&[
            "send",
            "--address",
            &to,
            "--key",
            &key,
            "--command",
            COMMAND,
            "--ip",
            &address,
            "--permissive",
        ]);
        let said = String::from_utf8_lossy(&sent.stderr);
        ensure!(sent.status.success(), "ruroco-client failed: {said}");
        Ok(())
    }

    fn record(&self) -> PathBuf {
        self.lab.files.path("stamps")
    }

    fn processes(&mut self) -> Vec<(&'static str, u32)> {
        vec![("server", self.lab.server().pid()), ("commander", self.lab.commander().pid())]
    }

    fn verdicts(&self) -> Option<Verdicts> {
        (self.source == "xdp").then(|| self.lab.verdicts())
    }

    fn accepted(&mut self) -> Result<Vec<u8>> {
        let datagram = self.lab.seal(&Knock::to(SERVER.of(Family::V4), COMMAND));
        self.lab.send(Family::V4, &datagram);
        self.lab.server().wait_for(&["accepted"]);
        Ok(datagram.to_vec())
    }
}
