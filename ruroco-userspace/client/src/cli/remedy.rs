//! Remedies as commands for a terminal.

use crate::advice::Remedy;

pub(super) const fn words(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Reseed => "If the clock is correct now, run `ruroco-client reseed`.",
        Remedy::ChooseAddresses => {
            "To choose one, pass -4 or -6, or set `family` in client.toml. To try all of them, pass --all-addresses."
        }
        Remedy::MakeKey => "To create a new key, run `ruroco-client key gen NAME`.",
    }
}
