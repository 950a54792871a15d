//! Man pages that come from pages of the book, so that each text exists once: the configuration files
//! and the overview. Markdown that a man page cannot show is an error.

use anyhow::{Result, bail};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use roff::{Inline, Roff, bold, italic, line_break, roman};

use crate::{
    man,
    programs::{Package, Section},
};

/// The page about the configuration files, and the page with their fields.
const CONFIGURATION: &str = concat!(
    include_str!("../../docs/operate/configuration.md"),
    include_str!("../../docs/operate/reference/configuration.md")
);

/// The page about clients, and the page with the fields of their file.
const CLIENTS: &str = concat!(
    include_str!("../../docs/start/clients.md"),
    include_str!("../../docs/operate/reference/configuration.md")
);

const CONCEPTS: &str = include_str!("../../docs/start/concepts.md");

/// A page of the manual.
struct Page {
    name: &'static str,
    section: Section,
    about: &'static str,
    package: Package,
    /// The page of the book that it comes from.
    source: &'static str,
    /// The sections of the book's page that it holds.
    sections: &'static [&'static str],
    see_also: &'static [&'static str],
}

const PAGES: [Page; 4] = [
    Page {
        name: "ruroco-client-config",
        section: Section::Formats,
        about: "the hosts of a client of ruroco: ~/.config/ruroco/client.toml",
        package: Package::Client,
        source: CLIENTS,
        sections: &[
            "client.toml",
            "Fields of [hosts.NAME] in client.toml",
            "Fields of [hosts.NAME.doors.NAME] in client.toml",
            "The folder",
        ],
        see_also: &["ruroco-client(1)", "ruroco-client-ui(1)", "ruroco(7)"],
    },
    Page {
        name: "ruroco-config",
        section: Section::Formats,
        about: "the configuration that gate, server and commander of ruroco share: /etc/ruroco/config.toml",
        package: Package::Host,
        source: CONFIGURATION,
        sections: &[
            "config.toml",
            "Fields of config.toml",
            "Fields of [gate] in config.toml",
            "Fields of [keys.NAME] in config.toml",
            "Doors",
            "Fields of [doors.NAME] in config.toml",
            "Keys",
            "What keys share",
            "What is trusted",
            "Reload",
        ],
        see_also: &["ruroco-commands(5)", "ruroco(8)", "ruroco-gate(8)", "ruroco-server(8)"],
    },
    Page {
        name: "ruroco-commands",
        section: Section::Formats,
        about: "the commands that knocks may request: /etc/ruroco/commands.toml",
        package: Package::Host,
        source: CONFIGURATION,
        sections: &[
            "commands.toml",
            "Fields of [commands.NAME] in commands.toml",
            "Notifications",
            "Fields of [notify] in commands.toml",
            "What a command starts with",
            "Processes in the background",
        ],
        see_also: &["ruroco-config(5)", "ruroco-commander(8)"],
    },
    Page {
        name: "ruroco",
        section: Section::Overview,
        about: "run one pre-approved command on a host with no visible port",
        package: Package::Host,
        source: CONCEPTS,
        sections: &[
            "A knock",
            "The parts",
            "What happens to a packet",
            "Floors",
            "Keys",
            "Appearance",
            "What the operator decides",
        ],
        see_also: &[
            "ruroco-client(1)",
            "ruroco-client-ui(1)",
            "ruroco-config(5)",
            "ruroco-commands(5)",
            "ruroco(8)",
            "ruroco-gate(8)",
            "ruroco-server(8)",
            "ruroco-commander(8)",
        ],
    },
];

/// All of them.
///
/// # Errors
/// If the book's page lacks a section, or has something that a man page cannot show.
pub(crate) fn all() -> Result<Vec<man::Page>> {
    let page = |page: &Page| {
        Ok(man::Page {
            name: page.name.to_owned(),
            section: page.section,
            package: page.package,
            text: page.render()?.render().into_bytes(),
        })
    };
    PAGES.iter().map(page).collect()
}

/// Adds the section with related pages.
pub(crate) fn see_also(roff: &mut Roff, pages: &[&str]) {
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for page in pages {
        let (name, section) = page.split_once('(').unwrap_or((page, ""));
        let comma = if line.is_empty() { "" } else { ", " };
        line.extend([roman(comma), bold(name), roman(format!("({section}"))]);
    }
    roff.text(line);
}

impl Page {
    fn render(&self) -> Result<Roff> {
        let mut parts = self.source.split("\n## ");
        let introduction = parts.next().unwrap_or_default();
        let sections: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('\n')).collect();

        let release = concat!("ruroco ", env!("CARGO_PKG_VERSION"));
        let mut roff = Roff::new();
        roff.control("TH", [self.name, self.section.number(), "", release]);
        roff.control("SH", ["NAME"]);
        roff.text([roman(format!("{} - {}", self.name, self.about))]);
        roff.control("SH", ["DESCRIPTION"]);
        convert(&mut roff, introduction)?;
        for title in self.sections {
            let Some((_, text)) = sections.iter().find(|(found, _)| found == title) else {
                bail!("the book's page for {} has no section {title}", self.name);
            };
            roff.control("SH", [title.to_uppercase().as_str()]);
            convert(&mut roff, text)?;
        }
        see_also(&mut roff, self.see_also);
        Ok(roff)
    }
}

/// What is being read.
#[derive(Default)]
struct State {
    line: Vec<Inline>,
    is_bold: bool,
    is_link: bool,
    /// Whether there is anything in the line but what links to other pages of the book.
    is_text: bool,
    is_item: bool,
    /// The number of the next item of a numbered list.
    number: Option<u64>,
    is_code: bool,
    /// Of the table's head, and of the row.
    heads: Vec<String>,
    cells: Vec<Vec<Inline>>,
}

#[allow(clippy::wildcard_enum_match_arm, reason = "whatever else there is has no place here")]
fn convert(roff: &mut Roff, markdown: &str) -> Result<()> {
    let mut state = State::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Text(text) if state.is_code => verbatim(roff, &text),
            Event::Text(text) => state.text(&text),
            Event::Code(text) => {
                state.is_text |= !state.is_link;
                state.line.push(bold(text.into_string()));
            }
            Event::SoftBreak => state.line.push(roman(" ")),
            Event::Start(Tag::Strong) => state.is_bold = true,
            Event::End(TagEnd::Strong) => state.is_bold = false,
            Event::Start(Tag::Link { .. }) => state.is_link = true,
            Event::End(TagEnd::Link) => state.is_link = false,
            Event::Start(Tag::Paragraph) => state.is_text = false,
            Event::End(TagEnd::Paragraph) => state.paragraph(roff),
            Event::End(TagEnd::Heading(HeadingLevel::H3)) => {
                roff.control("SS", [state.plain().as_str()]);
            }
            // That of the page, which has a name.
            Event::End(TagEnd::Heading(HeadingLevel::H1)) => state.line.clear(),
            Event::Start(Tag::CodeBlock(_)) => {
                roff.control("PP", []).control("EX", []);
                state.is_code = true;
            }
            Event::End(TagEnd::CodeBlock) => {
                roff.control("EE", []);
                state.is_code = false;
            }
            Event::Start(Tag::List(first)) => state.number = first,
            Event::End(TagEnd::List(_)) => state.number = None,
            Event::Start(Tag::Item) => {
                state.item(roff);
                state.is_item = true;
            }
            Event::End(TagEnd::Item) => {
                state.is_item = false;
                state.write(roff);
            }
            Event::Start(Tag::Table(_)) => state.heads.clear(),
            Event::End(TagEnd::TableCell) => state.cells.push(std::mem::take(&mut state.line)),
            Event::End(TagEnd::TableHead) => {
                for cell in std::mem::take(&mut state.cells) {
                    state.line = cell;
                    let head = state.plain();
                    state.heads.push(head);
                }
            }
            Event::End(TagEnd::TableRow) => state.row(roff),
            Event::Start(Tag::Heading { .. } | Tag::TableHead | Tag::TableRow | Tag::TableCell)
            | Event::End(TagEnd::Table) => {}
            other => bail!("a man page cannot show this part of the book: {other:?}"),
        }
    }
    Ok(())
}

/// The lines of a code block, as they are.
fn verbatim(roff: &mut Roff, text: &str) {
    for line in text.lines() {
        roff.text([roman(line)]);
    }
}

impl State {
    /// Begins an item of a list: with its number, or with a bullet.
    fn item(&mut self, roff: &mut Roff) {
        match &mut self.number {
            Some(number) => {
                roff.control("IP", [format!("{number}.").as_str(), "4"]);
                *number = number.saturating_add(1);
            }
            None => {
                roff.control("IP", ["\\(bu", "2"]);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.is_text |= !self.is_link && text.chars().any(char::is_alphanumeric);
        self.line.push(if self.is_bold { bold(text) } else { roman(text) });
    }

    /// The line as a word, for a heading.
    fn plain(&mut self) -> String {
        let words = std::mem::take(&mut self.line).into_iter().map(|part| match part {
            Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text,
            Inline::LineBreak => " ".to_owned(),
        });
        words.collect()
    }

    fn write(&mut self, roff: &mut Roff) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            roff.text(line);
        }
    }

    /// Leaves out a paragraph that is nothing but a link: it leads nowhere from a man page.
    fn paragraph(&mut self, roff: &mut Roff) {
        if !self.is_text {
            self.line.clear();
        }
        if !(self.line.is_empty() || self.is_item) {
            roff.control("PP", []);
        }
        self.write(roff);
    }

    /// A row as a paragraph that begins with its first cell. The heads name the other cells, except the
    /// meaning of a field.
    fn row(&mut self, roff: &mut Roff) {
        let mut cells = std::mem::take(&mut self.cells).into_iter().zip(&self.heads);
        roff.control("TP", []);
        roff.text(cells.next().map(|(first, _)| first).unwrap_or_default());
        let mut line = Vec::new();
        for (cell, head) in cells.filter(|(cell, _)| !cell.is_empty()) {
            if !line.is_empty() {
                line.push(line_break());
            }
            if !["", "meaning", "content"].contains(&head.as_str()) {
                line.push(italic(format!("{head}: ")));
            }
            line.extend(cell);
        }
        roff.text(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(markdown: &str) -> String {
        let mut roff = Roff::new();
        convert(&mut roff, markdown).unwrap();
        roff.to_roff()
    }

    #[test]
    fn every_field_in_the_book_is_in_the_manual() {
        let pages = all().unwrap();
        let manual: String =
            pages.into_iter().map(|page| String::from_utf8(page.text).unwrap()).collect();
        let rows =
            CONFIGURATION.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let fields: Vec<&str> = rows.collect();
        assert!(fields.len() > 20, "{fields:?}");
        for field in fields {
            assert!(
                manual.contains(&format!(".TP\n\\fB{}\\fR", field.replace('-', "\\-"))),
                "{field}"
            );
        }
    }

    #[test]
    fn tables_lists_and_links_are_shown_as_a_manual_has_them() {
        let table =
            converted("| field | default | meaning |\n|---|---|---|\n| `a` | 2 | b [c](d) |\n");
        assert_eq!(table, ".TP\n\\fBa\\fR\n\\fIdefault: \\fR2\n.br\nb c\n");
        assert_eq!(
            converted("x:\n\n- a **b**\n- c\n"),
            ".PP\nx:\n.IP \\(bu 2\na \\fBb\\fR\n.IP \\(bu 2\nc\n"
        );
        assert_eq!(converted("1. a\n2. b\n"), ".IP 1. 4\na\n.IP 2. 4\nb\n");
        assert_eq!(converted("```text\na  b\n\n.c\n```\n"), ".PP\n.EX\na  b\n\n\\&.c\n.EE\n");
        assert_eq!(converted("[Why](why.md).\n\nSee [why](why.md).\n"), ".PP\nSee why.\n");
    }

    #[test]
    fn what_cannot_be_shown_is_not_left_out() {
        for markdown in ["> a\n", "![a](b.svg)\n", "~~a~~ <b>c</b>\n"] {
            assert!(convert(&mut Roff::new(), markdown).is_err(), "{markdown}");
        }
    }
}
