//! Texts as QR codes: drawn with characters, for a screen that somebody photographs, or as a
//! [`picture`], which can be read, too.

#[cfg(feature = "with-client")]
pub mod picture;

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2, types::QrError};
use zeroize::Zeroizing;

/// A code of the least size: on screens and in files nothing of it is lost.
fn code(text: &str) -> Result<QrCode, QrError> {
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
