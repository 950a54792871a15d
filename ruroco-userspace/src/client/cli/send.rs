//! `ruroco-client send`: a knock.

use clap::Args;

use super::{say, target::Target};
use crate::client::{attempt::Attempt, folder::Folder, knock::Knock};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Name of the command to ask for
    #[arg(value_name = "COMMAND", conflicts_with = "address")]
    named: Option<String>,
    /// The same, for a host that flags describe
    #[arg(short, long, conflicts_with = "named")]
    command: Option<String>,
}

pub(super) fn run(arguments: Arguments, folder: &Folder) -> anyhow::Result<()> {
    let host = arguments.target.host(folder)?;
    let command = arguments.named.or(arguments.command);
    let command = command.unwrap_or_else(|| host.command.clone());
    let knock = Knock::at(&host, &command, &folder.keys())?;
    let attempt = Attempt { knock, effect: None };
    let outcome = attempt.make(&folder.counter()?, &mut |_| {}, &|| false)?;
    for to in outcome.sent.all() {
        say(&format!("sent {command} to {to}"))?;
    }
    outcome.sent.not_to.iter().try_for_each(|unsent| say(&format!("could not send to {unsent}")))
}
