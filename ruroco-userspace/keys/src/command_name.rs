//! Names of commands, on hosts and clients. They come from invitations and files of others, and are shown on
//! terminals, which interpret control characters.

use ruroco_messages::visible::is_visible;

/// The default command of clients.
pub const DEFAULT_COMMAND: &str = "default";

/// A text that cannot be the name of a command. The message does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a command name must not be empty, begin or end with a space, or contain a control, invisible or \
     text-direction character"
)]
pub struct NotACommand;

/// A name that can be one.
///
/// # Errors
/// [`NotACommand`].
pub fn check(name: String) -> Result<String, NotACommand> {
    if is_visible(&name) { Ok(name) } else { Err(NotACommand) }
}
