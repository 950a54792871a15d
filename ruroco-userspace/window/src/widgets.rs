//! The controls of the screens. Every control has a name for a screen reader. When it gets the keyboard
//! focus, it shows a ring and scrolls into view.

mod field;

use std::mem;

use eframe::egui::{
    Align, Button, Color32, Frame, Id, InnerResponse, Label, Layout, Margin, Rect, Response,
    RichText, Role, ScrollArea, Sense, Spinner, Stroke, TextStyle, TextWrapMode, Ui, UiBuilder,
    Vec2, WidgetText, accesskit::Live, style::Widgets,
};

pub(super) use self::field::{Field, confirmed};
use super::{
    icons::Icon,
    style::{
        CONTENT_WIDTH, CONTROL_HEIGHT, ICON, LARGE_ICON, NARROW, NEAR, Palette, ROOM, TIGHT, Tone,
        WIDE, name_style,
    },
};

/// Widest text on a button in points.
const MAX_BUTTON_TEXT: f32 = 260.0;

/// The prominence of a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// The most likely choice; at most one in a group.
    First,
    /// Any other choice.
    Other,
    /// A rare choice, without a background.
    Quiet,
    /// A choice that cannot be undone.
    Danger,
}

impl Rank {
    fn widgets(self, palette: &Palette) -> Widgets {
        let bad = palette.shades(Tone::Bad);
        match self {
            Self::First => {
                palette.button(palette.accent, palette.accent_hovered, palette.on_accent)
            }
            Self::Other => palette.button(palette.button, palette.button_hovered, palette.text),
            Self::Quiet => palette.button(Color32::TRANSPARENT, palette.button, palette.text),
            Self::Danger => palette.button(bad.ground, palette.button_hovered, bad.text),
        }
    }

    fn text(self, palette: &Palette) -> Color32 {
        match self {
            Self::First => palette.on_accent,
            Self::Other => palette.text,
            Self::Quiet => palette.quiet,
            Self::Danger => palette.shades(Tone::Bad).text,
        }
    }
}

/// A button whose name is its text.
pub(super) fn button(ui: &mut Ui, rank: Rank, icon: Option<Icon>, text: &str) -> Response {
    named_button(ui, rank, icon, text, text)
}

/// A button whose name for screen readers is longer than its text.
pub(super) fn named_button(
    ui: &mut Ui,
    rank: Rank,
    icon: Option<Icon>,
    text: &str,
    name: &str,
) -> Response {
    let palette = Palette::of(ui);
    let color = rank.text(palette);
    let text = shortened(ui, RichText::new(text).color(color), icon);
    let icon = icon.map(|icon| icon_text(icon, color));
    let wrap = TextWrapMode::Extend;
    dressed(ui, rank, name, |ui| match icon {
        Some(icon) => ui.add(Button::new((icon, text)).wrap_mode(wrap)),
        None => ui.add(Button::new(text).wrap_mode(wrap)),
    })
}

/// A button that is an icon; its name is also its tooltip.
pub(super) fn icon_button(ui: &mut Ui, icon: Icon, name: &str) -> Response {
    let text = icon_text(icon, Rank::Quiet.text(Palette::of(ui)));
    let response = dressed(ui, Rank::Quiet, name, |ui| {
        let padding = mem::replace(&mut ui.spacing_mut().button_padding, Vec2::splat(NEAR));
        let response = ui.add(Button::new(text).min_size(Vec2::splat(CONTROL_HEIGHT)));
        ui.spacing_mut().button_padding = padding;
        response
    });
    response.on_hover_text(name)
}

/// As much as fits into a whole row. A button that shortens itself would do so in every row that is
/// nearly full, instead of going to the next.
fn shortened(ui: &Ui, text: RichText, icon: Option<Icon>) -> WidgetText {
    let spacing = ui.spacing();
    let beside = icon.map_or(0.0, |_| ICON + spacing.icon_spacing);
    let room = ui.max_rect().width() - 2.0 * spacing.button_padding.x - beside;
    let (wrap, width) = (Some(TextWrapMode::Truncate), room.clamp(0.0, MAX_BUTTON_TEXT));
    WidgetText::from(text).into_galley(ui, wrap, width, TextStyle::Button).into()
}

fn icon_text(icon: Icon, color: Color32) -> RichText {
    RichText::new(icon.character()).font(Icon::font(ICON)).color(color)
}

/// Colours for one button alone; the ring comes into view with the focus. It is no scope of its own:
/// that would take the rest of a row before the button could go to the next.
fn dressed(ui: &mut Ui, rank: Rank, name: &str, add: impl FnOnce(&mut Ui) -> Response) -> Response {
    let widgets = rank.widgets(Palette::of(ui));
    let before = mem::replace(&mut ui.visuals_mut().widgets, widgets);
    let response = add(ui);
    ui.visuals_mut().widgets = before;
    into_view(response.accessible_name(name))
}

/// Scrolls to the control that has the keyboard focus.
pub(super) fn into_view(response: Response) -> Response {
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    response
}

/// Moves the keyboard focus to the first field of a form that was just opened.
pub(super) fn enter(entered: &mut bool, first: &Response) {
    if !mem::replace(entered, true) {
        first.request_focus();
    }
}

/// Less important text.
pub(super) fn quiet(ui: &mut Ui, text: &str) {
    let color = Palette::of(ui).quiet;
    ui.add(Label::new(RichText::new(text).color(color).size(13.0)).wrap());
}

/// A name. If it does not fit, the tooltip shows all of it.
pub(super) fn name(ui: &mut Ui, text: &str) -> Response {
    ui.add(Label::new(RichText::new(text).text_style(name_style())).truncate())
}

/// A line whose meaning is in its words, its icon and its colour.
pub(super) fn toned_line(ui: &mut Ui, tone: Tone, text: &str) {
    let color = Palette::of(ui).shades(tone).text;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = NEAR;
        tone.icon().paint(ui, ICON, color);
        ui.add(Label::new(RichText::new(text).color(color)).wrap());
    });
}

impl Tone {
    pub(super) const fn icon(self) -> Icon {
        match self {
            Self::Good => Icon::Good,
            Self::Bad => Icon::Fault,
            Self::Warning => Icon::Warning,
            Self::Information => Icon::Information,
            Self::Past => Icon::History,
        }
    }
}

/// A card.
pub(super) fn card<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = Palette::of(ui);
    Frame::new()
        .fill(palette.card)
        .stroke(Stroke::new(1.0, palette.border))
        .corner_radius(10)
        .inner_margin(margin(ROOM))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            add(ui)
        })
        .inner
}

/// A message, which a screen reader reads out when it appears. The button with the name `away` dismisses
/// it. Returns whether the user has dismissed it.
pub(super) fn message(
    ui: &mut Ui,
    tone: Tone,
    icon: Option<Icon>,
    title: &str,
    away: Option<&str>,
    add: impl FnOnce(&mut Ui),
) -> bool {
    let shades = Palette::of(ui).shades(tone);
    let frame = Frame::new().fill(shades.ground).corner_radius(8).inner_margin(margin(12.0));
    let body = |ui: &mut Ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        let text = RichText::new(title).text_style(name_style()).color(shades.text);
        let title = ui.add(Label::new(text).wrap());
        ui.ctx().accesskit_node_builder(title.id, |node| node.set_live(Live::Polite));
        add(ui);
    };
    let shown = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 10.0;
            match icon {
                Some(icon) => icon.paint(ui, 18.0, shades.text),
                None => drop(ui.add(Spinner::new().size(18.0).color(shades.text))),
            }
            let room = away.map_or(0.0, |_| CONTROL_HEIGHT);
            let width = (ui.available_width() - room).max(0.0);
            // First, so that the Tab key comes to the button that dismisses it last.
            ui.vertical(|ui| {
                ui.set_width(width);
                body(ui);
            });
            away.is_some_and(|name| close(ui, name))
        })
    });
    shown.inner.inner
}

/// In the corner, and no higher than the line next to it.
fn close(ui: &mut Ui, name: &str) -> bool {
    let size = Vec2::splat(CONTROL_HEIGHT - NEAR);
    let corner = Rect::from_min_size(ui.cursor().translate(Vec2::new(-NEAR, -TIGHT)).min, size);
    let mut ui = ui.new_child(UiBuilder::new().max_rect(corner));
    icon_button(&mut ui, Icon::Close, name).clicked()
}

/// The title of a screen.
pub(super) fn title(ui: &mut Ui, text: &str) {
    let title = ui.add(Label::new(RichText::new(text).heading()).truncate());
    is_heading(ui, &title, text);
}

/// Marks a label as a heading for screen readers.
pub(super) fn is_heading(ui: &Ui, title: &Response, text: &str) {
    ui.ctx().accesskit_node_builder(title.id, |node| {
        node.set_role(Role::Heading);
        node.set_label(text);
    });
}

/// The title of a screen with a button that leads back. Returns whether the user has clicked it.
pub(super) fn heading_with_way_back(ui: &mut Ui, text: &str, back: &str) -> bool {
    let back = ui.horizontal(|ui| {
        let back = icon_button(ui, Icon::Back, back);
        title(ui, text);
        back.clicked()
    });
    ui.add_space(NEAR);
    back.inner
}

/// The title of a screen and its buttons.
pub(super) fn heading(ui: &mut Ui, text: &str, add: impl FnOnce(&mut Ui)) {
    if ui.available_width() < 430.0 {
        title(ui, text);
        ui.horizontal_wrapped(add);
    } else {
        ui.horizontal(|ui| {
            title(ui, text);
            ui.with_layout(Layout::right_to_left(Align::Center), add);
        });
    }
    ui.add_space(NEAR);
}

/// The content of a screen that is still empty.
pub(super) fn nothing_here(
    ui: &mut Ui,
    icon: Icon,
    title: &str,
    text: &str,
    add: impl FnOnce(&mut Ui),
) {
    let palette = Palette::of(ui);
    ui.add_space(WIDE * 2.0);
    ui.vertical_centered(|ui| {
        ui.set_max_width(ui.available_width().min(420.0));
        icon.paint(ui, LARGE_ICON, palette.focus);
        ui.add_space(NEAR);
        ui.label(RichText::new(title).text_style(name_style()).size(17.0));
        ui.add(Label::new(RichText::new(text).color(palette.quiet)).wrap());
        ui.add_space(NEAR);
        add(ui);
    });
}

/// The scrolled part of a screen, in lines that are not too long.
pub(super) fn content<R>(ui: &mut Ui, salt: &str, add: impl FnOnce(&mut Ui) -> R) -> R {
    let area = ScrollArea::vertical().id_salt(salt).auto_shrink(false);
    area.show(ui, |ui| {
        let room = if ui.available_width() < NARROW { 12.0 } else { WIDE };
        let width = (ui.available_width() - 2.0 * room).min(CONTENT_WIDTH);
        let side = ((ui.available_width() - width) / 2.0).max(room);
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            ui.add_space(side);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing = Vec2::splat(NEAR);
                ui.set_width(width);
                ui.add_space(room);
                let result = add(ui);
                ui.add_space(room);
                result
            })
            .inner
        })
        .inner
    })
    .inner
}

/// Lines of text without buttons, which need less height.
pub(super) fn text_lines<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = 0.0;
        add(ui)
    })
    .inner
}

/// Buttons side by side, or below each other where there is no room.
pub(super) fn row<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = Vec2::splat(NEAR);
        add(ui)
    })
}

/// Two things side by side, or below each other where there is no room.
pub(super) fn pair<T>(
    ui: &mut Ui,
    of: &mut T,
    left: impl FnOnce(&mut Ui, &mut T),
    right: impl FnOnce(&mut Ui, &mut T),
) {
    if ui.available_width() < NARROW - WIDE * 5.0 {
        left(ui, of);
        right(ui, of);
        return;
    }
    ui.spacing_mut().item_spacing.x = ROOM;
    ui.columns_const(|[one, other]| {
        left(one, of);
        right(other, of);
    });
}

/// A choice in the navigation, with or without words.
pub(super) fn tab(
    ui: &mut Ui,
    (icon, words): (Icon, Option<&str>),
    name: &str,
    chosen: bool,
    size: Vec2,
) -> Response {
    let palette = Palette::of(ui);
    let (fill, color) =
        if chosen { (palette.chosen, palette.text) } else { (Color32::TRANSPARENT, palette.quiet) };
    let widgets = palette.button(fill, if chosen { fill } else { palette.button }, color);
    let response = ui.scope(|ui| {
        ui.visuals_mut().widgets = widgets;
        ui.visuals_mut().selection.bg_fill = palette.chosen;
        let icon = icon_text(icon, color);
        let button = match words {
            Some(words) => Button::new((icon, RichText::new(words).color(color))),
            None => Button::new(icon),
        };
        ui.add(button.selected(chosen).min_size(size))
    });
    into_view(response.inner.accessible_name(name))
}

/// Between 0 and 1.
pub(super) fn progress(ui: &mut Ui, fraction: f32, tone: Tone) {
    let palette = Palette::of(ui);
    let size = Vec2::new(ui.available_width().min(320.0), TIGHT);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    ui.painter().rect_filled(rect, 2.0, palette.border);
    let mut done = rect;
    done.set_width(rect.width() * fraction.clamp(0.0, 1.0));
    ui.painter().rect_filled(done, 2.0, palette.shades(tone).text);
}

/// The same on all sides.
pub(super) fn margin(side: f32) -> Margin {
    Margin::from(side)
}

/// A place in egui's memory that no other has.
pub(super) fn id(of: &str) -> Id {
    Id::unique(of)
}
