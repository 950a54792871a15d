//! Names and addresses that do not say which host is meant, and what a person can do about it.

use std::borrow::Cow;

use ruroco_keys::name::Name;

/// Why a name or an address does not say which host is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Several hosts can be meant.
    #[error(
        "{asked} matches more than one host: {}. Use a host name instead of the address (in \
         ~/.ssh/config: `ProxyCommand ruroco-client proxy %n %p`)",
        list(.candidates)
    )]
    Ambiguous {
        /// The name or address.
        asked: String,
        /// The hosts.
        candidates: Vec<Name>,
    },
    /// The entry of this name has a mistake.
    #[error(transparent)]
    Invalid(UnknownHost),
}

fn list(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

/// There is no host of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct UnknownHost {
    name: String,
    why: Why,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its entry has a mistake.
    Invalid,
    /// This one may be meant.
    Misspelt(String),
    /// No host at all is there.
    NoHosts,
    /// Others are there.
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
                "the entry of host {name} in client.toml is invalid; fix it, or remove it with \
                 `ruroco-client host remove {}`",
                shlex::try_quote(&name).unwrap_or_else(|_| Cow::Borrowed(&name))
            ),
            Why::Misspelt(meant) => format!("there is no host {name}; did you mean {meant}?"),
            Why::NoHosts => format!(
                "there is no host {name}, and no other host; add one with `ruroco-client invite`, \
                 which asks for the line that the host has shown, or with `ruroco-client host add`"
            ),
            Why::OtherHosts => {
                format!(
                    "there is no host {name}; to list your hosts, run `ruroco-client host list`"
                )
            }
        }
    }
}
