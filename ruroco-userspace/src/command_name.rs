//! Names of commands as clients know them. They come from elsewhere, by invitations and files, and are
//! shown on terminals, which take control characters for orders. Hosts have the same rule for theirs.

/// The command that is asked for where nothing else is said.
pub const DEFAULT_COMMAND: &str = "default";

/// A text that cannot be the name of a command. The message does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a command's name must not be empty or have control characters")]
pub struct NotACommand;

/// A name that can be one.
///
/// # Errors
/// [`NotACommand`].
pub fn check(name: String) -> Result<String, NotACommand> {
    if name.is_empty() || name.contains(char::is_control) { Err(NotACommand) } else { Ok(name) }
}
