//! An attack: how it begins, and how it has to end.

use std::io;

use super::host::Host;

/// What seccomp answers.
pub(crate) const NO_SUCH_CALL: i32 = libc::ENOSYS;

/// What Landlock answers where a file is concerned, or a port.
pub(crate) const NO_ACCESS: i32 = libc::EACCES;

/// What Landlock answers where another process is concerned.
pub(crate) const OUT_OF_SCOPE: i32 = libc::EPERM;

/// For whom an attack succeeds without the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Without {
    Anyone,
    Root,
    /// On a kernel that was built and set so that it can.
    WhereThereIs,
    /// For nobody here, but with this error, which only shows how far it comes.
    Fails(i32),
}

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) without: Without,
    /// The error number with which the sandbox refuses it.
    pub(crate) refused: i32,
    /// What the attacker finds open, because the process has had it since before the sandbox.
    pub(crate) prepare: fn(&Host) -> i32,
    /// Whether that is the server's own socket of the network.
    pub(crate) is_network: bool,
    pub(crate) attempt: fn(&Host, i32) -> io::Result<()>,
}

impl Attack {
    pub(crate) const fn new(name: &'static str, attempt: fn(&Host, i32) -> io::Result<()>) -> Self {
        Self {
            name,
            without: Without::Anyone,
            refused: NO_SUCH_CALL,
            prepare: |_| -1,
            is_network: false,
            attempt,
        }
    }

    pub(crate) const fn without(mut self, without: Without) -> Self {
        self.without = without;
        self
    }

    pub(crate) const fn refused(mut self, errno: i32) -> Self {
        self.refused = errno;
        self
    }

    pub(crate) const fn with(mut self, prepare: fn(&Host) -> i32) -> Self {
        self.prepare = prepare;
        self
    }

    pub(crate) const fn network(mut self) -> Self {
        self.is_network = true;
        self
    }
}
