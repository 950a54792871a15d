//! Waits for the first of several events: the one blocking call of the daemons' loops.

use std::{io, os::fd::BorrowedFd, time::Instant};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::CWD,
    io::Errno,
};

/// Waits until one of the descriptors can be read or was closed at its other end, or until the
/// deadline. Says for each of them whether it is so; `None` never is. A signal may end the wait
/// early with nothing ready.
///
/// # Errors
/// If the kernel cannot wait.
pub fn wait<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    deadline: Option<Instant>,
) -> io::Result<[bool; N]> {
    // A negative descriptor, as `CWD` is, has its place and is not looked at (poll(2)).
    let mut polled = fds.map(|fd| PollFd::from_borrowed_fd(fd.unwrap_or(CWD), PollFlags::IN));
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut polled, left.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(polled.map(|fd| !fd.revents().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        os::{fd::AsFd, unix::net::UnixStream},
        time::Duration,
    };

    #[test]
    fn it_tells_which_descriptor_is_ready() {
        let (_quiet_end, quiet) = UnixStream::pair().unwrap();
        let (mut talking_end, talking) = UnixStream::pair().unwrap();
        let (closed_end, closed) = UnixStream::pair().unwrap();
        talking_end.write_all(b"x").unwrap();
        drop(closed_end);
        let fds = [Some(quiet.as_fd()), None, Some(talking.as_fd()), Some(closed.as_fd())];
        assert_eq!(wait(fds, None).unwrap(), [false, false, true, true]);
    }

    #[test]
    fn it_ends_at_the_deadline_even_if_that_has_passed() {
        let (_end, quiet) = UnixStream::pair().unwrap();
        let now = Instant::now();
        for deadline in [now, now + Duration::from_millis(20)] {
            assert_eq!(wait([Some(quiet.as_fd())], Some(deadline)).unwrap(), [false]);
        }
    }
}
