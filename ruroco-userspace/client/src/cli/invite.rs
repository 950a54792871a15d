//! `ruroco-client invite`: from a host's invitation to the first knock.

use anyhow::Context;
use clap::Args;
use ruroco_invite::invitation::Invitation;
use ruroco_keys::name::Name;

use super::{confirm, hosts, key::PlaceFlag, note, remedy, say, secret};
use crate::{
    accept::{Plan, Step},
    effect::Effect,
    folder::Folder,
    knock::{self, Knock},
    rehearsal::Rehearsal,
};

#[derive(Args)]
pub(super) struct Arguments {
    /// Name for the host and its key, instead of the name in the invitation
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// Update the host without asking if it is already known
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    place: PlaceFlag,
    #[command(flatten)]
    source: secret::Source,
}

const PROMPT: &str =
    "Paste the invitation, the line that begins with ruroco:// (it is not shown): ";

pub(super) fn run(arguments: Arguments, folder: &Folder) -> anyhow::Result<()> {
    let Arguments { name, replace, place, source } = arguments;
    let invitation = Invitation::find(&source.read(PROMPT)?)?;
    // Warns of mistakes in client.toml.
    hosts(folder)?;
    let plan = Plan::new(folder, &invitation, name.as_ref())?;
    match &plan.step {
        Step::Nothing => {}
        Step::Add => allow_addition(&plan, name.is_some())?,
        Step::Update(_) => allow_update(&plan, replace)?,
    }
    plan.carry_out(folder, &invitation, place.chosen())?;
    let done = match plan.step {
        Step::Nothing => "there already:",
        Step::Add => "added",
        Step::Update(_) => "updated",
    };
    let Plan { name, host, step, .. } = plan;
    say(&format!("{done} host {name} ({}) and its key, {}", host.address, invitation.key.label()))?;
    if let Some(leftover) = source.leftover().filter(|_| step != Step::Nothing) {
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

/// Makes sure that the person wants a second host with an address that another one has: a name that was
/// given says so.
fn allow_addition(plan: &Plan, is_named: bool) -> anyhow::Result<()> {
    if plan.sharing.is_empty() {
        return Ok(());
    }
    warn_of_sharing(plan);
    if is_named {
        return Ok(());
    }
    let name = &plan.name;
    let question = format!("Add {name} as another host with this address?");
    let without = "Nothing was added, because nobody can be asked (no terminal). Pass --name NAME to \
                   add the host under that name.";
    confirm(&question, without)
}

/// Shows what would be different, and makes sure that the person wants it.
fn allow_update(plan: &Plan, is_asked_for: bool) -> anyhow::Result<()> {
    let Step::Update(changes) = &plan.step else { return Ok(()) };
    let name = &plan.name;
    note(&format!("The invitation changes host {name}:"));
    changes.iter().for_each(|change| note(&format!("  {change}")));
    if !plan.sharing.is_empty() {
        warn_of_sharing(plan);
    }
    if is_asked_for {
        return Ok(());
    }
    let without = format!(
        "Host {name} already exists with other settings. Use --replace to update it, or --name NAME to \
         add a second host."
    );
    confirm(&format!("Update {name}?"), &without)
}

fn warn_of_sharing(plan: &Plan) {
    let others: Vec<&str> = plan.sharing.iter().map(Name::as_str).collect();
    let (name, others, address) = (&plan.name, others.join(", "), plan.host.address.host());
    note(&format!(
        "Warning: {name} has the same address as {others}. `ruroco-client proxy {address}` cannot tell \
         them apart and will fail. In ~/.ssh/config, use host names: `ProxyCommand ruroco-client proxy \
         %n %p`."
    ));
}
