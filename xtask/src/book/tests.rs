//! What the pages of the book, README and CHANGELOG say about other files: links lead somewhere, each
//! page is in the table of contents, and the tests that are named as proof exist. No network.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::{Component, Path, PathBuf},
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::workspace::Workspace;

/// Pages that live on the tests they name: `module::test`, as `cargo test` prints them.
const NAME_TESTS: [&str; 2] = ["docs/evaluate/threat-model.md", "docs/evaluate/vulnerabilities.md"];

/// Folders with sources that are not this repository's, or that a compiler wrote.
const NOT_OURS: [&str; 3] = ["target", ".tools", ".git"];

/// What is checked of a page.
#[derive(Default)]
struct Page {
    /// As written.
    links: Vec<String>,
    /// What a link to a heading may name.
    anchors: BTreeSet<String>,
    /// The text in backticks.
    quoted: BTreeSet<String>,
    /// The text of each row of its tables, without their heads.
    rows: Vec<String>,
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut broken = Vec::new();
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !is_elsewhere(link)) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => normal(&path.with_file_name(file)),
            };
            let exists = root().join(&target).exists();
            let leads = anchor.is_empty()
                || pages.get(&target).is_some_and(|page| page.anchors.contains(anchor));
            if !exists || !leads {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

/// The README is in each package, and so is what it links to.
#[test]
fn a_package_with_the_readme_has_the_pages_that_it_leads_to() {
    let links = pages().remove(Path::new("README.md")).unwrap().links;
    let links: Vec<_> = links.iter().filter(|link| !is_elsewhere(link)).collect();
    assert!(links.len() > 3 && links.iter().all(|link| link.starts_with("docs/")), "{links:?}");
    let manifest = fs::read_to_string(root().join("ruroco-userspace/Cargo.toml")).unwrap();
    let readmes = manifest.split("[\"../README.md\", \"").skip(1);
    let folders: Vec<&str> = readmes.filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(folders.len(), 3, "{folders:?}");
    for folder in folders {
        let pages = format!("[\"../docs/**/*\", \"{folder}docs/\", \"644\"]");
        assert!(manifest.contains(&pages), "{pages}");
    }
}

#[test]
fn no_page_of_the_book_needs_a_file_outside_of_it() {
    let outside = pages().into_iter().filter(|(path, _)| path.starts_with("docs"));
    let outside: Vec<String> = outside
        .flat_map(|(path, page)| {
            let links = page.links.into_iter().filter(|link| !is_elsewhere(link));
            let out = links.filter(|link| {
                let file = link.split('#').next().unwrap_or_default();
                !normal(&path.with_file_name(file)).starts_with("docs")
            });
            out.map(|link| format!("{}: {link}", path.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(outside.is_empty(), "name these files, and do not link to them: {outside:#?}");
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let pages = pages();
    let summary = Path::new("docs/SUMMARY.md");
    let listed: BTreeSet<PathBuf> =
        pages[summary].links.iter().map(|link| normal(&summary.with_file_name(link))).collect();
    let book = pages.keys().filter(|path| path.starts_with("docs") && *path != summary);
    let book: BTreeSet<PathBuf> = book.cloned().collect();
    assert_eq!(book, listed, "pages of the book, and what docs/SUMMARY.md lists");
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let tests = tests();
    let mut missing = Vec::new();
    for (path, page) in pages() {
        let named: Vec<String> =
            page.quoted.into_iter().filter(|quoted| is_test_name(quoted)).collect();
        let is_about_tests = NAME_TESTS.iter().any(|name| path == Path::new(name));
        assert!(named.len() > 9 || !is_about_tests, "{} names no tests", path.display());
        let unknown = named.into_iter().filter(|name| !tests.contains(name));
        missing.extend(unknown.map(|name| format!("{}: {name}", path.display())));
    }
    assert!(missing.is_empty(), "tests that are not there:\n{}", missing.join("\n"));
}

#[test]
fn every_known_vulnerability_has_a_test_or_a_reason_why_not() {
    let pages = pages();
    for row in &pages[Path::new("docs/evaluate/vulnerabilities.md")].rows {
        let has_test = row.split_whitespace().any(|word| is_test_name(word.trim_matches(',')));
        assert!(has_test || row.contains("No test: "), "neither a test nor a reason: {row}");
    }
}

#[test]
fn what_a_page_is_checked_for_is_found_in_it() {
    let page = parse(
        "# A `b` c, d\n## a\n## a\n[x](y.md#z) `[no](link)` `m::f`\n\n```\n[no](link)\n```\n\n\
         | h |\n|---|\n| `q` r |\n",
    );
    assert_eq!(page.links, ["y.md#z"]);
    assert_eq!(page.anchors, BTreeSet::from(["a-b-c-d", "a", "a-1"].map(str::to_owned)));
    assert!(page.quoted.contains("m::f"));
    assert_eq!(page.rows, ["q r "]);
    assert!(is_test_name("a_1::b_2") && !is_test_name("a::B") && !is_test_name("a"));
}

/// The workspace.
pub(super) fn root() -> PathBuf {
    Workspace::of_this_build().unwrap().root().to_owned()
}

/// All pages, by path from the root.
fn pages() -> BTreeMap<PathBuf, Page> {
    let mut paths = files(&root().join("docs"), "md");
    paths.extend(["README.md", "CHANGELOG.md"].map(|name| root().join(name)));
    let page = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(root()).unwrap().to_owned(), parse(&text))
    };
    paths.into_iter().map(page).collect()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of most of a page nothing is asked")]
fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let (mut heading, mut row) = (None::<String>, None::<String>);
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match &event {
            Event::Text(text) | Event::Code(text) => {
                for into in heading.iter_mut().chain(&mut row) {
                    into.push_str(text);
                }
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.to_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Start(Tag::TableRow) => row = Some(String::new()),
            Event::End(TagEnd::TableCell) => row.iter_mut().for_each(|row| row.push(' ')),
            Event::End(TagEnd::Heading(_)) => {
                page.anchors.extend(heading.take().map(|text| free_anchor(&page.anchors, &text)));
            }
            Event::End(TagEnd::TableRow) => page.rows.extend(row.take()),
            _ => {}
        }
        if let Event::Code(text) = event {
            page.quoted.insert(text.into_string());
        }
    }
    page
}

/// What a heading is linked to by, on forges as in the book: in small letters, without signs, and
/// numbered if there was the same before.
fn free_anchor(taken: &BTreeSet<String>, heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    let anchor: String = kept.collect::<String>().to_lowercase().replace(' ', "-");
    match taken.contains(&anchor) {
        false => anchor,
        true => (1..)
            .map(|n| format!("{anchor}-{n}"))
            .find(|anchor| !taken.contains(anchor))
            .unwrap_or_default(),
    }
}

/// All tests of the workspace, as `module::test`. Modules are files, modules in files, and crates.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for path in files(&root(), "rs") {
        let text = fs::read_to_string(&path).unwrap();
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let mut modules = BTreeSet::from([stem]);
        let folders_up = match stem {
            "main" | "mod" | "tests" => 1,
            "lib" => 2,
            _ => 0,
        };
        let folder = path.ancestors().nth(folders_up).filter(|_| folders_up > 0);
        modules.extend(folder.and_then(Path::file_name).and_then(OsStr::to_str));
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if let Some(module) = line.strip_prefix("mod ").and_then(|mod_| mod_.strip_suffix(" {"))
            {
                modules.insert(module);
            }
            is_test |= line == "#[test]";
            if let Some((name, _)) = line.strip_prefix("fn ").and_then(|fn_| fn_.split_once('('))
                && std::mem::take(&mut is_test)
            {
                tests.extend(modules.iter().map(|module| format!("{module}::{name}")));
            }
        }
    }
    tests
}

fn is_test_name(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.split_once("::").is_some_and(|(module, name)| is_word(module) && is_word(name))
}

fn is_elsewhere(link: &str) -> bool {
    ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme))
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                normal.push(component)
            }
        }
    }
    normal
}

/// All files with this ending in a folder and below it.
pub(super) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        match path.is_dir() {
            true if NOT_OURS.contains(&name) => {}
            true => found.extend(files(&path, extension)),
            false if path.extension().is_some_and(|found| found == extension) => found.push(path),
            false => {}
        }
    }
    found
}
