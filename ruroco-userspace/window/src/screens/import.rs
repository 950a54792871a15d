//! The form for an invitation, which the user pastes, chooses, or drops onto the window, and reviews
//! before adding the host.

use eframe::egui::{Grid, Label, RichText, Ui};
use ruroco_client::accept::{Plan, Step};
use ruroco_common::doors::DoorName;
use ruroco_invite::{
    door::{Door, in_words},
    invitation::Invitation,
};
use ruroco_keys::command_name::DEFAULT_COMMAND;

use super::Actions;
use crate::{
    action::{Action, Purpose},
    icons::Icon,
    import_form::ImportForm,
    keys::Facts,
    model::Model,
    style::{NEAR, Palette, ROOM, TIGHT},
    widgets::{
        Field, Rank, button, card, confirmed, enter, heading_with_way_back, name as strong,
        named_button, quiet, row, text_lines,
    },
};

pub(super) fn show(ui: &mut Ui, model: &Model, form: &mut ImportForm, actions: &mut Actions) {
    if heading_with_way_back(ui, "Add from an invitation", "Back to the hosts without adding one") {
        actions.push(Action::Back);
    }
    let invitation = form.invitation();
    card(ui, |ui| {
        let shows_fault = form.tried && !form.secret.text.trim().is_empty();
        let fault = invitation.as_ref().err().filter(|_| shows_fault);
        let field = Field::new("Invitation")
            .hint("Paste the line here")
            .help("It begins with ruroco:// and contains a key. Do not let anyone else see it.")
            .fault(fault.map(String::as_str))
            .show_secret(ui, &mut form.secret);
        enter(&mut form.entered, &field);
        if field.changed() {
            form.follow_text();
        }
        ui.add_space(TIGHT);
        let file = button(ui, Rank::Other, Some(Icon::Qr), "Choose a file");
        if file.on_hover_text("A text file, or a picture of the QR code (PNG or JPEG)").clicked() {
            actions.push(Action::ChooseFile(Purpose::Invitation));
        }
        quiet(
            ui,
            "A text file or a picture of the QR code. You can also drop it onto this window.",
        );
    });
    // Not while a file is read whose text comes in its place.
    if let Ok(invitation) = &invitation
        && !form.secret.is_waiting()
    {
        card(ui, |ui| preview(ui, model, form, invitation, actions));
    }
}

fn preview(
    ui: &mut Ui,
    model: &Model,
    form: &mut ImportForm,
    invitation: &Invitation,
    actions: &mut Actions,
) {
    strong(ui, "This invitation");
    text_lines(ui, |ui| facts_of(ui, invitation));
    ui.add_space(NEAR);
    let plan = form.plan(model.revision).map(|plan| plan.cloned());
    let fault = plan.as_ref().and_then(|plan| plan.as_ref().err());
    let field = Field::new("Name")
        .help("The name of the host and its key on this computer.")
        .fault(fault.map(String::as_str))
        .show(ui, &mut form.name);
    if confirmed(&field) {
        actions.push(Action::AcceptInvitation);
    }
    ui.add_space(NEAR);
    let what = match &plan {
        None => "Checking…".to_owned(),
        Some(Err(_)) => "Add this host".to_owned(),
        Some(Ok(plan)) => changes(ui, plan),
    };
    row(ui, |ui| {
        let text = if form.saving.is_some() { "Saving…" } else { &what };
        let add = named_button(ui, Rank::First, Some(Icon::Add), text, &what);
        if add.clicked() {
            actions.push(Action::AcceptInvitation);
        }
        if button(ui, Rank::Other, None, "Cancel").clicked() {
            actions.push(Action::Back);
        }
    });
}

/// Shows the changes to existing hosts. Returns the name of the button that makes them.
fn changes(ui: &mut Ui, plan: &Plan) -> String {
    let name = &plan.name;
    if let [first, others @ ..] = plan.sharing.as_slice() {
        let have = if others.is_empty() { "has" } else { "and others have" };
        let text = format!(
            "{first} {have} the same address. In ~/.ssh/config, pass host names to `ruroco-client proxy`: \
             %n in place of %h."
        );
        quiet(ui, &text);
        ui.add_space(NEAR);
    }
    match &plan.step {
        Step::Add => "Add this host".to_owned(),
        Step::Nothing => {
            quiet(ui, &format!("{name} already exists with the same settings."));
            format!("Keep {name}")
        }
        Step::Update(changes) => {
            quiet(ui, &format!("{name} already exists. This invitation changes:"));
            text_lines(ui, |ui| {
                for change in changes {
                    ui.add(Label::new(change.to_string()).wrap());
                }
            });
            ui.add_space(NEAR);
            format!("Update {name}")
        }
    }
}

fn facts_of(ui: &mut Ui, invitation: &Invitation) {
    let commands = match invitation.commands.as_slice() {
        [] => DEFAULT_COMMAND.to_owned(),
        commands => commands.join(", "),
    };
    let port = invitation.wait.map_or_else(|| "not specified".to_owned(), |port| port.to_string());
    let doors = match doors_of(invitation) {
        doors if doors.is_empty() => "none".to_owned(),
        doors => doors.join(", "),
    };
    let facts = Facts::from(invitation.key.label());
    Grid::new("facts").num_columns(2).spacing([ROOM, NEAR]).show(ui, |ui| {
        for (what, value) in [
            ("Address", invitation.address.to_string()),
            ("Commands", commands),
            ("Port that opens", port),
            ("Doors", doors),
            ("Key id", facts.id.clone()),
            ("Cipher", facts.cipher().to_owned()),
        ] {
            ui.label(RichText::new(what).color(Palette::of(ui).quiet));
            ui.add(Label::new(value).truncate());
            ui.end_row();
        }
    });
}

/// The doors of an invitation, with the time for which a knock opens each.
fn doors_of(invitation: &Invitation) -> Vec<String> {
    let door = |(name, door): (&DoorName, &Door)| {
        format!("{name} ({}) for {}", door.port, in_words(door.duration))
    };
    invitation.doors.iter().map(door).collect()
}
