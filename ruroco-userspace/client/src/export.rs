//! Writing a key, or another secret text, down for another device: as text, or as a QR code.

use std::{
    io,
    path::{Path, PathBuf},
};

use qrcode::types::QrError;
use ruroco_files::durable;
use zeroize::Zeroizing;

use crate::qr_picture::{self, PngError};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One line of text.
    Text,
    /// A QR code as an SVG document.
    Svg,
    /// A QR code as a PNG picture.
    Png,
}

/// A text that was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not fit into a QR code.
    #[error("could not draw a QR code: {0}")]
    Draw(PngError),
    /// There is such a file already; it stays.
    #[error("{0} is there already and stays as it is; choose another name")]
    Exists(PathBuf),
    /// The file could not be written.
    #[error("could not write {0}: {1}")]
    Write(PathBuf, io::Error),
}

// Not by `#[from]`: the message has the source in it, which would then be told twice.
impl From<PngError> for Error {
    fn from(error: PngError) -> Self {
        Self::Draw(error)
    }
}

impl From<QrError> for Error {
    fn from(error: QrError) -> Self {
        Self::Draw(error.into())
    }
}

/// Writes a secret line of text to a new file that this user alone can read.
///
/// # Errors
/// [`Error`]; no file was made then.
pub fn write(secret: &str, form: Form, path: &Path) -> Result<(), Error> {
    let written = match form {
        Form::Text => {
            durable::create_in_place(path, Zeroizing::new(format!("{secret}\n")).as_bytes())
        }
        Form::Svg => durable::create_in_place(path, qr_picture::svg(secret)?.as_bytes()),
        Form::Png => durable::create_in_place(path, &qr_picture::png(secret).map_err(Error::Draw)?),
    };
    written.map_err(|error| {
        let is_there = error.kind() == io::ErrorKind::AlreadyExists;
        let path = path.to_owned();
        if is_there { Error::Exists(path) } else { Error::Write(path, error) }
    })
}
