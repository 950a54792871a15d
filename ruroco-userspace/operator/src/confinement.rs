//! How far the server is confined, from the kernel's information about its process and not from its own
//! reports. Landlock is not part of that: the server's log reports it.

use std::{fmt, fs};

use serde::Serialize;

/// What `/proc/PID/status` (proc_pid_status(5)) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Confinement {
    /// `NoNewPrivs`
    pub no_new_privileges: bool,
    /// Whether a filter decides about its system calls (`Seccomp` is 2).
    pub seccomp: bool,
    /// Whether it has none (`CapPrm`), and cannot get any (`CapBnd`).
    pub no_capabilities: bool,
}

impl Confinement {
    /// That of a process; `None` if it is gone.
    pub fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    /// Whether nothing is missing.
    pub fn is_whole(self) -> bool {
        self.no_new_privileges && self.seccomp && self.no_capabilities
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = status.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let is_none = |set: &str| set.bytes().all(|digit| digit == b'0');
        Some(Self {
            no_new_privileges: field("NoNewPrivs")? == "1",
            seccomp: field("Seccomp")? == "2",
            no_capabilities: is_none(field("CapPrm")?) && is_none(field("CapBnd")?),
        })
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |has, what| format!("{}{what}", if has { "" } else { "WITHOUT " });
        write!(
            f,
            "{}, {}, {}",
            has(self.seccomp, "seccomp"),
            has(self.no_new_privileges, "no-new-privs"),
            has(self.no_capabilities, "an empty capability bounding set")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\truroco-server\nCapPrm:\t0000000000000000\n\
                          CapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
                          Seccomp_filters:\t1\n";

    #[test]
    fn each_measure_is_told_apart() {
        let whole = Confinement::parse(STATUS).unwrap();
        assert!(whole.is_whole());
        assert_eq!(whole.to_string(), "seccomp, no-new-privs, an empty capability bounding set");
        for (present, absent, told) in [
            ("Seccomp:\t2", "Seccomp:\t0", "WITHOUT seccomp, "),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "WITHOUT no-new-privs"),
            ("CapBnd:\t0000000000000000", "CapBnd:\t000001ffffffffff", "WITHOUT an empty"),
            ("CapPrm:\t0000000000000000", "CapPrm:\t0000000000000001", "WITHOUT an empty"),
        ] {
            let less = Confinement::parse(&STATUS.replace(present, absent)).unwrap();
            assert!(!less.is_whole());
            assert!(less.to_string().contains(told), "{less}");
        }
        assert_eq!(Confinement::parse(""), None);
    }
}
