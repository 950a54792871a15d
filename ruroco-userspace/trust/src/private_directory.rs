//! Directories in which only root and this process's user can create, replace or remove files: for sockets,
//! pins, floors and the audit trail.

use std::path::Path;

use ruroco_messages::problems::Problem;
use rustix::process::{Gid, Uid};

use crate::trusted_path::{self, Fault, Trust};

/// Makes sure of such a directory; what of it is missing is made, with this mode.
///
/// # Errors
/// If it cannot be made, or others can change what is in it.
pub fn prepare(dir: &Path, mode: u32) -> Result<(), Problem> {
    let made = trusted_path::make_directory(dir, Trust::own(), mode);
    made.map(drop).map_err(|fault| problem(&fault))
}

/// Makes a directory for another user, unless there is one already.
///
/// # Errors
/// If it cannot be made, or others can change where it is.
pub fn prepare_for(dir: &Path, mode: u32, user: Uid, group: Gid) -> Result<(), Problem> {
    match trusted_path::find_directory(dir, Trust::in_user(user.as_raw())) {
        Err(fault) if fault.is_not_found() => {
            let made = trusted_path::make_directory(dir, Trust::root(), mode)?;
            let given = made.give_to(user, group);
            given.map_err(|error| Problem::error(dir, format!("cannot change its owner: {error}")))
        }
        found => Ok(found.map(drop)?),
    }
}

/// Why such a directory would be refused, if it is there; nothing is changed.
pub fn trouble_with(dir: &Path) -> Option<Problem> {
    match trusted_path::find_directory(dir, Trust::own()) {
        Err(fault) if !fault.is_not_found() => Some(problem(&fault)),
        Ok(_) | Err(_) => None,
    }
}

/// The remedy for a path that does not lead to such a directory: the directory itself must belong to this
/// user, the directories above it to root.
pub fn remedy(fault: &Fault) -> Option<String> {
    match fault.is_at_end() {
        true => fault.remedy_for(&crate::users::own()),
        false => fault.remedy_for("root"),
    }
}

fn problem(fault: &Fault) -> Problem {
    fault.to_problem(remedy(fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    #[test]
    fn a_missing_directory_is_made_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("run/ruroco");
        prepare(&dir, 0o700).unwrap();
        let mode = |dir: &Path| fs::metadata(dir).unwrap().mode() & 0o7777;
        assert_eq!((mode(&dir), mode(dir.parent().unwrap())), (0o700, 0o755));
        prepare(&dir, 0o755).unwrap();
        assert_eq!(mode(&dir), 0o700, "an existing directory is not changed");
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, remedy) in [
            (0o775, "&& chmod go-w "),
            (0o757, "&& chmod go-w "),
            (0o1777, "use a separate directory in it"),
        ] {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            let error = prepare(dir.path(), 0o755).unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn something_else_in_its_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(prepare(&file, 0o755).is_err());
    }
}
