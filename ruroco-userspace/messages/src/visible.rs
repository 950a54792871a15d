//! Invisible characters, and characters that change the order in which others are shown. With them, two
//! different names can look the same.

use std::ops::RangeInclusive;

/// What Unicode 16.0 lists as `Default_Ignorable_Code_Point` (which includes the variation selectors, the
/// fillers of Hangul and the tags) or in the general category `Cf` (which includes every `Bidi_Control`),
/// the line and paragraph separators, and the braille pattern without dots, which looks like a space.
const HIDDEN: [RangeInclusive<char>; 32] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{fff9}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
    // Spaces that a person takes for the usual one, or for none.
    '\u{a0}'..='\u{a0}',
    '\u{1680}'..='\u{1680}',
    '\u{2000}'..='\u{200a}',
    '\u{205f}'..='\u{205f}',
    '\u{3000}'..='\u{3000}',
];

/// What stands where a text could not be decoded: the text is damaged.
const DAMAGE: char = char::REPLACEMENT_CHARACTER;

/// Whether a name may not contain this character, because a person could not see it, or would see others
/// in another order. A space is no such character.
pub fn is_hidden(c: char) -> bool {
    c == DAMAGE
        || c.is_control()
        || (!c.is_ascii() && HIDDEN.iter().any(|range| range.contains(&c)))
}

/// Whether a text can stand in a line, between other things: not empty, and nothing in it is hidden.
pub fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(is_hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_everything_that_is_in_it() {
        for text in ["open_ssh", "open ssh", "öffnen", "開く", "a>b,\"c\"", "شبكة", "🚪"] {
            assert!(is_visible(text), "{text}");
        }
        for hidden in [
            '\u{200b}',
            '\u{200d}',
            '\u{ad}',
            '\u{202e}',
            '\u{2066}',
            '\u{200f}',
            '\u{feff}',
            '\u{a0}',
            '\u{2028}',
            '\u{3164}',
            '\u{115f}',
            '\u{e0061}',
            '\u{fe0f}',
            '\u{fffd}',
            '\u{7f}',
            '\n',
        ] {
            for text in [format!("{hidden}a"), format!("a{hidden}"), format!("a{hidden}b")] {
                assert!(!is_visible(&text), "{text:?}");
            }
        }
        for text in ["", " ", " a", "a "] {
            assert!(!is_visible(text), "{text:?}");
        }
    }
}
