//! Reading a QR code in a separate process.
//!
//! A picture is untrusted input. The time that the QR library takes can grow with the cube of what it
//! finds in the picture, and a bug in it would crash the whole program. So the program starts itself
//! again with `ARGUMENT`, and the kernel limits the time and memory of that process. On Windows, which
//! has no such limits, it is only a separate process.
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

/// The only argument of a process that reads a picture from standard input.
const ARGUMENT: &str = "--read-a-picture";

/// Maximum CPU time in seconds. A photo of a phone takes one or two.
#[cfg(unix)]
const MAX_SECONDS: u64 = 10;

/// Maximum memory in bytes: the largest decoded picture, and its copies in grey.
#[cfg(unix)]
const MAX_MEMORY: u64 = 1 << 30;

/// Longest answer in bytes: the text of a code is shorter (2,953 bytes, ISO/IEC 18004), and so are messages.
const MAX_ANSWER: u64 = 16 << 10;

/// No text was found in a picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader reported an error.
    #[error("{0}")]
    Unreadable(String),
    /// The reader exceeded a limit, or crashed.
    #[error(
        "the search for a QR code in the picture was stopped, because it took too much time or memory. Take a \
         picture that shows only the code"
    )]
    Stopped,
    /// The reader cannot be started.
    #[error(
        "cannot start the process that reads pictures: {0}. If ruroco was updated while this program was \
         running, restart this program"
    )]
    Start(#[source] io::Error),
}

/// The program that reads pictures: this one. On Linux it can be started even after an update deleted
/// its file.
///
/// # Errors
/// If the path of the program is unknown.
pub fn this_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running.to_owned());
    }
    env::current_exe()
}

/// Runs this program to read the only code in a picture, which is a PNG or JPEG file.
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
        // The reader may stop reading early. Its answer contains the reason.
        scope.spawn(move || input.map(|mut input| input.write_all(file)));
        output.map_or(Ok(0), |output| output.take(MAX_ANSWER).read_to_string(&mut answer))
    })?;
    Ok(answer)
}

/// If this process was started to read a picture, reads it and returns the exit code.
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

/// Limits this process's time and memory. It cannot raise these limits again.
#[cfg(unix)]
fn limit_this_process() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    for (resource, most) in
        [(Resource::Cpu, MAX_SECONDS), (Resource::As, MAX_MEMORY), (Resource::Core, 0)]
    {
        // A lower limit stays in force.
        let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn limit_this_process() -> io::Result<()> {
    Ok(())
}
