//! The text of a QR code in a picture: an invitation as a photograph or a screenshot.

use std::io::Cursor;

use image::{GrayImage, ImageReader, Limits, Luma};
use zeroize::Zeroizing;

/// Largest side of a picture in pixels; today's cameras have a third of that.
const MAX_SIDE: u32 = 20_000;

/// Largest picture in bytes of memory.
const MAX_MEMORY: u64 = 512 << 20;

/// A picture in which there is no text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No picture, or none of a kind that is known here.
    #[error("it is no text and no PNG or JPEG picture: {0}")]
    Picture(#[from] image::ImageError),
    /// Nothing in it looks like a code.
    #[error("there is no QR code in the picture, or it is too small or blurred to be read")]
    NoCode,
    /// Which one is meant nobody can say.
    #[error("there are several QR codes in the picture: cut out the one that is meant")]
    Several,
    /// Something looks like a code and cannot be read.
    #[error("the QR code in the picture cannot be read: {0}; take a sharper one")]
    Unreadable(#[from] rqrr::DeQRError),
}

/// The text of the only QR code in a picture (PNG or JPEG).
///
/// # Errors
/// [`Error`].
pub fn text_in(picture: &[u8]) -> Result<Zeroizing<String>, Error> {
    let mut reader = ImageReader::new(Cursor::new(picture))
        .with_guessed_format()
        .map_err(image::ImageError::IoError)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let picture = reader.decode()?.into_luma8();
    match text_of(&picture) {
        // A terminal with a dark ground shows codes light on dark, if nobody has turned them round.
        Err(Error::NoCode) => {
            let mut turned = picture;
            image::imageops::invert(&mut turned);
            text_of(&turned)
        }
        result => result,
    }
}

fn text_of(picture: &GrayImage) -> Result<Zeroizing<String>, Error> {
    let side = |pixels: u32| usize::try_from(pixels).unwrap_or(usize::MAX);
    let at = |x: usize, y: usize| {
        let pixel = u32::try_from(x).ok().zip(u32::try_from(y).ok());
        pixel
            .and_then(|(x, y)| picture.get_pixel_checked(x, y))
            .map_or(u8::MAX, |Luma([grey])| *grey)
    };
    let (width, height) = (side(picture.width()), side(picture.height()));
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, at);
    let grids = prepared.detect_grids();
    match grids.as_slice() {
        [] => Err(Error::NoCode),
        [grid] => Ok(Zeroizing::new(grid.decode()?.1)),
        [..] => Err(Error::Several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qr;
    use image::ImageFormat;

    const TEXT: &str = "ruroco://203.0.113.5:80?name=home&key=chacha20poly1305%3AAAECAwQFBgcgISIjJ\
                        CUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0%2BPw%3D%3D&command=open_ssh&wait=22";

    /// Each square has four pixels a side, and four light ones around it.
    fn drawn(format: ImageFormat, dark: u8, light: u8) -> Vec<u8> {
        let code = qr::squares(TEXT).unwrap();
        let side = u32::try_from(code.side + 8).unwrap() * 4;
        let picture = GrayImage::from_fn(side, side, |x, y| {
            let at = |pixel: u32| usize::try_from(pixel / 4).unwrap().checked_sub(4);
            let square = at(x).zip(at(y)).filter(|(x, y)| *x < code.side && *y < code.side);
            let is_dark = square.is_some_and(|(x, y)| code.dark[y * code.side + x]);
            Luma([if is_dark { dark } else { light }])
        });
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    #[test]
    fn a_drawn_code_is_read_again() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            for (dark, light) in [(0, 255), (255, 0), (60, 170)] {
                let picture = drawn(format, dark, light);
                assert_eq!(*text_in(&picture).unwrap(), TEXT, "{format:?} {dark} {light}");
            }
        }
    }

    #[test]
    fn what_holds_no_code_is_refused_in_words() {
        let picture = GrayImage::from_pixel(200, 200, Luma([200]));
        let mut empty = Cursor::new(Vec::new());
        picture.write_to(&mut empty, ImageFormat::Png).unwrap();
        assert!(matches!(text_in(&empty.into_inner()), Err(Error::NoCode)));
        assert!(matches!(text_in(b"\xff\xfe no picture"), Err(Error::Picture(_))));
        let whole = drawn(ImageFormat::Png, 0, 255);
        assert!(matches!(text_in(&whole[..whole.len() / 2]), Err(Error::Picture(_))));
    }
}
