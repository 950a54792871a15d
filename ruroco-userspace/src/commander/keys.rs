//! The names and ids of the keys. The commander reads whole key files to get at them, keeps nothing
//! else, and links no cipher that could use a secret.

use std::{collections::BTreeMap, sync::Arc};

use ruroco_common::datagram::KeyId;

use crate::{
    config::{Config, Source},
    key_directory,
};

/// Which key id goes by which name.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<KeyId, Arc<str>>);

impl Keys {
    /// Reads the keys, and wipes their secrets from memory before it returns. They may belong to the
    /// server's user, who has this uid, if it is the server that reads them.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn read(config: &Config, server: u32) -> anyhow::Result<Self> {
        let also_allowed = (config.source == Source::Udp).then_some(server);
        let keys = key_directory::read_configured(config, also_allowed)?;
        Ok(keys.into_iter().map(|named| (named.key.id, named.name)).collect())
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

impl<N: Into<Arc<str>>> FromIterator<(KeyId, N)> for Keys {
    fn from_iter<I: IntoIterator<Item = (KeyId, N)>>(names: I) -> Self {
        Self(names.into_iter().map(|(id, name)| (id, name.into())).collect())
    }
}
