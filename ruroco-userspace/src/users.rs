//! Names of users to numbers.

use anyhow::{Context, bail};
use nix::unistd::User;

/// The user of this name in the system's user database.
///
/// # Errors
/// If there is none, or the database cannot be read.
pub fn find(name: &str) -> anyhow::Result<User> {
    match User::from_name(name).with_context(|| format!("could not look up the user {name}"))? {
        Some(user) => Ok(user),
        None => bail!(
            "there is no user {name}; make one with: useradd --system --shell /usr/sbin/nologin {name}"
        ),
    }
}
