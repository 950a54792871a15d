//! What can be done about something, in a terminal.

use crate::client::advice::Remedy;

pub(super) const fn words(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Reseed => "If the clock is right now: ruroco-client reseed",
        Remedy::ChooseAddresses => {
            "Choose with -4, -6 or `family` in client.toml, or use --tries or --all-addresses."
        }
        Remedy::MakeKey => "Make one with: ruroco-client key gen",
    }
}
