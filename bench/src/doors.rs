//! Doors: what a packet to one costs, how fast a connection through one is, and who still gets in while
//! others flood it; beside an nftables set and beside no gate at all.
//!
//! [`cost`] runs the program alone. [`host`] has the attacked host receive packets with one guard after
//! the other, [`throughput`] sends through a connection, and [`logins`] logs in to a real sshd. [`claims`]
//! says whether all of it is as promised.

mod claims;
mod cost;
mod host;
mod logins;
mod markdown;
mod method;
mod packets;
mod throughput;

use std::time::Duration;

use anyhow::Result;
use ruroco_common::doors::{DoorName, Lease, SourcePrefix};
use ruroco_config::door::{Backend, Door, DoorPort, Transport};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use zerocopy::FromZeros;

pub(crate) use self::markdown::write;
use self::{cost::DoorCost, host::Received, logins::Logins, throughput::Throughput};
use crate::{
    kernel::Kernel, machine, packets as knocks, paths::Paths, report::Claim, scale::Scale,
};

/// Everything this measures.
#[derive(Debug, Serialize)]
pub(crate) struct Doors {
    method: Vec<String>,
    /// One minute's load before and after.
    load: [String; 2],
    cost: DoorCost,
    received: Vec<Received>,
    throughput: Throughput,
    logins: Vec<Logins>,
    pub(crate) claims: Vec<Claim>,
}

/// Takes every measurement.
pub(crate) fn measure(paths: &Paths, scale: &Scale) -> Result<Doors> {
    let before = machine::load();
    println!("   a packet to a door");
    let cost = cost::measure(paths, scale)?;
    println!("   a packet to the host");
    let received = host::measure(paths, scale)?;
    println!("   a connection");
    let throughput = throughput::measure(paths, scale)?;
    println!("   logins");
    let logins = logins::measure(paths, scale)?;
    let mut doors = Doors {
        method: method::describe(scale),
        load: [before, machine::load()],
        cost,
        received,
        throughput,
        logins,
        claims: Vec::new(),
    };
    doors.claims = claims::check(&doors);
    Ok(doors)
}

/// The TCP port that has a door.
const TCP_PORT: u16 = 2222;
/// The UDP port that has one.
const UDP_PORT: u16 = 51_820;

/// The name of the only door.
fn name() -> Result<DoorName> {
    DoorName::new("bench").ok_or_else(|| anyhow::anyhow!("not a name"))
}

/// The gate's program with a door.
fn kernel() -> Result<Kernel> {
    let port = |transport, port| DoorPort { transport, first: port, last: port };
    let door = Door {
        name: name()?,
        ports: vec![port(Transport::Tcp, TCP_PORT), port(Transport::Udp, UDP_PORT)],
        duration: Duration::from_secs(30),
        connections: None,
        source: SourcePrefix::ADDRESS,
        is_forwarded: false,
        backend: Backend::Xdp,
    };
    Kernel::with_door(&[knocks::key()?], &door)
}

/// A lease for an hour.
fn lease() -> Lease {
    let now = clock_gettime(ClockId::Boottime);
    let until = u64::try_from(now.tv_sec).unwrap_or_default() + 3600;
    Lease { until: until * 1_000_000_000, ..Lease::new_zeroed() }
}
