//! The hosts, each with its commands and with what came of the last knock.

use eframe::egui::{Align, Label, Layout, RichText, Ui};

use super::{Actions, offers};
use crate::{
    client::profiles::Host,
    command_name::DEFAULT_COMMAND,
    name::Name,
    window::{
        action::Action,
        icons::Icon,
        knocking::{Ended, Knocking, State},
        model::Model,
        shortcuts::{self, with_keys},
        style::{ICON, NEAR, Palette, TIGHT, Tone},
        widgets::{
            Rank, button, card, heading, icon_button, name, named_button, nothing_here, progress,
            quiet, row, told,
        },
    },
};

pub(super) fn show(ui: &mut Ui, model: &Model, actions: &mut Actions) {
    if model.hosts.is_empty() {
        return if model.faults.is_empty() {
            nothing_yet(ui, actions)
        };
    }
    heading(ui, "Hosts", |ui| add_buttons(ui, actions));
    for (name, host) in model.hosts.iter() {
        // So that what a host's controls are called does not depend on the other hosts.
        ui.push_id(name.as_str(), |ui| one(ui, name, host, model.knockings.get(name), actions));
    }
}

fn nothing_yet(ui: &mut Ui, actions: &mut Actions) {
    let text = "Whoever runs a host gives you an invitation: a line of text or a QR code. It brings \
                the address and the key with it.";
    nothing_here(ui, Icon::Hosts, "No host yet", text, |ui| {
        let import = button(ui, Rank::First, Some(Icon::Import), "Add from an invitation");
        let import =
            import.on_hover_text(with_keys(ui.ctx(), "Add from an invitation", &shortcuts::IMPORT));
        if import.clicked() {
            actions.push(Action::ShowImport);
        }
        let new = button(ui, Rank::Quiet, Some(Icon::Add), "Describe a host yourself");
        if new.on_hover_text(with_keys(ui.ctx(), "Add a host", &shortcuts::NEW)).clicked() {
            actions.push(Action::NewHost);
        }
    });
}

fn add_buttons(ui: &mut Ui, actions: &mut Actions) {
    let new = button(ui, Rank::Other, Some(Icon::Add), "Add a host");
    if new.on_hover_text(with_keys(ui.ctx(), "Add a host", &shortcuts::NEW)).clicked() {
        actions.push(Action::NewHost);
    }
    let import = button(ui, Rank::Other, Some(Icon::Import), "From an invitation");
    let tooltip = with_keys(ui.ctx(), "Add a host from an invitation", &shortcuts::IMPORT);
    if import.on_hover_text(tooltip).clicked() {
        actions.push(Action::ShowImport);
    }
}

fn one(
    ui: &mut Ui,
    host_name: &Name,
    host: &Host,
    knocking: Option<&Knocking>,
    actions: &mut Actions,
) {
    card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if icon_button(ui, Icon::Edit, &format!("Edit {host_name}")).clicked() {
                    actions.push(Action::EditHost(host_name.clone()));
                }
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    name(ui, host_name.as_str());
                    facts(ui, host);
                });
            });
        });
        ui.add_space(TIGHT);
        commands(ui, host_name, host, actions);
        if let Some(knocking) = knocking {
            ui.add_space(TIGHT);
            last_knock(ui, host_name, knocking, actions);
        }
    });
}

/// Where it is, and what opens.
fn facts(ui: &mut Ui, host: &Host) {
    let mut facts = host.address.to_string();
    if let Some(port) = host.wait {
        facts.push_str(&format!("  ·  opens port {port}"));
    }
    let text = RichText::new(facts).color(Palette::of(ui).quiet).size(13.0);
    ui.add(Label::new(text).truncate());
}

fn commands(ui: &mut Ui, host_name: &Name, host: &Host, actions: &mut Actions) {
    row(ui, |ui| {
        for (place, command) in host.all_commands().enumerate() {
            let (rank, icon) =
                if place == 0 { (Rank::First, Some(Icon::Knock)) } else { (Rank::Other, None) };
            let text = if command == DEFAULT_COMMAND { "Knock" } else { command };
            let name = format!("Knock at {host_name}: {command}");
            let button = named_button(ui, rank, icon, text, &name);
            if button.on_hover_text(format!("Asks {host_name} for `{command}`")).clicked() {
                actions.push(Action::Knock(host_name.clone(), command.to_owned()));
            }
        }
    });
}

fn last_knock(ui: &mut Ui, host: &Name, knocking: &Knocking, actions: &mut Actions) {
    match &knocking.state {
        State::Ended(ended) => over(ui, host, knocking, ended, actions),
        state @ (State::LookingUp | State::Sent(_) | State::Waiting { .. }) => {
            told(ui, Tone::Information, None, &state.words(), None, |ui| {
                quiet(ui, &format!("Asked for `{}`.", knocking.command));
                if let Some(fraction) = state.fraction() {
                    progress(ui, fraction, Tone::Information);
                }
                let name = format!("Stop knocking at {host}");
                if named_button(ui, Rank::Other, Some(Icon::Close), "Stop", &name).clicked() {
                    actions.push(Action::Cancel(host.clone()));
                }
            });
        }
    }
}

fn over(ui: &mut Ui, host: &Name, knocking: &Knocking, ended: &Ended, actions: &mut Actions) {
    let away = format!("Put the result for {host} away");
    if told(ui, ended.tone, Some(ended.icon), &ended.title, Some(&away), |ui| {
        ui.add(Label::new(&ended.text).wrap());
        if !ended.advice.is_empty() {
            advice(ui, &ended.advice);
        }
        if !ended.offers.is_empty() {
            offers(ui, &ended.offers, actions);
        }
        if ended.tone == Tone::Bad {
            let name = format!("Knock again at {host}");
            let again = named_button(ui, Rank::Other, Some(Icon::Knock), "Knock again", &name);
            if again.clicked() {
                actions.push(Action::Knock(host.clone(), knocking.command.clone()));
            }
        }
    }) {
        actions.push(Action::PutAway(host.clone()));
    }
}

fn advice(ui: &mut Ui, advice: &[String]) {
    ui.add_space(TIGHT);
    quiet(ui, "A host that refuses a knock says nothing. Look at these:");
    for one in advice {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = NEAR;
            let color = Palette::of(ui).quiet;
            Icon::Expand.paint(ui, ICON, color);
            ui.add(Label::new(one).wrap());
        });
    }
    ui.add_space(TIGHT);
}
