//! What somebody who has taken the server over would try.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    os::{
        fd::{FromRawFd, IntoRawFd, OwnedFd},
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
    process::{self, Command, Stdio},
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use super::{
    attack::{Attack, NO_ACCESS, OUT_OF_SCOPE, Without},
    host::Host,
    system_call::{call, does, text, to, to_mut},
};

/// A file of the host as a system call takes it.
fn path(host: &Host, name: &str) -> CString {
    CString::new(host.path(name).into_os_string().into_encoded_bytes()).unwrap()
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<()> {
    does(libc::SYS_socket, [family as usize, kind as usize, protocol as usize])
}

/// An address that nobody has, in a namespace without a way there.
fn nowhere() -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: 9_u16.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(Ipv4Addr::new(192, 0, 2, 9)).to_be() },
        sin_zero: [0; 8],
    }
}

fn connect_nowhere(socket: i32) -> io::Result<()> {
    let size = size_of::<libc::sockaddr_in>();
    does(libc::SYS_connect, [socket as usize, to(&nowhere()), size])
}

fn udp_socket(_: &Host) -> i32 {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().into_raw_fd()
}

fn tcp_socket(_: &Host) -> i32 {
    call(libc::SYS_socket, [libc::AF_INET as usize, libc::SOCK_STREAM as usize, 0]).unwrap() as i32
}

fn unix_socket(_: &Host) -> i32 {
    let (one, other) = UnixStream::pair().unwrap();
    let _ = other.into_raw_fd();
    one.into_raw_fd()
}

fn memory(protection: i32) -> io::Result<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    call(libc::SYS_mmap, [0, 4096, protection as usize, flags as usize, usize::MAX, 0])
}

/// Of a new process: the parent goes on.
fn or_end(process: io::Result<usize>) -> io::Result<()> {
    match process? {
        // SAFETY: nothing of this copy of the process is used any more.
        0 => unsafe { libc::_exit(0) },
        _ => Ok(()),
    }
}

/// Executing a program that says what an attempt says that has succeeded.
fn say_done(number: i64, before: &[usize], file: usize, flags: &[usize]) -> io::Result<()> {
    let arguments = [text(c"echo"), text(c"done"), 0];
    let all = [before, &[file, to(&arguments), to(&[0_usize])], flags].concat();
    let mut six = [0; 6];
    six[..all.len()].copy_from_slice(&all);
    does(number, six)
}

/// Of the process that this test runs in.
fn parent() -> usize {
    std::os::unix::process::parent_id() as usize
}

const ABSTRACT: &str = "ruroco-sandbox-test";

pub(crate) const ATTACKS: &[Attack] = &[
    // Files
    Attack::new("read a file of the system", |_, _| File::open("/etc/passwd").map(drop))
        .refused(NO_ACCESS),
    Attack::new("read somebody else's file", |host, _| {
        File::open(host.path("elsewhere/secret")).map(drop)
    })
    .refused(NO_ACCESS),
    Attack::new("list a directory", |_, _| fs::read_dir("/").map(drop)).refused(NO_ACCESS),
    Attack::new("read its own memory as a file", |_, _| {
        OpenOptions::new().read(true).write(true).open("/proc/self/mem").map(drop)
    })
    .refused(NO_ACCESS),
    Attack::new("write a file elsewhere", |host, _| {
        OpenOptions::new().write(true).open(host.path("elsewhere/secret")).map(drop)
    })
    .refused(NO_ACCESS),
    Attack::new("make a file elsewhere", |host, _| {
        File::create(host.path("elsewhere/new")).map(drop)
    })
    .refused(NO_ACCESS),
    Attack::new("write the configuration", |host, _| {
        OpenOptions::new().append(true).open(host.path("etc/config.toml")).map(drop)
    })
    .refused(NO_ACCESS),
    Attack::new("make a key", |host, _| File::create(host.path("etc/mine.key")).map(drop))
        .refused(NO_ACCESS),
    Attack::new("remove a key", |host, _| fs::remove_file(host.path("etc/laptop.key")))
        .refused(NO_ACCESS),
    Attack::new("replace the configuration", |host, _| {
        fs::rename(host.path("floors/floors"), host.path("etc/config.toml"))
    })
    .refused(NO_ACCESS),
    Attack::new("take the floors elsewhere", |host, _| {
        fs::rename(host.path("floors/floors"), host.path("elsewhere/floors"))
    })
    .refused(NO_ACCESS),
    Attack::new("remove a socket", |host, _| fs::remove_file(host.path("run/gate.sock")))
        .with(|host| File::create(host.path("run/gate.sock")).unwrap().into_raw_fd())
        .refused(NO_ACCESS),
    Attack::new("read the floors", |host, _| File::open(host.path("floors/floors")).map(drop))
        .refused(NO_ACCESS),
    Attack::new("make a directory", |host, _| fs::create_dir(host.path("floors/new"))),
    Attack::new("make a symbolic link", |host, _| {
        std::os::unix::fs::symlink("/etc/passwd", host.path("floors/link"))
    }),
    Attack::new("make a hard link", |host, _| {
        fs::hard_link(host.path("floors/floors"), host.path("floors/link"))
    }),
    Attack::new("make a device", |host, _| {
        let device = path(host, "floors/memory");
        let (mode, number) = (libc::S_IFCHR | 0o600, libc::makedev(1, 1));
        let here = libc::AT_FDCWD as usize;
        does(libc::SYS_mknodat, [here, text(&device), mode as usize, number as usize])
    })
    .without(Without::Root),
    Attack::new("change a mode", |host, _| {
        let file = path(host, "floors/floors");
        does(libc::SYS_fchmodat, [libc::AT_FDCWD as usize, text(&file), 0o666])
    }),
    Attack::new("open with openat2", |host, _| {
        let (file, how) = (path(host, "etc/config.toml"), [0_u64; 3]);
        let here = libc::AT_FDCWD as usize;
        does(libc::SYS_openat2, [here, text(&file), to(&how), size_of_val(&how)])
    }),
    Attack::new("watch files", |_, _| does(libc::SYS_inotify_init1, [0])),
    // Sockets
    Attack::new("make a TCP socket", |_, _| socket(libc::AF_INET, libc::SOCK_STREAM, 0)),
    Attack::new("make a UDP socket", |_, _| socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)),
    Attack::new("make a netlink socket", |_, _| socket(libc::AF_NETLINK, libc::SOCK_RAW, 0)),
    Attack::new("make a packet socket", |_, _| {
        socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(3_u16.to_be()))
    })
    .without(Without::Root),
    Attack::new("make a raw socket", |_, _| {
        socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
    })
    .without(Without::Root),
    Attack::new("make a socket of the kernel's ciphers", |_, _| {
        socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
    })
    .without(Without::WhereThereIs),
    Attack::new("make a socket of virtual machines", |_, _| {
        socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)
    })
    .without(Without::WhereThereIs),
    Attack::new("make a Unix stream", |_, _| socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)),
    Attack::new("make a Unix datagram socket", |_, _| UnixDatagram::unbound().map(drop)),
    Attack::new("make a pair of sockets", |_, _| UnixStream::pair().map(drop)),
    Attack::new("connect to an abstract socket", |_, _| {
        let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
        let kind = SocketType::SEQPACKET;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
        let address = SocketAddrUnix::new_abstract_name(ABSTRACT.as_bytes())?;
        Ok(rustix::net::connect(&socket, &address)?)
    })
    .with(|_| {
        let kind = SocketType::SEQPACKET;
        let socket = rustix::net::socket(AddressFamily::UNIX, kind, None).unwrap();
        let address = SocketAddrUnix::new_abstract_name(ABSTRACT.as_bytes()).unwrap();
        rustix::net::bind(&socket, &address).unwrap();
        rustix::net::listen(&socket, 8).unwrap();
        socket.into_raw_fd()
    })
    .refused(OUT_OF_SCOPE),
    Attack::new("connect a TCP socket that was there", |_, socket| connect_nowhere(socket))
        .with(tcp_socket)
        .without(Without::Fails(libc::ENETUNREACH))
        .refused(NO_ACCESS),
    Attack::new("listen for TCP", |_, _| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).map(drop)),
    Attack::new("bind a socket that was there", |_, socket| {
        does(libc::SYS_bind, [socket as usize, to(&anywhere()), ADDRESS_SIZE])
    })
    .with(tcp_socket),
    Attack::new("listen on a socket that was there", |_, socket| {
        does(libc::SYS_listen, [socket as usize, 1])
    })
    .with(tcp_socket),
    Attack::new("accept on a socket that was there", |_, socket| {
        does(libc::SYS_accept4, [socket as usize, 0, 0, 0])
    })
    .with(|host| {
        let path = host.path("run/mine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let _ = UnixStream::connect(&path).unwrap().into_raw_fd();
        listener.into_raw_fd()
    }),
    Attack::new("connect the server's UDP socket", |_, socket| connect_nowhere(socket))
        .with(udp_socket)
        .network()
        .without(Without::Fails(libc::ENETUNREACH)),
    Attack::new("answer from the server's UDP socket", |_, socket| {
        does(libc::SYS_sendto, [socket as usize, to(b"!"), 1, 0, to(&nowhere()), ADDRESS_SIZE])
    })
    .with(udp_socket)
    .network()
    .without(Without::Fails(libc::ENETUNREACH)),
    Attack::new("send through the server's UDP socket", |_, socket| {
        does(libc::SYS_sendto, [socket as usize, to(b"!"), 1, 0, 0, 0])
    })
    .with(udp_socket)
    .network()
    .without(Without::Fails(libc::EDESTADDRREQ)),
    Attack::new("double the server's UDP socket", |_, socket| {
        does(libc::SYS_dup, [socket as usize])
    })
    .with(udp_socket)
    .network(),
    Attack::new("double the server's UDP socket by fcntl", |_, socket| {
        does(libc::SYS_fcntl, [socket as usize, libc::F_DUPFD as usize, 0])
    })
    .with(udp_socket)
    .network(),
    Attack::new("send an address along with sendto", |_, socket| {
        does(libc::SYS_sendto, [socket as usize, to(b"!"), 1, 0, to(&nowhere()), ADDRESS_SIZE])
    })
    .with(udp_socket)
    .without(Without::Fails(libc::ENETUNREACH)),
    Attack::new("send with sendmsg", |_, socket| {
        let mut byte = *b"!";
        let part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        // SAFETY: a message without anything is all zero.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = std::ptr::from_ref(&part).cast_mut();
        message.msg_iovlen = 1;
        does(libc::SYS_sendmsg, [socket as usize, to(&message), 0])
    })
    .with(unix_socket),
    Attack::new("set an option of a socket", |_, socket| {
        let (level, name) = (libc::SOL_SOCKET as usize, libc::SO_RCVBUF as usize);
        does(libc::SYS_setsockopt, [socket as usize, level, name, to(&65_536_i32), 4])
    })
    .with(unix_socket),
    // Processes
    #[cfg(target_arch = "x86_64")]
    Attack::new("fork", |_, _| or_end(call(libc::SYS_fork, []))),
    Attack::new("clone", |_, _| {
        or_end(call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0]))
    }),
    Attack::new("clone3", |_, _| {
        let mut arguments = [0_u64; 8];
        arguments[4] = libc::SIGCHLD as u64; // exit_signal
        or_end(call(libc::SYS_clone3, [to(&arguments), size_of_val(&arguments)]))
    }),
    Attack::new("execute a program", |_, _| {
        say_done(libc::SYS_execve, &[], text(c"/bin/echo"), &[])
    }),
    Attack::new("execute a program from memory", |_, program| {
        let flags = [libc::AT_EMPTY_PATH as usize];
        say_done(libc::SYS_execveat, &[program as usize], text(c""), &flags)
    })
    .with(|_| {
        let name = text(c"echo");
        let program = call(libc::SYS_memfd_create, [name, 0]).unwrap() as i32;
        // SAFETY: just made, and nobody else's.
        let mut file = File::from(unsafe { OwnedFd::from_raw_fd(program) });
        file.write_all(&fs::read("/bin/echo").unwrap()).unwrap();
        file.into_raw_fd()
    }),
    Attack::new("make a file in memory", |_, _| does(libc::SYS_memfd_create, [text(c"x"), 0])),
    Attack::new("be traced", |_, _| does(libc::SYS_ptrace, [libc::PTRACE_TRACEME as usize])),
    Attack::new("read another process's memory", |_, _| {
        let (mut here, there) = ([0_u8; 8], [1_u8; 8]);
        let part = |bytes: *const u8| [bytes as usize, 8];
        let (local, remote) = (part(here.as_mut_ptr()), part(there.as_ptr()));
        let own = process::id() as usize;
        does(libc::SYS_process_vm_readv, [own, to(&local), 1, to(&remote), 1, 0])
    }),
    Attack::new("reach another process's signals", |_, _| does(libc::SYS_kill, [parent(), 0])),
    Attack::new("reach another thread's signals", |_, _| {
        does(libc::SYS_tgkill, [parent(), parent(), 0])
    }),
    Attack::new("send itself another signal than that of abort", |_, _| {
        let own = process::id() as usize;
        does(libc::SYS_tgkill, [own, own, libc::SIGCHLD as usize])
    }),
    Attack::new("abort another process", |_, process| {
        let process = process as usize;
        does(libc::SYS_tgkill, [process, process, libc::SIGABRT as usize])
    })
    .with(|_| {
        // It ends when its input does, with this process at the latest.
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        #[expect(clippy::zombie_processes, reason = "it outlives this process")]
        let child = child.unwrap();
        let process = child.id();
        let _ = child.stdin.unwrap().into_raw_fd();
        process as i32
    }),
    Attack::new("hold another process", |_, _| does(libc::SYS_pidfd_open, [parent(), 0])),
    Attack::new("open its memory to others", |_, _| {
        does(libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 1])
    }),
    Attack::new("be another user", |_, _| does(libc::SYS_setuid, [65_534])).without(Without::Root),
    Attack::new("have another priority", |_, _| does(libc::SYS_setpriority, [0, 0, 5])),
    Attack::new("have another personality", |_, _| does(libc::SYS_personality, [0xffff_ffff])),
    // Namespaces and file systems
    Attack::new("have a user namespace", |_, _| {
        does(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize])
    })
    .without(Without::Root),
    Attack::new("have another's network", |_, namespace| {
        does(libc::SYS_setns, [namespace as usize, 0])
    })
    .with(|_| File::open("/proc/self/ns/net").unwrap().into_raw_fd())
    .without(Without::Root),
    Attack::new("mount a file system", |host, _| {
        let place = path(host, "elsewhere");
        does(libc::SYS_mount, [text(c"none"), text(&place), text(c"tmpfs"), 0, 0])?;
        does(libc::SYS_umount2, [text(&place), 0])
    })
    .without(Without::Root),
    Attack::new("have another root", |_, _| does(libc::SYS_chroot, [text(c"/")]))
        .without(Without::Root),
    // Memory
    Attack::new("have memory with code", |_, _| {
        memory(libc::PROT_READ | libc::PROT_EXEC).map(drop)
    }),
    Attack::new("make memory code", |_, _| {
        let page = memory(libc::PROT_READ | libc::PROT_WRITE)?;
        does(libc::SYS_mprotect, [page, 4096, (libc::PROT_READ | libc::PROT_EXEC) as usize])
    }),
    Attack::new("make memory code by key", |_, _| {
        let page = memory(libc::PROT_READ | libc::PROT_WRITE)?;
        let protection = (libc::PROT_READ | libc::PROT_EXEC) as usize;
        does(libc::SYS_pkey_mprotect, [page, 4096, protection, usize::MAX])
    }),
    // What has had faults before
    Attack::new("make a map of the kernel's", |_, _| {
        let array = [2_u32, 4, 4, 1, 0, 0, 0, 0]; // type, sizes of key and value, entries
        does(libc::SYS_bpf, [0, to(&array), size_of_val(&array)])
    })
    .without(Without::Root),
    Attack::new("count events", |_, _| {
        let mut event = [0_u64; 16];
        event[0] = 1 | (128 << 32); // software, and the size
        does(libc::SYS_perf_event_open, [to(&event), 0, usize::MAX, usize::MAX, 0])
    })
    .without(Without::WhereThereIs),
    Attack::new("handle faults of memory", |_, _| does(libc::SYS_userfaultfd, [1]))
        .without(Without::WhereThereIs),
    Attack::new("have a ring of system calls", |_, _| {
        let mut parameters = [0_u64; 15];
        does(libc::SYS_io_uring_setup, [1, to_mut(&mut parameters)])
    })
    .without(Without::WhereThereIs),
    Attack::new("look for keys of the kernel's", |_, _| {
        let session = libc::KEY_SPEC_SESSION_KEYRING as usize;
        does(libc::SYS_keyctl, [libc::KEYCTL_GET_KEYRING_ID as usize, session, 1])
    })
    .without(Without::WhereThereIs),
    Attack::new("control a device", |_, socket| {
        let mut waiting = 0_i32;
        does(libc::SYS_ioctl, [socket as usize, libc::FIONREAD as usize, to_mut(&mut waiting)])
    })
    .with(unix_socket),
    Attack::new("read the kernel's log", |_, _| does(libc::SYS_syslog, [10]))
        .without(Without::Root),
    Attack::new("have a filter of its own", |_, _| {
        does(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 1])
    }),
    // By other conventions
    #[cfg(target_arch = "x86_64")]
    Attack::new("wait by the conventions of x32", |_, _| {
        const X32: i64 = 0x4000_0000; // __X32_SYSCALL_BIT
        does(X32 | libc::SYS_getpid, [])
    })
    .without(Without::WhereThereIs),
];

const ADDRESS_SIZE: usize = size_of::<libc::sockaddr_in>();

/// Any port of any address of this host.
fn anywhere() -> libc::sockaddr_in {
    libc::sockaddr_in { sin_port: 0, sin_addr: libc::in_addr { s_addr: 0 }, ..nowhere() }
}
