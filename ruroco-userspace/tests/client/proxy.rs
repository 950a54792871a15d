//! `proxy`: a connection for ssh, on standard input and output or as a descriptor.

use std::{
    io::{Read, Write},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Stdio,
    thread,
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::harness::{DEADLINE, Ended, Laptop, shut_port};

/// More than any buffer on the way holds.
const MUCH: usize = 3_000_000;

#[test]
fn bytes_go_both_ways_until_both_ends_have_said_all() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let laptop = Laptop::new("");
    // By name, and by the address that ssh makes of it.
    for host in ["home", "127.0.0.1"] {
        let mut proxy = laptop.command(&["proxy", host, &port]);
        let mut proxy = proxy.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        laptop.knock();
        let mut connection = accepted(&listener);
        // First all of it in one direction, and its end; only then the other.
        let mut input = proxy.stdin.take().unwrap();
        let writer = thread::spawn(move || input.write_all(&vec![7; MUCH]).unwrap());
        let mut there = Vec::new();
        connection.read_to_end(&mut there).unwrap();
        writer.join().unwrap();
        assert!(there == vec![7; MUCH], "{} bytes", there.len());
        let writer = thread::spawn(move || connection.write_all(&vec![9; MUCH]).unwrap());
        let mut back = Vec::new();
        proxy.stdout.take().unwrap().read_to_end(&mut back).unwrap();
        writer.join().unwrap();
        assert!(back == vec![9; MUCH], "{} bytes", back.len());
        assert_eq!(proxy.wait().unwrap().code(), Some(0));
    }
}

/// The one connection that is made.
fn accepted(listener: &TcpListener) -> TcpStream {
    let (connection, _) = listener.accept().unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    connection
}

#[test]
fn the_connection_itself_is_passed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let laptop = Laptop::new("");
    let (ssh, output) = UnixStream::pair().unwrap();
    let mut proxy = laptop.command(&["proxy", "--fdpass", "home", &port]);
    let proxy = proxy.stdout(OwnedFd::from(output)).output().unwrap();
    Ended::of(proxy).expect(0);
    laptop.knock();

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [1];
    let room = &mut [std::io::IoSliceMut::new(&mut byte)];
    let received = recvmsg(&ssh, room, &mut ancillary, RecvFlags::empty()).unwrap();
    assert_eq!((received.bytes, byte), (1, [0]));
    let Some(RecvAncillaryMessage::ScmRights(mut descriptors)) = ancillary.drain().next() else {
        panic!("no descriptor came")
    };
    let mut connection = TcpStream::from(descriptors.next().expect("one descriptor"));
    connection.write_all(b"hello").unwrap();
    let mut there = [0; 5];
    accepted(&listener).read_exact(&mut there).unwrap();
    assert_eq!(there, *b"hello");
}

#[test]
fn a_connection_that_breaks_off_is_not_a_knock_that_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let laptop = Laptop::new("");
    let mut proxy = laptop.command(&["proxy", "home", &port]);
    let mut proxy = proxy.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = proxy.stdin.take().unwrap();
    input.write_all(b"hello").unwrap();
    let connection = accepted(&listener);
    connection.peek(&mut [0]).unwrap();
    // With something unread: the other end is told by a reset.
    drop(connection);
    assert_eq!(proxy.wait().unwrap().code(), Some(4));
    drop(input);
    laptop.knock();
}

#[test]
fn what_is_no_host_of_the_person_is_not_knocked_at() {
    let laptop = Laptop::new("");
    let proxy = laptop.client(&["proxy", "192.0.2.77", "22"]);
    proxy.expect_error(&["no host in", "192.0.2.77", "ruroco-client host add", "%n"]);
    laptop.expect_nothing();
}

#[test]
fn a_port_that_stays_shut_leaves_standard_output_alone() {
    let laptop = Laptop::new("");
    let port = shut_port().port().to_string();
    let proxy = laptop.client(&["proxy", "home", &port, "--timeout", "0.2"]).expect(3);
    assert!(proxy.output.is_empty() && proxy.errors.contains("did not open"), "{proxy:?}");
}
