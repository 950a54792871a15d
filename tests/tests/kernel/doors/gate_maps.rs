//! The maps as the gate fills and pins them.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ruroco_common::{
    address::Address,
    doors::{DoorName, DoorState, Lease, SourcePrefix},
    guarded::Guarded,
    rate::Rate,
};
use ruroco_config::door::{Backend, Door, DoorPort, Transport};
use ruroco_gate::{
    door_maps::{Plan, StateMap},
    program::Program,
};

use ruroco_lab::mount::Mount;
use tempfile::TempDir;

use super::fixture::{SECOND, flow_key, lease, lease_key, now, tcp};
use crate::{OURS, PORT, key};

/// A directory in a BPF file system of its own.
struct PinDir {
    _mount: Mount,
    dir: TempDir,
}

impl PinDir {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { _mount: Mount::bpf(dir.path()), dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Whether doors are armed, as the operator's tool sees it.
    fn state(&self) -> StateMap {
        StateMap::open(self.path()).unwrap().unwrap()
    }

    fn pin(&self, name: &str) -> PathBuf {
        let namespace = fs::metadata("/proc/self/ns/net").unwrap().ino();
        self.path().join(format!("{namespace}_{name}"))
    }
}

fn door(name: &str, port: u16) -> Door {
    Door {
        name: DoorName::new(name).unwrap(),
        ports: vec![DoorPort { transport: Transport::Tcp, first: port, last: port }],
        duration: Duration::from_secs(30),
        connections: None,
        source: SourcePrefix::ADDRESS,
        is_forwarded: false,
        backend: Backend::Xdp,
    }
}

fn load(doors: &[Door], pin_dir: Option<&Path>) -> Result<Program, String> {
    let guarded = Guarded::new(PORT, &OURS.map(Address::from), Rate::NEVER).unwrap();
    let named = ruroco_keys::named_key::NamedKey { name: "test".to_owned(), key: key() };
    let plan = Plan { doors: doors.iter().collect(), pin_dir, look_closed: false };
    Program::load(guarded, &[named], &plan).map_err(|error| format!("{error:#}"))
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_is_written_is_read_and_what_is_not_there_is_no_error() {
    let mut program = load(&[door("ssh", 22)], None).unwrap();
    let doors = program.doors().unwrap();
    let (ssh, web) = (lease_key("192.0.2.9", "ssh"), lease_key("2001:db8::9", "web"));
    assert_eq!(doors.lease(&ssh).unwrap(), None);
    doors.remove(&ssh).unwrap();
    let [given, other] = [lease(), Lease { limit: 4, ..lease() }];
    assert!(doors.put(&ssh, &given).unwrap());
    assert!(doors.put(&web, &other).unwrap());
    assert_eq!(doors.lease(&ssh).unwrap(), Some(given));
    let mut all = doors.leases().unwrap();
    all.sort_by_key(|(key, _)| *key);
    let mut expected = vec![(ssh, given), (web, other)];
    expected.sort_by_key(|(key, _)| *key);
    assert_eq!(all, expected);
    doors.remove(&ssh).unwrap();
    assert_eq!(doors.leases().unwrap(), [(web, other)]);
    assert_eq!(doors.flows().unwrap(), []);
    doors.remove_flow(&flow_key(&tcp(22, 2)[0])).unwrap();
    for addresses in [&["192.0.2.5", "2001:db8::5"][..], &["192.0.2.6"], &[]] {
        let parse = |address: &&str| Address::from(address.parse::<std::net::IpAddr>().unwrap());
        doors.set_addresses(&addresses.iter().map(parse).collect::<BTreeSet<_>>()).unwrap();
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn so_many_addresses_have_room_and_no_more() {
    let mut program = load(&[door("ssh", 22)], None).unwrap();
    let doors = program.doors().unwrap();
    let addresses = |count: u32| (0..count).map(|n| Address::from_ipv4(n.to_be_bytes())).collect();
    doors.set_addresses(&addresses(4096)).unwrap();
    let error = doors.set_addresses(&addresses(4097)).unwrap_err().to_string();
    assert!(error.contains("4097 addresses") && error.contains("at most 4096"), "{error}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn so_many_leases_have_room_and_no_more() {
    let mut program = load(&[door("ssh", 22)], None).unwrap();
    let doors = program.doors().unwrap();
    let key = |number: u32| {
        let address = Address::from_ipv4(number.to_be_bytes());
        ruroco_common::doors::LeaseKey { address, ..lease_key("192.0.2.9", "ssh") }
    };
    let lease = lease();
    for number in 0..16_384 {
        assert!(doors.put(&key(number), &lease).unwrap(), "{number}");
    }
    assert!(!doors.put(&key(16_384), &lease).unwrap());
    assert!(doors.put(&key(5), &lease).unwrap(), "a renewal needs no room");
    doors.remove(&key(5)).unwrap();
    assert!(doors.put(&key(16_384), &lease).unwrap());
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn leases_outlive_the_program_and_maps_of_another_layout_are_replaced() {
    let dir = PinDir::new();
    let (ssh, given) = (lease_key("192.0.2.9", "ssh"), lease());
    let mut first = load(&[door("ssh", 22)], Some(dir.path())).unwrap();
    assert!(first.doors().unwrap().put(&ssh, &given).unwrap());
    let set = DoorState { open_from: now() + SECOND, set_at: 1 };
    dir.state().set(set).unwrap();
    // While it runs, and after it has ended.
    let mut second = load(&[door("web", 80), door("ssh", 22)], Some(dir.path())).unwrap();
    assert_eq!(second.doors().unwrap().lease(&ssh).unwrap(), Some(given));
    drop((first, second));
    let mut third = load(&[door("ssh", 22)], Some(dir.path())).unwrap();
    assert_eq!(third.doors().unwrap().lease(&ssh).unwrap(), Some(given));
    assert_eq!(dir.state().get().unwrap(), set);
    drop(third);
    // The map of flows in the place of that of leases.
    fs::remove_file(dir.pin("leases_1")).unwrap();
    fs::rename(dir.pin("flows_2"), dir.pin("leases_1")).unwrap();
    let mut fourth = load(&[door("ssh", 22)], Some(dir.path())).unwrap();
    assert_eq!(fourth.doors().unwrap().lease(&ssh).unwrap(), None);
    assert!(fourth.doors().unwrap().put(&ssh, &given).unwrap());
    let mut fifth = load(&[door("ssh", 22)], Some(dir.path())).unwrap();
    assert_eq!(fifth.doors().unwrap().leases().unwrap(), [(ssh, given)]);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_program_without_doors_has_and_pins_no_maps_of_doors() {
    let dir = PinDir::new();
    let mut program = load(&[], Some(dir.path())).unwrap();
    assert!(program.doors().is_none());
    // The kernel has files of its own there.
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains('_')).count(), 0);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_port_has_one_door() {
    let error = load(&[door("ssh", 22), door("web", 22)], None).err().expect("an error");
    assert!(error.contains("port 22 of door web"), "{error}");
}
