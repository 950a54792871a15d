//! The content of the window: the navigation, notices, one screen, and sometimes a dialog.

mod dialogs;
mod doors;
mod history;
mod host;
mod hosts;
mod import;
mod keys;

use eframe::egui::{CentralPanel, Frame, Label, Margin, Panel, RichText, Ui, Vec2};

use super::{
    action::Action,
    icons::Icon,
    model::{Dialog, Model, Screen, Section},
    notice::{Notice, Offer},
    preferences::Theme,
    search::Search,
    shortcuts::{self, with_keys},
    style::{
        CONTROL_HEIGHT, ICONS_ONLY, NARROW, NAVIGATION_WIDTH, NEAR, Palette, TIGHT, Tone,
        name_style,
    },
    widgets::{self, Rank, button, icon_button, message, named_button},
};

/// The user's actions. The screens add to them.
pub(super) type Actions = Vec<Action>;

/// Shows everything except the dialog.
pub(super) fn show(
    ui: &mut Ui,
    model: &Model,
    screen: &mut Screen,
    search: &mut Search,
    actions: &mut Actions,
) {
    let palette = Palette::of(ui);
    let frame = |x, y| {
        let frame = Frame::new().fill(palette.navigation);
        frame.inner_margin(Margin::symmetric(x, y))
    };
    if ui.available_width() < NARROW {
        let panel = Panel::bottom("navigation").frame(frame(8, 8)).resizable(false);
        panel.show_separator_line(false).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = TIGHT;
                ui.spacing_mut().button_padding = Vec2::new(8.0, 7.0);
                let has_room = ui.available_width() > ICONS_ONLY;
                tabs(ui, screen, has_room, Vec2::ZERO, actions);
                let right = eframe::egui::Layout::right_to_left(eframe::egui::Align::Center);
                ui.with_layout(right, |ui| theme_icon(ui, model.preferences.theme, actions));
            });
        });
    } else {
        let panel = Panel::left("navigation").frame(frame(12, 16)).resizable(false);
        let panel = panel.exact_size(NAVIGATION_WIDTH).show_separator_line(false);
        panel.show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = TIGHT;
            brand(ui);
            let size = Vec2::new(ui.available_width(), CONTROL_HEIGHT + 2.0);
            tabs(ui, screen, true, size, actions);
            let bottom = eframe::egui::Layout::bottom_up(eframe::egui::Align::Min);
            ui.with_layout(bottom, |ui| theme_button(ui, model.preferences.theme, actions));
        });
    }
    CentralPanel::no_frame().frame(Frame::new().fill(palette.window)).show(ui, |ui| {
        widgets::content(ui, screen_name(screen), |ui| {
            notices(ui, model, actions);
            match screen {
                Screen::Hosts => hosts::show(ui, model, search, actions),
                Screen::Host(form) => host::show(ui, model, form, actions),
                Screen::Import(form) => import::show(ui, model, form, actions),
                Screen::Keys => keys::show(ui, model, actions),
                Screen::History => history::show(ui, model, actions),
            }
        });
    });
}

/// The dialog, if there is one.
pub(super) fn show_dialog(
    ui: &Ui,
    model: &Model,
    dialog: Option<&mut Dialog>,
    actions: &mut Actions,
) {
    if let Some(dialog) = dialog {
        dialogs::show(ui, model, dialog, actions);
    }
}

/// Each screen scrolls on its own.
const fn screen_name(screen: &Screen) -> &'static str {
    match screen {
        Screen::Hosts => "hosts",
        Screen::Host(_) => "host",
        Screen::Import(_) => "import",
        Screen::Keys => "keys",
        Screen::History => "history",
    }
}

fn brand(ui: &mut Ui) {
    ui.horizontal(|ui| {
        ui.add_space(TIGHT);
        Icon::Door.paint(ui, 22.0, Palette::of(ui).focus);
        ui.label(RichText::new("ruroco").text_style(name_style()).size(17.0));
    });
    ui.add_space(NEAR + TIGHT);
}

fn tabs(ui: &mut Ui, screen: &Screen, has_words: bool, size: Vec2, actions: &mut Actions) {
    for (icon, text, section, shortcut, action) in [
        (Icon::Hosts, "Hosts", Section::Hosts, shortcuts::HOSTS, Action::ShowHosts),
        (Icon::Key, "Keys", Section::Keys, shortcuts::KEYS, Action::ShowKeys),
        (Icon::History, "History", Section::History, shortcuts::HISTORY, Action::ShowHistory),
    ] {
        let is_chosen = screen.section() == section;
        let tab = widgets::tab(ui, (icon, has_words.then_some(text)), text, is_chosen, size);
        if tab.on_hover_text(with_keys(ui.ctx(), text, &shortcut)).clicked() {
            actions.push(action);
        }
    }
}

const fn icon_of(theme: Theme) -> Icon {
    match theme {
        Theme::System => Icon::System,
        Theme::Light => Icon::Light,
        Theme::Dark => Icon::Dark,
    }
}

fn theme_button(ui: &mut Ui, theme: Theme, actions: &mut Actions) {
    let (text, name) = (format!("Colours: {}", theme.name()), theme_name(theme));
    let button = named_button(ui, Rank::Quiet, Some(icon_of(theme)), &text, &name);
    if button.on_hover_text(name).clicked() {
        actions.push(Action::SwitchTheme(theme.next()));
    }
}

fn theme_icon(ui: &mut Ui, theme: Theme, actions: &mut Actions) {
    if icon_button(ui, icon_of(theme), &theme_name(theme)).clicked() {
        actions.push(Action::SwitchTheme(theme.next()));
    }
}

fn theme_name(theme: Theme) -> String {
    format!("Colours: {}. Switch to {}", theme.name(), theme.next().name())
}

fn notices(ui: &mut Ui, model: &Model, actions: &mut Actions) {
    if !model.faults.is_empty() {
        file_faults(ui, model, actions);
    }
    for notice in &model.notices {
        show_notice(ui, notice, actions);
    }
    if !model.faults.is_empty() || !model.notices.is_empty() {
        ui.add_space(NEAR);
    }
}

fn show_notice(ui: &mut Ui, notice: &Notice, actions: &mut Actions) {
    let away = format!("Dismiss: {}", notice.title);
    let icon = Some(notice.tone.icon());
    if message(ui, notice.tone, icon, &notice.title, Some(&away), |ui| {
        ui.add(Label::new(&notice.text).wrap());
        if !notice.offers.is_empty() {
            offers(ui, &notice.offers, actions);
        }
    }) {
        actions.push(Action::Dismiss(notice.title.clone()));
    }
}

/// The actions that a message offers.
pub(super) fn offers(ui: &mut Ui, offers: &[Offer], actions: &mut Actions) {
    widgets::row(ui, |ui| {
        for offer in offers {
            if button(ui, Rank::Other, Some(offer.icon), &offer.text).clicked() {
                actions.push(offer.action.clone());
            }
        }
    });
}

/// Errors in `client.toml`, until they are fixed.
fn file_faults(ui: &mut Ui, model: &Model, actions: &mut Actions) {
    let count = model.faults.len();
    let title = match count {
        1 => "client.toml has an error".to_owned(),
        count => format!("client.toml has {count} errors"),
    };
    message(ui, Tone::Bad, Some(Tone::Bad.icon()), &title, None, |ui| {
        for problem in model.faults.iter() {
            let place = problem.line().map(|line| format!("Line {line}: ")).unwrap_or_default();
            let text = format!("{place}{}", problem.message());
            ui.add(Label::new(text).wrap());
        }
        let path = model.faults.iter().next().map(|problem| problem.path().display().to_string());
        widgets::quiet(
            ui,
            &format!(
                "Invalid entries are hidden until you fix them in {}. All other hosts can be used and edited.",
                path.unwrap_or_default()
            ),
        );
        widgets::row(ui, |ui| {
            if button(ui, Rank::Other, Some(Icon::Folder), "Open the folder").clicked() {
                actions.push(Action::OpenFolder);
            }
        });
    });
}
