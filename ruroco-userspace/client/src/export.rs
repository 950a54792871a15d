//! Exporting a key, or another secret text, for another device: as text, or as a QR code.

use std::{
    io,
    path::{Path, PathBuf},
};

use qrcode::types::QrError;
use ruroco_files::durable;
use zeroize::Zeroizing;

use crate::qr_picture::{self, PngError};

/// The format of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One line of text.
    Text,
    /// A QR code as an SVG document.
    Svg,
    /// A QR code as a PNG picture.
    Png,
}

/// The text was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text does not fit into a QR code.
    #[error("cannot draw a QR code: {0}")]
    Draw(PngError),
    /// The file already exists. It was not changed.
    #[error("{0} already exists and was not changed. Choose another name")]
    Exists(PathBuf),
    /// The file could not be written.
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, io::Error),
}

// Not by `#[from]`: the message contains the source, so it would appear twice.
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

/// Writes a secret line of text to a new file that only this user can read.
///
/// # Errors
/// [`Error`]; no file was created.
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
