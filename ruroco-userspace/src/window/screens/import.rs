//! A host from an invitation: pasted, chosen, or dropped onto the window; looked at before it is added.

use eframe::egui::{Grid, Label, RichText, Ui};

use super::Actions;
use crate::{
    client::accept::{Plan, Step},
    command_name::DEFAULT_COMMAND,
    invitation::Invitation,
    window::{
        action::{Action, Purpose},
        forms::ImportForm,
        icons::Icon,
        keys::Facts,
        model::Model,
        style::{NEAR, Palette, ROOM, TIGHT},
        widgets::{
            Field, Rank, button, card, confirmed, enter, heading_with_way_back, name as strong,
            named_button, quiet, row, text_lines,
        },
    },
};

pub(super) fn show(ui: &mut Ui, model: &Model, form: &mut ImportForm, actions: &mut Actions) {
    if heading_with_way_back(ui, "Add from an invitation", "Back to the hosts, without adding") {
        actions.push(Action::Back);
    }
    let invitation = form.invitation();
    card(ui, |ui| {
        let shows_fault = form.tried && !form.text.trim().is_empty();
        let fault = invitation.as_ref().err().filter(|_| shows_fault);
        let field = Field::new("Invitation")
            .hint("ruroco://…")
            .help("The line that the host's set-up has shown. It holds a key: keep it to yourself.")
            .fault(fault.map(String::as_str))
            .lines(3)
            .show(ui, &mut form.text);
        enter(&mut form.entered, &field);
        if field.changed() {
            form.follow_text();
        }
        ui.add_space(TIGHT);
        let file = button(ui, Rank::Other, Some(Icon::Qr), "Choose a file");
        if file.on_hover_text("A text, or a picture of the QR code (PNG or JPEG)").clicked() {
            actions.push(Action::ChooseFile(Purpose::Invitation));
        }
        quiet(ui, "A text, or a picture of the QR code. It can be dropped onto this window, too.");
    });
    if let Ok(invitation) = &invitation {
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
    strong(ui, "It says");
    text_lines(ui, |ui| facts_of(ui, invitation));
    ui.add_space(NEAR);
    let plan = form.plan(invitation, &model.hosts, &model.keys);
    let fault = plan.as_ref().err();
    let field = Field::new("Name")
        .help("What the host and its key are called here.")
        .fault(fault.map(String::as_str))
        .show(ui, &mut form.name);
    if confirmed(&field) {
        actions.push(Action::AcceptInvitation);
    }
    ui.add_space(NEAR);
    let what = plan.as_ref().map_or_else(|_| "Add this host".to_owned(), |plan| changes(ui, plan));
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

/// What would change of the hosts that are there; gives what the button is called that does it.
fn changes(ui: &mut Ui, plan: &Plan) -> String {
    let name = &plan.name;
    if let [first, others @ ..] = plan.sharing.as_slice() {
        let more = if others.is_empty() { "" } else { " and others have" };
        let have = if others.is_empty() { " has" } else { "" };
        let text = format!(
            "{first}{more}{have} the same address. In ~/.ssh/config, pass host names to `ruroco-client proxy`: \
             %n in place of %h."
        );
        quiet(ui, &text);
        ui.add_space(NEAR);
    }
    match &plan.step {
        Step::Add => "Add this host".to_owned(),
        Step::Nothing => {
            quiet(ui, &format!("{name} is known already, with the same settings."));
            format!("Keep {name}")
        }
        Step::Update(changes) => {
            quiet(ui, &format!("{name} is known already. This would change:"));
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
    let port = invitation.wait.map_or_else(|| "none named".to_owned(), |port| port.to_string());
    let facts = Facts::from(invitation.key.label());
    Grid::new("facts").num_columns(2).spacing([ROOM, NEAR]).show(ui, |ui| {
        for (what, value) in [
            ("Address", invitation.address.to_string()),
            ("Commands", commands),
            ("Port that opens", port),
            ("Key id", facts.id.clone()),
            ("Cipher", facts.cipher().to_owned()),
        ] {
            ui.label(RichText::new(what).color(Palette::of(ui).quiet));
            ui.add(Label::new(value).truncate());
            ui.end_row();
        }
    });
}
