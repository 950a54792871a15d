//! Reading a picture in a process of its own.
//!
//! A picture comes from elsewhere and may be anything. What a reader of QR codes does with it cannot be
//! bounded from outside: its work can grow with the cube of what it finds, and a mistake in it would end the
//! whole program. So the program starts itself once more, with `ARGUMENT`, and the kernel limits that
//! process's time and memory. Where there are no such limits (Windows), it is only a process of its own.
//!
//! Rationale: decision 0030.

use std::{
    env,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
};

use zeroize::Zeroizing;

use crate::qr_picture;

/// What a program of ours is started with to read a picture from standard input, and nothing else.
const ARGUMENT: &str = "--read-a-picture";

/// Most seconds of CPU time; photographs of telephones take one or two.
#[cfg(unix)]
const MAX_SECONDS: u64 = 10;

/// Most memory in bytes: the largest picture that is decoded, and its copies in grey.
#[cfg(unix)]
const MAX_MEMORY: u64 = 1 << 30;

/// Longest answer in bytes: the text of a code is shorter (2,953 bytes, ISO/IEC 18004), and so are messages.
const MAX_ANSWER: u64 = 16 << 10;

/// A picture that no text was found in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none, or no picture.
    #[error("{0}")]
    Unreadable(String),
    /// The search for one was stopped.
    #[error(
        "the search for a QR code in the picture was stopped, because it took too much time or memory; \
         take a picture that shows the code and nothing else"
    )]
    Stopped,
    /// The reader could not be started.
    #[error(
        "could not start the program that reads pictures: {0}; if ruroco was updated while this program ran, \
         restart this program"
    )]
    Start(#[source] io::Error),
}

/// The program that reads pictures: this one, as it was started. On Linux it can be started after an update has
/// deleted its file, too.
///
/// # Errors
/// If nobody knows where it is.
pub fn this_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running.to_owned());
    }
    env::current_exe()
}

/// The text of the only code in a picture, which is a PNG or JPEG file, found by this program.
///
/// # Errors
/// [`Error`].
pub fn read(program: &Path, file: &[u8]) -> Result<Zeroizing<String>, Error> {
    let mut reader = Command::new(program);
    reader.arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut reader = reader.spawn().map_err(Error::Start)?;
    let answer = ask(&mut reader, file);
    let ended = reader.wait().map_err(Error::Start)?;
    match (ended.code(), answer) {
        (Some(0), Ok(text)) => Ok(text),
        (Some(1), Ok(why)) => Err(Error::Unreadable(why.to_string())),
        _ => Err(Error::Stopped),
    }
}

fn ask(reader: &mut Child, file: &[u8]) -> io::Result<Zeroizing<String>> {
    let (input, output) = (reader.stdin.take(), reader.stdout.take());
    // One allocation of the final size: a growing buffer would leave copies of the secret behind.
    let mut answer =
        Zeroizing::new(String::with_capacity(usize::try_from(MAX_ANSWER).unwrap_or(0)));
    thread::scope(|scope| {
        // A reader that has found out enough reads no more; its answer says why.
        scope.spawn(move || input.map(|mut input| input.write_all(file)));
        output.map_or(Ok(0), |output| output.take(MAX_ANSWER).read_to_string(&mut answer))
    })?;
    Ok(answer)
}

/// Reads a picture, if that is what this process was started for; gives how it ends.
pub fn serve() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let is_meant = arguments.next().is_some_and(|first| first == ARGUMENT);
    (is_meant && arguments.next().is_none()).then(|| {
        let (code, text) = match limit_this_process().and_then(|()| read_input()) {
            Ok(text) => (0, text),
            Err(error) => (1, Zeroizing::new(error.to_string())),
        };
        match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::from(code),
            Err(_) => ExitCode::from(2),
        }
    })
}

fn read_input() -> io::Result<Zeroizing<String>> {
    let mut file = Zeroizing::new(Vec::new());
    io::stdin().lock().take(qr_picture::MAX_SIZE).read_to_end(&mut file)?;
    qr_picture::read(&file).map_err(io::Error::other)
}

/// Nothing lifts these limits again.
#[cfg(unix)]
fn limit_this_process() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    for (resource, most) in
        [(Resource::Cpu, MAX_SECONDS), (Resource::As, MAX_MEMORY), (Resource::Core, 0)]
    {
        // A limit that is lower already stays.
        let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn limit_this_process() -> io::Result<()> {
    Ok(())
}
