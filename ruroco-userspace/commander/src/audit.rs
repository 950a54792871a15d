//! The audit trail: a line for each command that is started, one for each of its doors, one for its end, one for each
//! other event at a door, and sums of rejections.
//!
//! A run never waits for the trail. Lines go through a queue of bounded length to a thread that only writes
//! them. If the queue or the disk is full, lines are lost, and the log reports it. docs/operate/logs.md
//! describes the lines.
//!
//! Rationale: decision 0012.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use ruroco_commands::task::{DoorAction, DoorChange};
use ruroco_config::{AUDIT_DIR, FORMER_AUDIT_DIR};
use ruroco_daemon::notices::{Due, Notices};
use ruroco_files::instance::Lock;
use ruroco_ipc::{
    audit::{DIRECTORY_MODE, DOOR, ENDED, FILE, LOCK, OLD_FILE, REFUSED, RUNNING},
    door_client::Failure,
    door_event::{Happened, LeaseEvent},
};
use ruroco_messages::plain_error::Plain;
use ruroco_trust::{
    private_directory,
    trusted_path::{self, Found, Trust},
};

use super::{
    audit_file::{AuditFile, Subject},
    doors::Changed,
    event::Event,
    json::Object,
    notify::Notifier,
    outcome::{NotRun, Outcome},
    refusal::Reason,
    rules::Permitted,
};

/// Lines that may wait to be written.
const QUEUE: usize = 256;

/// What lines are handed to; for as many threads as want one.
#[derive(Clone, Debug)]
pub struct Audit {
    queue: SyncSender<Entry>,
    /// Lines that found the queue full and have not been told of.
    lost: Arc<AtomicU64>,
}

/// The thread that writes. It ends when the last [`Audit`] is gone and all lines are written.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
    _lock: Lock,
}

#[derive(Debug)]
enum Entry {
    Running(Event),
    Door(Event),
    Ended(Event, Ending),
    Refused(Event, u64),
}

/// The kinds of endings that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Succeeded,
    Failed,
    TimedOut,
    Stopped,
    CouldNotRun,
    DoorFailed,
}

/// How many runs have ended in which way since the commander started, and how many orders were
/// refused.
#[derive(Debug, Default)]
struct Totals {
    succeeded: u64,
    failed: u64,
    timed_out: u64,
    stopped: u64,
    could_not_run: u64,
    door_failed: u64,
    refused: u64,
}

/// Begins to write the trail in a directory, which is made if it is missing, and to hand its lines to the notifier.
///
/// # Errors
/// If it cannot be written there, or another commander does so.
pub fn start(dir: &Path, notifier: Notifier) -> anyhow::Result<(Audit, Writer)> {
    private_directory::prepare(dir, DIRECTORY_MODE).context("could not use `audit_dir`")?;
    let lock = Lock::try_take(&dir.join(LOCK)).context("could not use `audit_dir`")?;
    note_former_trail(dir);
    let file = AuditFile::open(dir)
        .with_context(|| format!("could not open the audit trail in {}", dir.display()))?;
    let (queue, entries) = mpsc::sync_channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&lost);
    let thread = thread::Builder::new().name("audit".to_owned());
    let thread = thread.spawn(move || write_all(&entries, file, &theirs, &notifier));
    let thread = thread.context("could not start the thread that writes the audit trail")?;
    Ok((Audit { queue, lost }, Writer { thread, _lock: lock }))
}

/// Warns of a trail in the default directory of earlier releases, if the current default applies and has no
/// trail yet. Only a file that root alone can have put there is worth a move.
fn note_former_trail(dir: &Path) {
    if dir != Path::new(AUDIT_DIR) || dir.join(FILE).exists() {
        return;
    }
    let former = Path::new(FORMER_AUDIT_DIR).join(FILE);
    if let Ok(Found::Leaf(trail)) = trusted_path::find(&former, Trust::root()) {
        let (from, to) = (trail.path().display(), dir.join(OLD_FILE));
        tracing::warn!(
            "the audit trail of an earlier release is in {from}, but the commander now writes to {dir}. To keep it, \
            run: mv --no-clobber {from} {to}",
            dir = dir.display(),
            to = to.display(),
        );
    }
}

impl Writer {
    /// Waits until everything is written.
    pub fn finish(self) {
        let _ = self.thread.join();
    }
}

impl Audit {
    /// A command is about to be started.
    pub fn running(&self, permitted: &Permitted) {
        self.hand_over(Entry::Running(run(RUNNING, permitted)));
    }

    /// A door has been opened or closed for a command, or could not be.
    pub(super) fn door(
        &self,
        permitted: &Permitted,
        change: &DoorChange,
        changed: &Result<Changed, Failure>,
    ) {
        let line = run(DOOR, permitted).text("door", change.door.to_string());
        let line = match changed {
            Ok(changed) => {
                let line = line.text("action", changed.name());
                match changed {
                    Changed::Opened(until) | Changed::Renewed(until) => {
                        line.number("until", until.epoch)
                    }
                    Changed::Closed => line.text("reason", "knock"),
                    Changed::WasClosed => line,
                }
            }
            Err(failure) => {
                let action = match change.action {
                    DoorAction::Open { .. } => "not_opened",
                    DoorAction::Close => "not_closed",
                };
                let line = line.text("action", action).text("reason", failure.reason());
                line.text("detail", Plain(failure).to_string())
            }
        };
        self.hand_over(Entry::Door(line));
    }

    /// Something has happened to a lease `age` ago, without a request of the commander.
    pub(super) fn lease(&self, event: &LeaseEvent, key: &str, age: Duration) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = now.saturating_sub(age);
        let line = Event::now(DOOR)
            .text("key", key)
            .text("ip", event.source())
            .text("counter", event.counter.to_string())
            .text("door", event.door.to_string())
            .text("action", event.happened.name());
        let line = match event.happened {
            Happened::Connected { new } => line.number("new", new),
            Happened::Expired => line,
            Happened::Closed(cause) => line.text("reason", cause.name()),
        };
        let line = line.number("connections", event.connections).number("at", at.as_secs());
        self.hand_over(Entry::Door(line));
    }

    /// The gate had no room for so many events.
    pub(super) fn lost_events(&self, count: u64) {
        self.hand_over(Entry::Door(Event::now(DOOR).text("action", "lost").number("count", count)));
    }

    /// It has ended, or could not be run.
    pub fn ended(&self, permitted: &Permitted, result: &Result<Outcome, NotRun>, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let line = run(ENDED, permitted);
        let (line, ending) = match result {
            Ok(outcome) => (line.text("result", outcome.to_string()), Ending::from(*outcome)),
            Err(error) => {
                let line =
                    line.text("result", error.name()).text("error", Plain(error).to_string());
                (line, Ending::from(error))
            }
        };
        self.hand_over(Entry::Ended(line.number("duration_ms", millis), ending));
    }

    /// Orders were refused.
    pub(super) fn refused(&self, due: &Due<'_, Reason>) {
        let line = Event::now(REFUSED)
            .text("reason", due.kind.name())
            .number("count", due.count)
            .number("total", due.total)
            .text("detail", Plain(due.detail).to_string());
        self.hand_over(Entry::Refused(line, due.count));
    }

    fn hand_over(&self, entry: Entry) {
        if self.queue.try_send(entry).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn run(event: &'static str, permitted: &Permitted) -> Event {
    Event::now(event)
        .text("key", permitted.key())
        .text("command", permitted.command().name.clone())
        .text("ip", permitted.ip().to_string())
        // As a text: many a reader of JSON has numbers of 53 bits.
        .text("counter", permitted.counter().to_string())
}

fn write_all(
    entries: &Receiver<Entry>,
    mut file: AuditFile,
    lost: &AtomicU64,
    notifier: &Notifier,
) {
    let mut totals = Totals::default();
    let mut losses = Notices::<&'static str>::default();
    loop {
        let entry = match losses.next() {
            None => entries.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => entries.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        let is_end = matches!(entry, Err(RecvTimeoutError::Disconnected));
        if let Ok(entry) = entry {
            let (subject, line) = totals.count(&entry);
            match file.append(subject, &line) {
                Ok(true) => {}
                Ok(false) => {
                    losses.note("no_room_for_refusals", "the audit trail goes on without them")
                }
                Err(error) => {
                    let path = file.path().display();
                    losses.note("not_written", format_args!("could not write {path}: {error}"));
                }
            }
            notifier.hand_over(entry.event(), &line);
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            losses.note("queue_full", format_args!("{lost} lines: the disk is too slow"));
        }
        let now = Instant::now();
        if is_end {
            losses.rest(now).for_each(report_loss);
            return;
        }
        losses.due(now).for_each(report_loss);
    }
}

fn report_loss(Due { kind, count, total, detail }: Due<'_, &'static str>) {
    tracing::error!(reason = %kind, count, total, %detail, "missing from the audit trail");
}

impl Entry {
    fn event(&self) -> &Event {
        match self {
            Self::Running(event) | Self::Door(event) => event,
            Self::Ended(event, _) | Self::Refused(event, _) => event,
        }
    }
}

impl Totals {
    /// Counts an entry, and makes its line.
    fn count(&mut self, entry: &Entry) -> (Subject, String) {
        let line = entry.event().to_object();
        match entry {
            Entry::Running(_) | Entry::Door(_) => (Subject::Run, line.close()),
            Entry::Refused(_, count) => {
                self.refused = self.refused.saturating_add(*count);
                (Subject::Refusal, line.close())
            }
            Entry::Ended(_, ending) => {
                let count = match ending {
                    Ending::Succeeded => &mut self.succeeded,
                    Ending::Failed => &mut self.failed,
                    Ending::TimedOut => &mut self.timed_out,
                    Ending::Stopped => &mut self.stopped,
                    Ending::CouldNotRun => &mut self.could_not_run,
                    Ending::DoorFailed => &mut self.door_failed,
                };
                *count = count.saturating_add(1);
                (Subject::Run, line.object("totals", self.to_object()).close())
            }
        }
    }

    fn to_object(&self) -> Object {
        Object::default()
            .number("succeeded", self.succeeded)
            .number("failed", self.failed)
            .number("timed_out", self.timed_out)
            .number("stopped", self.stopped)
            .number("could_not_run", self.could_not_run)
            .number("door_failed", self.door_failed)
            .number("refused", self.refused)
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Exit(0) | Outcome::Done => Self::Succeeded,
            Outcome::Exit(_) | Outcome::Signal(_) => Self::Failed,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Stopped => Self::Stopped,
        }
    }
}

impl From<&NotRun> for Ending {
    fn from(error: &NotRun) -> Self {
        match error {
            NotRun::Doors(_) => Self::DoorFailed,
            NotRun::Program(_) => Self::CouldNotRun,
        }
    }
}
