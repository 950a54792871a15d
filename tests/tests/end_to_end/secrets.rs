//! Where the keys are while gate and server run, and where they are not.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use aya::maps::{Array, Map, MapData};
use nix::{errno::Errno, libc, sys::signal::Signal};
use ruroco_common::keys::KeyEntry;
use ruroco_ipc::{
    handover,
    private_socket::{connect, receive_descriptors},
};
use ruroco_lab::{files::Options, lab::Lab, network::Family, process::Process, wait};
use rustix::thread::{Uid, set_thread_uid};

pub(crate) const ENTRY_SIZE: usize = size_of::<KeyEntry>();

/// The ids of the maps that a process holds, by type (linux/bpf.h) and size of a value.
pub(crate) fn maps_of(process: Process) -> BTreeMap<(u32, usize), u32> {
    let infos = process.descriptor_infos();
    let maps = infos.iter().filter_map(|info| {
        let field = |name| info.get(name)?.parse().ok();
        let value_size = info.get("value_size")?.parse().ok()?;
        Some(((field("map_type")?, value_size), field("map_id")?))
    });
    maps.collect()
}

pub(crate) const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_RINGBUF: u32 = 27;

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_kernel_has_the_keys_and_the_gates_memory_has_not() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut lab = Lab::running(&Options { more_keys: names.to_vec(), ..Options::default() });
    lab.expect_next_knock_to_run(Family::V4);
    lab.status();
    let (gate, server) = (Process(lab.gate().pid()), Process(lab.server().pid()));
    // With several keys there is more that moves; to search for all of them takes longer.
    for name in ["a", "f"] {
        let key = lab.files.key(name);
        assert_eq!(gate.count_in_memory(key.secret.expose()), 0, "the secret of {name}");
        let text = key.to_text();
        let (_, base64) = text.split_at(text.len() - 40);
        assert_eq!(gate.count_in_memory(base64.as_bytes()), 0, "the text of {name}");
        // The server needs it, so there it is found: where all keys are kept, and where it is used. But
        // not as the text in which it came.
        assert_eq!(server.count_in_memory(key.secret.expose()), 2, "the secret of {name}");
        assert_eq!(server.count_in_memory(base64.as_bytes()), 0, "the text of {name}");
    }
    // And the file in which they came is gone.
    for process in [gate, server] {
        let descriptors = process.descriptors();
        assert!(!descriptors.iter().any(|name| name.contains("memfd")), "{descriptors:?}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_ends_takes_its_keys_out_of_the_kernel() {
    let mut lab = Lab::running(&Default::default());
    let id = maps_of(Process(lab.gate().pid()))[&(BPF_MAP_TYPE_ARRAY, ENTRY_SIZE)];
    let keys = KeysMap::open(id);
    assert!(keys.has(lab.key().secret.expose()), "the key is there");

    lab.gate().signal(Signal::SIGTERM);
    assert!(lab.gate().wait_for_end().success());
    assert!(keys.is_wiped());
}

/// The map with a gate's keys. As long as it is held here the kernel keeps it.
pub(crate) struct KeysMap(Array<MapData, [u8; ENTRY_SIZE]>);

impl KeysMap {
    pub(crate) fn open(id: u32) -> Self {
        Self(Map::Array(MapData::from_id(id).unwrap()).try_into().unwrap())
    }

    pub(crate) fn has(&self, secret: &[u8]) -> bool {
        let all: Vec<u8> = self.entries().flatten().collect();
        all.windows(secret.len()).any(|window| window == secret)
    }

    pub(crate) fn is_wiped(&self) -> bool {
        self.entries().all(|entry| entry == [0; ENTRY_SIZE])
    }

    fn entries(&self) -> impl Iterator<Item = [u8; ENTRY_SIZE]> {
        (0..self.0.len()).map(|slot| self.0.get(&slot, 0).unwrap())
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_gate_that_was_killed_leaves_its_keys_in_force() {
    let mut lab = Lab::running(&Default::default());
    lab.gate().crash();
    for family in Family::BOTH {
        lab.knock(family, &[]);
        lab.expect_one_run();
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn nothing_that_the_server_has_leads_to_a_key_in_the_kernel() {
    let mut lab = Lab::new(&Default::default());
    lab.start_gate();
    let gate = Process(lab.gate().pid());
    let keys = maps_of(gate)[&(BPF_MAP_TYPE_ARRAY, ENTRY_SIZE)];
    let pins = lab.files.pinned();
    assert!(!pins.is_empty());

    let socket = lab.files.sockets().join(handover::SOCKET);
    let user = Uid::from_raw(lab.files.user().uid.as_raw());
    let attack = || {
        set_thread_uid(user).unwrap(); // of this thread alone, which ends with the attack
        let connection = connect(&socket).unwrap();
        let mut message = [0; handover::SIZE];
        let (_, [ring, _]) = wait::until("what the gate hands over", || {
            receive_descriptors(connection.as_fd(), &mut message).ok()
        });
        let ring = ring.unwrap();
        let info = format!("/proc/thread-self/fdinfo/{}", ring.as_raw_fd());
        let info = fs::read_to_string(info).unwrap();
        assert!(info.contains(&format!("map_type:\t{BPF_MAP_TYPE_RINGBUF}\n")), "{info}");

        let mut value = [0_u8; ENTRY_SIZE];
        bpf::lookup(ring.as_raw_fd(), 0, &mut value).expect_err("nothing is looked up in a ring");
        for command in [bpf::MAP_GET_FD_BY_ID, bpf::PROG_GET_FD_BY_ID, bpf::LINK_GET_FD_BY_ID] {
            assert_eq!(bpf::by_id(command, keys), Err(Errno::EPERM), "command {command}");
        }
        for command in [bpf::PROG_GET_NEXT_ID, bpf::MAP_GET_NEXT_ID, bpf::LINK_GET_NEXT_ID] {
            assert_eq!(bpf::by_id(command, 0), Err(Errno::EPERM), "command {command}");
        }
        for pin in &pins {
            assert_eq!(bpf::open_pin(pin), Err(Errno::EACCES), "{}", pin.display());
        }
        for file in ["mem", "fd", "maps"] {
            let path = format!("/proc/{}/{file}", gate.0);
            assert!(fs::File::open(&path).and_then(|_| fs::read_dir(&path)).is_err(), "{path}");
        }
    };
    std::thread::scope(|scope| scope.spawn(attack).join().unwrap());
    // Root gets there: the attempts were good ones.
    let opened = bpf::by_id(bpf::MAP_GET_FD_BY_ID, keys).unwrap();
    let mut value = [0; ENTRY_SIZE];
    let mut slots = 0..16;
    let is_there = |slot| bpf::lookup(opened, slot, &mut value).is_ok() && value != [0; ENTRY_SIZE];
    assert!(slots.any(is_there), "the key");
    for pin in &pins {
        bpf::open_pin(pin).unwrap();
    }
}

/// bpf(2) with nothing in between.
mod bpf {
    use super::*;

    const MAP_LOOKUP_ELEM: libc::c_int = 1;
    const OBJ_GET: libc::c_int = 7;
    pub(super) const PROG_GET_NEXT_ID: libc::c_int = 11;
    pub(super) const MAP_GET_NEXT_ID: libc::c_int = 12;
    pub(super) const PROG_GET_FD_BY_ID: libc::c_int = 13;
    pub(super) const MAP_GET_FD_BY_ID: libc::c_int = 14;
    pub(super) const LINK_GET_FD_BY_ID: libc::c_int = 30;
    pub(super) const LINK_GET_NEXT_ID: libc::c_int = 31;

    /// The beginning of `union bpf_attr`, as far as these commands read it.
    type Attributes = [u64; 4];

    fn call(command: libc::c_int, attributes: &Attributes) -> Result<libc::c_int, Errno> {
        // SAFETY: the kernel reads and writes no more than the size given, and the addresses in it
        // are of memory that the callers keep.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of::<Attributes>())
        };
        Errno::result(libc::c_int::try_from(result).unwrap())
    }

    pub(super) fn by_id(command: libc::c_int, id: u32) -> Result<libc::c_int, Errno> {
        call(command, &[id.into(), 0, 0, 0])
    }

    pub(super) fn lookup(map: libc::c_int, key: u32, value: &mut [u8]) -> Result<(), Errno> {
        let (key, value) = (std::ptr::from_ref(&key).addr(), value.as_mut_ptr().addr());
        let [key, value] = [key, value].map(|address| u64::try_from(address).unwrap());
        call(MAP_LOOKUP_ELEM, &[u64::try_from(map).unwrap(), key, value, 0]).map(drop)
    }

    pub(super) fn open_pin(path: &Path) -> Result<libc::c_int, Errno> {
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        call(OBJ_GET, &[u64::try_from(path.as_ptr().addr()).unwrap(), 0, 0, 0])
    }
}
