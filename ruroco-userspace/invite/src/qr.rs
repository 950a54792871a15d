//! Texts as QR codes, drawn with characters or as squares, to be photographed from a screen.

use qrcode::{Color, EcLevel, QrCode, render::unicode::Dense1x2, types::QrError};
use zeroize::Zeroizing;

/// The smallest code for a text. Screens and files damage no part of it, so it needs little error correction.
pub fn code(text: &str) -> Result<QrCode, QrError> {
    QrCode::with_error_correction_level(text.as_bytes(), EcLevel::L)
}

/// Draws a code with characters for a terminal with a dark background: readers expect a dark code on a light
/// background. The drawing is wiped from memory when it is dropped, because it usually contains a secret.
///
/// # Errors
/// If the text is too long for a code (2,953 bytes, ISO/IEC 18004).
pub fn for_terminal(text: &str) -> Result<Zeroizing<String>, QrError> {
    let code = code(text)?;
    let mut drawing = code.render::<Dense1x2>();
    drawing.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    Ok(Zeroizing::new(drawing.build()))
}

/// A code as squares, for a window. They are wiped from memory when they are dropped.
#[derive(Clone)]
pub struct Squares {
    /// The number of squares on each side.
    pub side: usize,
    /// Whether each square is dark, row by row.
    pub dark: Zeroizing<Vec<bool>>,
}

/// The code of a text, without the border of four light squares that it needs (ISO/IEC 18004).
///
/// # Errors
/// As for [`for_terminal`].
pub fn squares(text: &str) -> Result<Squares, QrError> {
    let code = code(text)?;
    let dark = code.to_colors().into_iter().map(|color| color == Color::Dark).collect();
    Ok(Squares { side: code.width(), dark: Zeroizing::new(dark) })
}
