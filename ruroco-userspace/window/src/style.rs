//! The colours of both themes, distances, and text styles. No other module of the window defines a
//! colour or a size.

use std::sync::Arc;

use eframe::egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow,
    Stroke, Style, TextStyle, Theme, Ui, Vec2, Visuals,
    style::{Selection, WidgetVisuals, Widgets},
};

use super::{icons, missing_glyph};

/// Between parts of one thing.
pub(super) const TIGHT: f32 = 4.0;
/// Between things that belong together.
pub(super) const NEAR: f32 = 8.0;
/// Around and between groups.
pub(super) const ROOM: f32 = 16.0;
/// Around a screen.
pub(super) const WIDE: f32 = 24.0;

/// Height of what is clicked, in points; WCAG 2.2 asks for 24 at least (2.5.8).
pub(super) const CONTROL_HEIGHT: f32 = 34.0;
/// Side of an icon next to text.
pub(super) const ICON: f32 = 16.0;
/// Side of an icon that stands for a whole screen.
pub(super) const LARGE_ICON: f32 = 44.0;
/// Lines longer than this are hard to read.
pub(super) const CONTENT_WIDTH: f32 = 760.0;
/// Width of the navigation at the side.
pub(super) const NAVIGATION_WIDTH: f32 = 184.0;
/// If the window is narrower than this, the navigation moves to the bottom, and controls go below each other.
pub(super) const NARROW: f32 = 620.0;
/// If the window is narrower than this, the navigation at the bottom shows icons without words.
pub(super) const ICONS_ONLY: f32 = 300.0;
/// Thickness of the ring around what has the keyboard's focus.
const FOCUS: f32 = 2.0;
const ROUND: CornerRadius = CornerRadius::same(8);

/// Text in semi-bold: names of things.
pub(super) const NAME: &str = "name";
/// The font family of headings and names.
const SEMI_BOLD: &str = "semi-bold";

/// The text style of names of things.
pub(super) fn name_style() -> TextStyle {
    TextStyle::Name(NAME.into())
}

/// The colours of one theme.
#[derive(Debug)]
pub(super) struct Palette {
    /// Behind everything.
    pub(super) window: Color32,
    /// Behind the navigation.
    pub(super) navigation: Color32,
    /// Of cards and dialogs.
    pub(super) card: Color32,
    /// Around cards and fields.
    pub(super) border: Color32,
    /// Of fields.
    pub(super) field: Color32,
    /// Of buttons that are not the first choice.
    pub(super) button: Color32,
    /// The same under the pointer.
    pub(super) button_hovered: Color32,
    pub(super) text: Color32,
    /// Of what can be overlooked.
    pub(super) quiet: Color32,
    /// Of the first choice.
    pub(super) accent: Color32,
    /// The same under the pointer.
    pub(super) accent_hovered: Color32,
    /// Text on it.
    pub(super) on_accent: Color32,
    /// The ring around what has the focus, and what is chosen in the navigation.
    pub(super) focus: Color32,
    /// Behind what is chosen.
    pub(super) chosen: Color32,
    good: Shades,
    bad: Shades,
    warning: Shades,
    information: Shades,
    past: Shades,
}

/// A colour with a meaning, for text and icons, and the ground on which it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shades {
    pub(super) text: Color32,
    pub(super) ground: Color32,
}

/// The meaning of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Warning,
    Information,
    /// Something that was true earlier and may no longer be.
    Past,
}

const fn shades(text: Color32, ground: Color32) -> Shades {
    Shades { text, ground }
}

const fn hex(rgb: u32) -> Color32 {
    let [_, r, g, b] = rgb.to_be_bytes();
    Color32::from_rgb(r, g, b)
}

const DARK: Palette = Palette {
    window: hex(0x15171c),
    navigation: hex(0x101216),
    card: hex(0x1d2027),
    border: hex(0x313640),
    field: hex(0x121418),
    button: hex(0x2a2f39),
    button_hovered: hex(0x353b47),
    text: hex(0xe8eaee),
    quiet: hex(0xa0a8b5),
    accent: hex(0x3f66e4),
    accent_hovered: hex(0x3659d4),
    on_accent: hex(0xffffff),
    focus: hex(0x8faaff),
    chosen: hex(0x232b44),
    good: shades(hex(0x4cc38a), hex(0x122a20)),
    bad: shades(hex(0xff8f92), hex(0x381c1f)),
    warning: shades(hex(0xf5b13d), hex(0x332711)),
    information: shades(hex(0x8fb4ff), hex(0x1a2540)),
    past: shades(hex(0xa0a8b5), hex(0x262a32)),
};

const LIGHT: Palette = Palette {
    window: hex(0xf5f6f8),
    navigation: hex(0xeaecf1),
    card: hex(0xffffff),
    border: hex(0xd5d9e1),
    field: hex(0xffffff),
    button: hex(0xebedf2),
    button_hovered: hex(0xdee2ea),
    text: hex(0x1a1e26),
    quiet: hex(0x565f6d),
    accent: hex(0x2f57d6),
    accent_hovered: hex(0x264abd),
    on_accent: hex(0xffffff),
    focus: hex(0x2f57d6),
    chosen: hex(0xd8e0fa),
    good: shades(hex(0x146c43), hex(0xe3f6ea)),
    bad: shades(hex(0xb42328), hex(0xfdebeb)),
    warning: shades(hex(0x854d00), hex(0xfff3da)),
    information: shades(hex(0x2748b4), hex(0xe7edfd)),
    past: shades(hex(0x565f6d), hex(0xeef0f4)),
};

impl Palette {
    /// The palette of the current theme.
    pub(super) fn of(ui: &Ui) -> &'static Self {
        Self::of_theme(if ui.visuals().dark_mode { Theme::Dark } else { Theme::Light })
    }

    pub(super) const fn of_theme(theme: Theme) -> &'static Self {
        match theme {
            Theme::Dark => &DARK,
            Theme::Light => &LIGHT,
        }
    }

    pub(super) const fn shades(&self, tone: Tone) -> Shades {
        match tone {
            Tone::Good => self.good,
            Tone::Bad => self.bad,
            Tone::Warning => self.warning,
            Tone::Information => self.information,
            Tone::Past => self.past,
        }
    }

    /// The visuals of a button with these colours, in every state.
    pub(super) fn button(&self, fill: Color32, hovered: Color32, text: Color32) -> Widgets {
        let of = |fill, ring| WidgetVisuals {
            bg_fill: fill,
            weak_bg_fill: fill,
            bg_stroke: ring,
            corner_radius: ROUND,
            fg_stroke: Stroke::new(1.0, text),
            expansion: 0.0,
        };
        Widgets {
            noninteractive: of(fill, Stroke::NONE),
            inactive: of(fill, Stroke::NONE),
            hovered: of(hovered, Stroke::NONE),
            // Also what has the focus.
            active: of(hovered, Stroke::new(FOCUS, self.ring(fill))),
            open: of(hovered, Stroke::NONE),
        }
    }

    /// A ring that contrasts with what it surrounds.
    fn ring(&self, around: Color32) -> Color32 {
        if around == self.accent { self.text } else { self.focus }
    }

    fn visuals(&self, theme: Theme) -> Visuals {
        let mut widgets = self.button(self.button, self.button_hovered, self.text);
        widgets.noninteractive.bg_stroke = Stroke::new(1.0, self.border);
        // Fields, whose ground is their own, are seen by their borders.
        widgets.inactive.bg_stroke = Stroke::new(1.0, self.border);
        widgets.hovered.bg_stroke = Stroke::new(1.0, self.quiet);
        Visuals {
            widgets,
            weak_text_color: Some(self.quiet),
            selection: Selection { bg_fill: self.chosen, stroke: Stroke::new(FOCUS, self.focus) },
            hyperlink_color: self.focus,
            faint_bg_color: self.button,
            extreme_bg_color: self.field,
            text_edit_bg_color: Some(self.field),
            code_bg_color: self.field,
            warn_fg_color: self.warning.text,
            error_fg_color: self.bad.text,
            window_fill: self.card,
            window_stroke: Stroke::new(1.0, self.border),
            window_corner_radius: ROUND,
            window_shadow: SHADOW,
            popup_shadow: SHADOW,
            menu_corner_radius: ROUND,
            panel_fill: self.window,
            ..theme.default_visuals()
        }
    }
}

const SHADOW: Shadow =
    Shadow { offset: [0, 8], blur: 24, spread: 0, color: Color32::from_black_alpha(60) };

/// Applies the style to this context.
pub fn install(context: &Context) {
    context.set_fonts(fonts());
    missing_glyph::install(context);
    for theme in [Theme::Dark, Theme::Light] {
        context.set_style_of(theme, style(theme));
    }
}

fn style(theme: Theme) -> Style {
    let mut style =
        Style { visuals: Palette::of_theme(theme).visuals(theme), ..theme.default_style() };
    let semi_bold = || FontFamily::Name(SEMI_BOLD.into());
    style.text_styles = [
        (TextStyle::Small, FontId::new(12.0, FontFamily::Proportional)),
        (TextStyle::Body, FontId::new(14.0, FontFamily::Proportional)),
        (TextStyle::Button, FontId::new(14.0, FontFamily::Proportional)),
        (TextStyle::Monospace, FontId::new(13.0, FontFamily::Monospace)),
        (name_style(), FontId::new(15.0, semi_bold())),
        (TextStyle::Heading, FontId::new(22.0, semi_bold())),
    ]
    .into();
    let spacing = &mut style.spacing;
    spacing.item_spacing = Vec2::splat(NEAR);
    spacing.button_padding = Vec2::new(14.0, 7.0);
    spacing.interact_size = Vec2::splat(CONTROL_HEIGHT);
    spacing.icon_width = 18.0;
    spacing.icon_width_inner = 10.0;
    spacing.icon_spacing = NEAR;
    spacing.menu_margin = Margin::same(6);
    spacing.tooltip_width = 360.0;
    style.interaction.tooltip_delay = 0.4;
    style
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let mut add = |name: &str, bytes: &'static [u8]| {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    };
    add("inter", include_bytes!("fonts/Inter-Regular.otf"));
    add("inter-semi-bold", include_bytes!("fonts/Inter-SemiBold.otf"));
    add(icons::FAMILY, include_bytes!("fonts/icons.ttf"));
    // Ours first; egui's own know the characters that ours do not.
    let others = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let with = |first: &str| [vec![first.to_owned()], others.clone()].concat();
    for (family, members) in [
        (FontFamily::Proportional, with("inter")),
        (FontFamily::Name(SEMI_BOLD.into()), with("inter-semi-bold")),
        (FontFamily::Name(icons::FAMILY.into()), vec![icons::FAMILY.to_owned()]),
    ] {
        fonts.families.insert(family, members);
    }
    fonts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2).
    fn luminance(color: Color32) -> f64 {
        let part = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(color.r()) + 0.7152 * part(color.g()) + 0.0722 * part(color.b())
    }

    fn contrast(one: Color32, other: Color32) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_text_can_be_read_on_what_is_behind_it() {
        for theme in [Theme::Dark, Theme::Light] {
            let p = Palette::of_theme(theme);
            let mut pairs = vec![(p.on_accent, p.accent), (p.on_accent, p.accent_hovered)];
            let grounds = [p.window, p.navigation, p.card, p.field];
            pairs.extend(grounds.iter().flat_map(|ground| [(p.text, *ground), (p.quiet, *ground)]));
            pairs.extend([p.button, p.button_hovered, p.chosen].map(|ground| (p.text, ground)));
            for tone in [Tone::Good, Tone::Bad, Tone::Warning, Tone::Information, Tone::Past] {
                let shades = p.shades(tone);
                pairs.extend([p.card, p.window, shades.ground].map(|g| (shades.text, g)));
                pairs.push((p.text, shades.ground));
                pairs.push((p.quiet, shades.ground));
            }
            for (text, ground) in pairs {
                let contrast = contrast(text, ground);
                assert!(contrast >= 4.5, "{theme:?}: {text:?} on {ground:?} is {contrast:.2}");
            }
            for around in [p.accent, p.button, p.card, p.window] {
                let contrast = contrast(p.ring(around), p.card);
                assert!(contrast >= 3.0, "{theme:?}: the ring around {around:?} is {contrast:.2}");
            }
        }
    }

    #[test]
    fn every_icon_is_in_the_font() {
        let source = include_str!("icons.rs");
        let points = source.split("'\\u{").skip(1).filter_map(|rest| rest.split('}').next());
        let points: Vec<u32> = points.map(|hex| u32::from_str_radix(hex, 16).unwrap()).collect();
        assert!(points.len() > 20);
        let context = Context::default();
        install(&context);
        let mut output = context.run_ui(Default::default(), |ui| {
            for icon in points.iter().map(|point| char::from_u32(*point).unwrap()) {
                let font = icons::Icon::font(16.0);
                let known = ui.fonts_mut(|fonts| fonts.has_glyph(&font, icon));
                assert!(known, "{icon:?} is not in fonts/icons.ttf; see fonts/README.md");
            }
        });
        output.textures_delta.clear();
    }
}
