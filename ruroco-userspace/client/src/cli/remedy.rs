//! What can be done about something, in a terminal.

use crate::advice::Remedy;

pub(super) const fn words(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Reseed => "If the clock is correct now, run `ruroco-client reseed`.",
        Remedy::ChooseAddresses => {
            "Choose one with -4, -6 or `family` in client.toml, or pass --tries or --all-addresses."
        }
        Remedy::MakeKey => "Make a new key with `ruroco-client key gen`.",
    }
}
