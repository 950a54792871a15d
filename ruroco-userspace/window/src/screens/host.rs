//! The form for a host.

use eframe::egui::{ComboBox, Response, RichText, Ui};
use ruroco_invite::destination::Family;

use super::Actions;
use crate::{
    action::Action,
    forms::{HostFaults, HostForm},
    icons::Icon,
    model::Model,
    shortcuts::{self, with_keys},
    style::{NEAR, TIGHT, Tone},
    widgets::{
        Field, Rank, button, card, confirmed, enter, heading_with_way_back, into_view,
        named_button, pair, quiet, row, toned_line,
    },
};

pub(super) fn show(ui: &mut Ui, model: &Model, form: &mut HostForm, actions: &mut Actions) {
    let title = match &form.original {
        Some(name) => format!("Edit {name}"),
        None => "Add a host".to_owned(),
    };
    if heading_with_way_back(ui, &title, "Back to the hosts without saving") {
        actions.push(Action::Back);
    }
    let faults = match form.check(&model.hosts) {
        Err(faults) if form.tried => *faults,
        Ok(_) | Err(_) => HostFaults::default(),
    };
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 14.0;
        needed(ui, model, form, &faults, actions);
    });
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 14.0;
        effect(ui, form, &faults, actions);
    });
    let (icon, text) =
        if form.more { (Icon::Fold, "Less") } else { (Icon::Expand, "More settings") };
    if button(ui, Rank::Quiet, Some(icon), text).clicked() {
        form.more = !form.more;
    }
    // Faults are not hidden.
    if form.more || faults.ip.is_some() {
        card(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 14.0;
            more(ui, form, &faults, actions);
        });
    }
    end(ui, form, &faults, actions);
}

/// The parts of the form.
type Filled<'a> = (&'a mut HostForm, &'a mut Actions);

fn save_when(field: &Response, actions: &mut Actions) {
    if confirmed(field) {
        actions.push(Action::SaveHost);
    }
}

fn needed(
    ui: &mut Ui,
    model: &Model,
    form: &mut HostForm,
    faults: &HostFaults,
    actions: &mut Actions,
) {
    let mut filled = (&mut *form, &mut *actions);
    let name = |ui: &mut Ui, (form, actions): &mut Filled<'_>| {
        let field = Field::new("Name").hint("e.g. home").help("Your name for the host.");
        let field = field.fault(faults.name.as_deref()).show(ui, &mut form.name);
        enter(&mut form.entered, &field);
        save_when(&field, actions);
    };
    let address = |ui: &mut Ui, (form, actions): &mut Filled<'_>| {
        let field = Field::new("Address").hint("e.g. host.example:8080");
        let field = field.help("A name or IP address. The UDP port is 80 unless you add another.");
        let field = field.fault(faults.address.as_deref()).show(ui, &mut form.address);
        save_when(&field, actions);
    };
    pair(ui, &mut filled, name, address);
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = TIGHT;
        let label = ui.label(RichText::new("Key").strong());
        row(ui, |ui| {
            let chosen = if form.key.is_empty() { "None yet" } else { &form.key }.to_owned();
            let list = ComboBox::from_id_salt("key").selected_text(chosen).width(180.0);
            let list = list.show_ui(ui, |ui| {
                for key in &model.keys {
                    let name = key.name.to_string();
                    ui.selectable_value(&mut form.key, name.clone(), name);
                }
            });
            into_view(list.response.labelled_by(label.id));
            if button(ui, Rank::Other, Some(Icon::Add), "Make a key").clicked() {
                actions.push(Action::AskNewKey);
            }
            if button(ui, Rank::Other, Some(Icon::Import), "Import a key").clicked() {
                actions.push(Action::AskImportKey);
            }
        });
        match &faults.key {
            Some(fault) => toned_line(ui, Tone::Bad, fault),
            None => quiet(ui, "The host needs the same key."),
        }
    });
}

fn effect(ui: &mut Ui, form: &mut HostForm, faults: &HostFaults, actions: &mut Actions) {
    let mut filled = (form, actions);
    let commands = |ui: &mut Ui, (form, actions): &mut Filled<'_>| {
        let field = Field::new("Commands").hint("e.g. open_ssh, close_ssh");
        let can_write = form.can_write_commands();
        let field = field.help(if can_write {
            "Names of the host's commands, separated by commas, the default one first."
        } else {
            "The name of a command contains a comma, or begins or ends with a space. Edit it in client.toml."
        });
        let field = field.fault(faults.commands.as_deref());
        let field = ui.add_enabled_ui(can_write, |ui| field.show(ui, &mut form.commands));
        save_when(&field.inner, actions);
    };
    let wait = |ui: &mut Ui, (form, actions): &mut Filled<'_>| {
        let field = Field::new("Port that opens").hint("e.g. 22");
        let field =
            field.help("If you set this, the window shows whether a knock opened the port.");
        let field = field.fault(faults.wait.as_deref()).show(ui, &mut form.wait);
        save_when(&field, actions);
    };
    pair(ui, &mut filled, commands, wait);
    let (form, actions) = filled;
    connect(ui, form, faults, actions);
    let field = Field::new("Ask before sending").hint("e.g. shut_down");
    let field = field.help("Commands that must not run by accident, separated by commas.");
    let field = field.fault(faults.confirm.as_deref());
    let can_write = form.can_write_commands();
    let field = ui.add_enabled_ui(can_write, |ui| field.show(ui, &mut form.confirm));
    save_when(&field.inner, actions);
}

/// The command line that connects, for a host with a door.
fn connect(ui: &mut Ui, form: &mut HostForm, faults: &HostFaults, actions: &mut Actions) {
    if form.doors.is_empty() {
        return;
    }
    let help = match &form.usual_connect {
        Some(usual) => format!("“Connect” copies it. If this is empty, it copies “{usual}”."),
        None => "“Connect” copies it.".to_owned(),
    };
    let field = Field::new("Command that connects").hint("e.g. ssh me@host.example").help(&help);
    let field = field.fault(faults.connect.as_deref()).show(ui, &mut form.connect);
    save_when(&field, actions);
}

fn more(ui: &mut Ui, form: &mut HostForm, faults: &HostFaults, actions: &mut Actions) {
    let field = Field::new("Run commands for another address")
        .hint("e.g. 198.51.100.7")
        .help("The host rejects the knock if it comes from any other address.")
        .fault(faults.ip.as_deref())
        .show(ui, &mut form.ip);
    save_when(&field, actions);
    into_view(ui.checkbox(&mut form.permissive, "The knock may come from another address"));
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = TIGHT;
        ui.label(RichText::new("Addresses of the host").strong());
        row(ui, |ui| {
            for (family, text) in [
                (Family::Any, "As the system prefers"),
                (Family::V4, "IPv4 only"),
                (Family::V6, "IPv6 only"),
            ] {
                into_view(ui.radio_value(&mut form.family, family, text));
            }
        });
    });
    into_view(ui.checkbox(&mut form.all_addresses, "Knock at every address of the host"));
    quiet(ui, "The command then runs once for each address that the knock reaches.");
}

fn end(ui: &mut Ui, form: &HostForm, faults: &HostFaults, actions: &mut Actions) {
    ui.add_space(NEAR);
    if *faults != HostFaults::default() {
        toned_line(ui, Tone::Bad, "Not saved. Correct the fields that are marked above.");
    }
    row(ui, |ui| {
        let text = if form.saving.is_some() { "Saving…" } else { "Save" };
        let save = named_button(ui, Rank::First, Some(Icon::Good), text, "Save");
        if save.on_hover_text(with_keys(ui.ctx(), "Save", &shortcuts::SAVE)).clicked() {
            actions.push(Action::SaveHost);
        }
        if button(ui, Rank::Other, None, "Cancel").on_hover_text("Cancel (Escape)").clicked() {
            actions.push(Action::Back);
        }
        if let Some(name) = &form.original {
            let remove = format!("Remove {name}");
            let remove = button(ui, Rank::Danger, Some(Icon::Delete), &remove);
            if remove.on_hover_text("You can undo this. The key is kept").clicked() {
                actions.push(Action::RemoveHost(name.clone()));
            }
        }
    });
}
