//! The list of keys without their secrets: their names, the hosts that use them, and errors.

use eframe::egui::{Align, Label, Layout, RichText, Ui};
use ruroco_client::key_store::Place;

use super::Actions;
use crate::{
    action::Action,
    icons::Icon,
    keys::KeyRow,
    model::Model,
    notice::sentence,
    shortcuts::{self, with_keys},
    style::{Palette, TIGHT, Tone},
    widgets::{Rank, button, card, heading, icon_button, name, nothing_here, row, toned_line},
};

pub(super) fn show(ui: &mut Ui, model: &Model, actions: &mut Actions) {
    if model.keys.is_empty() {
        let text = "A host recognises you by your key. An invitation contains a key. You can also make one \
                    here and copy it to the host.";
        return nothing_here(ui, Icon::Key, "No keys yet", text, |ui| {
            if button(ui, Rank::First, Some(Icon::Add), "Make a key").clicked() {
                actions.push(Action::AskNewKey);
            }
            if button(ui, Rank::Quiet, Some(Icon::Import), "Import a key").clicked() {
                actions.push(Action::AskImportKey);
            }
        });
    }
    heading(ui, "Keys", |ui| {
        let new = button(ui, Rank::Other, Some(Icon::Add), "Make a key");
        if new.on_hover_text(with_keys(ui.ctx(), "Make a key", &shortcuts::NEW)).clicked() {
            actions.push(Action::AskNewKey);
        }
        let import = button(ui, Rank::Other, Some(Icon::Import), "Import a key");
        if import.on_hover_text(with_keys(ui.ctx(), "Import a key", &shortcuts::IMPORT)).clicked() {
            actions.push(Action::AskImportKey);
        }
    });
    for key in &model.keys {
        ui.push_id(key.name.as_str(), |ui| one(ui, model, key, actions));
    }
}

fn one(ui: &mut Ui, model: &Model, key: &KeyRow, actions: &mut Actions) {
    card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let label = format!("Delete the key {}", key.name);
                if icon_button(ui, Icon::Delete, &label).clicked() {
                    actions.push(Action::AskRemoveKey(key.name.clone()));
                }
                if key.facts.is_ok() {
                    let label = format!("Export the key {} to a file", key.name);
                    if icon_button(ui, Icon::Export, &label).clicked() {
                        actions.push(Action::ExportKey(key.name.clone()));
                    }
                    let label = format!("Show the key {}", key.name);
                    if icon_button(ui, Icon::Shown, &label).clicked() {
                        actions.push(Action::ShowKey(key.name.clone()));
                    }
                }
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    name(ui, key.name.as_str());
                    let users: Vec<&str> = model.users_of(&key.name).collect();
                    let used = match users.as_slice() {
                        [] => "Not used by any host".to_owned(),
                        users => format!("For {}", users.join(", ")),
                    };
                    let facts = match &key.facts {
                        Ok(facts) => format!("{used}  ·  id {}  ·  {}", facts.id, facts.cipher()),
                        Err(_) => used,
                    };
                    let facts = match key.place {
                        Place::File => facts,
                        Place::Keyring => format!("{facts}  ·  in the keyring"),
                    };
                    let text = RichText::new(facts).color(Palette::of(ui).quiet).size(13.0);
                    ui.add(Label::new(text).truncate());
                });
            });
        });
        if let Err(fault) = &key.facts {
            ui.add_space(TIGHT);
            toned_line(ui, Tone::Bad, &sentence(fault));
            row(ui, |ui| {
                if button(ui, Rank::Other, Some(Icon::Folder), "Open the folder").clicked() {
                    actions.push(Action::OpenFolder);
                }
            });
        }
    });
}
