//! `ruroco-client join`: accepts an invitation.

use anyhow::Context;
use clap::Args;
use ruroco_invite::invitation::Invitation;
use ruroco_keys::name::Name;

use super::{confirm, hosts, key::PlaceFlag, print_line, print_note, remedy, secret};
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
    /// If the host already exists, update it without a prompt
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
        Step::Nothing => "unchanged:",
        Step::Add => "added",
        Step::Update(_) => "updated",
    };
    let Plan { name, host, step, .. } = plan;
    print_line(&format!(
        "{done} host {name} ({}) and its key, {}",
        host.address,
        invitation.key.label()
    ))?;
    if let Some(leftover) = source.leftover().filter(|_| step != Step::Nothing) {
        print_line(&format!("{} also contains the key. Delete it.", leftover.display()))?;
    }
    // Problems must show now, not when the user needs the host.
    let knock = Knock::at(&host, &host.command, &folder.keys())?;
    match Rehearsal::of(&knock, host.wait.map(Effect::of), &folder.counter()?) {
        Ok(rehearsal) => {
            print_line("\nDry run of a knock:")?;
            let lines = rehearsal.lines(name.as_str(), remedy::words);
            lines.iter().try_for_each(|line| print_line(&format!("  {line}")))?;
        }
        // The user may accept an invitation in one network and knock from another.
        Err(error @ (knock::Error::Resolve(_) | knock::Error::Unsent(_))) => {
            print_line(&format!("\nA knock cannot be sent from this network: {error}"))?
        }
        Err(error) => {
            return Err(error).context(format!("host {name} was saved, but a knock would fail"));
        }
    }
    print_line(&format!("\nTo send a knock, run: ruroco-client knock {name}"))
}

/// Prompts before adding a host whose address another host already has. `--name` counts as the answer yes.
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
    let without = "Nothing was added: another host has this address, and there is no terminal to prompt on. \
                   Pass --name NAME to add the host under that name.";
    confirm(&question, without)
}

/// Shows the changes, and prompts before making them. `--replace` counts as the answer yes.
fn allow_update(plan: &Plan, is_confirmed: bool) -> anyhow::Result<()> {
    let Step::Update(changes) = &plan.step else { return Ok(()) };
    let name = &plan.name;
    print_note(&format!("The invitation changes host {name}:"));
    changes.iter().for_each(|change| print_note(&format!("  {change}")));
    if !plan.sharing.is_empty() {
        warn_of_sharing(plan);
    }
    if is_confirmed {
        return Ok(());
    }
    let without = format!(
        "Host {name} already exists with other settings. Pass --replace to update it, or --name NAME to \
         add a second host."
    );
    confirm(&format!("Update {name}?"), &without)
}

fn warn_of_sharing(plan: &Plan) {
    let others: Vec<&str> = plan.sharing.iter().map(Name::as_str).collect();
    let (name, others, address) = (&plan.name, others.join(", "), plan.host.address.host());
    print_note(&format!(
        "Warning: {name} has the same address as {others}, so `ruroco-client proxy {address}` will fail: the \
         address matches more than one host. In ~/.ssh/config, pass host names: `ProxyCommand ruroco-client \
         proxy %n %p`."
    ));
}
