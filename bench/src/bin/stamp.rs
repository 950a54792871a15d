//! The command that the benchmark's knocks run: writes down when it began, and for whom.
//!
//! A shell with `date` in it takes longer to start than a knock takes to arrive.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

/// `ruroco-bench-stamp FILE [ADDRESS]`; the address is else that of ruroco's environment.
fn main() -> io::Result<()> {
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut arguments = env::args().skip(1);
    let missing = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let file = arguments.next().ok_or_else(|| missing("no file was named"))?;
    let whom = arguments.next().or_else(|| env::var("RUROCO_IP").ok());
    let whom = whom.ok_or_else(|| missing("no address was named"))?;
    // One write for one line: others are writing theirs.
    let line = format!("{begun} {whom}\n");
    OpenOptions::new().append(true).create(true).open(file)?.write_all(line.as_bytes())
}
