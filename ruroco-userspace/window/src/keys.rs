//! The list of keys, without their secrets.

use ruroco_client::key_store::{self, KeyStore, Place, Stored};
use ruroco_keys::{
    key::{Cipher, Label},
    name::Name,
};

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRow {
    pub(super) name: Name,
    pub(super) place: Place,
    /// Its public facts, or why it cannot be used.
    pub(super) facts: Result<Facts, String>,
}

/// The public facts of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The id that `ruroco status` shows on the host.
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
            Cipher::Aes256GcmSiv => "AES-256-GCM-SIV (upstream ruroco)",
        }
    }
}

/// All keys of a store.
///
/// # Errors
/// If the keys cannot be listed. A key that cannot be used is a row, too.
pub(super) fn rows(store: &KeyStore) -> Result<Vec<KeyRow>, key_store::Error> {
    let row = |Stored { name, place, label }| {
        let facts = label.map(Facts::from).map_err(|error| error.to_string());
        KeyRow { name, place, facts }
    };
    Ok(store.list()?.into_iter().map(row).collect())
}
