//! Files with an invitation or a key: texts, and pictures of QR codes.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use ruroco_client::{qr_picture, qr_reader};
use ruroco_messages::plain_error::Plain;
use zeroize::Zeroizing;

use super::Worker;
use crate::{
    action::Purpose, notice::Notice, secret_field::check_length, secret_text::SecretText,
    style::Tone, task::Report,
};

impl Worker {
    pub(super) fn choose_file(&self, purpose: Purpose) {
        let title = match purpose {
            Purpose::Invitation => "Choose an invitation: a text file, or a picture of its QR code",
            Purpose::Key => "Choose a key: a text file, or a picture of its QR code",
        };
        if let Some(path) = self.platform.choose_file(title) {
            self.report(Report::FileChosen(purpose, path));
        }
    }

    pub(super) fn read_file(&self, number: u64, path: &Path) {
        let read = self.text_in(path).map_err(|why| {
            let text = format!("{}: {why}", path.display());
            Notice::new(Tone::Bad, "Cannot read the file", text)
        });
        self.report(Report::FileRead(number, read));
    }

    fn text_in(&self, path: &Path) -> Result<SecretText, String> {
        let failed = |error: io::Error| Plain(error).to_string();
        // Checked before opening: opening a pipe blocks until another process writes to it.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err("not a file".to_owned());
        }
        let mut content = Zeroizing::new(Vec::new());
        let limit = qr_picture::MAX_SIZE.saturating_add(1);
        let file = File::open(path).map_err(failed)?;
        let read = file.take(limit).read_to_end(&mut content).map_err(failed)?;
        if u64::try_from(read).is_ok_and(|read| read >= limit) {
            return Err("the file is too large".to_owned());
        }
        match str::from_utf8(&content) {
            Ok(text) => check_length(text).map(Into::into).map_err(|error| error.to_string()),
            Err(_) => {
                let program = self.platform.picture_reader();
                let read = program
                    .map_err(qr_reader::Error::Start)
                    .and_then(|program| qr_reader::read(&program, &content));
                read.map(Into::into).map_err(|error| error.to_string())
            }
        }
    }
}
