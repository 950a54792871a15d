//! Notices to the user, and the actions that they offer.

use ruroco_messages::{plain_error::Plain, redaction::redacted};

use super::{action::Action, icons::Icon, model::Section, style::Tone};

/// A message that is shown until the user dismisses it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notice {
    pub(super) tone: Tone,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) offers: Vec<Offer>,
    /// The only section in which it is shown; it disappears when the user leaves that section. Failures
    /// are shown in every section until they are dismissed.
    pub(super) section: Option<Section>,
}

/// An action that a message offers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    pub(super) icon: Icon,
    pub(super) text: String,
    pub(super) action: Action,
}

impl Notice {
    pub(super) fn new(tone: Tone, title: impl Into<String>, text: impl Into<String>) -> Self {
        let text = shown(&text.into());
        Self { tone, title: title.into(), text, offers: Vec::new(), section: None }
    }

    pub(super) fn offering(mut self, icon: Icon, text: &str, action: Action) -> Self {
        self.offers.push(Offer { icon, text: text.to_owned(), action });
        self
    }

    /// The same notice, for this section.
    pub(super) fn in_section(self, section: Section) -> Self {
        let stays = match self.tone {
            Tone::Bad | Tone::Warning => true,
            Tone::Good | Tone::Information | Tone::Past => false,
        };
        Self { section: (!stays).then_some(section), ..self }
    }
}

/// A text without secrets and without error numbers. An error can repeat a key that was pasted into the wrong
/// field.
pub(super) fn shown(text: &str) -> String {
    Plain(redacted(text)).to_string()
}

/// An error as a sentence. Errors begin with a lower-case letter, because the command line prints them
/// after `Error:`.
pub(super) fn sentence(text: &str) -> String {
    let text = shown(without_source(text));
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '?', '!']) || text.is_empty() { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

/// The message of a library without the path of its source file.
pub(super) fn without_source(text: &str) -> &str {
    let after = |place: usize| text.get(place..)?.split_once(": ").map(|(_, rest)| rest);
    text.rfind(".rs:").and_then(after).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_a_sentence() {
        let error = "could not write /x: No space left on device (os error 28); nothing was sent";
        assert_eq!(
            sentence(error),
            "Could not write /x: No space left on device; nothing was sent."
        );
        assert_eq!(sentence("Is it so?"), "Is it so?");
    }

    #[test]
    fn what_was_pasted_into_the_wrong_field_is_not_repeated() {
        let pasted = "`ruroco://203.0.113.5:80?name=home&key=AAEC` cannot be a name";
        assert_eq!(sentence(pasted), "`[secret]` cannot be a name.");
        let notice = Notice::new(Tone::Bad, "The host was not saved", pasted);
        assert_eq!(notice.text, "`[secret]` cannot be a name");
    }

    #[test]
    fn no_notice_has_the_number_of_an_error() {
        let error = std::io::Error::from_raw_os_error(13);
        let notice =
            Notice::new(Tone::Bad, "Cannot open the folder", format!("Open it ({error})."));
        assert_eq!(notice.text, "Open it (Permission denied).");
    }

    #[test]
    fn no_message_has_a_path_of_the_computer_that_the_program_was_built_on() {
        let winit = "winit EventLoopError: os error at /home/me/.cargo/registry/src/x/winit-0.30.13/src/\
                     platform_impl/linux/wayland/event_loop/mod.rs:99: Could not find wayland compositor";
        assert_eq!(without_source(winit), "Could not find wayland compositor");
        assert_eq!(without_source("No OpenGL: none found"), "No OpenGL: none found");
    }
}
