//! A text that a person writes.

use eframe::egui::{
    Margin, Response, RichText, Stroke, TextEdit, Ui, accesskit::Invalid, text_edit::TextEditState,
};

use super::{into_view, quiet, toned_line};
use crate::window::style::{Palette, TIGHT, Tone};

/// A field with its name above, and beneath it what it is for, or what is wrong with it.
#[derive(Debug)]
pub(in crate::window) struct Field<'a> {
    pub(in crate::window) label: &'a str,
    pub(in crate::window) hint: &'a str,
    pub(in crate::window) help: &'a str,
    pub(in crate::window) fault: Option<&'a str>,
    pub(in crate::window) lines: usize,
    pub(in crate::window) secret: bool,
}

/// Whether Enter was pressed in a field of one line: it does what the first button does. The keyboard
/// stays there, for what may be wrong.
pub(in crate::window) fn confirmed(field: &Response) -> bool {
    let confirmed =
        field.lost_focus() && field.ctx.input(|input| input.key_pressed(eframe::egui::Key::Enter));
    if confirmed {
        field.request_focus();
    }
    confirmed
}

impl<'a> Field<'a> {
    pub(in crate::window) const fn new(label: &'a str) -> Self {
        Self { label, hint: "", help: "", fault: None, lines: 1, secret: false }
    }

    pub(in crate::window) const fn hint(self, hint: &'a str) -> Self {
        Self { hint, ..self }
    }

    pub(in crate::window) const fn help(self, help: &'a str) -> Self {
        Self { help, ..self }
    }

    pub(in crate::window) const fn fault(self, fault: Option<&'a str>) -> Self {
        Self { fault, ..self }
    }

    pub(in crate::window) const fn lines(self, lines: usize) -> Self {
        Self { lines, ..self }
    }

    pub(in crate::window) const fn secret(self, secret: bool) -> Self {
        Self { secret, ..self }
    }

    pub(in crate::window) fn show(&self, ui: &mut Ui, text: &mut String) -> Response {
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = TIGHT;
            let label = ui.label(RichText::new(self.label).strong());
            let palette = Palette::of(ui);
            let edit = ui.scope(|ui| {
                if self.fault.is_some() {
                    let wrong = Stroke::new(1.0, palette.shades(Tone::Bad).text);
                    ui.visuals_mut().widgets.inactive.bg_stroke = wrong;
                }
                let edit = match self.lines {
                    1 => TextEdit::singleline(text),
                    lines => TextEdit::multiline(text).desired_rows(lines),
                };
                let hint = RichText::new(self.hint).color(palette.quiet);
                let edit =
                    edit.password(self.secret).hint_text(hint).margin(Margin::symmetric(10, 8));
                ui.add(edit.desired_width(f32::INFINITY))
            });
            let edit = into_view(edit.inner.labelled_by(label.id));
            if self.secret && edit.lost_focus() {
                // It keeps earlier texts, to undo with.
                ui.data_mut(|data| data.remove::<TextEditState>(edit.id));
            }
            let described = self.fault.unwrap_or(self.help);
            ui.ctx().accesskit_node_builder(edit.id, |node| {
                if !described.is_empty() {
                    node.set_description(described);
                }
                if self.fault.is_some() {
                    node.set_invalid(Invalid::True);
                }
            });
            match self.fault {
                Some(fault) => toned_line(ui, Tone::Bad, fault),
                None if self.help.is_empty() => {}
                None => quiet(ui, self.help),
            }
            edit
        })
        .inner
    }
}
