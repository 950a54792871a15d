//! `ruroco arm`, `confirm` and `disarm`: whether doors are closed to everyone without a lease.

use std::{io::Write, path::Path, time::Duration};

use anyhow::bail;
use clap::Args;
use ruroco_config::{Config, door::Transport};
use ruroco_files::toml_file::value::parse_time;
use ruroco_gate::arming::{Arming, Switch};
use ruroco_ipc::boot_clock;

/// For how long doors are armed until the operator confirms it.
#[derive(Args, Debug)]
pub struct Options {
    /// Open all doors again after this time, such as 10m, unless `ruroco confirm` is run before, or a new TCP
    /// connection to this host arrives through a door after a knock
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,
}

fn time(text: &str) -> Result<Duration, &'static str> {
    let time = parse_time(text).filter(|time| !time.is_zero());
    time.ok_or("use a number and a unit, such as 30s, 10m or 1h")
}

/// Closes doors to everyone without a lease.
///
/// # Errors
/// If the configuration has no door, or the state cannot be changed.
pub fn arm(config: &Path, options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let config = with_doors(config)?;
    let mut switch = Switch::open(&config)?;
    let Some(duration) = options.duration else {
        switch.set(Arming::Armed)?;
        if !switch.is_in_kernel() {
            let doors = doors(&config);
            return Ok(writeln!(out, "armed: {doors} closed as soon as ruroco-gate runs with it")?);
        }
        writeln!(out, "armed: {} closed to everyone without a lease", doors(&config))?;
        return tell_of_udp(&config, out);
    };
    if !switch.is_in_kernel() {
        bail!(
            "ruroco-gate has not run with a door since this host was started, so doors cannot close now. Run \
             `systemctl reload-or-restart ruroco-gate`, then this again"
        );
    }
    switch.set(Arming::ArmedUntil(boot_clock::now().saturating_add(duration)))?;
    let seconds = duration.as_secs();
    writeln!(
        out,
        "armed for {seconds} seconds: {} closed to everyone without a lease.\n\
         A new TCP connection to this host after a knock confirms it, and so does `ruroco confirm`. Otherwise everyone \
         can connect again afterwards.",
        doors(&config)
    )?;
    tell_of_udp(&config, out)
}

/// Says what has just been cut: TCP sessions continue, and UDP has none.
fn tell_of_udp(config: &Config, out: &mut impl Write) -> anyhow::Result<()> {
    let doors = config.doors.values().filter(|door| door.backend.has_xdp());
    let ports = doors.flat_map(|door| &door.ports);
    let udp = ports.filter(|port| port.transport == Transport::Udp).map(ToString::to_string);
    match udp.collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        udp => Ok(writeln!(
            out,
            "{}: UDP has no sessions, so what used the port is cut until a knock opens it",
            udp.join(" ")
        )?),
    }
}

/// Keeps doors closed that were armed for a time.
///
/// # Errors
/// If doors are open, or the state cannot be changed.
pub fn confirm(config: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let config = with_doors(config)?;
    let mut switch = Switch::open(&config)?;
    match switch.read()? {
        Arming::Disarmed => {
            bail!("doors are open to everyone. Run `ruroco arm --for 10m` to close them")
        }
        Arming::Armed => {
            // The file for the next start of the host may still be there.
            switch.set(Arming::Armed)?;
            writeln!(out, "confirmed already")?;
        }
        Arming::ArmedUntil(_) => {
            switch.set(Arming::Armed)?;
            writeln!(out, "confirmed: {} closed to everyone without a lease", doors(&config))?;
        }
    }
    Ok(())
}

/// Opens doors to everyone.
///
/// # Errors
/// If the configuration has no door, or the state cannot be changed.
pub fn disarm(config: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let config = with_doors(config)?;
    Switch::open(&config)?.set(Arming::Disarmed)?;
    Ok(writeln!(
        out,
        "disarmed: {} open to everyone. Run `ruroco arm` to close them",
        doors(&config)
    )?)
}

fn with_doors(path: &Path) -> anyhow::Result<Config> {
    let config = Config::read(path).or_problems()?;
    if config.doors.is_empty() {
        bail!("{} has no doors. `man ruroco-config` describes [doors.NAME]", path.display());
    }
    Ok(config)
}

/// Such as `the doors ssh (tcp/22), admin (tcp/8443) are`.
fn doors(config: &Config) -> String {
    let shown = config.doors.values().map(|door| {
        let ports = door.ports.iter().map(ToString::to_string).collect::<Vec<_>>();
        format!("{} ({})", door.name, ports.join(" "))
    });
    let shown = shown.collect::<Vec<_>>();
    let (word, verb) = if shown.len() == 1 { ("door", "is") } else { ("doors", "are") };
    format!("the {word} {} {verb}", shown.join(", "))
}
