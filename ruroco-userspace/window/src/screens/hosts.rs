//! The hosts, each with its commands and the result of the last knock.

use std::{mem, time::SystemTime};

use eframe::egui::{Align, Label, Layout, RichText, Ui};
use ruroco_client::profiles::Host;
use ruroco_invite::door::{Door, in_words};
use ruroco_keys::{command_name::DEFAULT_COMMAND, name::Name};

use super::{Actions, doors, offers};
use crate::{
    action::Action,
    icons::Icon,
    knocking::{Ended, Knocking, State, Trouble},
    model::Model,
    search::Search,
    shortcuts::{self, with_keys},
    style::{ICON, NEAR, Palette, TIGHT, Tone},
    widgets::{
        Field, Rank, button, card, heading, icon_button, message, name, named_button, nothing_here,
        progress, quiet, row, toned_line,
    },
};

pub(super) fn show(ui: &mut Ui, model: &Model, search: &mut Search, actions: &mut Actions) {
    if model.hosts.is_empty() {
        return if model.faults.is_empty() {
            nothing_yet(ui, actions)
        };
    }
    heading(ui, "Hosts", |ui| add_buttons(ui, actions));
    if search.is_shown(model.hosts.iter().count()) {
        search_field(ui, search);
    }
    let mut found = false;
    for (name, host) in model.hosts.iter().filter(|(name, host)| search.finds(name, host)) {
        found = true;
        // So that what a host's controls are called does not depend on the other hosts.
        ui.push_id(name.as_str(), |ui| one(ui, model, name, host, actions));
    }
    if !found {
        nothing_found(ui, search, actions);
    }
}

fn search_field(ui: &mut Ui, search: &mut Search) {
    let field = Field::new("Search hosts").hint("Name, address or command");
    let field = field.show(ui, &mut search.text);
    if mem::take(&mut search.wants_focus) {
        field.request_focus();
    }
    ui.add_space(TIGHT);
}

fn nothing_found(ui: &mut Ui, search: &Search, actions: &mut Actions) {
    ui.add(Label::new(format!("No host matches “{}”.", search.text.trim())).wrap());
    if button(ui, Rank::Other, Some(Icon::Close), "Show all hosts").clicked() {
        actions.push(Action::EndSearch);
    }
}

fn nothing_yet(ui: &mut Ui, actions: &mut Actions) {
    let text = "The operator of a host gives you an invitation, which is a line of text or a QR code. It \
                contains the address and the key.";
    nothing_here(ui, Icon::Hosts, "No host yet", text, |ui| {
        let import = button(ui, Rank::First, Some(Icon::Import), "Add from an invitation");
        let import =
            import.on_hover_text(with_keys(ui.ctx(), "Add from an invitation", &shortcuts::IMPORT));
        if import.clicked() {
            actions.push(Action::ShowImport);
        }
        let new = button(ui, Rank::Quiet, Some(Icon::Add), "Add a host by hand");
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

fn one(ui: &mut Ui, model: &Model, host_name: &Name, host: &Host, actions: &mut Actions) {
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
        let knocking = model.knockings.get(host_name);
        if let Some(trouble) = model.troubles.get(host_name) {
            cannot_knock(ui, host_name, trouble, knocking.is_none(), actions);
        }
        commands(ui, host_name, host, actions);
        if let Some(knocking) = knocking {
            ui.add_space(TIGHT);
            last_knock(ui, model.now, (host_name, host), knocking, actions);
        }
    });
}

/// Shows why a knock would fail. The result of a knock offers the same actions.
fn cannot_knock(
    ui: &mut Ui,
    host: &Name,
    trouble: &Trouble,
    with_offers: bool,
    actions: &mut Actions,
) {
    toned_line(ui, Tone::Bad, &format!("Cannot knock at {host}: {}", trouble.text));
    if with_offers {
        offers(ui, &trouble.offers, actions);
    }
    ui.add_space(TIGHT);
}

/// The address of a host, and the ports that open.
fn facts(ui: &mut Ui, host: &Host) {
    let mut facts = host.address.to_string();
    for (name, Door { port, duration, .. }) in &host.doors {
        facts.push_str(&format!("  ·  opens {name} ({port}) for {}", in_words(*duration)));
    }
    if let Some(port) = host.wait.filter(|_| host.doors.is_empty()) {
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
            // As usual for a button that asks something first.
            let text = format!("{text}{}", if host.needs_confirmation(command) { "…" } else { "" });
            let name = format!("Knock at {host_name}: {command}");
            let button = named_button(ui, rank, icon, &text, &name);
            let tooltip = if host.needs_confirmation(command) {
                format!("Send {command} to {host_name}, after a confirmation")
            } else {
                format!("Send {command} to {host_name}")
            };
            if button.on_hover_text(tooltip).clicked() {
                actions.push(Action::Knock(host_name.clone(), command.to_owned()));
            }
        }
        doors::connect(ui, host_name, host, actions);
    });
}

fn last_knock(
    ui: &mut Ui,
    now: SystemTime,
    (host, at): (&Name, &Host),
    knocking: &Knocking,
    actions: &mut Actions,
) {
    match &knocking.state {
        State::Ended(ended) => over(ui, now, (host, at), knocking, ended, actions),
        state @ (State::LookingUp | State::Sent(_) | State::Waiting { .. }) => {
            message(ui, Tone::Information, None, &state.words(), None, |ui| {
                quiet(ui, &format!("Command: {}", knocking.command));
                if let Some(fraction) = state.fraction() {
                    progress(ui, fraction, Tone::Information);
                }
                let name = format!("Stop knocking at {host}");
                if named_button(ui, Rank::Other, Some(Icon::Close), "Stop", &name).clicked() {
                    actions.push(Action::StopKnock(host.clone()));
                }
            });
        }
    }
}

fn over(
    ui: &mut Ui,
    now: SystemTime,
    (host, at): (&Name, &Host),
    knocking: &Knocking,
    ended: &Ended,
    actions: &mut Actions,
) {
    let away = format!("Dismiss the result for {host}");
    let (tone, title) = ended.headline(now);
    if message(ui, tone, Some(ended.icon), &title, Some(&away), |ui| {
        ui.add(Label::new(&ended.text).wrap());
        doors::countdown(ui, now, (host, at), &knocking.command, &ended.leases, actions);
        if !ended.advice.is_empty() {
            advice(ui, &ended.advice);
        }
        if !ended.offers.is_empty() {
            offers(ui, &ended.offers, actions);
        }
        if matches!(tone, Tone::Bad | Tone::Past) {
            let name = format!("Knock again at {host}");
            let again = named_button(ui, Rank::Other, Some(Icon::Knock), "Knock again", &name);
            if again.clicked() {
                actions.push(Action::Knock(host.clone(), knocking.command.clone()));
            }
        }
    }) {
        actions.push(Action::DismissResult(host.clone()));
    }
}

fn advice(ui: &mut Ui, advice: &[String]) {
    ui.add_space(TIGHT);
    quiet(
        ui,
        "A host that rejects a knock does not reply. Check the following, the most likely cause first:",
    );
    for (place, one) in (1..).zip(advice) {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = NEAR;
            let number = RichText::new(format!("{place}.")).color(Palette::of(ui).quiet);
            ui.scope(|ui| {
                ui.set_min_width(ICON);
                ui.label(number);
            });
            ui.add(Label::new(one).wrap());
        });
    }
    ui.add_space(TIGHT);
}
