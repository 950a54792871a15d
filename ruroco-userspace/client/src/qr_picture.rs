//! QR codes in pictures: drawn as SVG or PNG, and read from a PNG or JPEG file, such as a photo or a
//! screenshot.
//!
//! A picture is untrusted input. This module limits its size; the [`reader`](crate::qr_reader) limits
//! the time and memory to process it.

use std::io::Cursor;

use image::{
    DynamicImage, GrayImage, ImageError, ImageFormat, ImageReader, Limits, Luma, imageops,
};
use qrcode::{render::svg, types::QrError};
use rqrr::PreparedImage;
use ruroco_invite::qr::code;
use zeroize::Zeroizing;

/// Side of a module in pixels of a PNG: large enough to be photographed from a screen.
const MODULE: u32 = 8;

/// Largest picture in bytes. Phones take photos of about 10 MiB.
pub const MAX_SIZE: u64 = 32 << 20;

/// Longest side in pixels. Phones take photos of 12,000.
const MAX_SIDE: u32 = 16_384;

/// Maximum memory in bytes for the pixels of a picture: 80 million pixels of three bytes.
const MAX_MEMORY: u64 = 240 << 20;

/// Longer side in pixels above which a picture is also searched at half its size: noise can hide a code in a
/// large picture.
const LARGE: u32 = 800;

/// No text was found in a picture. The message repeats nothing of the picture.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is not a picture, or it is too large.
    #[error("not a readable PNG or JPEG picture: {0}")]
    Picture(ImageError),
    /// The picture shows no QR code.
    #[error(
        "no QR code was found in the picture. Take a sharp picture from straight ahead that includes the white \
         border around the code"
    )]
    None,
    /// The picture shows a QR code that cannot be read.
    #[error(
        "the QR code in the picture cannot be read ({0}). Take a sharp picture of the whole code"
    )]
    Unreadable(rqrr::DeQRError),
    /// The picture shows several QR codes.
    #[error("the picture contains more than one QR code. Crop it to the one you want")]
    Several,
}

// Not by `#[from]`: the message contains the source, so it would appear twice.
impl From<ImageError> for ReadError {
    fn from(error: ImageError) -> Self {
        Self::Picture(error)
    }
}

/// The code as an SVG document.
///
/// # Errors
/// If the text is too long for a code (2,953 bytes, ISO/IEC 18004).
pub fn svg(text: &str) -> Result<Zeroizing<String>, QrError> {
    Ok(Zeroizing::new(code(text)?.render::<svg::Color<'_>>().build()))
}

/// The code as a PNG file.
///
/// # Errors
/// If the text is too long for a code, or there is no memory for the picture.
pub fn png(text: &str) -> Result<Zeroizing<Vec<u8>>, PngError> {
    let code = code(text)?;
    let picture = code.render::<Luma<u8>>().module_dimensions(MODULE, MODULE).build();
    let mut file = Zeroizing::new(Vec::new());
    picture.write_to(&mut Cursor::new(&mut *file), ImageFormat::Png)?;
    // The pixels show the secret, too.
    drop(Zeroizing::new(picture.into_raw()));
    Ok(file)
}

/// A text could not be drawn as a picture.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The text does not fit into a code.
    #[error(transparent)]
    Code(#[from] QrError),
    /// The picture could not be written.
    #[error(transparent)]
    Picture(#[from] ImageError),
}

/// The text of the only code in a picture, which is a PNG or JPEG file. The time that this takes has no
/// limit, so programs run it in a [reader](crate::qr_reader).
///
/// # Errors
/// [`ReadError`].
pub fn read(file: &[u8]) -> Result<Zeroizing<String>, ReadError> {
    let whole = decode(file)?.into_luma8();
    let is_large = whole.width().max(whole.height()) > LARGE;
    let half = is_large.then(|| {
        imageops::thumbnail(&whole, whole.width().div_ceil(2), whole.height().div_ceil(2))
    });
    let mut missed = ReadError::None;
    // A code on a dark background is inverted.
    for inverted in [false, true] {
        for picture in std::iter::once(&whole).chain(&half) {
            match read_luma(picture, inverted) {
                Err(ReadError::None) => {}
                Err(error @ ReadError::Unreadable(_)) => missed = error,
                done => return done,
            }
        }
    }
    Err(missed)
}

fn decode(file: &[u8]) -> Result<DynamicImage, ImageError> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    reader.decode()
}

fn read_luma(picture: &GrayImage, inverted: bool) -> Result<Zeroizing<String>, ReadError> {
    let (Ok(width), Ok(height)) = (picture.width().try_into(), picture.height().try_into()) else {
        return Err(ReadError::None);
    };
    let light = |x: usize, y: usize| {
        let (x, y) = (x.try_into().unwrap_or(u32::MAX), y.try_into().unwrap_or(u32::MAX));
        let light = picture.get_pixel_checked(x, y).map_or(u8::MAX, |pixel| pixel.0[0]);
        if inverted { u8::MAX.wrapping_sub(light) } else { light }
    };
    let mut prepared = PreparedImage::prepare_from_greyscale(width, height, light);
    let mut found: Option<Zeroizing<String>> = None;
    let mut unreadable = None;
    for grid in prepared.detect_grids() {
        match grid.decode().map(|(_, text)| Zeroizing::new(text)) {
            Err(error) => unreadable = Some(error),
            Ok(text) if found.as_ref().is_some_and(|known| *known != text) => {
                return Err(ReadError::Several);
            }
            Ok(text) => found = Some(text),
        }
    }
    match (found, unreadable) {
        (Some(text), _) => Ok(text),
        (None, Some(error)) => Err(ReadError::Unreadable(error)),
        (None, None) => Err(ReadError::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::Form;
    use image::{ImageBuffer, imageops::FilterType};
    use proptest::prelude::*;

    const LINE: &str = "ruroco://203.0.113.5:80?name=home&key=chacha20poly1305%3AAAECAwQFBgcgISIjJC\
                        UmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0%2BPw%3D%3D&command=open_ssh&wait=22";

    fn picture(text: &str) -> GrayImage {
        image::load_from_memory(&png(text).unwrap()).unwrap().into_luma8()
    }

    fn file(picture: &GrayImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Vec::new();
        picture.write_to(&mut Cursor::new(&mut file), format).unwrap();
        file
    }

    #[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "it draws")]
    /// As a telephone sees it: smaller, in a scene, a little turned, neither black nor white.
    fn photographed(text: &str, degrees: f64) -> GrayImage {
        let code = picture(text);
        let code = imageops::resize(&code, 420, 420, FilterType::Triangle);
        let (sin, cos) = degrees.to_radians().sin_cos();
        ImageBuffer::from_fn(900, 700, |x, y| {
            let (x, y) = (f64::from(x) - 450.0, f64::from(y) - 350.0);
            let (u, v) = (x * cos + y * sin + 210.0, y * cos - x * sin + 210.0);
            let light = if (0.0..419.0).contains(&u) && (0.0..419.0).contains(&v) {
                code.get_pixel(u as u32, v as u32).0[0]
            } else {
                150
            };
            Luma([40 + light / 2 + (x as i64 & 7) as u8])
        })
    }

    #[test]
    fn a_photograph_of_a_code_is_read() {
        for degrees in [0.0, 7.0, 90.0, 172.0] {
            let taken = file(&photographed(LINE, degrees), ImageFormat::Jpeg);
            assert_eq!(*read(&taken).unwrap(), LINE, "{degrees}");
        }
    }

    #[test]
    fn a_code_on_a_dark_ground_is_read() {
        let mut dark = picture(LINE);
        imageops::invert(&mut dark);
        assert_eq!(*read(&file(&dark, ImageFormat::Png)).unwrap(), LINE);
    }

    #[test]
    fn what_shows_no_code_or_several_is_refused() {
        let blank = GrayImage::from_pixel(300, 300, Luma([255]));
        let none = read(&file(&blank, ImageFormat::Png));
        assert!(matches!(none, Err(ReadError::None)), "{none:?}");
        let (a, b) = (picture("one"), picture("another"));
        let mut both = GrayImage::from_pixel(a.width() + b.width(), 400, Luma([255]));
        imageops::replace(&mut both, &a, 0, 0);
        imageops::replace(&mut both, &b, i64::from(a.width()), 0);
        let several = read(&file(&both, ImageFormat::Png));
        assert!(matches!(several, Err(ReadError::Several)), "{several:?}");
        assert!(matches!(read(b"no picture"), Err(ReadError::Picture(_))));
        assert!(matches!(read(svg(LINE).unwrap().as_bytes()), Err(ReadError::Picture(_))));
    }

    #[test]
    fn a_message_tells_its_cause_once() {
        let error = anyhow::Error::from(read(b"no picture").unwrap_err());
        assert_eq!(format!("{error:#}"), error.to_string());
        let long = "a".repeat(5000);
        let error = crate::export::write(&long, Form::Png, "/nonexistent/x".as_ref());
        let error = anyhow::Error::from(error.unwrap_err());
        assert_eq!(format!("{error:#}"), error.to_string());
    }

    #[test]
    fn a_small_file_that_says_it_is_a_huge_picture_is_refused() {
        let huge = GrayImage::new(MAX_SIDE + 1, 1);
        let refused = read(&file(&huge, ImageFormat::Png)).unwrap_err();
        assert!(matches!(refused, ReadError::Picture(ImageError::Limits(_))), "{refused:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn what_is_drawn_is_what_is_read(text in "[ -~]{1,300}") {
            prop_assert_eq!(&*read(&png(&text).unwrap()).unwrap(), &text);
        }
    }
}
