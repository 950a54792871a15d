//! Names of users to numbers, and back.

use anyhow::{Context, bail};
use nix::unistd::{Gid, Group, Uid, User};

/// The user of this name in the system's user database.
///
/// # Errors
/// If there is no such user, or the database cannot be read.
pub fn find(name: &str) -> anyhow::Result<User> {
    match User::from_name(name).with_context(|| format!("could not look up the user {name}"))? {
        Some(user) => Ok(user),
        None => bail!(
            "there is no user {name}; create it with: useradd --system --shell /usr/sbin/nologin {name}"
        ),
    }
}

/// A user as messages name one.
pub fn shown(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("user {} (uid {uid})", user.name),
        Ok(None) | Err(_) => format!("uid {uid}"),
    }
}

/// The group of this process, by its name if it has one.
pub fn own_group() -> String {
    let gid = Gid::effective();
    let group = Group::from_gid(gid).ok().flatten();
    group.map_or_else(|| gid.to_string(), |group| group.name)
}

/// The user of this process, by name if there is one.
pub fn own() -> String {
    let uid = Uid::effective();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}
