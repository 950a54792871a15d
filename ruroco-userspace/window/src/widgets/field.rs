//! Text fields.

use eframe::egui::{
    Margin, Response, RichText, Stroke, TextEdit, Ui, accesskit::Invalid, text_edit::TextEditState,
};
use ruroco_invite::invitation::MAX_SOURCE_SIZE;

use super::{icon_button, into_view, quiet, toned_line};
use crate::{
    icons::Icon,
    secret_field::SecretField,
    style::{CONTROL_HEIGHT, NEAR, Palette, TIGHT, Tone},
};

/// A text field with its name above, and a help text or an error below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    label: &'a str,
    hint: &'a str,
    help: &'a str,
    fault: Option<&'a str>,
    secrecy: Secrecy,
}

/// Whether the text is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secrecy {
    /// The text is not secret.
    None,
    /// A secret whose characters are not shown.
    Masked,
    /// A secret that the user has asked to see.
    Revealed,
}

/// Whether the user has pressed Enter in a field, which activates the first button. The focus stays in
/// the field, because the user may have to correct it.
pub(crate) fn confirmed(field: &Response) -> bool {
    let confirmed =
        field.lost_focus() && field.ctx.input(|input| input.key_pressed(eframe::egui::Key::Enter));
    if confirmed {
        field.request_focus();
    }
    confirmed
}

impl<'a> Field<'a> {
    pub(crate) const fn new(label: &'a str) -> Self {
        Self { label, hint: "", help: "", fault: None, secrecy: Secrecy::None }
    }

    /// What an empty field shows; it must not look like a value.
    pub(crate) const fn hint(self, hint: &'a str) -> Self {
        Self { hint, ..self }
    }

    pub(crate) const fn help(self, help: &'a str) -> Self {
        Self { help, ..self }
    }

    pub(crate) const fn fault(self, fault: Option<&'a str>) -> Self {
        Self { fault, ..self }
    }

    pub(crate) fn show(self, ui: &mut Ui, text: &mut String) -> Response {
        self.framed(ui, |ui| self.edit(ui, text))
    }

    /// The same for a secret, which is shown only on request.
    pub(crate) fn show_secret(self, ui: &mut Ui, secret: &mut SecretField) -> Response {
        let is_waiting = secret.is_waiting();
        let SecretField { text, is_shown, .. } = secret;
        let secrecy = if *is_shown { Secrecy::Revealed } else { Secrecy::Masked };
        let field = Self { secrecy, ..self };
        let response = field.framed(ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = TIGHT;
                let room = (ui.available_width() - CONTROL_HEIGHT - NEAR).max(0.0);
                let edit = ui.vertical(|ui| {
                    ui.set_max_width(room);
                    field.edit(ui, text)
                });
                let (icon, verb) = match secrecy {
                    Secrecy::Revealed => (Icon::Hidden, "Hide"),
                    Secrecy::None | Secrecy::Masked => (Icon::Shown, "Show"),
                };
                let name = format!("{verb} the {}", field.label.to_lowercase());
                if icon_button(ui, icon, &name).clicked() {
                    *is_shown = !*is_shown;
                }
                edit.inner
            })
            .inner
        });
        if is_waiting {
            quiet(ui, "Reading the file…");
        }
        response
    }

    fn edit(self, ui: &mut Ui, text: &mut String) -> Response {
        ui.scope(|ui| {
            let palette = Palette::of(ui);
            if self.fault.is_some() {
                let wrong = Stroke::new(1.0, palette.shades(Tone::Bad).text);
                ui.visuals_mut().widgets.inactive.bg_stroke = wrong;
            }
            let hint = RichText::new(self.hint).color(palette.quiet).italics();
            let edit = TextEdit::singleline(text).hint_text(hint).margin(Margin::symmetric(10, 8));
            let edit = match self.secrecy {
                Secrecy::None => edit,
                // One more than is accepted: so a text that is too long is reported, and not cut.
                Secrecy::Masked | Secrecy::Revealed => {
                    edit.char_limit(MAX_SOURCE_SIZE.saturating_add(1))
                }
            };
            let edit = edit.password(self.secrecy == Secrecy::Masked);
            ui.add(edit.desired_width(f32::INFINITY))
        })
        .inner
    }

    /// Adds name, help and fault around what `edit` adds.
    fn framed(self, ui: &mut Ui, edit: impl FnOnce(&mut Ui) -> Response) -> Response {
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = TIGHT;
            let label = ui.label(RichText::new(self.label).strong());
            let edit = into_view(edit(ui).labelled_by(label.id));
            if self.secrecy != Secrecy::None && edit.lost_focus() {
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
