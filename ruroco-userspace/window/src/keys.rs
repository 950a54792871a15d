//! What the window shows of keys: never the secret, unless somebody asks for it.

use ruroco_client::key_store::{self, KeyStore, Place, Stored};
use ruroco_keys::{
    key::{Cipher, Label},
    name::Name,
};

/// A key as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRow {
    pub(super) name: Name,
    pub(super) place: Place,
    /// What is public of it, or why it cannot be used.
    pub(super) facts: Result<Facts, String>,
}

/// What everybody may see of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// As the host's status shows it.
    pub(super) id: String,
    pub(super) cipher: Cipher,
}

impl From<Label> for Facts {
    fn from(label: Label) -> Self {
        Self { id: label.id.to_string(), cipher: label.cipher }
    }
}

impl Facts {
    pub(super) const fn cipher(&self) -> &'static str {
        match self.cipher {
            Cipher::ChaCha20Poly1305 => "ChaCha20-Poly1305",
            Cipher::Aes256GcmSiv => "AES-256-GCM-SIV (of upstream ruroco)",
        }
    }
}

/// All keys of a store.
///
/// # Errors
/// If nobody knows which there are. One that cannot be read is a row like the others.
pub(super) fn rows(store: &KeyStore) -> Result<Vec<KeyRow>, key_store::Error> {
    let row = |Stored { name, place, label }| {
        let facts = label.map(Facts::from).map_err(|error| error.to_string());
        KeyRow { name, place, facts }
    };
    Ok(store.list()?.into_iter().map(row).collect())
}
