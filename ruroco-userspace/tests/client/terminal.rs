//! A terminal that a person types on.

use std::{
    fs::File,
    io::{Read, Write},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use crate::person::{CLIENT, Person};

/// Longest wait for the client to be ready for what is typed.
const DEADLINE: Duration = Duration::from_secs(60);

/// Types a line once the client does not show any more what is typed. What stands on the terminal in
/// the end, and whether the client has done what it was told.
pub(crate) fn type_unseen(person: &Person, arguments: &[&str], line: &str) -> (String, bool) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap();
    let theirs =
        open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let end = || Stdio::from(theirs.try_clone().unwrap());
    let mut client = {
        // Makes it the terminal of a session of its own.
        let mut client = person.command("setsid");
        client.args(["--ctty", "--wait", CLIENT]).args(arguments);
        client.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
    };
    let begin = Instant::now();
    while tcgetattr(&ours).unwrap().local_modes.contains(LocalModes::ECHO) {
        let waits = client.try_wait().unwrap().is_none() && begin.elapsed() < DEADLINE;
        assert!(waits, "the client does not hide what is typed");
        thread::sleep(Duration::from_millis(5));
    }
    let mut terminal = File::from(ours);
    terminal.write_all(line.as_bytes()).unwrap();
    let status = client.wait().unwrap();
    drop(theirs);
    let mut shown = Vec::new();
    // A terminal whose other end has closed says so by an error (EIO).
    let _ = terminal.read_to_end(&mut shown);
    (String::from_utf8_lossy(&shown).into_owned(), status.success())
}
