//! Services of the desktop that the window uses. Tests replace them.

use std::{
    fmt::Debug,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ruroco_client::qr_reader;

/// Services of the desktop. Methods that show a dialog return when the user has answered it.
pub trait Platform: Debug + Send + Sync {
    /// Prompts the user to choose an existing file.
    fn choose_file(&self, title: &str) -> Option<PathBuf>;

    /// Prompts the user to choose the path of a new file, and suggests `name`.
    fn choose_new_file(&self, title: &str, name: &str) -> Option<PathBuf>;

    /// Opens a folder in the user's file manager.
    ///
    /// # Errors
    /// If there is no such program.
    fn open(&self, folder: &Path) -> io::Result<()>;

    /// The program that reads pictures of QR codes.
    ///
    /// # Errors
    /// If the path of the program is unknown.
    fn picture_reader(&self) -> io::Result<PathBuf> {
        qr_reader::this_program()
    }

    /// The current time.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The user's desktop.
#[derive(Clone, Copy, Debug)]
pub struct Desktop;

impl Platform for Desktop {
    fn choose_file(&self, title: &str) -> Option<PathBuf> {
        rfd::FileDialog::new().set_title(title).pick_file()
    }

    fn choose_new_file(&self, title: &str, name: &str) -> Option<PathBuf> {
        rfd::FileDialog::new().set_title(title).set_file_name(name).save_file()
    }

    fn open(&self, folder: &Path) -> io::Result<()> {
        open::that_detached(folder)
    }
}
