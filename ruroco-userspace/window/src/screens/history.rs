//! The history of knocks, the newest first, by day.

use eframe::egui::{Align, Label, Layout, RichText, Ui};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use ruroco_keys::name::Name;

use super::Actions;
use crate::{
    action::Action,
    history::{Entry, Result},
    icons::Icon,
    model::Model,
    notice::sentence,
    style::{CONTROL_HEIGHT, ICON, NARROW, NEAR, Palette, TIGHT, Tone},
    widgets::{Rank, button, card, heading, icon_button, nothing_here, quiet, text_lines},
};

pub(super) fn show(ui: &mut Ui, model: &Model, actions: &mut Actions) {
    if model.history.is_empty() {
        let text =
            "Each knock from this window is listed here with its time, host, command and result.";
        return nothing_here(ui, Icon::History, "No knocks yet", text, |_| {});
    }
    heading(ui, "History", |ui| {
        if button(ui, Rank::Quiet, Some(Icon::Delete), "Clear the history").clicked() {
            actions.push(Action::AskClearHistory);
        }
    });
    let entries: Vec<(&Entry, Zoned)> = model.history.iter().map(|e| (e, local(e))).collect();
    let today = Zoned::now().date();
    for day in entries.chunk_by(|(_, one), (_, other)| one.date() == other.date()) {
        let Some((_, time)) = day.first() else { continue };
        let title = if time.date() == today {
            "Today".to_owned()
        } else {
            time.strftime("%A, %-d %B %Y").to_string()
        };
        quiet(ui, &title);
        card(ui, |ui| {
            for (place, (entry, time)) in day.iter().enumerate() {
                if place > 0 {
                    ui.separator();
                }
                let again = again(model, entry);
                ui.horizontal_top(|ui| {
                    let room = again.as_ref().map_or(0.0, |_| CONTROL_HEIGHT + NEAR);
                    let width = (ui.available_width() - room).max(0.0);
                    ui.vertical(|ui| {
                        ui.set_width(width);
                        text_lines(ui, |ui| one(ui, entry, time));
                    });
                    if let Some(again) = again {
                        knock_again(ui, again, actions);
                    }
                });
            }
        });
        ui.add_space(TIGHT);
    }
}

/// The host and the command of an entry, if the host still has this command.
fn again(model: &Model, entry: &Entry) -> Option<(Name, String)> {
    let host = model.hosts.get(&entry.host)?;
    let name = entry.host.parse().ok()?;
    host.all_commands()
        .any(|command| command == entry.command)
        .then(|| (name, entry.command.clone()))
}

fn knock_again(ui: &mut Ui, (host, command): (Name, String), actions: &mut Actions) {
    let name = format!("Knock again at {host}: {command}");
    if icon_button(ui, Icon::Knock, &name).clicked() {
        actions.push(Action::Knock(host, command));
    }
}

fn local(entry: &Entry) -> Zoned {
    let time = Timestamp::try_from(entry.time()).unwrap_or_default();
    time.to_zoned(TimeZone::system())
}

fn one(ui: &mut Ui, entry: &Entry, time: &Zoned) {
    let palette = Palette::of(ui);
    let (tone, icon, words) = words(&entry.result);
    let color = tone.map_or(palette.quiet, |tone| palette.shades(tone).text);
    let clock = time.strftime("%H:%M:%S").to_string();
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = NEAR + TIGHT;
        icon.paint(ui, ICON + 2.0, color);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 3.0;
            let what = format!("{} at {}", entry.command, entry.host);
            if ui.available_width() < NARROW / 2.0 {
                ui.add(Label::new(what).truncate());
                quiet(ui, &clock);
            } else {
                ui.horizontal(|ui| {
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        ui.label(RichText::new(&clock).color(palette.quiet).size(13.0));
                        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                            ui.add(Label::new(what).truncate());
                        });
                    });
                });
            }
            let place = entry.address.as_deref().map(|to| format!("  ·  {to}")).unwrap_or_default();
            let text = RichText::new(format!("{words}{place}")).color(color).size(13.0);
            ui.add(Label::new(text).wrap());
        });
    });
}

/// The result of an entry. No tone if the result is unknown.
fn words(result: &Result) -> (Option<Tone>, Icon, String) {
    match result {
        Result::Sent => (None, Icon::Knock, "Sent".to_owned()),
        Result::Opened { port, milliseconds } => {
            (Some(Tone::Good), Icon::Door, format!("Port {port} opened after {milliseconds} ms"))
        }
        Result::WasOpen { port } => {
            (None, Icon::Door, format!("Port {port} was open before the knock"))
        }
        Result::NothingOpened { port } => {
            (Some(Tone::Bad), Icon::Fault, format!("Port {port} did not open"))
        }
        Result::Cancelled => (None, Icon::Cancelled, "Stopped".to_owned()),
        Result::NotSent { why } => {
            (Some(Tone::Bad), Icon::Fault, format!("Not sent. {}", sentence(why)))
        }
    }
}
