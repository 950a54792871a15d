//! Notifications: a program of the operator's runs after events, with the event on its standard input.
//!
//! Nothing waits for it. The thread that writes the audit trail hands each line over; the line waits in a
//! queue of bounded length for a thread that runs one program at a time, without real-time scheduling. A
//! program that takes longer than its `timeout` is killed. Events that find no room are dropped, and the log has their
//! number.

mod queue;

use std::{
    io::{self, PipeReader, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use ruroco_commands::notify::Notify;
use ruroco_daemon::{
    notices::{Due, Notices},
    wait::wait,
};
use ruroco_messages::plain_error::plain;
use rustix::io::ioctl_fionbio;

use self::queue::Queue;
use super::{
    event::Event,
    head_start::decline_real_time,
    outcome::Outcome,
    run::supervise,
    spawn::{Start, start},
};

/// How long a commander that ends waits for notifications about the last events.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// Most of the program's output that is kept, to tell why it failed.
const MAX_OUTPUT: usize = 4096;

/// What events are handed to, and where the program is changed.
#[derive(Clone, Debug)]
pub struct Notifier {
    queue: Arc<Queue<Notification>>,
    /// Wakes the thread that runs the program. One message is enough for any number of events.
    wake: SyncSender<()>,
    program: Arc<Mutex<Option<Arc<Notify>>>>,
}

/// The thread that runs the program. It ends when the last [`Notifier`] is gone.
#[derive(Debug)]
pub struct Worker {
    thread: JoinHandle<()>,
    /// Never gets anything; closed when the thread has nothing more to do.
    is_done: Receiver<()>,
    /// Closed to end the program that runs.
    keep_going: UnixStream,
}

/// An event on its way to the program that was configured when it happened.
#[derive(Debug)]
struct Notification {
    program: Arc<Notify>,
    line: String,
    variables: Vec<(String, String)>,
}

/// Begins to run a program after events that are handed over, as soon as there [is one](Notifier::change).
///
/// # Errors
/// If there can be no more threads or descriptors.
pub fn begin() -> anyhow::Result<(Notifier, Worker)> {
    let queue: Arc<Queue<Notification>> = Arc::default();
    let (wake, wakes) = mpsc::sync_channel(1);
    let (done, is_done) = mpsc::channel();
    let (keep_going, stop) = UnixStream::pair().context("could not make a socket")?;
    let runner = Runner { stop, queue: Arc::clone(&queue), failures: Notices::default() };
    let thread = thread::Builder::new().name("notify".to_owned());
    let run = move || {
        runner.run_all(&wakes);
        drop(done);
    };
    let thread = thread.spawn(run).context("could not start the thread of notifications")?;
    let notifier = Notifier { queue, wake, program: Arc::default() };
    Ok((notifier, Worker { thread, is_done, keep_going }))
}

impl Notifier {
    /// Changes the program for the events from now on.
    pub fn change(&self, program: Option<Arc<Notify>>) {
        *self.program.lock().unwrap_or_else(PoisonError::into_inner) = program;
    }

    /// Hands over an event with its line of the audit trail, if the program is to run after it.
    pub(super) fn hand_over(&self, event: &Event, line: &str) {
        let program = self.program.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(program) = program.filter(|program| program.wants(event.name())) else { return };
        let line = format!("{line}\n");
        let notification = Notification { program, line, variables: event.to_variables() };
        self.queue.add(event.key(), notification);
        // If a message is there already, the thread has not seen it yet.
        let _ = self.wake.try_send(());
    }
}

impl Worker {
    /// Waits for the last notifications, but not for long.
    pub fn finish(self) {
        let _ = self.is_done.recv_timeout(LAST_CHANCE);
        drop(self.keep_going);
        let _ = self.thread.join();
    }
}

/// Runs the program.
struct Runner {
    /// Closed at its other end when the commander does not wait any longer.
    stop: UnixStream,
    queue: Arc<Queue<Notification>>,
    failures: Notices<&'static str>,
}

impl Runner {
    fn run_all(mut self, wakes: &Receiver<()>) {
        decline_real_time();
        loop {
            let is_end = match self.queue.take() {
                Some(notification) => {
                    self.run(&notification);
                    false
                }
                None => self.wait(wakes),
            };
            let dropped = self.queue.take_dropped();
            if dropped > 0 {
                let detail = format_args!("{dropped} events: the program is too slow");
                self.failures.note("queue_full", detail);
            }
            let now = Instant::now();
            if is_end {
                self.failures.rest(now).for_each(report);
                return;
            }
            self.failures.due(now).for_each(report);
        }
    }

    /// Waits for events, or until failures are to be logged. Says whether there will be no more events.
    fn wait(&self, wakes: &Receiver<()>) -> bool {
        let woken = match self.failures.next() {
            None => wakes.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => wakes.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        matches!(woken, Err(RecvTimeoutError::Disconnected))
    }

    fn run(&mut self, notification: &Notification) {
        if self.is_stopped() {
            self.failures.note("stopped", "the commander stopped");
            return;
        }
        let mut output = Vec::new();
        let outcome = execute(notification, self.stop.as_fd(), &mut output);
        let said = last_line(&output);
        match outcome {
            Ok(Outcome::Exit(0) | Outcome::Done) => {}
            Ok(outcome @ (Outcome::Exit(_) | Outcome::Signal(_))) => {
                self.failures.note("failed", format_args!("{outcome}: {said}"));
            }
            Ok(Outcome::TimedOut) => {
                let seconds = notification.program.timeout.as_secs();
                self.failures.note("timed_out", format_args!("after {seconds} s: {said}"));
            }
            Ok(Outcome::Stopped) => self.failures.note("stopped", "the commander stopped"),
            Err(error) => self.failures.note("could_not_run", plain(&error)),
        }
    }

    fn is_stopped(&self) -> bool {
        wait([Some(self.stop.as_fd())], Some(Instant::now())).is_ok_and(|[is_stopped]| is_stopped)
    }
}

fn report(Due { kind, count, total, detail }: Due<'_, &'static str>) {
    tracing::warn!(reason = %kind, count, total, %detail, "not notified");
}

/// Runs the program once, and keeps some of its output.
fn execute(
    notification: &Notification,
    stop: BorrowedFd<'_>,
    output: &mut Vec<u8>,
) -> io::Result<Outcome> {
    let Notification { program: notify, line, variables } = notification;
    let started = start(Start {
        program: &notify.program,
        uid: notify.uid,
        gid: notify.gid,
        cwd: &notify.cwd,
        env: &notify.env,
        variables,
        input: Some(filled(line)?),
    })?;
    let print = |printed: &[u8]| {
        output.extend_from_slice(printed);
        // The end of it says why it failed.
        let excess = output.len().saturating_sub(MAX_OUTPUT);
        output.drain(..excess);
    };
    // What processes in the background print is lost.
    supervise("notify", started, notify.timeout, stop, print, &mut None)
}

/// A pipe that has a line in it, and then ends.
fn filled(line: &str) -> io::Result<PipeReader> {
    let (reader, mut writer) = io::pipe()?;
    // An event is much shorter than what every pipe has room for; a longer one would be an error, and no wait.
    ioctl_fionbio(&writer, true)?;
    writer.write_all(line.as_bytes())?;
    Ok(reader)
}

/// The last line that was printed, without characters that a terminal would obey.
fn last_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no output");
    last.chars()
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_commands::{notify::Topic, task::Program};
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
        path::Path,
    };

    fn shell(line: &str, timeout: u64) -> Option<Arc<Notify>> {
        let arguments = ["-c", line].map(str::to_owned).to_vec();
        Some(Arc::new(Notify {
            program: Program { path: "/bin/sh".to_owned(), arguments },
            uid: None,
            gid: None,
            timeout: Duration::from_secs(timeout),
            cwd: "/".into(),
            env: BTreeMap::new(),
            topics: BTreeSet::from([Topic::Door]),
        }))
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn the_program_has_the_event_on_its_input_and_in_its_environment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let line = format!("cat >>{0}; echo $RUROCO_DOOR >>{0}", path.display());
        let (notifier, worker) = begin().unwrap();
        notifier.change(shell(&line, 60));
        for (event, door) in [("door", "$(id) '\"; x"), ("ended", "no"), ("door", "ssh")] {
            let event = Event::now(event).text("door", door);
            notifier.hand_over(&event, &event.to_object().close());
        }
        drop(notifier);
        worker.thread.join().unwrap();
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].contains("\"event\":\"door\"") && lines[0].contains("$(id) '\\\"; x"));
        assert_eq!((lines[1], lines[3]), ("$(id) '\"; x", "ssh"));
    }

    #[test]
    fn a_program_that_hangs_is_killed_and_the_queue_has_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let (count, stopped) = (dir.path().join("count"), dir.path().join("stopped"));
        let line = format!(
            "echo >>{}; trap 'echo >>{}; exit' TERM; sleep 600 & wait",
            count.display(),
            stopped.display()
        );
        let (notifier, worker) = begin().unwrap();
        notifier.change(shell(&line, 1));
        let event = Event::now("door");
        let began = Instant::now();
        (0..1000).for_each(|_| notifier.hand_over(&event, "{}"));
        assert!(began.elapsed() < Duration::from_secs(10), "it waited for the program");
        let deadline = began + Duration::from_secs(60);
        while read(&stopped).is_empty() {
            assert!(Instant::now() < deadline, "it was not ended");
            thread::yield_now();
        }
        let dropped = notifier.queue.take_dropped();
        assert!(
            dropped == 0 || dropped >= 1000 - 64 - 2,
            "{dropped}: either logged or still counted"
        );
        drop(notifier);
        worker.finish();
        assert!(read(&count).lines().count() < 10);
    }

    #[test]
    fn a_flood_of_one_key_leaves_the_event_of_another_to_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let [out, go] = ["out", "go"].map(|name| dir.path().join(name));
        let line =
            format!("cat >>{}; until [ -e {} ]; do sleep 0.01; done", out.display(), go.display());
        let (notifier, worker) = begin().unwrap();
        notifier.change(shell(&line, 60));
        let hand_over = |key: &str| {
            let event = Event::now("door").text("key", key);
            notifier.hand_over(&event, &event.to_object().close());
        };
        (0..1000).for_each(|_| hand_over("flood"));
        hand_over("phone");
        (0..1000).for_each(|_| hand_over("flood"));
        fs::write(go, "").unwrap();
        drop(notifier);
        worker.thread.join().unwrap();
        let text = read(&out);
        assert_eq!(text.matches("phone").count(), 1, "{text}");
        assert!(text.lines().count() <= 70, "it is bounded");
    }

    #[test]
    fn why_it_failed_is_its_last_line_without_control_characters() {
        assert_eq!(last_line(b"trying\n\x1b[31mno route\n\n"), "\u{fffd}[31mno route");
        assert_eq!(last_line(b""), "no output");
    }
}
