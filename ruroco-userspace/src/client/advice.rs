//! What a person can do when nothing opens. The server says nothing, so this lists what keeps a knock
//! from being heard, the likeliest first.

use std::io;

use super::attempt::Observation;
use crate::key::{Cipher, Key};

/// Things to look at, for somebody whose knock was seen to do nothing; none if it did something.
pub fn on(observation: &Observation, key: &Key) -> Vec<String> {
    let Observation::Shut { at, error, .. } = observation else { return Vec::new() };
    let mut advice = Vec::new();
    if error.kind() == io::ErrorKind::ConnectionRefused {
        advice.push(format!(
            "{} answers, but nothing listens on port {}: is the service running there?",
            at.ip(),
            at.port()
        ));
    }
    advice.extend([
        "Is this computer's clock right? A knock from the past or far in the future is refused."
            .to_owned(),
        format!(
            "Does the host have the key with the id {}? Look there with: ruroco-gate status",
            key.id
        ),
        "Is it the host's address and UDP port, and one that the host knows as its own (`ips`)?"
            .to_owned(),
        "Does a network in between drop UDP? Try another network.".to_owned(),
        "Does the command open this port, and for the address that you come from?".to_owned(),
    ]);
    if key.cipher == Cipher::Aes256GcmSiv {
        advice.push(
            "The key is one of upstream ruroco. Under a flood such keys are throttled; a new key is \
             not: ruroco-client key gen"
                .to_owned(),
        );
    }
    advice
}
