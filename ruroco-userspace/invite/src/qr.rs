//! Texts as QR codes, drawn with characters or as squares, for a screen that somebody photographs.

use qrcode::{Color, EcLevel, QrCode, render::unicode::Dense1x2, types::QrError};
use zeroize::Zeroizing;

/// A code of the least size: on screens and in files nothing of it is lost.
pub fn code(text: &str) -> Result<QrCode, QrError> {
    QrCode::with_error_correction_level(text.as_bytes(), EcLevel::L)
}

/// Draws it with characters, light on dark as terminals are; readers want a dark code on light
/// ground. The drawing is wiped from memory when dropped: what is drawn is mostly a secret.
///
/// # Errors
/// If the text is too long for a code (2,953 bytes, ISO/IEC 18004).
pub fn for_terminal(text: &str) -> Result<Zeroizing<String>, QrError> {
    let code = code(text)?;
    let mut drawing = code.render::<Dense1x2>();
    drawing.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    Ok(Zeroizing::new(drawing.build()))
}

/// A code as squares, for a window. They are wiped from memory when dropped.
#[derive(Clone)]
pub struct Squares {
    /// How many stand side by side.
    pub side: usize,
    /// Which are dark, row by row.
    pub dark: Zeroizing<Vec<bool>>,
}

/// The code of this text; around it belong four light squares on each side (ISO/IEC 18004).
///
/// # Errors
/// As for [`for_terminal`].
pub fn squares(text: &str) -> Result<Squares, QrError> {
    let code = code(text)?;
    let dark = code.to_colors().into_iter().map(|color| color == Color::Dark).collect();
    Ok(Squares { side: code.width(), dark: Zeroizing::new(dark) })
}
