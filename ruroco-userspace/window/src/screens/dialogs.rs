//! Dialogs, which the user must answer first.

use eframe::egui::{
    Color32, ColorImage, Frame, Label, Modal, RichText, ScrollArea, TextureHandle, TextureOptions,
    Ui, Vec2, accesskit,
};
use ruroco_invite::qr;

use super::Actions;
use crate::{
    action::{Action, Purpose},
    forms::KeyForm,
    icons::Icon,
    keys::Facts,
    model::{Code, Dialog, Model, ShownKey},
    style::{NEAR, Palette, TIGHT, Tone, name_style},
    widgets::{
        Field, Rank, button, confirmed, enter, id, is_heading, margin, quiet, row, toned_line,
    },
};

/// Widest dialog in points.
const WIDTH: f32 = 440.0;

/// The margin inside a dialog, in points.
const PADDING: f32 = 20.0;

/// Squares of light around a QR code (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

pub(super) fn show(ui: &Ui, model: &Model, dialog: &mut Dialog, actions: &mut Actions) {
    let frame = Frame::window(ui.style()).inner_margin(margin(PADDING));
    let window = ui.ctx().content_rect();
    let around = 2.0 * (PADDING + NEAR);
    let modal = Modal::new(id("dialog")).frame(frame).show(ui.ctx(), |ui| {
        ui.set_width((window.width() - around).min(WIDTH));
        ui.ctx().accesskit_node_builder(ui.unique_id(), |node| {
            node.set_role(accesskit::Role::Dialog);
            node.set_modal();
        });
        // A small window shows a part of a high dialog.
        let area = ScrollArea::vertical().max_height(window.height() - around);
        area.show(ui, |ui| match dialog {
            Dialog::MakeKey(form) => make_key(ui, model, form, actions),
            Dialog::ImportKey(form) => import_key(ui, model, form, actions),
            Dialog::Key(shown) => key(ui, shown, actions),
            Dialog::RemoveKey(_)
            | Dialog::Knock(..)
            | Dialog::ClearHistory
            | Dialog::DiscardForm(_) => question(ui, model, dialog, actions),
        });
    });
    // Escape is one of the shortcuts.
    if modal.backdrop_response.clicked() {
        actions.push(Action::Back);
    }
}

/// A question with two buttons.
struct Question {
    title: String,
    text: String,
    /// The answer yes, which cannot be undone.
    yes: (Icon, String, Action),
    no: &'static str,
}

impl Question {
    fn of(dialog: &Dialog, model: &Model) -> Option<Self> {
        Some(match dialog {
            Dialog::RemoveKey(name) => {
                let users: Vec<&str> = model.users_of(name).collect();
                let users = match users.as_slice() {
                    [] => String::new(),
                    users => {
                        format!(" You will no longer be able to knock at {}.", users.join(", "))
                    }
                };
                Self {
                    title: format!("Delete the key {name}?"),
                    text: format!("This deletes the key permanently.{users}"),
                    yes: (Icon::Delete, format!("Delete {name}"), Action::RemoveKey(name.clone())),
                    no: "Cancel",
                }
            }
            Dialog::Knock(host, command) => Self {
                title: format!("Send {command} to {host}?"),
                text: "This command requires a confirmation.".to_owned(),
                yes: (
                    Icon::Knock,
                    format!("Send {command}"),
                    Action::KnockConfirmed(host.clone(), command.clone()),
                ),
                no: "Cancel",
            },
            Dialog::ClearHistory => Self {
                title: "Clear the history?".to_owned(),
                text: "This deletes all entries permanently.".to_owned(),
                yes: (Icon::Delete, "Clear".to_owned(), Action::ClearHistory),
                no: "Cancel",
            },
            Dialog::DiscardForm(_) => Self {
                title: "Discard your changes?".to_owned(),
                text: String::new(),
                yes: (Icon::Delete, "Discard".to_owned(), Action::DiscardForm),
                no: "Keep editing",
            },
            Dialog::MakeKey(_) | Dialog::ImportKey(_) | Dialog::Key(_) => return None,
        })
    }
}

fn question(ui: &mut Ui, model: &Model, dialog: &Dialog, actions: &mut Actions) {
    let Some(Question { title: question, text, yes, no }) = Question::of(dialog, model) else {
        return;
    };
    title(ui, &question);
    if !text.is_empty() {
        ui.add(Label::new(text).wrap());
    }
    ui.add_space(NEAR);
    let (icon, yes, action) = yes;
    row(ui, |ui| {
        if button(ui, Rank::Danger, Some(icon), &yes).clicked() {
            actions.push(action);
        }
        if button(ui, Rank::Other, None, no).clicked() {
            actions.push(Action::Back);
        }
    });
}

fn title(ui: &mut Ui, text: &str) {
    let title = ui.add(Label::new(RichText::new(text).text_style(name_style()).size(17.0)).wrap());
    is_heading(ui, &title, text);
    ui.add_space(TIGHT);
}

fn make_key(ui: &mut Ui, model: &Model, form: &mut KeyForm, actions: &mut Actions) {
    title(ui, "Make a key");
    let fault = form.name(&model.keys).err().filter(|_| form.tried);
    let field = Field::new("Name")
        .hint("e.g. laptop")
        .help("Name the key after this computer: the host logs keys by name.")
        .fault(fault.as_deref());
    let field = field.show(ui, &mut form.name);
    enter(&mut form.entered, &field);
    if confirmed(&field) {
        actions.push(Action::MakeKey);
    }
    ui.add_space(NEAR);
    end(ui, "Make the key", Action::MakeKey, actions);
}

fn import_key(ui: &mut Ui, model: &Model, form: &mut KeyForm, actions: &mut Actions) {
    title(ui, "Import a key");
    let name = form.name(&model.keys).err().filter(|_| form.tried);
    let field =
        Field::new("Name").hint("e.g. laptop").fault(name.as_deref()).show(ui, &mut form.name);
    enter(&mut form.entered, &field);
    let by_name = confirmed(&field);
    ui.add_space(TIGHT);
    let key = form.key().err().filter(|_| form.tried);
    let field = Field::new("Key")
        .help("One line, which begins with the name of a cipher.")
        .fault(key.as_deref())
        .show_secret(ui, &mut form.secret);
    if by_name || confirmed(&field) {
        actions.push(Action::ImportKey);
    }
    if button(ui, Rank::Other, Some(Icon::Qr), "Choose a file").clicked() {
        actions.push(Action::ChooseFile(Purpose::Key));
    }
    quiet(ui, "A text file or a picture of the QR code. You can also drop it onto this window.");
    ui.add_space(NEAR);
    end(ui, "Import the key", Action::ImportKey, actions);
}

fn end(ui: &mut Ui, text: &str, action: Action, actions: &mut Actions) {
    row(ui, |ui| {
        if button(ui, Rank::First, Some(Icon::Good), text).clicked() {
            actions.push(action);
        }
        if button(ui, Rank::Other, None, "Cancel").on_hover_text("Cancel (Escape)").clicked() {
            actions.push(Action::Back);
        }
    });
}

fn key(ui: &mut Ui, shown: &mut ShownKey, actions: &mut Actions) {
    title(ui, &format!("Key {}", shown.name));
    let facts = Facts::from(shown.key.label());
    quiet(ui, &format!("id {}  ·  {}", facts.id, facts.cipher()));
    toned_line(
        ui,
        Tone::Warning,
        "Anyone with this key can knock. Make sure no one else can see your screen.",
    );
    ui.add_space(TIGHT);
    let palette = Palette::of(ui);
    let text = shown.key.to_text();
    let frame = Frame::new().fill(palette.field).corner_radius(8).inner_margin(margin(10.0));
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        let seen = if shown.text {
            text.as_str()
        } else {
            "••••••••••••••••••••••••••••••••"
        };
        ui.add(Label::new(RichText::new(seen).monospace()).wrap());
    });
    match &shown.code {
        Some(Ok(Code(texture))) => draw(ui, texture),
        Some(Err(error)) => toned_line(ui, Tone::Bad, error),
        None => {}
    }
    ui.add_space(NEAR);
    row(ui, |ui| {
        let (icon, text) = if shown.text {
            (Icon::Hidden, "Hide the text")
        } else {
            (Icon::Shown, "Show the text")
        };
        if button(ui, Rank::Other, Some(icon), text).clicked() {
            shown.text = !shown.text;
        }
        let text = if shown.code.is_some() { "Hide the QR code" } else { "Show the QR code" };
        if button(ui, Rank::Other, Some(Icon::Qr), text).clicked() {
            shown.code = match shown.code {
                Some(_) => None,
                None => Some(code(ui, &shown.key.to_text())),
            };
        }
        if button(ui, Rank::Other, Some(Icon::Copy), "Copy").clicked() {
            actions.push(Action::CopyKey);
        }
        if button(ui, Rank::First, None, "Done").clicked() {
            actions.push(Action::Back);
        }
    });
}

/// Dark on light in every theme, as QR readers expect.
fn code(ui: &Ui, text: &str) -> Result<Code, String> {
    let squares = qr::squares(text).map_err(|error| format!("Cannot show a QR code: {error}."))?;
    let around = QUIET_ZONE.saturating_mul(2);
    let side = squares.side.saturating_add(around);
    let mut picture = ColorImage::filled([side, side], Color32::WHITE);
    let rows = squares.dark.chunks(squares.side.max(1));
    let lines = picture.pixels.chunks_mut(side).skip(QUIET_ZONE);
    for (row, line) in rows.zip(lines) {
        for (dark, pixel) in row.iter().zip(line.iter_mut().skip(QUIET_ZONE)) {
            if *dark {
                *pixel = Color32::BLACK;
            }
        }
    }
    Ok(Code(ui.ctx().load_texture("qr", picture, TextureOptions::NEAREST)))
}

fn draw(ui: &mut Ui, texture: &TextureHandle) {
    let width = ui.available_width().min(260.0);
    ui.vertical_centered(|ui| {
        let image = eframe::egui::Image::new((texture.id(), Vec2::splat(width)))
            .alt_text("The key as a QR code");
        ui.add(image);
    });
}
