//! Landlock: makes files and other processes unreachable (Linux 5.13 and later, and more with every level of
//! its ABI).

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};

use super::{Needs, State};

/// The newest level that the server requests (Linux 6.12). A later level may deny what the server needs and
/// must be tested first; level 9 would, see docs/evaluate/sandbox.md.
const LEVEL: ABI = ABI::V6;

/// Of a directory whose files are read again.
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// Of the directory of the floors: they are written to a new file that replaces the old one, and
/// the directory, opened for that, is synced. They are never read again.
const WRITE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile | ReadDir});

/// What Landlock took part in.
pub(super) struct Restricted {
    pub(super) files: State,
    pub(super) tcp: State,
    pub(super) scopes: State,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Rules(#[from] RulesetError),
    #[error(transparent)]
    Directory(#[from] PathFdError),
}

/// Puts this thread behind Landlock, as far as the kernel has it.
pub(super) fn restrict(needs: &Needs<'_>) -> Restricted {
    let nothing = |why: &str| Restricted {
        files: State::not(why),
        tcp: State::not(why),
        scopes: State::not(why),
    };
    match enforce(needs) {
        Ok(LandlockStatus::Available { effective_abi, .. }) => restricted(effective_abi),
        Ok(LandlockStatus::NotEnabled) => {
            nothing("Landlock is off; add it to the kernel parameter `lsm=`")
        }
        Ok(LandlockStatus::NotImplemented) => nothing("Landlock needs Linux 5.13"),
        Err(error) => nothing(&format!("Landlock failed: {error}")),
    }
}

/// Everything is denied but what has a rule. What the kernel does not know is left out.
fn enforce(needs: &Needs<'_>) -> Result<LandlockStatus, Error> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(LEVEL))?
        .handle_access(AccessNet::from_all(LEVEL))?
        .scope(Scope::from_all(LEVEL))?
        .create()?;
    for path in &needs.read {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, READ))?;
    }
    rules = rules.add_rule(PathBeneath::new(PathFd::new(&needs.write)?, WRITE))?;
    Ok(rules.restrict_self()?.landlock)
}

/// What a kernel of this level has enforced.
fn restricted(level: ABI) -> Restricted {
    let from = |needed: ABI, missing: &str| match level >= needed {
        true => State::Enforced,
        false => State::not(missing),
    };
    let missing: Vec<_> = [
        (ABI::V3, "truncating files (needs Linux 6.2)"),
        (ABI::V5, "ioctl on devices (needs Linux 6.10)"),
    ]
    .into_iter()
    .filter(|(needed, _)| level < *needed)
    .map(|(_, missing)| missing)
    .collect();
    let files = match missing.is_empty() {
        true => State::Enforced,
        false => State::Partly { missing: missing.join(" and ") },
    };
    Restricted {
        files,
        tcp: from(ABI::V4, "needs Linux 6.7"),
        scopes: from(ABI::V6, "needs Linux 6.12"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_says_what_it_lacks() {
        let enforced = |level| {
            let Restricted { files, tcp, scopes } = restricted(level);
            [files, tcp, scopes].map(|state| state == State::Enforced)
        };
        assert_eq!(enforced(ABI::V1), [false, false, false]);
        assert_eq!(enforced(ABI::V3), [false, false, false]);
        assert_eq!(enforced(ABI::V4), [false, true, false]);
        assert_eq!(enforced(ABI::V5), [true, true, false]);
        assert_eq!(enforced(ABI::V6), [true, true, true]);
        assert_eq!(enforced(ABI::V9), [true, true, true]);
        let State::Partly { missing } = restricted(ABI::V1).files else { panic!() };
        assert!(missing.contains("6.2") && missing.contains("6.10"), "{missing}");
    }
}
