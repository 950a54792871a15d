//! Keys that the host does not accept any more, or not for much longer.

use std::time::Duration;

use ruroco_config::{Config, KeyRules, Place};
use ruroco_messages::problems::Problem;

/// How long before a key expires there is a warning: enough for a person on holiday to get a new key.
const NOTICE: Duration = Duration::from_secs(14 * 86_400);

/// A warning for each key that has expired or is about to.
pub(super) fn expiring(config: &Config) -> Vec<Problem> {
    let problem = |(key, rules): (&str, &KeyRules)| {
        let expires = rules.expires?;
        let state = match expires.remaining() {
            Duration::ZERO => "has expired",
            left if left < NOTICE => "expires soon",
            _ => return None,
        };
        let message = format!(
            "the key {key} {state} (expires = {expires}). Set a later date here, or give its owner a new key and run \
             `ruroco key revoke {key}`"
        );
        Some(config.problem(Place::Key(key), message).as_warning())
    };
    config.rules().filter_map(problem).collect()
}
