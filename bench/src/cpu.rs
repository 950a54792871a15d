//! CPUs: work on one of them, and where their time went.

use std::{collections::BTreeMap, fs, thread};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;

/// Hundredths of a second, in which `/proc/stat` counts (`USER_HZ`; the same on all that Linux
/// runs on, but Alpha).
const TICK: f64 = 0.01;

/// Seconds of CPU time, from one moment or between two.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Times {
    /// In interrupts' second half, by CPU: receiving packets, where no thread does it.
    pub(crate) softirq: Vec<f64>,
    /// Of processes and kernel threads, by name.
    pub(crate) processes: BTreeMap<String, f64>,
}

impl Times {
    /// So far.
    pub(crate) fn now(processes: &[(String, Vec<u32>)]) -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("could not read /proc/stat")?;
        let each = processes.iter().map(|(name, pids)| {
            let times = pids.iter().map(|pid| of_process(*pid)).sum::<Result<f64>>();
            Ok((name.clone(), times?))
        });
        Ok(Self { softirq: softirq(&stat), processes: each.collect::<Result<_>>()? })
    }

    /// Between then and now.
    pub(crate) fn since(&self, then: &Self) -> Self {
        let processes = self.processes.iter().map(|(name, now)| {
            (name.clone(), now - then.processes.get(name).copied().unwrap_or_default())
        });
        Self {
            softirq: self.softirq.iter().zip(&then.softirq).map(|(now, then)| now - then).collect(),
            processes: processes.collect(),
        }
    }

    /// For each second, where they are those of more or less than one.
    pub(crate) fn divide_by(&mut self, seconds: f64) {
        let all = self.softirq.iter_mut().chain(self.processes.values_mut());
        all.for_each(|time| *time /= seconds);
    }
}

fn softirq(stat: &str) -> Vec<f64> {
    let cpus = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    // proc(5): cpuN user nice system idle iowait irq softirq
    let ticks = cpus.filter_map(|line| line.split_whitespace().nth(7)?.parse::<f64>().ok());
    ticks.map(|ticks| ticks * TICK).collect()
}

/// All threads of a process; its children are not among them.
fn of_process(pid: u32) -> Result<f64> {
    let tasks = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&tasks).with_context(|| format!("could not list {tasks}"))?;
    let mut nanoseconds = 0.0;
    for thread in threads.filter_map(Result::ok) {
        let path = thread.path().join("schedstat");
        let stat = fs::read_to_string(&path)
            .with_context(|| format!("could not read {}", path.display()))?;
        nanoseconds += on_cpu(&stat).with_context(|| format!("{} has no time", path.display()))?;
    }
    Ok(nanoseconds / 1e9)
}

/// Time on a CPU, in nanoseconds (Documentation/scheduler/sched-stats.rst).
fn on_cpu(schedstat: &str) -> Option<f64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// KiB of memory that a process has now, and at its peak.
pub(crate) fn resident(pid: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse().ok())
    };
    let fields = field("VmRSS:").zip(field("VmHWM:"));
    fields.with_context(|| format!("{path} tells no memory"))
}

/// Runs `f` on a thread that is pinned to a CPU.
pub(crate) fn on<T: Send>(cpu: usize, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pinned = || {
        let mut cpus = CpuSet::new();
        cpus.set(cpu);
        sched_setaffinity(None, &cpus).with_context(|| format!("could not pin to CPU {cpu}"))?;
        f()
    };
    thread::scope(|scope| scope.spawn(pinned).join().ok()).context("a thread has ended")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softirq_time_is_told_for_each_cpu() {
        let stat = "cpu  1 2 3 4 5 6 70 0 0 0\ncpu0 1 1 1 1 1 1 20 0 0 0\ncpu1 0 1 2 3 4 5 50 0 0 0\n\
                    intr 5 0\n";
        assert_eq!(softirq(stat), [0.2, 0.5]);
    }

    #[test]
    fn the_first_number_of_schedstat_is_time_on_the_cpu() {
        assert_eq!(on_cpu("1234 99 7\n"), Some(1234.0));
    }
}
