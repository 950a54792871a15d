//! The machine that was measured on: what a reader needs to tell whether the numbers mean anything
//! for his own.

use std::{fs, thread};

use serde::Serialize;

/// What the kernel says of this machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cpus: usize,
    pub(crate) virtual_machine: bool,
    pub(crate) kernel: String,
    pub(crate) clock: String,
    pub(crate) memory_mib: u64,
    pub(crate) bpf_jit: String,
    pub(crate) bpf_jit_harden: String,
    /// What is in force against the attacks that have one, by the attack's name.
    pub(crate) mitigations: Vec<(String, String)>,
    /// One minute's load, before anything was measured: who else was there.
    pub(crate) load: String,
}

impl Machine {
    /// Looks at it.
    pub(crate) fn look() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
        };
        let flags = field("flags").unwrap_or_default();
        Self {
            cpu: field("model name").unwrap_or_else(|| "unknown".to_owned()),
            cpus: thread::available_parallelism().map_or(0, std::num::NonZero::get),
            virtual_machine: flags.split(' ').any(|flag| flag == "hypervisor"),
            kernel: read("/proc/sys/kernel/osrelease"),
            clock: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            memory_mib: memory_kib().checked_div(1024).unwrap_or_default(),
            bpf_jit: read("/proc/sys/net/core/bpf_jit_enable"),
            bpf_jit_harden: read("/proc/sys/net/core/bpf_jit_harden"),
            mitigations: mitigations(),
            load: load(),
        }
    }

    /// One line for each thing worth saying.
    pub(crate) fn lines(&self) -> Vec<String> {
        let kind = if self.virtual_machine { "a virtual machine" } else { "no virtual machine" };
        let mitigations: Vec<String> =
            self.mitigations.iter().map(|(name, state)| format!("{name}: {state}")).collect();
        vec![
            format!("{}, {} CPUs, {} MiB, {kind}", self.cpu, self.cpus, self.memory_mib),
            format!("Linux {}, clock {}, load {}", self.kernel, self.clock, self.load),
            format!("bpf_jit_enable {}, bpf_jit_harden {}", self.bpf_jit, self.bpf_jit_harden),
            format!("mitigations: {}", mitigations.join("; ")),
        ]
    }
}

/// One minute's load.
pub(crate) fn load() -> String {
    read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned()
}

fn memory_kib() -> u64 {
    let memory = read("/proc/meminfo");
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total.and_then(|total| total.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

fn mitigations() -> Vec<(String, String)> {
    const DIRECTORY: &str = "/sys/devices/system/cpu/vulnerabilities";
    let names = fs::read_dir(DIRECTORY).into_iter().flatten().filter_map(Result::ok);
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut all: Vec<_> =
        names.map(|name| (name.clone(), read(&format!("{DIRECTORY}/{name}")))).collect();
    all.retain(|(_, state)| state != "Not affected");
    all.sort();
    all
}

/// Empty if there is no such file: then there is nothing to say.
fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}
