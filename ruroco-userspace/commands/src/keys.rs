//! The names and ids of the keys. The commander reads whole key files for them, keeps nothing else, and links
//! no cipher that could use a secret.
//!
//! Rationale: decision 0004.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruroco_common::datagram::KeyId;
use ruroco_config::key_directory;

/// Which key id goes by which name.
#[derive(Debug, Default)]
pub struct Keys {
    names: BTreeMap<KeyId, Arc<str>>,
    ids: BTreeMap<Arc<str>, KeyId>,
    unusable: BTreeSet<String>,
}

impl Keys {
    /// Those of a directory, whose secrets are wiped from memory.
    pub fn of(keys: key_directory::Keys) -> Self {
        let names = keys.usable.into_iter().map(|named| (named.key.id, named.name));
        Self { unusable: keys.unusable.into_iter().collect(), ..names.collect() }
    }

    /// The name of the key with this id.
    pub fn name(&self, id: KeyId) -> Option<&Arc<str>> {
        self.names.get(&id)
    }

    /// The ids of all keys, each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (KeyId, &Arc<str>)> {
        self.names.iter().map(|(id, name)| (*id, name))
    }

    /// The names of all keys.
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(AsRef::as_ref)
    }

    /// Whether there is a key of this name that cannot be used, which is reported elsewhere.
    pub fn is_unusable(&self, name: &str) -> bool {
        self.unusable.contains(name)
    }

    /// The id of the key with this name.
    pub fn id(&self, name: &str) -> Option<KeyId> {
        self.ids.get(name).copied()
    }
}

impl<N: Into<Arc<str>>> FromIterator<(KeyId, N)> for Keys {
    fn from_iter<I: IntoIterator<Item = (KeyId, N)>>(names: I) -> Self {
        let names: BTreeMap<KeyId, Arc<str>> =
            names.into_iter().map(|(id, name)| (id, name.into())).collect();
        let ids = names.iter().map(|(id, name)| (Arc::clone(name), *id)).collect();
        Self { names, ids, unusable: BTreeSet::new() }
    }
}
