use super::*;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGTERM},
    low_level::raise,
};

use crate::signals::tests::one_at_a_time;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Quiet,
    Byte(usize),
}

/// Does what it is there for until it has had enough, and then ends itself.
struct Example {
    sockets: [UnixStream; 3],
    seen: Vec<Event>,
    tended: usize,
    wake: Option<Duration>,
    reloads: Vec<anyhow::Result<()>>,
}

impl Example {
    fn new() -> (Self, [UnixStream; 3]) {
        let pairs: [_; 3] = array::from_fn(|_| UnixStream::pair().unwrap());
        let (sockets, peers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let sockets = sockets.try_into().unwrap();
        let example =
            Self { sockets, seen: Vec::new(), tended: 0, wake: None, reloads: Vec::new() };
        (example, peers.try_into().unwrap())
    }

    fn end() -> anyhow::Result<()> {
        Ok(raise(SIGTERM)?)
    }
}

impl Daemon<3> for Example {
    type Event = Event;

    fn watched(&self, _: Instant) -> [Watched<'_, Event>; 3] {
        let [quiet, first, second] = &self.sockets;
        let quiet = (!self.seen.is_empty()).then_some(quiet.as_fd());
        [
            (Event::Quiet, quiet),
            (Event::Byte(1), Some(first.as_fd())),
            (Event::Byte(2), Some(second.as_fd())),
        ]
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.wake?)
    }

    fn on(&mut self, event: Event) -> anyhow::Result<()> {
        self.seen.push(event);
        let Event::Byte(index) = event else { return Self::end() };
        Ok(self.sockets[index].read_exact(&mut [0])?)
    }

    fn tend(&mut self) -> anyhow::Result<()> {
        self.tended += 1;
        if self.wake.is_some() && self.tended > 2 { Self::end() } else { Ok(()) }
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        self.reloads.pop().unwrap()
    }

    fn summarise(&self, line: &mut dyn fmt::Write) -> fmt::Result {
        write!(line, "{} events", self.seen.len())
    }
}

#[test]
fn a_loop_passes_named_events_on_wakes_when_something_is_due_reloads_and_ends() {
    let _signals = one_at_a_time();
    let (mut example, mut peers) = Example::new();
    // The first is readable from the start, but is not watched until another event has come.
    peers.iter_mut().for_each(|peer| peer.write_all(b"x").unwrap());
    EventLoop::begin().unwrap().run(&mut example).unwrap();
    assert_eq!(example.seen, [Event::Byte(1), Event::Byte(2), Event::Quiet]);

    let (mut example, _peers) = Example::new();
    example.wake = Some(Duration::from_millis(1));
    let event_loop = EventLoop::begin().unwrap();
    event_loop.run(&mut example).unwrap();
    assert_eq!((example.tended, example.seen.len()), (3, 0));

    let (mut example, mut peers) = Example::new();
    example.reloads = vec![Ok(()), Err(anyhow::anyhow!("a mistake"))];
    let event_loop = EventLoop::begin().unwrap();
    raise(SIGHUP).unwrap();
    [0, 2].into_iter().for_each(|index: usize| peers[index].write_all(b"x").unwrap());
    event_loop.run(&mut example).unwrap();
    assert_eq!(example.reloads.len(), 1, "the daemon goes on after a failed reload");
    assert_eq!(example.seen, [Event::Byte(2), Event::Quiet]);

    // An error of a handler ends it.
    let (mut example, peers) = Example::new();
    drop(peers);
    assert!(EventLoop::begin().unwrap().run(&mut example).is_err());
}
