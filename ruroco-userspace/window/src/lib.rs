//! The window. It uses the same [`ruroco_client`] as the command line.
//!
//! The `screens` (made of `widgets`, in the colours of `style`) turn the user's input into an `action`.
//! The `model` handles it, and returns a task if it takes time. The `workers` run tasks in other threads
//! and send reports. So no name server, network, lock or disk can block the window after it has opened.
//! A damaged `history` or `preferences` file does not prevent it from opening.
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
mod leases;
mod missing_glyph;
mod model;
mod notice;
mod platform;
mod preferences;
mod screens;
mod search;
mod secret_field;
mod secret_text;
mod shortcuts;
mod state_file;
mod style;
mod task;
mod widgets;
mod workers;

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
    preferences::{Preferences, PreferencesFile},
    state_file::Found,
    style::Tone,
    task::{Report, Task},
    workers::Workers,
};
pub use self::{
    platform::{Desktop, Platform},
    style::install,
};

/// The application id for the desktop; also the name of the desktop entry.
const APPLICATION: &str = "ruroco-client-ui";

/// How often progress is drawn. Ten times a second is enough for a bar that fills in ten seconds.
const FRAME: Duration = Duration::from_millis(100);

/// Smallest window in points: a narrow phone.
const SMALLEST: Vec2 = Vec2::new(340.0, 400.0);

/// Runs the program: parses the command line and opens the window.
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

/// The error and its remedy if there is no display.
const CANNOT_OPEN: &str = "Cannot open a window, which needs X11 or Wayland, and OpenGL. Run this program in \
                           a desktop session, or use `ruroco-client` in a terminal";

/// Selects the display that accepts connections, whatever else the environment names.
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

/// Other systems have only one kind of display.
#[cfg(not(target_os = "linux"))]
fn display() -> anyhow::Result<Option<eframe::EventLoopBuilderHook>> {
    Ok(None)
}

fn icon() -> IconData {
    // Drawn from packaging/desktop/ruroco-client-ui.svg.
    let picture = include_bytes!("../../../packaging/desktop/ruroco-client-ui.png");
    eframe::icon_data::from_png_bytes(picture).unwrap_or_default()
}

/// A client's folder, and the window's own settings in it. They are read before the window opens,
/// because they contain its size, and only once, because damage is reported once.
#[derive(Debug)]
pub struct Settings {
    folder: Folder,
    found: Found<Preferences>,
}

impl Settings {
    /// Reads the settings. The window reports any errors in them.
    pub fn read(folder: Folder) -> Self {
        let found = PreferencesFile::in_folder(folder.path()).read();
        Self { folder, found }
    }
}

/// The window.
#[derive(Debug)]
pub struct Window {
    model: Model,
    workers: Workers,
    platform: Arc<dyn Platform>,
    reports: Receiver<Report>,
    /// Whether the next Escape key first leaves a text field.
    was_typing: bool,
    was_focused: bool,
}

impl Window {
    /// The window for a client's folder. The window shows any errors in the folder.
    pub fn new(settings: Settings, platform: Arc<dyn Platform>, context: &Context) -> Self {
        let Settings { folder, found } = settings;
        let (sender, reports) = mpsc::channel();
        let workers = Workers::open(&folder, Arc::clone(&platform), sender, context.clone());
        context.set_zoom_factor(found.content.zoom());
        let mut model = Model::new(found.content);
        if let Some(damage) = found.damage {
            let title = "The window's settings were reset";
            model.notify(Notice::new(Tone::Warning, title, damage.to_string()));
        }
        // Before the first frame, so that it does not show an empty window.
        workers.run_now(Task::ReadAll);
        Self { model, workers, platform, reports, was_typing: false, was_focused: true }
    }

    /// Draws the window and handles the user's input.
    pub fn show(&mut self, ui: &mut Ui) {
        self.model.now = self.platform.now();
        while let Ok(report) = self.reports.try_recv() {
            let before = self.model.place();
            if let Some(task) = self.model.handle_report(report) {
                self.workers.submit(task);
            }
            self.forget_texts(ui.ctx(), before);
        }
        ui.ctx().set_theme(self.model.preferences.theme);
        let mut actions = self.window_events(ui.ctx());
        actions.extend(shortcuts::pressed(ui.ctx(), &self.model, self.was_typing));
        // The screens change these while they read the rest of the model.
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
            self.workers.submit(task);
        }
        self.keep_zoom(ui.ctx().zoom_factor());
        if self.model.is_busy() {
            ui.ctx().request_repaint_after(FRAME);
        } else if let Some(wait) = self.model.next_change() {
            ui.ctx().request_repaint_after(wait);
        }
    }

    /// Saves the zoom factor, which egui changes at Ctrl and plus, minus or zero.
    fn keep_zoom(&mut self, zoom: f32) {
        let preferences = Preferences { zoom, ..self.model.preferences };
        if preferences != mem::replace(&mut self.model.preferences, preferences) {
            self.workers.submit(Task::WritePreferences(preferences));
        }
    }

    fn act(&mut self, context: &Context, actions: Vec<Action>) {
        for action in actions {
            let before = self.model.place();
            if let Some(task) = self.model.handle_action(action) {
                self.workers.submit(task);
            }
            if let Some(text) = self.model.to_copy.take() {
                context.copy_text(text.to_string());
            }
            self.forget_texts(context, before);
        }
    }

    /// Deletes egui's undo history of the text fields after a change of screen or dialog. egui
    /// identifies a field by its position, so it would undo in one form what the user did in another.
    fn forget_texts(&self, context: &Context, before: Place) {
        if self.model.place() != before {
            context.data_mut(|data| data.remove_by_type::<TextEditState>());
        }
    }

    /// Handles dropped files, and refreshes when the window gets the focus: files may have changed.
    fn window_events(&mut self, context: &Context) -> Vec<Action> {
        let (dropped, focused) =
            context.input_mut(|input| (mem::take(&mut input.raw.dropped_files), input.focused));
        let before = self.model.place();
        if let Some(task) = self.model.dropped(dropped.iter().map(|file| file.path())) {
            self.workers.submit(task);
        }
        self.forget_texts(context, before);
        let came_back = focused && !mem::replace(&mut self.was_focused, focused);
        if came_back { vec![Action::Refresh] } else { Vec::new() }
    }
}

impl eframe::App for Window {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.show(ui);
        // The size is saved without zoom, because a window opens before it is zoomed.
        let (size, zoom) = (ui.ctx().content_rect().size(), ui.ctx().zoom_factor());
        if !ui.ctx().input(|input| input.viewport().maximized.unwrap_or(false)) {
            self.model.preferences.size = (size.x * zoom, size.y * zoom);
        }
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.workers.submit(Task::WritePreferences(self.model.preferences));
        self.workers.close();
    }
}
