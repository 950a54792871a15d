//! The window: hosts and keys as things to click, over the same [`ruroco_client`] as the command line.
//!
//! What a person does is an `action`, given by one of the `screens` (made of `widgets`, in the colours
//! of `style`). The `model` changes by it, and gives away as a task what takes its time; the `office`
//! does these in other threads and reports. So nothing keeps the window from answering once it is open:
//! no name server, no network, no lock, no disk. What it keeps for itself, the `history` and the
//! `preferences`, are state files that cannot keep it from opening.
//!
//! Rationale: decision 0022.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

mod action;
#[cfg(target_os = "linux")]
mod display;
mod forms;
mod history;
mod icons;
mod import_form;
mod keys;
mod knocking;
mod missing_glyph;
mod model;
mod notice;
mod office;
mod preferences;
mod screens;
mod search;
mod secret_field;
mod secret_text;
mod shortcuts;
mod state_file;
mod style;
mod surroundings;
mod task;
mod widgets;

use std::{
    env,
    io::{self, Write},
    mem,
    process::ExitCode,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use eframe::{
    NativeOptions,
    egui::{Context, IconData, Ui, Vec2, ViewportBuilder, text_edit::TextEditState},
};
use ruroco_client::{cli::window::Cli, folder::Folder};
use ruroco_messages::{plain_error::plain, redaction::redacted};

use self::{
    action::Action,
    model::{Model, Place, Screen},
    notice::{Notice, without_source},
    office::Office,
    preferences::{Preferences, PreferencesFile},
    state_file::Found,
    style::Tone,
    task::{Report, Task},
};
pub use self::{
    style::install,
    surroundings::{Desktop, Surroundings},
};

/// What the desktop knows the program by; also the name of its desktop entry.
const APPLICATION: &str = "ruroco-client-ui";

/// How often what moves is drawn: ten times a second is often enough for a bar that fills in ten.
const FRAME: Duration = Duration::from_millis(100);

/// Smallest window in points: a narrow telephone's.
const SMALLEST: Vec2 = Vec2::new(340.0, 400.0);

/// The whole program: command line in, exit code out.
pub fn main() -> ExitCode {
    match ruroco_command_line::parse(env::args_os()) {
        Ok(Cli {}) => {}
        Err(shown) => return shown,
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {}", redacted(&plain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Opens the window and returns once it is closed.
fn run() -> anyhow::Result<()> {
    let settings = Settings::read(Folder::of_user()?);
    let viewport = ViewportBuilder::default()
        .with_title("ruroco")
        .with_app_id(APPLICATION)
        .with_icon(icon())
        .with_inner_size(settings.found.content.window_size())
        .with_min_inner_size(SMALLEST);
    let event_loop_builder = display().context(CANNOT_OPEN)?;
    let options = NativeOptions { viewport, event_loop_builder, ..NativeOptions::default() };
    let open: eframe::AppCreator<'_> = Box::new(move |creation| {
        install(&creation.egui_ctx);
        let window = Window::new(settings, Arc::new(Desktop), &creation.egui_ctx);
        Ok(Box::new(window))
    });
    eframe::run_native(APPLICATION, options, open).map_err(|error| {
        anyhow!(without_source(&error.to_string()).to_owned()).context(CANNOT_OPEN)
    })
}

/// What is so when there is no window, and what helps.
const CANNOT_OPEN: &str = "Cannot open a window, which needs X11 or Wayland, and OpenGL. Run this program in \
                           a desktop session, or use `ruroco-client` in a terminal";

/// Has the window open on the display that answers, whatever else the environment names.
#[cfg(target_os = "linux")]
fn display() -> anyhow::Result<Option<eframe::EventLoopBuilderHook>> {
    use winit::platform::x11::EventLoopBuilderExtX11;
    Ok(match display::Display::of_session()? {
        display::Display::Wayland => None,
        display::Display::X11 => Some(Box::new(|builder| {
            builder.with_x11();
        })),
    })
}

/// Elsewhere there is only one.
#[cfg(not(target_os = "linux"))]
fn display() -> anyhow::Result<Option<eframe::EventLoopBuilderHook>> {
    Ok(None)
}

fn icon() -> IconData {
    // Drawn from packaging/desktop/ruroco-client-ui.svg.
    let picture = include_bytes!("../../../packaging/desktop/ruroco-client-ui.png");
    eframe::icon_data::from_png_bytes(picture).unwrap_or_default()
}

/// A client's folder, and the window's own settings in it. They are read before the window opens, which
/// takes its size from them, and only once, because damage is reported once.
#[derive(Debug)]
pub struct Settings {
    folder: Folder,
    found: Found<Preferences>,
}

impl Settings {
    /// Reads them. The window reports whatever is wrong with them.
    pub fn read(folder: Folder) -> Self {
        let found = PreferencesFile::in_folder(folder.path()).read();
        Self { folder, found }
    }
}

/// The window.
#[derive(Debug)]
pub struct Window {
    model: Model,
    office: Office,
    surroundings: Arc<dyn Surroundings>,
    reports: Receiver<Report>,
    /// Whether Escape has a text field to leave first.
    was_typing: bool,
    was_focused: bool,
}

impl Window {
    /// The window over a client's folder. Whatever is wrong with that is shown in the window.
    pub fn new(settings: Settings, surroundings: Arc<dyn Surroundings>, context: &Context) -> Self {
        let Settings { folder, found } = settings;
        let (sender, reports) = mpsc::channel();
        let office = Office::open(&folder, Arc::clone(&surroundings), sender, context.clone());
        context.set_zoom_factor(found.content.zoom());
        let mut model = Model::new(found.content);
        if let Some(damage) = found.damage {
            let title = "The window's settings were reset";
            model.tell(Notice::new(Tone::Warning, title, damage.to_string()));
        }
        // Before the first frame, so that it does not show an empty window.
        office.do_now(Task::ReadAll);
        Self { model, office, surroundings, reports, was_typing: false, was_focused: true }
    }

    /// Draws it, and does what the person has done since the last time.
    pub fn show(&mut self, ui: &mut Ui) {
        self.model.now = self.surroundings.now();
        while let Ok(report) = self.reports.try_recv() {
            let before = self.model.place();
            if let Some(task) = self.model.take(report) {
                self.office.give(task);
            }
            self.forget_texts(ui.ctx(), before);
        }
        ui.ctx().set_theme(self.model.preferences.theme);
        let mut actions = self.notice_surroundings(ui.ctx());
        actions.extend(shortcuts::pressed(ui.ctx(), &self.model, self.was_typing));
        // They are changed while the rest is looked at.
        let mut screen = mem::replace(&mut self.model.screen, Screen::Hosts);
        let mut dialog = self.model.dialog.take();
        let mut search = mem::take(&mut self.model.search);
        screens::show(ui, &self.model, &mut screen, &mut search, &mut actions);
        screens::show_dialog(ui, &self.model, dialog.as_mut(), &mut actions);
        (self.model.screen, self.model.dialog) = (screen, dialog);
        self.model.search = search;
        self.was_typing = ui.ctx().text_edit_focused();
        self.act(ui.ctx(), actions);
        if let Some(task) = self.model.plan_due() {
            self.office.give(task);
        }
        self.keep_zoom(ui.ctx().zoom_factor());
        if self.model.is_busy() {
            ui.ctx().request_repaint_after(FRAME);
        } else if let Some(wait) = self.model.next_change() {
            ui.ctx().request_repaint_after(wait);
        }
    }

    /// egui zooms by itself, at Ctrl and plus, minus or zero.
    fn keep_zoom(&mut self, zoom: f32) {
        let preferences = Preferences { zoom, ..self.model.preferences };
        if preferences != mem::replace(&mut self.model.preferences, preferences) {
            self.office.give(Task::WritePreferences(preferences));
        }
    }

    fn act(&mut self, context: &Context, actions: Vec<Action>) {
        for action in actions {
            let before = self.model.place();
            if let Some(task) = self.model.act(action) {
                self.office.give(task);
            }
            if let Some(text) = self.model.to_copy.take() {
                context.copy_text(text.to_string());
            }
            self.forget_texts(context, before);
        }
    }

    /// Takes from egui what was written in the place that was left: it finds a field again by where
    /// it stands, and would undo in one form what was done in another.
    fn forget_texts(&self, context: &Context, before: Place) {
        if self.model.place() != before {
            context.data_mut(|data| data.remove_by_type::<TextEditState>());
        }
    }

    /// Files that were dropped, and a person who comes back and may have changed files meanwhile.
    fn notice_surroundings(&mut self, context: &Context) -> Vec<Action> {
        let (dropped, focused) =
            context.input_mut(|input| (mem::take(&mut input.raw.dropped_files), input.focused));
        let before = self.model.place();
        if let Some(task) = self.model.dropped(dropped.iter().map(|file| file.path())) {
            self.office.give(task);
        }
        self.forget_texts(context, before);
        let came_back = focused && !mem::replace(&mut self.was_focused, focused);
        if came_back { vec![Action::Refresh] } else { Vec::new() }
    }
}

impl eframe::App for Window {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.show(ui);
        // A window is opened before it is zoomed.
        let (size, zoom) = (ui.ctx().content_rect().size(), ui.ctx().zoom_factor());
        if !ui.ctx().input(|input| input.viewport().maximized.unwrap_or(false)) {
            self.model.preferences.size = (size.x * zoom, size.y * zoom);
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.office.give(Task::WritePreferences(self.model.preferences));
        self.office.close();
    }
}
