//! Which display the window opens on. A variable that names a Wayland display says nothing about whether
//! that display still exists: after a switch of users, in `screen` or over `ssh` it often does not. So the
//! window uses Wayland only if its socket answers, and X11 otherwise.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt, io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

/// Where a window can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Display {
    Wayland,
    X11,
}

/// There is no display.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) struct NoDisplay {
    /// What was tried, and why it failed.
    tried: Option<String>,
}

impl fmt::Display for NoDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tried {
            None => f.write_str("neither WAYLAND_DISPLAY nor DISPLAY is set"),
            Some(failure) => write!(f, "{failure}, and DISPLAY is not set"),
        }
    }
}

impl Display {
    /// The display of this session.
    ///
    /// # Errors
    /// [`NoDisplay`].
    pub(super) fn of_session() -> Result<Self, NoDisplay> {
        let connect = |socket: &Path| UnixStream::connect(socket).map(drop);
        Self::choose(|name| env::var_os(name).filter(|value| !value.is_empty()), connect)
    }

    fn choose(
        variable: impl Fn(&str) -> Option<OsString>,
        connect: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<Self, NoDisplay> {
        // A connection that is open already, passed by the program that started this one.
        if variable("WAYLAND_SOCKET").is_some() {
            return Ok(Self::Wayland);
        }
        let tried = match variable("WAYLAND_DISPLAY") {
            Some(name) => match try_wayland(&name, variable("XDG_RUNTIME_DIR"), connect) {
                Ok(()) => return Ok(Self::Wayland),
                Err(failure) => Some(failure),
            },
            None => None,
        };
        if variable("DISPLAY").is_some() { Ok(Self::X11) } else { Err(NoDisplay { tried }) }
    }
}

/// Whether a Wayland display of this name accepts connections. Names are relative to the session's
/// folder (wayland-client's `wl_display_connect`).
fn try_wayland(
    name: &OsStr,
    session: Option<OsString>,
    connect: impl Fn(&Path) -> io::Result<()>,
) -> Result<(), String> {
    let socket = match session {
        _ if Path::new(name).is_absolute() => PathBuf::from(name),
        Some(session) => Path::new(&session).join(name),
        None => return Err("XDG_RUNTIME_DIR is not set, which WAYLAND_DISPLAY needs".to_owned()),
    };
    connect(&socket).map_err(|error| {
        let (socket, reason) = (socket.display(), error.kind());
        format!("cannot connect to the Wayland display {socket}: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], listening: &str) -> Result<Display, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        let connect = |socket: &Path| {
            let listens = socket == Path::new(listening);
            if listens { Ok(()) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
        };
        Display::choose(variable, connect).map_err(|error| error.to_string())
    }

    #[test]
    fn wayland_is_used_only_if_its_socket_answers() {
        let session = [("WAYLAND_DISPLAY", "wayland-1"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let with_x11 = [&session[..], &[("DISPLAY", ":0")]].concat();
        assert_eq!(chosen(&session, "/run/user/7/wayland-1"), Ok(Display::Wayland));
        assert_eq!(chosen(&with_x11, "/run/user/7/wayland-1"), Ok(Display::Wayland));
        assert_eq!(chosen(&with_x11, "/run/user/8/wayland-1"), Ok(Display::X11));
        assert_eq!(chosen(&[("WAYLAND_DISPLAY", "/run/w")], "/run/w"), Ok(Display::Wayland));
        assert_eq!(chosen(&[("WAYLAND_SOCKET", "5")], ""), Ok(Display::Wayland));
        assert_eq!(chosen(&[("WAYLAND_DISPLAY", "w"), ("DISPLAY", ":0")], "w"), Ok(Display::X11));
        assert_eq!(chosen(&[("DISPLAY", ":0")], ""), Ok(Display::X11));
    }

    #[test]
    fn without_a_display_the_error_names_what_was_tried() {
        let session = [("WAYLAND_DISPLAY", "wayland-1"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        for (variables, reason) in [
            (&session[..], "/run/user/7/wayland-1: connection refused, and DISPLAY is not set"),
            (&session[..1], "XDG_RUNTIME_DIR is not set, which WAYLAND_DISPLAY needs, and DISPLAY"),
            (&[], "neither WAYLAND_DISPLAY nor DISPLAY is set"),
        ] {
            let error = chosen(variables, "").unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
