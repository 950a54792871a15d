//! The names of the keys, and nothing else of them: the commander has no use for a secret.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::bail;
use ruroco_common::datagram::KeyId;

use crate::key_directory::{self, NamedKey};

/// Which key id goes by which name.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<KeyId, Arc<str>>);

impl Keys {
    /// Reads the keys in `dir`, which may belong to the user with this uid, and wipes their
    /// secrets from memory before it returns.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn read(dir: &Path, owner: u32) -> anyhow::Result<Self> {
        let mut names = BTreeMap::new();
        for NamedKey { name, key } in key_directory::read(dir, Some(owner))? {
            // It goes into log lines, where a line end would be somebody else's line.
            if name.contains(char::is_control) {
                bail!(
                    "the name of the key {name:?} in {} has control characters: rename it",
                    dir.display()
                );
            }
            names.insert(key.id, name.into());
        }
        Ok(Self(names))
    }

    /// The name of the key with this id.
    pub fn name(&self, id: KeyId) -> Option<&Arc<str>> {
        self.0.get(&id)
    }

    /// The id of the key with this name.
    pub fn id(&self, name: &str) -> Option<KeyId> {
        self.0.iter().find(|(_, known)| known.as_ref() == name).map(|(id, _)| *id)
    }
}

#[cfg(test)]
impl FromIterator<(KeyId, &'static str)> for Keys {
    fn from_iter<I: IntoIterator<Item = (KeyId, &'static str)>>(names: I) -> Self {
        Self(names.into_iter().map(|(id, name)| (id, name.into())).collect())
    }
}
