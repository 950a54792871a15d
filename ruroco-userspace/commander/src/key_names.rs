//! The names of keys, also of those that were removed: the gate reports that it has closed a door because its key was
//! revoked after the commander has already forgotten the key.

use std::{collections::BTreeMap, sync::Arc};

use ruroco_commands::keys::Keys;
use ruroco_common::datagram::KeyId;

/// The name of each key that the host has, or has had since the commander was started.
#[derive(Debug, Default)]
pub struct KeyNames(BTreeMap<KeyId, Arc<str>>);

impl KeyNames {
    /// Learns the names of now.
    pub fn learn(&mut self, keys: &Keys) {
        self.0.extend(keys.iter().map(|(id, name)| (id, Arc::clone(name))));
    }

    /// The name of a key; if it is unknown, its id.
    pub fn of(&self, id: KeyId) -> String {
        self.0.get(&id).map_or_else(|| id.to_string(), |name| name.as_ref().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_key_keeps_its_name_and_an_unknown_one_has_its_id() {
        let [laptop, phone, other] = [1, 2, 3].map(|byte| KeyId([byte; 8]));
        let mut names = KeyNames::default();
        names.learn(&Keys::from_iter([(laptop, "laptop")]));
        names.learn(&Keys::from_iter([(phone, "phone")]));
        assert_eq!([laptop, phone].map(|id| names.of(id)), ["laptop", "phone"]);
        names.learn(&Keys::from_iter([(phone, "mobile")]));
        assert_eq!(names.of(phone), "mobile");
        assert_eq!(names.of(other), "0303030303030303");
    }
}
