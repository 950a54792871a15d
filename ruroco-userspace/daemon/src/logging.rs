//! The log of the daemons. If standard error is connected to the journal, lines go to the journal, with
//! searchable fields; otherwise to standard error, as text.
//!
//! Text has no time of its own when the journal adds one. A failure to log never stops a daemon: a closed
//! pipe is not an error. docs/operate/logs.md lists the lines and their fields.

pub mod journal;

use std::{
    env, fmt,
    io::{self, Write},
    path::Path,
    process::{ExitCode, Termination},
};

use ruroco_messages::{
    plain_error::{Filter, plain},
    problems::{Checked, Problems},
    redaction::redacted,
};
use rustix::fs::fstat;
use tracing::Level;
use tracing_subscriber::{
    field::RecordFields,
    fmt::format::{DefaultFields, FormatFields, Writer},
    util::SubscriberInitExt,
};

use self::journal::Journal;

/// Starts logging: `info` and above, or `debug` if `RUROCO_LOG` is `debug`.
///
/// The connection to the journal is made here and never again, so it outlasts whatever the process
/// gives up later.
pub fn start() {
    let level = match env::var("RUROCO_LOG") {
        Ok(level) if level.eq_ignore_ascii_case("debug") => Level::DEBUG,
        _ => Level::INFO,
    };
    let is_journal = stderr_is_journal();
    if is_journal && let Ok(journal) = Journal::connect(Path::new(journal::SOCKET), level) {
        // Nothing else in this process has started logging.
        let _ = journal.try_init();
        return;
    }
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false)
        .fmt_fields(PlainFields)
        .with_writer(io::stderr);
    match is_journal {
        true => builder.without_time().init(),
        false => builder.init(),
    }
}

/// Fields as they are by default, without the numbers of errors.
struct PlainFields;

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut filter = Filter::new(writer);
        DefaultFields::new().format_fields(Writer::new(&mut filter), fields)?;
        filter.finish()
    }
}

/// Whether standard error goes to the journal and nowhere else: systemd names the device and the
/// inode of what it has connected it to (systemd.exec(5), `$JOURNAL_STREAM`), and a parent may have
/// connected it to something else since.
fn stderr_is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|is| stream == format!("{}:{}", is.st_dev, is.st_ino))
}

/// Logs why a reload was refused: the whole chain of causes. Where they are several things that are
/// wrong, each has a line.
pub fn not_reloaded(error: &anyhow::Error) {
    for line in redacted(&plain(error)).lines() {
        tracing::error!("not reloaded, the earlier configuration stays in force: {line}");
    }
}

/// Reports how a program ended: its exit code, and on failure the whole chain of causes, told as in
/// [`not_reloaded`].
pub fn exit_code(result: anyhow::Result<impl Termination>) -> ExitCode {
    match result {
        Ok(done) => done.report(),
        Err(error) => {
            // Not `eprintln!`, which panics when nobody reads.
            for line in redacted(&plain(&error)).lines() {
                let _ = writeln!(io::stderr(), "Error: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The content if a daemon can go by it; warnings are logged.
///
/// # Errors
/// As [`Checked::or_all_problems`].
pub fn or_refuse<T>(checked: Checked<T>) -> Result<T, Problems> {
    let (content, warnings) = checked.or_all_problems()?;
    for warning in warnings.sorted() {
        tracing::warn!("{warning}");
    }
    Ok(content)
}
