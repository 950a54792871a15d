//! Errors for names and addresses that match no host, or more than one, with a remedy.

use std::borrow::Cow;

use ruroco_keys::name::Name;

/// Why a name or an address does not identify a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Several hosts match.
    #[error(
        "{asked} matches more than one host: {}. Use a host name instead of the address (in \
         ~/.ssh/config: `ProxyCommand ruroco-client proxy %n %p`)",
        list(.candidates)
    )]
    Ambiguous {
        /// The name or address.
        asked: String,
        /// The matching hosts.
        candidates: Vec<Name>,
    },
    /// The entry of this name is invalid.
    #[error(transparent)]
    Invalid(UnknownHost),
}

fn list(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// No valid host has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct UnknownHost {
    name: String,
    why: Why,
}

/// The reason, and so the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The entry is invalid.
    Invalid,
    /// A host has this similar name.
    Misspelt(String),
    /// There are no hosts.
    NoHosts,
    /// There are other hosts.
    OtherHosts,
}

impl UnknownHost {
    pub(super) fn new(name: &str, why: Why) -> Self {
        Self { name: name.to_owned(), why }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn message(&self) -> String {
        let name = self.name.escape_debug().to_string();
        match &self.why {
            Why::Invalid => format!(
                "the entry of host {name} in client.toml is invalid. Fix it, or remove it with \
                 `ruroco-client host remove {}`",
                shlex::try_quote(&name).unwrap_or_else(|_| Cow::Borrowed(&name))
            ),
            Why::Misspelt(meant) => format!("host {name} not found. Did you mean {meant}?"),
            Why::NoHosts => format!(
                "host {name} not found, because you have no hosts yet. Add one with `ruroco-client join`, \
                 which prompts for an invitation, or with `ruroco-client host add`"
            ),
            Why::OtherHosts => {
                format!("host {name} not found. To list your hosts, run `ruroco-client host list`")
            }
        }
    }
}
