//! `ruroco-client invite`: from a host's invitation to the first knock.

use anyhow::Context;
use clap::Args;

use super::{key::PlaceFlag, remedy, say, secret};
use crate::{
    client::{
        accept::{Accepted, accept},
        effect::Effect,
        folder::Folder,
        knock::{self, Knock},
        rehearsal::Rehearsal,
    },
    invitation::Invitation,
    name::Name,
};

#[derive(Args)]
pub(super) struct Arguments {
    /// What to call the host and its key, instead of what the host calls itself
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    #[command(flatten)]
    place: PlaceFlag,
    #[command(flatten)]
    source: secret::Source,
}

const PROMPT: &str =
    "Paste the invitation, the line that begins with ruroco:// (it is not shown): ";

pub(super) fn run(arguments: Arguments, folder: &Folder) -> anyhow::Result<()> {
    let Arguments { name, place, source } = arguments;
    let invitation = Invitation::find(&source.read(PROMPT)?)?;
    let Accepted { name, host, was_there } =
        accept(folder, &invitation, name.as_ref(), place.chosen())?;
    let done = if was_there { "there already:" } else { "added" };
    say(&format!("{done} host {name} ({}) and its key, {}", host.address, invitation.key.label()))?;
    if let Some(leftover) = source.leftover().filter(|_| !was_there) {
        say(&format!("{} holds the key, too: remove it", leftover.display()))?;
    }
    // What a knock needs is looked at now, and not when somebody is in a hurry.
    let knock = Knock::at(&host, &host.command, &folder.keys())?;
    match Rehearsal::of(&knock, host.wait.map(Effect::of), &folder.counter()?) {
        Ok(rehearsal) => {
            say("\nA knock:")?;
            let lines = rehearsal.lines(name.as_str(), remedy::words);
            lines.iter().try_for_each(|line| say(&format!("  {line}")))?;
        }
        // It may be accepted in another place than the one to knock from.
        Err(error @ (knock::Error::Resolve(_) | knock::Error::Unsent(_))) => {
            say(&format!("\nA knock could not be sent from here: {error}"))?
        }
        Err(error) => {
            return Err(error)
                .context(format!("the host {name} is there, but cannot be knocked at"));
        }
    }
    say(&format!("\nNow knock: ruroco-client send {name}"))
}
