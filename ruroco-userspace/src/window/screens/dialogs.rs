//! What has to be answered first.

use eframe::egui::{
    Color32, ColorImage, Frame, Label, Modal, RichText, TextureHandle, TextureOptions, Ui, Vec2,
    accesskit,
};

use super::Actions;
use crate::{
    qr,
    window::{
        action::{Action, Purpose},
        forms::KeyForm,
        icons::Icon,
        keys::Facts,
        model::{Code, Dialog, Model, ShownKey},
        style::{NEAR, Palette, TIGHT, Tone, name_style},
        widgets::{Field, Rank, button, confirmed, enter, id, margin, quiet, row, toned_line},
    },
};

/// Widest dialog in points.
const WIDTH: f32 = 440.0;

/// Squares of light around a QR code (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

pub(super) fn show(ui: &Ui, model: &Model, dialog: &mut Dialog, actions: &mut Actions) {
    let frame = Frame::window(ui.style()).inner_margin(margin(20.0));
    let width = (ui.ctx().content_rect().width() - 64.0).min(WIDTH);
    let modal = Modal::new(id("dialog")).frame(frame).show(ui.ctx(), |ui| {
        ui.set_width(width);
        ui.ctx().accesskit_node_builder(ui.unique_id(), |node| {
            node.set_role(accesskit::Role::Dialog);
            node.set_modal();
        });
        match dialog {
            Dialog::MakeKey(form) => make_key(ui, model, form, actions),
            Dialog::ImportKey(form) => import_key(ui, model, form, actions),
            Dialog::Key(shown) => key(ui, shown, actions),
            Dialog::RemoveKey(name) => {
                let users: Vec<&str> = model.users_of(name).collect();
                let users = match users.as_slice() {
                    [] => String::new(),
                    users => format!(" You can no longer knock at {}.", users.join(", ")),
                };
                let text = format!("It cannot be had back, unless there is a copy of it.{users}");
                let sure = (format!("Remove the key {name}"), Action::RemoveKey(name.clone()));
                confirm(ui, &format!("Remove the key {name}?"), &text, sure, actions);
            }
            Dialog::Leave(_) => {
                let sure = ("Leave it".to_owned(), Action::Leave);
                let text = "What you have written here is not saved.";
                confirm(ui, "Leave this form?", text, sure, actions);
            }
            Dialog::ClearHistory => {
                let sure = ("Clear".to_owned(), Action::ClearHistory);
                let text = "All entries are gone then, also from the disk.";
                confirm(ui, "Clear the history?", text, sure, actions);
            }
        }
    });
    // Escape is one of the shortcuts.
    if modal.backdrop_response.clicked() {
        actions.push(Action::Back);
    }
}

fn title(ui: &mut Ui, text: &str) {
    let title = ui.add(Label::new(RichText::new(text).text_style(name_style()).size(17.0)).wrap());
    ui.ctx().accesskit_node_builder(title.id, |node| node.set_role(accesskit::Role::Heading));
    ui.add_space(TIGHT);
}

fn confirm(
    ui: &mut Ui,
    question: &str,
    text: &str,
    (sure, action): (String, Action),
    actions: &mut Actions,
) {
    title(ui, question);
    ui.add(Label::new(text).wrap());
    ui.add_space(NEAR);
    row(ui, |ui| {
        if button(ui, Rank::Danger, Some(Icon::Delete), &sure).clicked() {
            actions.push(action);
        }
        if button(ui, Rank::Other, None, "Cancel").clicked() {
            actions.push(Action::Back);
        }
    });
}

fn make_key(ui: &mut Ui, model: &Model, form: &mut KeyForm, actions: &mut Actions) {
    title(ui, "Make a key");
    let fault = form.name(&model.keys).err().filter(|_| form.tried);
    let field = Field::new("Name")
        .hint("laptop")
        .help("Give it the name of what it is kept on. The host logs keys by name.")
        .fault(fault.as_deref());
    let field = field.show(ui, &mut form.name);
    enter(&mut form.entered, &field);
    if confirmed(&field) {
        actions.push(Action::MakeKey);
    }
    ui.add_space(NEAR);
    end(ui, "Make it", Action::MakeKey, actions);
}

fn import_key(ui: &mut Ui, model: &Model, form: &mut KeyForm, actions: &mut Actions) {
    title(ui, "Import a key");
    let name = form.name(&model.keys).err().filter(|_| form.tried);
    let field = Field::new("Name").hint("laptop").fault(name.as_deref()).show(ui, &mut form.name);
    enter(&mut form.entered, &field);
    let by_name = confirmed(&field);
    ui.add_space(TIGHT);
    let key = form.key().err().filter(|_| form.tried);
    let field = Field::new("Key")
        .hint("chacha20poly1305:…")
        .help("One line of text.")
        .fault(key.as_deref())
        .secret(true)
        .show(ui, &mut form.text);
    if by_name || confirmed(&field) {
        actions.push(Action::ImportKey);
    }
    if button(ui, Rank::Other, Some(Icon::Qr), "Choose a file").clicked() {
        actions.push(Action::ChooseFile(Purpose::Key));
    }
    quiet(ui, "A text, or a picture of the QR code. It can be dropped onto this window, too.");
    ui.add_space(NEAR);
    end(ui, "Import it", Action::ImportKey, actions);
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
    title(ui, &format!("The key {}", shown.name));
    let facts = Facts::from(shown.key.label());
    quiet(ui, &format!("id {}  ·  {}", facts.id, facts.cipher()));
    toned_line(
        ui,
        Tone::Warning,
        "Who has it can knock. See that nobody looks over your shoulder.",
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

/// Dark on light in every theme: readers want it so.
fn code(ui: &Ui, text: &str) -> Result<Code, String> {
    let squares =
        qr::squares(text).map_err(|error| format!("There is no code for it: {error}."))?;
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
