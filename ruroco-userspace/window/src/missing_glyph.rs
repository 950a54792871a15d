//! Characters that no font on this computer contains. Each is drawn as a box with its Unicode number, so
//! that no name looks empty and no two names look the same.
//!
//! Rationale: decision 0031.

use std::iter;

use eframe::egui::{
    Color32, ColorImage, Context, GlyphBitmap, GlyphRasterizer, GlyphRasterizerRequest,
    RasterizedGlyph, Vec2,
};

/// The hexadecimal digits, row by row.
const DIGITS: [[&str; 5]; 16] = [
    ["###", "# #", "# #", "# #", "###"],
    [" # ", "## ", " # ", " # ", "###"],
    ["###", "  #", "###", "#  ", "###"],
    ["###", "  #", "###", "  #", "###"],
    ["# #", "# #", "###", "  #", "  #"],
    ["###", "#  ", "###", "  #", "###"],
    ["###", "#  ", "###", "# #", "###"],
    ["###", "  #", "  #", "  #", "  #"],
    ["###", "# #", "###", "# #", "###"],
    ["###", "# #", "###", "  #", "###"],
    [" # ", "# #", "###", "# #", "# #"],
    ["## ", "# #", "## ", "# #", "## "],
    ["###", "#  ", "#  ", "#  ", "###"],
    ["## ", "# #", "# #", "# #", "## "],
    ["###", "#  ", "###", "#  ", "###"],
    ["###", "#  ", "###", "#  ", "#  "],
];

/// Dots of a box above the line on which letters stand; three are below it.
const ABOVE: f32 = 12.0;

/// The maximum number of characters that are shown of a grapheme, which can be as long as a text.
const MAX_BOXES: usize = 8;

/// Draws missing glyphs as boxes in this context.
pub(super) fn install(context: &Context) {
    context.add_glyph_rasterizer(GlyphRasterizer::new("ruroco::missing_glyph", |request| {
        Some(rasterize(request))
    }));
}

fn rasterize(request: &GlyphRasterizerRequest<'_>) -> RasterizedGlyph {
    let scale = scale(request.font_size_px);
    let mut rows: Vec<String> = Vec::new();
    for character in request.cluster.chars().take(MAX_BOXES) {
        let next = framed(character);
        rows.resize(next.len(), String::new());
        rows.iter_mut().zip(next).for_each(|(row, next)| row.push_str(&next));
    }
    let lines = rows.iter().map(|row| enlarged(row, scale));
    let lines: Vec<Vec<Color32>> =
        lines.flat_map(|line| iter::repeat_n(line, usize::from(scale))).collect();
    let width = lines.first().map_or(0, Vec::len);
    let image = ColorImage::new([width, lines.len()], lines.concat());
    let offset_px = Vec2::new(0.0, -ABOVE * f32::from(scale));
    let advance_px = u16::try_from(width).map_or(0.0, f32::from);
    RasterizedGlyph { advance_px, bitmap: GlyphBitmap { image, offset_px, is_color: false } }
}

/// Pixels to a dot: a box is about as high as a line of text.
fn scale(font_size_px: f32) -> u8 {
    let fits = |scale: &u8| f32::from(*scale) * ABOVE <= font_size_px;
    (1..=MAX_SCALE).rev().find(fits).unwrap_or(1)
}

/// No font in the window is larger.
const MAX_SCALE: u8 = 16;

/// The box of a character, row by row.
fn framed(character: char) -> Vec<String> {
    let code = u32::from(character);
    let digits = if code > 0xffff { format!("{code:06X}") } else { format!("{code:04X}") };
    let (upper, lower) = digits.split_at(digits.len() / 2);
    let (upper, lower) = (written(upper), written(lower));
    let width = upper.first().map_or(0, String::len);
    let blank = [" ".repeat(width)];
    let inside = blank.iter().chain(&upper).chain(&blank).chain(&lower).chain(&blank);
    let edge = "#".repeat(width.saturating_add(4));
    let inside = inside.map(|row| format!("# {row} # "));
    iter::once(format!("{edge} ")).chain(inside).chain([format!("{edge} ")]).collect()
}

/// Digits side by side, row by row.
fn written(digits: &str) -> Vec<String> {
    let shapes = digits.chars().filter_map(|digit| digit.to_digit(16));
    let shapes = shapes.filter_map(|digit| DIGITS.get(usize::try_from(digit).ok()?));
    let shapes: Vec<_> = shapes.collect();
    let row = |place: usize| shapes.iter().filter_map(move |shape| shape.get(place).copied());
    (0..5).map(|place| row(place).collect::<Vec<_>>().join(" ")).collect()
}

/// A row of dots as pixels.
fn enlarged(row: &str, scale: u8) -> Vec<Color32> {
    let pixel = |dot| if dot == '#' { Color32::WHITE } else { Color32::TRANSPARENT };
    row.chars().flat_map(|dot| iter::repeat_n(pixel(dot), usize::from(scale))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install;
    use eframe::egui::{FontId, MissingGlyphPolicy};

    #[test]
    fn a_box_has_the_number_of_its_character_in_it() {
        let shown = framed('\u{4e2d}').join("\n");
        let expected = [
            "########### ",
            "#         # ",
            "# # # ### # ",
            "# # # #   # ",
            "# ### ### # ",
            "#   # #   # ",
            "#   # ### # ",
            "#         # ",
            "# ### ##  # ",
            "#   # # # # ",
            "# ### # # # ",
            "# #   # # # ",
            "# ### ##  # ",
            "#         # ",
            "########### ",
        ];
        assert_eq!(shown, expected.join("\n"));
        assert_ne!(framed('\u{1f511}'), framed('\u{f511}'));
    }

    /// No system font is asked for here: what is seen is what a computer without any shows.
    #[test]
    fn no_character_of_a_name_is_drawn_as_nothing() {
        let context = Context::default();
        install(&context);
        context.set_missing_glyph_policy(MissingGlyphPolicy::Panic);
        let mut output = context.run_ui(Default::default(), |ui| {
            for name in ["中文", "עברית", "العربية", "한국어", "हिन्दी", "🜁", "open_門"]
            {
                for font in [FontId::proportional(14.0), FontId::monospace(13.0)] {
                    let galley = ui.fonts_mut(|fonts| {
                        fonts.layout_no_wrap(name.to_owned(), font, Color32::WHITE)
                    });
                    let glyphs = galley.rows.iter().flat_map(|row| &row.row.glyphs);
                    let drawn = glyphs.filter(|glyph| !glyph.uv_rect.is_nothing()).count();
                    let letters = name.chars().filter(|c| c.is_alphanumeric()).count();
                    assert!(drawn >= letters.min(2), "{drawn} glyphs are drawn of {name}");
                    assert!(galley.size().x > 0.0, "{name}");
                }
            }
        });
        output.textures_delta.clear();
    }
}
