//! Pages of the book, whose blocks of code are run as they stand there.

use std::{fs, path::Path};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// The blocks in this language between a heading and the next one, of whatever level, of a page in
/// `docs`.
///
/// # Panics
/// If there are others than `N`.
#[track_caller]
#[expect(clippy::wildcard_enum_match_arm, reason = "of most of a page nothing is asked")]
pub(crate) fn blocks<const N: usize>(page: &str, heading: &str, language: &str) -> [String; N] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let markdown = fs::read_to_string(path).unwrap();
    let (mut section, mut text, mut wanted) = (String::new(), String::new(), false);
    let mut found = Vec::new();
    for event in Parser::new(&markdown) {
        match event {
            Event::Start(Tag::Heading { .. }) => text.clear(),
            Event::End(TagEnd::Heading(_)) => section.clone_from(&text),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                text.clear();
                wanted = section == heading && &*info == language;
            }
            Event::End(TagEnd::CodeBlock) if wanted => found.push(text.clone()),
            Event::Text(more) => text.push_str(&more),
            _ => {}
        }
    }
    found.try_into().unwrap_or_else(|found| {
        panic!("not {N} blocks of {language} below {heading:?} of {page}: {found:#?}")
    })
}
