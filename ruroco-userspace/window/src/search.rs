//! Searching for a host.

use ruroco_client::profiles::Host;
use ruroco_keys::name::Name;

/// With more hosts than this, the search field is always shown.
const FEW: usize = 8;

/// The search for hosts.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    pub(super) text: String,
    /// Whether the user has opened the search field.
    pub(super) is_open: bool,
    /// Whether the search field gets the keyboard focus next.
    pub(super) wants_focus: bool,
}

impl Search {
    /// Opens the search field and moves the keyboard focus to it.
    pub(super) fn open(&mut self) {
        (self.is_open, self.wants_focus) = (true, true);
    }

    /// Whether the search field is shown.
    pub(super) fn is_shown(&self, hosts: usize) -> bool {
        hosts > FEW || self.is_open || !self.text.is_empty()
    }

    /// Whether the host's name, address or commands contain each word of the search text.
    pub(super) fn finds(&self, name: &Name, host: &Host) -> bool {
        let address = host.address.to_string();
        let texts = [name.as_str(), &address].into_iter().chain(host.all_commands());
        let texts: Vec<String> = texts.map(str::to_lowercase).collect();
        let has = |word: &str| texts.iter().any(|text| text.contains(word));
        self.text.to_lowercase().split_whitespace().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_by_its_name_address_and_commands_in_any_order() {
        let host = Host::new("NAS.example.net:81".parse().unwrap(), "k".parse().unwrap());
        let host = host.with_commands(["open_ssh".to_owned()]);
        let finds = |text: &str| {
            let search = Search { text: text.to_owned(), ..Search::default() };
            search.finds(&"Cellar".parse().unwrap(), &host)
        };
        for text in ["", "cell", "nas.EXAMPLE", "ssh cellar", ":81"] {
            assert!(finds(text), "{text}");
        }
        for text in ["attic", "cellar attic"] {
            assert!(!finds(text), "{text}");
        }
    }
}
