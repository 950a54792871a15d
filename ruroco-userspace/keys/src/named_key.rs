//! A key and the name that its host has given it.

use ruroco_messages::visible::is_visible;

use crate::key::Key;

/// A key and the name it goes by.
#[derive(Clone, Debug)]
pub struct NamedKey {
    /// The stem of the file's name.
    pub name: String,
    /// The key.
    pub key: Key,
}

/// Whether a key can go by this name: it is to stand in a line, between other things.
pub fn can_be_a_name(name: &str) -> bool {
    is_visible(name)
}
