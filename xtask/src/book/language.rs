//! The English of everything that a person can read: pages, messages, help texts, comments for users. A
//! phrase in [`RULES`] makes a reader read twice; the test names file, line, phrase and what to write.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Literal, TokenStream, TokenTree};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::tests::{files, root};

/// Places whose text is still to be rewritten: files, and folders with all that is below them. The list only
/// gets shorter: a place without a finding fails the test, too.
const NOT_YET: [&str; 4] = ["bench", "fuzz", "tests", "xtask"];

/// Phrases that are rejected everywhere, and what to write instead.
const RULES: [(&str, &str); 39] = [
    ("all that is wrong", "errors"),
    ("also if", "even if"),
    ("also when", "even when"),
    ("anew", "again"),
    ("are none", "`there are no …`, `does not have one`"),
    ("are said", "`report`, `print`, `show`, with a subject"),
    ("are told", "`report`, with a subject"),
    ("as of", "from … on"),
    ("be had", "available"),
    ("beside", "next to"),
    ("but for", "except"),
    ("had back", "restored"),
    ("has to", "must"),
    ("in the way of", "`prevents`"),
    ("is none", "`there is no …`, `does not have one`"),
    ("is said", "`report`, `print`, `show`, with a subject"),
    ("is to be", "`must`, or the active voice"),
    ("is told", "`report`, with a subject"),
    ("looked at", "`check`, `read`, with a subject"),
    ("looks at", "`check`, `read`"),
    ("looks whether", "checks whether"),
    ("mended", "fixed"),
    ("nobody", "`no one`, `no process`, `no other user`"),
    ("of one's own", "your own"),
    ("one that", "repeat the noun"),
    ("say so", "report it"),
    ("says so", "reports it"),
    ("so few", "only that many"),
    ("somebody", "the person's role: `an attacker`, `the key's owner`, `another user`"),
    ("stands in", "is in"),
    ("take away", "revoke, remove"),
    ("taken away", "revoked, removed"),
    ("there is to", "must"),
    ("to be had", "available"),
    ("was told", "`report`, with a subject"),
    ("what is wrong", "errors"),
    ("who has taken", "an attacker in"),
    ("whoever", "the person's role: `an attacker`, `a key holder`, `anyone who`"),
    ("whomever", "the person's role"),
];

/// Phrases that are rejected in pages only: code has types and fields of these names.
const RULES_FOR_PAGES: [(&str, &str); 6] = [
    ("refusal", "rejection"),
    ("refusals", "rejections"),
    ("refuse", "reject"),
    ("refused", "rejected"),
    ("refuses", "rejects"),
    ("refusing", "rejecting"),
];

/// Phrases that are rejected in programs for people who know a host only from outside: the server is a program
/// on it.
const RULES_FOR_CLIENTS: [(&str, &str); 3] =
    [("a server", "a host"), ("servers never", "hosts never"), ("the server", "the host")];

/// The programs to which these rules apply.
const CLIENTS: [&str; 3] =
    ["ruroco-userspace/client", "ruroco-userspace/invite", "ruroco-userspace/window"];

/// What marks the part of a page that a program writes. Its English is checked in that program.
const GENERATED: [(&str, &str); 2] = [
    (
        "<!-- What follows is written by `cargo xtask bench --write-docs`. -->",
        "<!-- What was written by `cargo xtask bench --write-docs` ends here. -->",
    ),
    (
        "<!-- What follows is written by `cargo xtask bench --doors --write-docs`. -->",
        "<!-- What was written by `cargo xtask bench --doors --write-docs` ends here. -->",
    ),
];

/// What is left of code in a text.
const CODE: &str = "\u{b7}";

/// Pages that a program writes as a whole.
const GENERATED_PAGES: &str = "docs/operate/reference";

#[test]
fn every_text_is_plain_english() {
    let known = findings().into_iter().filter(|(path, _)| !is_not_yet(path));
    let found: Vec<String> = known.flat_map(|(_, found)| found).collect();
    assert!(found.is_empty(), "{} phrases to rewrite:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_list_of_texts_that_are_still_to_be_rewritten_only_gets_shorter() {
    let findings = findings();
    let is_clean = |place: &&&str| !findings.keys().any(|path| path.starts_with(place));
    let clean: Vec<_> = NOT_YET.iter().filter(is_clean).collect();
    assert!(clean.is_empty(), "clean: remove them from NOT_YET: {clean:?}");
}

#[test]
fn what_is_checked_of_a_text_is_found_in_it() {
    let text = of_rust(
        "//! a `whoever` b\n//! one\n//! that\nfn f<'a>() { g(\"x\\n\", 'w'); }\n/// `c\nconst C: &str = \"whoever \\\n  is\";\n",
    );
    assert_eq!(text.find("one that"), [2]);
    assert_eq!(text.find("whoever"), [6]);
    assert!(text.find("who").is_empty());
    let page = of_markdown("# A\n\nThe one\nthat is `anew`.\n\n```\nanew\n```\n\n- Whoever\n");
    assert_eq!(
        (page.find("one that"), page.find("anew"), page.find("whoever")),
        (vec![3], vec![], vec![10])
    );
    assert_eq!(of_plain("x\nwhoever\n").find("whoever"), [2]);
}

/// What is wrong with each file, by path from the root. Files without findings are left out.
fn findings() -> BTreeMap<PathBuf, Vec<String>> {
    let mut findings = BTreeMap::new();
    for path in texts() {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        let prose = match path.extension().and_then(|extension| extension.to_str()) {
            Some("md") => of_markdown(&text),
            Some("rs") => of_rust(&text),
            _ => of_plain(&text),
        };
        let is_client = CLIENTS.iter().any(|folder| path.starts_with(folder));
        let rules = RULES
            .iter()
            .chain(RULES_FOR_PAGES.iter().filter(|_| is_page))
            .chain(RULES_FOR_CLIENTS.iter().filter(|_| is_client));
        let found: Vec<String> = rules
            .flat_map(|(phrase, instead)| {
                let path = path.display();
                prose
                    .find(phrase)
                    .into_iter()
                    .map(move |line| format!("{path}:{line}: \"{phrase}\"; write {instead}"))
            })
            .collect();
        if !found.is_empty() {
            findings.insert(path, found);
        }
    }
    findings
}

fn is_not_yet(path: &Path) -> bool {
    NOT_YET.iter().any(|place| path.starts_with(place))
}

/// All files that people read, by path from the root: the book, README, what packages install, and the
/// sources of programs, whose messages and help texts are string literals.
fn texts() -> Vec<PathBuf> {
    let is_source = |path: &PathBuf| {
        path.components().any(|component| component.as_os_str() == "src")
            && !path.ends_with("xtask/src/book/language.rs")
    };
    let sources = files(&root(), "rs").into_iter().filter(is_source);
    let packaged = ["conf", "service", "socket", "toml", "desktop"]
        .into_iter()
        .flat_map(|extension| files(&root().join("packaging"), extension));
    let scripts = ["postinst", "postrm"].map(|name| root().join("packaging/debian").join(name));
    let pages = files(&root().join("docs"), "md").into_iter().chain([root().join("README.md")]);
    let all = sources.chain(packaged).chain(scripts).chain(pages);
    let from_root = |path: PathBuf| path.strip_prefix(root()).unwrap().to_owned();
    all.map(from_root).filter(|path| !path.starts_with(GENERATED_PAGES)).collect()
}

/// The words of a text without code, in small letters, each followed by one space, and the line that each
/// byte comes from.
#[derive(Default)]
struct Prose {
    text: String,
    lines: Vec<usize>,
}

impl Prose {
    /// Adds text that begins in this line.
    fn push(&mut self, text: &str, first: usize) {
        for (number, line) in (first..).zip(text.split('\n')) {
            for word in line.split_whitespace() {
                self.push_part(word, number);
                self.push_part(" ", number);
            }
        }
    }

    /// Adds lines of text in which code is between backticks.
    fn push_without_code(&mut self, lines: &[(usize, String)]) {
        let mut is_code = false;
        for (number, line) in lines {
            for (at, part) in line.split('`').enumerate() {
                is_code ^= at > 0;
                self.push(if is_code { CODE } else { part }, *number);
            }
        }
        self.end_paragraph();
    }

    fn push_part(&mut self, part: &str, line: usize) {
        let part = part.to_lowercase();
        self.lines.extend(std::iter::repeat_n(line, part.len()));
        self.text.push_str(&part);
    }

    /// No phrase reaches across.
    fn end_paragraph(&mut self) {
        self.push_part("\n", 0);
    }

    /// The lines in which a phrase begins.
    fn find(&self, phrase: &str) -> Vec<usize> {
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_whole = |at: usize| {
            let (before, rest) = self.text.split_at(at);
            let behind = rest.strip_prefix(phrase).unwrap_or_default();
            !is_letter(before.chars().next_back()) && !is_letter(behind.chars().next())
        };
        let found = self.text.match_indices(phrase).map(|(at, _)| at).filter(|at| is_whole(*at));
        found.filter_map(|at| self.lines.get(at).copied()).collect()
    }
}

fn of_plain(text: &str) -> Prose {
    let mut prose = Prose::default();
    let text = text.replace("\n#", "\n ");
    let lines: Vec<_> = (1..).zip(text.lines().map(str::to_owned)).collect();
    prose.push_without_code(&lines);
    prose
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest of a page is no text")]
fn of_markdown(text: &str) -> Prose {
    let mut prose = Prose::default();
    let text = without_generated(text);
    let mut is_code = false;
    for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
        let line = text.get(..range.start).unwrap_or_default().split('\n').count();
        match event {
            Event::Start(Tag::CodeBlock(_)) => is_code = true,
            Event::End(TagEnd::CodeBlock) => is_code = false,
            Event::Text(text) if !is_code => prose.push(&text, line),
            Event::Code(_) => prose.push(CODE, line),
            Event::Start(Tag::Paragraph | Tag::Item | Tag::TableCell | Tag::Heading { .. }) => {
                prose.end_paragraph();
            }
            _ => {}
        }
    }
    prose
}

/// The page with empty lines in place of what a program writes.
fn without_generated(page: &str) -> String {
    let mut page = page.to_owned();
    for (begin, end) in GENERATED {
        let Some((before, rest)) = page.split_once(begin) else { continue };
        let Some((generated, behind)) = rest.split_once(end) else { continue };
        page = format!("{before}{}{behind}", "\n".repeat(generated.matches('\n').count()));
    }
    page
}

/// Doc comments and string literals.
fn of_rust(text: &str) -> Prose {
    let mut prose = Prose::default();
    let mut docs = Vec::new();
    add_rust(&mut prose, &mut docs, text.parse().unwrap());
    prose.push_without_code(&docs);
    prose
}

/// Lines of a doc comment are collected until something else follows.
fn add_rust(prose: &mut Prose, docs: &mut Vec<(usize, String)>, tokens: TokenStream) {
    let mut is_doc = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => add_rust(prose, docs, group.stream()),
            TokenTree::Ident(ident) if ident == "doc" => is_doc = true,
            TokenTree::Ident(_) => prose.push_without_code(&std::mem::take(docs)),
            TokenTree::Punct(_) => {}
            TokenTree::Literal(literal) => {
                let lines = literal_lines(&literal);
                match std::mem::take(&mut is_doc) {
                    true => docs.extend(lines),
                    false => prose.push_without_code(&lines),
                }
            }
        }
    }
}

/// The lines of a string literal, or nothing for another literal.
fn literal_lines(literal: &Literal) -> Vec<(usize, String)> {
    let text = literal.to_string();
    let inner = text.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
    let inner = inner.map_or(String::new(), |(inner, _)| inner.replace("\\n", " "));
    let lines = inner.split('\n').map(|line| line.trim_end_matches('\\').to_owned());
    (literal.span().start().line..).zip(lines).collect()
}
