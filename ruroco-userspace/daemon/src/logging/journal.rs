//! Lines for the journal in its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): one datagram
//! for each, with the fields of the line as fields of the journal.
//!
//! This replaces `tracing-journald`, which finds the journal again for each line, by its path, which a
//! confined process cannot; allocates for each line; and waits for a journal that hangs. This module connects
//! once, keeps its memory, and waits a little, once.
//!
//! Rationale: decision 0011.

use std::{
    cell::RefCell,
    fmt::{self, Debug, Write as _},
    io::{self, Write as _},
    os::unix::net::UnixDatagram,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ruroco_messages::plain_error::Filter;
use rustix::{
    io::Errno,
    net::{SendFlags, send},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::fmt::format::{DefaultFields, FormatFields, Writer};

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// What the names of our fields begin with in the journal.
const PREFIX: &str = "RUROCO_";

/// How long a line may wait for a journal that does not keep up. Those that follow wait no more until
/// one has been taken; what is lost is counted.
const PATIENCE: Duration = Duration::from_millis(100);

/// A connection to the journal.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    level: Level,
    /// Name of this program.
    identifier: String,
    /// Lines that the journal had no room for and has not heard of yet.
    lost: AtomicU64,
}

/// A line on its way; kept for the next one.
#[derive(Default)]
struct Line {
    /// The datagram.
    fields: Fields,
    /// What a person reads: the same as on standard error.
    text: String,
}

thread_local! {
    static LINE: RefCell<Line> = RefCell::default();
}

impl Journal {
    /// Connects to the journal that listens at `path`.
    ///
    /// # Errors
    /// If none does.
    pub fn connect(path: &Path, level: Level) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let program = std::env::args_os().next();
        let name = program.as_deref().and_then(|program| Path::new(program).file_name());
        let identifier = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { socket, level, identifier, lost: AtomicU64::new(0) })
    }

    fn write(&self, line: &mut Line, event: &Event<'_>) {
        let Line { fields, text } = line;
        fields.0.clear();
        text.clear();
        // A string takes everything; what does not let itself be shown is left out.
        let mut filter = Filter::new(&mut *text);
        let _ = DefaultFields::new().format_fields(Writer::new(&mut filter), event);
        let _ = filter.finish();
        let level = *event.metadata().level();
        fields.add("PRIORITY", format_args!("{}", priority(level)));
        fields.add("SYSLOG_IDENTIFIER", format_args!("{}", self.identifier));
        fields.add("MESSAGE", format_args!("{text}"));
        event.record(fields);
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            fields.add("RUROCO_LOST_LINES", format_args!("{lost}"));
        }
        match self.send(&fields.0, lost == 0) {
            Ok(()) => {
                self.lost.fetch_sub(lost, Ordering::Relaxed);
            }
            Err(Errno::AGAIN | Errno::NOBUFS) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            // Too long for a datagram, or the journal has gone for good: its stream is still there.
            Err(_) => {
                let _ = writeln!(io::stderr(), "{level} {text}");
            }
        }
    }

    fn send(&self, datagram: &[u8], may_wait: bool) -> Result<(), Errno> {
        let wait = if may_wait { SendFlags::empty() } else { SendFlags::DONTWAIT };
        loop {
            match send(&self.socket, datagram, SendFlags::NOSIGNAL | wait) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
                Ok(_) => return Ok(()),
            }
        }
    }
}

/// Numbers of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

impl Subscriber for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        // Borrowed already if a field logs while it is shown, which none does.
        LINE.with(|line| line.try_borrow_mut().map(|mut line| self.write(&mut line, event)).ok());
    }

    // Nothing here uses spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Fields as the journal takes them.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    /// Adds a field in the form in which a value may hold anything, line ends included: name, line
    /// end, length of the value in 8 bytes (little-endian), value, line end.
    fn add(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.0.extend_from_slice(name.as_bytes());
        self.add_value(value);
    }

    fn add_own(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.0.extend_from_slice(PREFIX.as_bytes());
        let is_allowed = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let upper = name.bytes().map(|byte| byte.to_ascii_uppercase());
        self.0.extend(upper.map(|byte| if is_allowed(&byte) { byte } else { b'_' }));
        self.add_value(value);
    }

    fn add_value(&mut self, value: fmt::Arguments<'_>) {
        self.0.push(b'\n');
        let length_at = self.0.len();
        self.0.extend_from_slice(&[0; 8]);
        let value_at = self.0.len();
        let mut filter = Filter::new(&mut *self);
        let _ = filter.write_fmt(value);
        let _ = filter.finish();
        let length = u64::try_from(self.0.len().saturating_sub(value_at)).unwrap_or_default();
        if let Some(place) = self.0.get_mut(length_at..value_at) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self.0.push(b'\n');
    }

    fn add_recorded(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        match field.name() {
            "message" => self.add_own("event", value),
            // Where in its sources another crate has logged by way of `log`.
            name if name.starts_with("log.") => {}
            name => self.add_own(name, value),
        }
    }
}

impl fmt::Write for Fields {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_recorded(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add_recorded(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, os::unix::net::UnixDatagram};
    use tempfile::TempDir;

    /// A journal that takes what is sent to it when it is asked.
    struct FakeJournal {
        socket: UnixDatagram,
        dir: TempDir,
    }

    impl FakeJournal {
        fn listen() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let socket = UnixDatagram::bind(dir.path().join("socket")).unwrap();
            socket.set_nonblocking(true).unwrap();
            Self { socket, dir }
        }

        fn connect(&self) -> Journal {
            Journal::connect(&self.dir.path().join("socket"), Level::INFO).unwrap()
        }

        fn next(&self) -> Option<BTreeMap<String, String>> {
            let mut datagram = vec![0; 1 << 20];
            let length = self.socket.recv(&mut datagram).ok()?;
            Some(parse(&datagram[..length]))
        }
    }

    /// Reads a datagram as the protocol's document has it, in either form of a field.
    fn parse(mut rest: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let (line, behind) = (&rest[..end], &rest[end + 1..]);
            let (name, value) = match line.iter().position(|byte| *byte == b'=') {
                Some(equals) => {
                    rest = behind;
                    (&line[..equals], &line[equals + 1..])
                }
                None => {
                    let (length, behind) = behind.split_at(8);
                    let length = u64::from_le_bytes(length.try_into().unwrap());
                    let (value, behind) = behind.split_at(length.try_into().unwrap());
                    assert_eq!(behind[0], b'\n');
                    rest = &behind[1..];
                    (line, value)
                }
            };
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            assert!(fields.insert(text(name), text(value)).is_none(), "{:?} twice", text(name));
        }
        fields
    }

    #[test]
    fn a_line_has_its_fields_and_the_text_that_people_read() {
        let journal = FakeJournal::listen();
        tracing::subscriber::with_default(journal.connect(), || {
            let nothing: Option<u64> = None;
            tracing::warn!(key = "lap top", ip = %"192.0.2.1", counter = 17_u128, nothing, "accepted");
            tracing::debug!("not for everyday");
        });
        let fields = journal.next().unwrap();
        let get = |name: &str| fields.get(name).map(String::as_str);
        assert_eq!(get("PRIORITY"), Some("4"));
        assert_eq!(get("MESSAGE"), Some("accepted key=\"lap top\" ip=192.0.2.1 counter=17"));
        assert_eq!(get("RUROCO_EVENT"), Some("accepted"));
        assert_eq!(get("RUROCO_KEY"), Some("lap top"));
        assert_eq!(get("RUROCO_IP"), Some("192.0.2.1"));
        assert_eq!(get("RUROCO_COUNTER"), Some("17"));
        assert!(get("SYSLOG_IDENTIFIER").is_some_and(|name| !name.is_empty()));
        assert_eq!(fields.len(), 7, "{fields:?}");
        assert!(journal.next().is_none());
    }

    #[test]
    fn a_journal_that_is_stuck_costs_lines_and_not_time_and_hears_of_it() {
        let journal = FakeJournal::listen();
        let mut sent = 0_u64;
        tracing::subscriber::with_default(journal.connect(), || {
            // More than a receive queue holds (net.unix.max_dgram_qlen).
            for number in 0..20_000 {
                tracing::info!(number, "line");
            }
            while let Some(fields) = journal.next() {
                assert_eq!(fields["RUROCO_NUMBER"], sent.to_string());
                sent += 1;
            }
            tracing::info!("after");
            tracing::info!("later");
        });
        assert!(sent < 20_000, "the journal was never stuck");
        let after = journal.next().unwrap();
        assert_eq!(after["RUROCO_EVENT"], "after");
        assert_eq!(after["RUROCO_LOST_LINES"], (20_000 - sent).to_string());
        assert!(!journal.next().unwrap().contains_key("RUROCO_LOST_LINES"));
    }

    proptest! {
        #[test]
        fn no_value_can_pass_for_another_field(value: String, other in "[\n=A-Z]{0,20}") {
            let journal = FakeJournal::listen();
            tracing::subscriber::with_default(journal.connect(), || {
                tracing::info!(line = value.as_str(), other = %other, "output");
            });
            let fields = journal.next().unwrap();
            prop_assert_eq!(&fields["RUROCO_LINE"], &value);
            prop_assert_eq!(&fields["RUROCO_OTHER"], &other);
            prop_assert_eq!(fields.len(), 6);
        }
    }
}
