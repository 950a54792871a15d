//! Where daemons write: to standard error, which systemd puts into the journal.
//!
//! Lines carry no time of their own when the journal adds one. Nothing that fails while logging
//! stops a daemon: a closed pipe is not an error.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use tracing::Level;

/// Starts logging: `info` and above, or `debug` if `RUROCO_LOG` is `debug`.
pub fn start() {
    let level = match std::env::var("RUROCO_LOG") {
        Ok(level) if level.eq_ignore_ascii_case("debug") => Level::DEBUG,
        _ => Level::INFO,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false)
        .with_writer(io::stderr);
    if io::stderr().is_terminal() || std::env::var_os("JOURNAL_STREAM").is_none() {
        builder.init();
    } else {
        builder.without_time().init();
    }
}

/// Reports how a program ended: its exit code, and on failure the whole chain of causes. Where they
/// are several things that are wrong, each has a line.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln!`, which panics when nobody reads.
            for line in format!("{error:#}").lines() {
                let _ = writeln!(io::stderr(), "Error: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
