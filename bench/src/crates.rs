//! The maintained crates refusing a datagram in user space, in two builds of one program that runs
//! beside us and measures when it is told to.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result};
use ruroco_keys::key::Key;
use ruroco_lab::knock::Bytes;

/// What is measured, in the order of the program's answers.
pub(crate) const REFUSALS: [&str; 4] = [
    "chacha20poly1305, key prepared once",
    "chacha20poly1305, key prepared for each packet",
    "aes-gcm-siv, key prepared once",
    "aes-gcm-siv, key prepared for each packet",
];

/// The running program, killed when dropped.
pub(crate) struct Crates {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Crates {
    /// Starts one of the builds.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let input = child.stdin.take().context("its input is not a pipe")?;
        let output = child.stdout.take().context("its output is not a pipe")?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// Nanoseconds for each refusal of this datagram, by [`REFUSALS`].
    pub(crate) fn time(&mut self, key: &Key, forged: &Bytes, rounds: u32) -> Result<Vec<f64>> {
        let (key, forged) = (hex(key.secret.expose()), hex(forged));
        writeln!(self.input, "{rounds} {key} {forged}").context("it does not listen any more")?;
        let mut line = String::new();
        self.output.read_line(&mut line).context("it did not answer")?;
        let times = line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>();
        times.with_context(|| format!("it answered {line:?}"))
    }
}

impl Drop for Crates {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
