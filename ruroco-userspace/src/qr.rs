//! A text as a QR code, for a screen that somebody photographs.

use qrcode::{QrCode, render::unicode::Dense1x2, types::QrError};
use zeroize::Zeroizing;

/// Draws it with characters, light on dark as terminals are; readers want a dark code on light
/// ground. The drawing is wiped from memory when dropped: what is drawn is mostly a secret.
///
/// # Errors
/// If the text is too long for a code (2,953 bytes, ISO/IEC 18004).
pub fn for_terminal(text: &str) -> Result<Zeroizing<String>, QrError> {
    let code = QrCode::new(text.as_bytes())?;
    let mut drawing = code.render::<Dense1x2>();
    drawing.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    Ok(Zeroizing::new(drawing.build()))
}
