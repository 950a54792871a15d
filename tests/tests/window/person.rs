//! A person before the window.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use egui::{DroppedFile, Key, Modifiers, OutputCommand, Rect, Theme, Vec2, accesskit::Role};
use egui_kittest::{
    Harness, Node,
    kittest::{NodeT as _, Queryable as _, by},
};
use ruroco_client::{folder::Folder, key_store::Place, profiles::Host};
use ruroco_invite::destination::Destination;
use ruroco_keys::key::Key as Secret;
use ruroco_lab::{programs, wait};
use ruroco_window::{Platform, Settings, Window};
use tempfile::TempDir;

use crate::server::Server;

/// Somebody who looks at a window, and their files.
pub(crate) struct Person {
    pub(crate) desktop: Arc<Desktop>,
    pub(crate) folder: TempDir,
    harness: Harness<'static, Option<Window>>,
    /// What has been copied since somebody asked.
    copied: Vec<String>,
}

/// A desktop on which files are chosen at once.
#[derive(Debug, Default)]
pub(crate) struct Desktop {
    pub(crate) chosen: Mutex<Option<PathBuf>>,
    pub(crate) opened: Mutex<Vec<PathBuf>>,
    /// What reads pictures in the place of the client.
    pub(crate) reader: Mutex<Option<PathBuf>>,
    /// How much time has passed beside what passes anyway.
    passed: Mutex<Duration>,
}

impl Platform for Desktop {
    fn choose_file(&self, _title: &str) -> Option<PathBuf> {
        self.chosen.lock().unwrap().clone()
    }

    fn choose_new_file(&self, _title: &str, name: &str) -> Option<PathBuf> {
        self.chosen.lock().unwrap().as_ref().map(|folder| folder.join(name))
    }

    fn open(&self, folder: &Path) -> io::Result<()> {
        self.opened.lock().unwrap().push(folder.to_owned());
        Ok(())
    }

    /// This process is a test, and no reader of pictures.
    fn picture_reader(&self) -> io::Result<PathBuf> {
        let other = self.reader.lock().unwrap().clone();
        Ok(other.unwrap_or_else(|| programs::path("ruroco-client")))
    }

    fn now(&self) -> SystemTime {
        SystemTime::now() + *self.passed.lock().unwrap()
    }
}

/// A file as it is dropped.
#[derive(Debug)]
struct OnDisk(PathBuf);

impl DroppedFile for OnDisk {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        unreachable!("the window reads it by its path")
    }
}

/// A folder that belongs to nobody yet.
pub(crate) fn new_folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A host with a key of its own, as the command line would have made it.
pub(crate) fn add_host(folder: &TempDir, name: &str, change: impl FnOnce(&mut Host)) -> Secret {
    let client = Folder::at(folder.path());
    let key = ruroco_seal::generate_key().unwrap();
    let name = name.parse().unwrap();
    client.keys().add(&name, &key, Place::File).unwrap();
    let reference = name.as_str().parse().unwrap();
    let mut host = Host::new("127.0.0.1:9".parse().unwrap(), reference);
    change(&mut host);
    client.profiles().add(&name, &host).unwrap();
    key
}

/// A host whose knocks this server takes.
pub(crate) fn add_host_at(
    server: &Server,
    folder: &TempDir,
    name: &str,
    change: impl FnOnce(&mut Host),
) -> Secret {
    add_host(folder, name, |host| {
        host.address = Destination::Address(server.address());
        change(host);
    })
}

impl Person {
    /// Opens the window over a folder.
    pub(crate) fn opens(folder: TempDir) -> Self {
        Self::opens_with(folder, Vec2::new(920.0, 900.0))
    }

    /// The same in a window of this size.
    pub(crate) fn opens_with(folder: TempDir, size: Vec2) -> Self {
        let desktop = Arc::new(Desktop::default());
        let mut harness = Harness::builder()
            .with_size(size)
            .with_context_setup(ruroco_window::install)
            .build_ui_state(
                |ui, window: &mut Option<Window>| {
                    if let Some(window) = window {
                        window.show(ui);
                    }
                },
                None,
            );
        let platform = Arc::clone(&desktop) as Arc<dyn Platform>;
        let settings = Settings::read(Folder::at(folder.path()));
        let window = Window::new(settings, platform, &harness.ctx);
        *harness.state_mut() = Some(window);
        harness.step();
        Self { desktop, folder, harness, copied: Vec::new() }
    }

    pub(crate) fn client(&self) -> Folder {
        Folder::at(self.folder.path())
    }

    /// What is drawn next, with all that was reported meanwhile.
    pub(crate) fn looks(&mut self) {
        self.harness.step();
        let commands = &self.harness.output().platform_output.commands;
        self.copied.extend(commands.iter().filter_map(|command| match command {
            OutputCommand::CopyText(text) => Some(text.clone()),
            OutputCommand::CopyImage(_)
            | OutputCommand::OpenUrl(_)
            | OutputCommand::TextSelectionSettled(_) => None,
        }));
    }

    /// Comes back after this long.
    pub(crate) fn comes_back_after(&mut self, time: Duration) {
        *self.desktop.passed.lock().unwrap() += time;
        self.looks();
    }

    /// Whether something with this in its name is there.
    pub(crate) fn sees_now(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    /// Whether there is a text that is no longer than this.
    pub(crate) fn sees_only(&self, text: &str) -> bool {
        self.harness.query_all_by_label(text).next().is_some()
    }

    /// Waits until it is there.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) {
        let seen = wait::poll(wait::DEADLINE, || {
            self.looks();
            self.sees_now(text).then_some(())
        });
        assert!(seen.is_some(), "never saw `{text}` in:\n{}", self.everything());
    }

    /// Waits until it is gone.
    #[track_caller]
    pub(crate) fn no_longer_sees(&mut self, text: &str) {
        wait::until(&format!("`{text}` to go"), || {
            self.looks();
            (!self.sees_now(text)).then_some(())
        });
    }

    /// All that is to be read.
    pub(crate) fn everything(&self) -> String {
        let nodes = self.harness.root();
        let nodes = nodes.children_recursive();
        let texts = nodes.filter_map(|node| {
            let node = node.accesskit_node();
            node.label().or_else(|| node.value())
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Presses what has exactly this name.
    #[track_caller]
    pub(crate) fn presses(&mut self, name: &str) {
        self.sees(name);
        let found = self.before().query_all(by().label(name).predicate(|node| {
            let role = node.role();
            matches!(role, Role::Button | Role::CheckBox | Role::RadioButton | Role::ComboBox)
        }));
        let found: Vec<_> = found.collect();
        let [one] = found.as_slice() else {
            panic!("{} things are called `{name}`:\n{}", found.len(), self.everything())
        };
        one.click_accesskit();
        self.looks();
        self.looks();
    }

    /// Whether there is a field of this name.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        self.fields().iter().any(|node| node.accesskit_node().label().as_deref() == Some(name))
    }

    /// What empty fields show.
    pub(crate) fn placeholders(&self) -> Vec<String> {
        self.fields()
            .iter()
            .filter_map(|node| node.accesskit_node().placeholder().map(str::to_owned))
            .collect()
    }

    fn fields(&self) -> Vec<Node<'_>> {
        let is_field = by().predicate(|node| {
            matches!(node.role(), Role::TextInput | Role::MultilineTextInput | Role::PasswordInput)
        });
        let before = self.before();
        before.query_all(is_field).collect()
    }

    /// Puts the keyboard into the field of this name.
    #[track_caller]
    pub(crate) fn goes_to(&mut self, field: &str) {
        self.sees(field);
        self.field(field).focus();
        self.looks();
        self.looks();
    }

    /// Writes into the field of this name, in place of what was there.
    #[track_caller]
    pub(crate) fn writes(&mut self, field: &str, text: &str) {
        self.sees(field);
        self.field(field).focus();
        self.looks();
        self.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
        self.looks();
        self.field(field).type_text(text);
        self.looks();
        self.looks();
    }

    /// What is in the field of this name.
    pub(crate) fn reads(&self, field: &str) -> String {
        self.field(field).value().unwrap_or_default()
    }

    /// What a person has before them: the dialog, if there is one.
    fn before(&self) -> Node<'_> {
        let is_dialog = by().predicate(|node| node.role() == Role::Dialog);
        let dialog = self.harness.query_all(is_dialog).next();
        dialog.unwrap_or_else(|| self.harness.root())
    }

    fn field<'a>(&'a self, name: &'a str) -> Node<'a> {
        self.before().get(by().label(name).predicate(|node| {
            matches!(node.role(), Role::TextInput | Role::MultilineTextInput | Role::PasswordInput)
        }))
    }

    /// Waits until there is something in the field of this name.
    pub(crate) fn waits_for_field(&mut self, field: &str) {
        wait::until(&format!("a text in {field}"), || {
            self.looks();
            (!self.reads(field).is_empty()).then_some(())
        });
    }

    /// What is said of a control beside its name.
    pub(crate) fn description(&self, field: &str) -> String {
        self.field(field).accesskit_node().description().unwrap_or_default()
    }

    /// Waits until this is said of a control beside its name.
    #[track_caller]
    pub(crate) fn is_told(&mut self, field: &str, text: &str) {
        let told = wait::poll(wait::DEADLINE, || {
            self.looks();
            self.description(field).contains(text).then_some(())
        });
        assert!(told.is_some(), "`{text}` was never said of {field}:\n{}", self.everything());
    }

    /// Presses a key.
    pub(crate) fn types(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.looks();
        self.looks();
    }

    /// The name of what has the keyboard's focus.
    pub(crate) fn focused(&self) -> Option<String> {
        let root = self.harness.root();
        let focused = root.children_recursive().find(Node::is_focused);
        focused.and_then(|node| node.accesskit_node().label())
    }

    /// Drops a file onto the window.
    pub(crate) fn drops(&mut self, path: &Path) {
        self.drops_all(&[path]);
    }

    /// Drops files onto the window at once.
    pub(crate) fn drops_all(&mut self, paths: &[&Path]) {
        for path in paths {
            self.harness.input_mut().dropped_files.push(Arc::new(OnDisk((*path).to_owned())));
        }
        self.looks();
    }

    /// Waits until something is copied.
    pub(crate) fn copies(&mut self) -> String {
        wait::until("a copy", || {
            self.looks();
            self.copied.pop()
        })
    }

    /// Where clients take turns.
    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.path().join("client.lock")
    }

    /// Everything that can be pressed, and where.
    pub(crate) fn controls(&self) -> Vec<(String, Rect)> {
        let found = self.harness.query_all(by().predicate(|node| node.role() == Role::Button));
        found.map(|node| (node.accesskit_node().label().unwrap_or_default(), node.rect())).collect()
    }

    /// Everything in the dialog, and where.
    pub(crate) fn dialog(&self) -> Vec<(String, Rect)> {
        let dialog = self.before();
        let placed = dialog
            .children_recursive()
            .filter(|node| node.accesskit_node().bounding_box().is_some());
        placed
            .map(|node| (node.accesskit_node().label().unwrap_or_default(), node.rect()))
            .collect()
    }

    /// How much larger than usual everything is.
    pub(crate) fn zoom(&self) -> f32 {
        self.harness.ctx.zoom_factor()
    }

    pub(crate) fn is_dark(&self) -> bool {
        self.harness.ctx.theme() == Theme::Dark
    }

    /// Closes the window; what is in the folder stays.
    pub(crate) fn closes(self) -> TempDir {
        self.folder
    }
}
