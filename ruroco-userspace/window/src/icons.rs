//! The icons, named after their meaning. They are painted and never part of a text, so a screen reader
//! does not try to read them.

use eframe::egui::{Align2, Color32, FontFamily, FontId, Sense, Ui, Vec2};

/// The font family that contains them.
pub(super) const FAMILY: &str = "icons";

/// One of Lucide's icons, cut into `fonts/icons.ttf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Icon {
    Add,
    Back,
    Cancelled,
    Close,
    Copy,
    Dark,
    Delete,
    Door,
    Edit,
    Expand,
    Export,
    Fault,
    Fold,
    Folder,
    Good,
    Hidden,
    History,
    Hosts,
    Import,
    Information,
    Key,
    Knock,
    Light,
    Qr,
    Shown,
    System,
    Undo,
    Warning,
}

impl Icon {
    /// Lucide's code point.
    pub(super) const fn character(self) -> char {
        match self {
            Self::Add => '\u{e13d}',
            Self::Back => '\u{e048}',
            Self::Cancelled => '\u{e051}',
            Self::Close => '\u{e1b2}',
            Self::Copy => '\u{e09e}',
            Self::Dark => '\u{e11e}',
            Self::Delete => '\u{e18e}',
            Self::Door => '\u{e3d6}',
            Self::Edit => '\u{e1f9}',
            Self::Expand => '\u{e06f}',
            Self::Export => '\u{e19e}',
            Self::Fault => '\u{e084}',
            Self::Fold => '\u{e06d}',
            Self::Folder => '\u{e247}',
            Self::Good => '\u{e226}',
            Self::Hidden => '\u{e0bb}',
            Self::History => '\u{e1f5}',
            Self::Hosts => '\u{e153}',
            Self::Import => '\u{e22f}',
            Self::Information => '\u{e0f9}',
            Self::Key => '\u{e4a3}',
            Self::Knock => '\u{e152}',
            Self::Light => '\u{e178}',
            Self::Qr => '\u{e1df}',
            Self::Shown => '\u{e0ba}',
            Self::System => '\u{e2b2}',
            Self::Undo => '\u{e2a1}',
            Self::Warning => '\u{e193}',
        }
    }

    /// Its font at this size in points.
    pub(super) fn font(size: f32) -> FontId {
        FontId::new(size, FontFamily::Name(FAMILY.into()))
    }

    /// Paints it in a square of this size.
    pub(super) fn paint(self, ui: &mut Ui, size: f32, color: Color32) {
        let (rect, _) = ui.allocate_exact_size(Vec2::splat(size), Sense::hover());
        let (at, font) = (rect.center(), Self::font(size));
        ui.painter().text(at, Align2::CENTER_CENTER, self.character(), font, color);
    }
}
