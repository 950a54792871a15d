//! Secret texts from the user: from a file, a picture, standard input or a prompt. They are never read
//! from the command line, where other users of the computer could see them.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use ruroco_files::secure_file;
use ruroco_invite::invitation::MAX_SOURCE_SIZE;
use zeroize::Zeroizing;

use crate::{qr_picture, qr_reader};

/// Where to read the text from.
#[derive(Args)]
pub(super) struct Source {
    /// File to read, which only you may be able to read, or `-` for standard input [default: prompt]
    #[arg(value_name = "FILE", conflicts_with = "qr")]
    file: Option<PathBuf>,
    /// Picture of a QR code to read (PNG or JPEG)
    #[arg(long, value_name = "IMAGE")]
    qr: Option<PathBuf>,
}

impl Source {
    /// The text. If this prompts the user, the terminal does not show what they type.
    ///
    /// # Errors
    /// If the text cannot be read.
    pub(super) fn read(&self, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
        match (&self.qr, &self.file) {
            (Some(picture), _) => read_picture(picture),
            (None, Some(file)) if file != Path::new("-") => {
                Ok(secure_file::read_text_with_secret(file, MAX_SOURCE_SIZE)?)
            }
            (None, None) if io::stdin().is_terminal() => {
                let typed = rpassword::prompt_password(prompt);
                typed.map(Zeroizing::new).context("cannot read from the terminal")
            }
            (None, _) => read_text(io::stdin().lock()).context("cannot read standard input"),
        }
    }

    /// The file that still contains the secret, if the text came from one.
    pub(super) fn leftover(&self) -> Option<&Path> {
        let file = self.file.as_deref().filter(|file| *file != Path::new("-"));
        self.qr.as_deref().or(file)
    }
}

fn read_picture(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let attempt = || format!("{}", path.display());
    let file = File::open(path).with_context(attempt)?;
    let max = usize::try_from(qr_picture::MAX_SIZE)?;
    let content = read_at_most(max, file).with_context(attempt)?;
    let program = qr_reader::this_program().map_err(qr_reader::Error::Start)?;
    qr_reader::read(&program, &content).with_context(attempt)
}

fn read_text(input: impl Read) -> anyhow::Result<Zeroizing<String>> {
    let content = read_at_most(MAX_SOURCE_SIZE, input)?;
    let text = str::from_utf8(&content).ok().context("the text is not valid UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn read_at_most(max: usize, input: impl Read) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    // One allocation of the final size: a growing buffer would leave copies of the secret behind.
    let limit = max.saturating_add(1);
    let mut content = Zeroizing::new(Vec::with_capacity(limit));
    input.take(u64::try_from(limit)?).read_to_end(&mut content)?;
    if content.len() > max {
        bail!("the input is longer than {max} bytes");
    }
    Ok(content)
}
