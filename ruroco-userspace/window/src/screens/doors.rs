//! A host's doors: how long they stay open after a knock, and what the user can do in this time.

use std::time::SystemTime;

use eframe::egui::Ui;
use ruroco_client::{lease::Lease, profiles::Host};
use ruroco_keys::name::Name;

use super::Actions;
use crate::{
    action::Action,
    icons::Icon,
    leases,
    style::Tone,
    widgets::{Rank, named_button, progress, quiet, row},
};

/// The button that copies the command line which connects to a host.
pub(super) fn connect(ui: &mut Ui, host_name: &Name, host: &Host, actions: &mut Actions) {
    let (Some(line), Some(_)) = (host.connecting(), host.opening()) else { return };
    let name = format!("Connect to {host_name}");
    let button = named_button(ui, Rank::Other, Some(Icon::Copy), "Connect", &name);
    let tooltip = format!("Copy “{line}”. Unless the port is open, a knock is sent first");
    if button.on_hover_text(tooltip).clicked() {
        actions.push(Action::Connect(host_name.clone()));
    }
}

/// What is left of the leases that a knock for `command` has opened, and the buttons to renew and to end them.
pub(super) fn countdown(
    ui: &mut Ui,
    now: SystemTime,
    (host_name, host): (&Name, &Host),
    command: &str,
    all: &[Lease],
    actions: &mut Actions,
) {
    let mut has_any = false;
    for lease in leases::in_force(all, now) {
        has_any = true;
        let left = lease.left_in_words(now).unwrap_or_default();
        quiet(ui, &format!("{} ({}): {left} left", lease.door, lease.port));
        progress(ui, leases::fraction(lease, now), Tone::Good);
    }
    if !has_any {
        return;
    }
    row(ui, |ui| {
        let name = format!("Knock again at {host_name}");
        let again = named_button(ui, Rank::Other, Some(Icon::Knock), "Knock again", &name);
        if again.on_hover_text("Open the port for its full time again").clicked() {
            actions.push(Action::Knock(host_name.clone(), command.to_owned()));
        }
        let Some(closing) = host.closing(command) else { return };
        let name = format!("Close now at {host_name}");
        let close = named_button(ui, Rank::Other, Some(Icon::Close), "Close now", &name);
        let tooltip = format!("Send {closing} to {host_name}. Open connections continue");
        if close.on_hover_text(tooltip).clicked() {
            actions.push(Action::Knock(host_name.clone(), closing.to_owned()));
        }
    });
}
