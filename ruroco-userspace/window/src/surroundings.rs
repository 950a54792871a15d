//! What the window asks of the desktop around it; tests have one of their own.

use std::{
    fmt::Debug,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ruroco_client::qr_reader;

/// A desktop. Methods that involve a person take as long as that person does.
pub trait Surroundings: Debug + Send + Sync {
    /// Has a person choose a file to read.
    fn choose_file(&self, title: &str) -> Option<PathBuf>;

    /// Has a person choose where a new file goes; `name` is proposed.
    fn choose_new_file(&self, title: &str, name: &str) -> Option<PathBuf>;

    /// Shows a folder with the program that the person uses for that.
    ///
    /// # Errors
    /// If there is no such program.
    fn open(&self, folder: &Path) -> io::Result<()>;

    /// The program that reads pictures of QR codes.
    ///
    /// # Errors
    /// If nobody knows where it is.
    fn picture_reader(&self) -> io::Result<PathBuf> {
        qr_reader::this_program()
    }

    /// What its clock shows, at once.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The one that the program runs on.
#[derive(Clone, Copy, Debug)]
pub struct Desktop;

impl Surroundings for Desktop {
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
