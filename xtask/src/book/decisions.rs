//! The records of decisions: each begins with its date and its status, the list says the same, and the
//! module that a decision explains cites it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::tests::{files, root};

const FOLDER: &str = "docs/develop/decisions";

struct Decision {
    file: String,
    number: String,
    title: String,
    date: String,
    status: String,
}

#[test]
fn every_decision_begins_with_its_date_and_its_status() {
    let decisions = decisions();
    assert!(decisions.len() > 30, "{}", decisions.len());
    let is_number = |text: &str| decisions.iter().any(|decision| decision.number == text);
    for decision in &decisions {
        let date: Vec<_> = decision.date.split('-').map(str::len).collect();
        assert_eq!(date, [4, 2, 2], "{}: the date {}", decision.file, decision.date);
        let is_good = match decision.status.rsplit_once(' ') {
            Some(("accepted, amended by" | "superseded by", number)) => is_number(number),
            Some(_) => false,
            None => decision.status == "accepted",
        };
        assert!(is_good, "{}: the status {}", decision.file, decision.status);
    }
}

#[test]
fn the_list_of_decisions_has_each_with_its_title_date_and_status() {
    let list = fs::read_to_string(root().join(FOLDER).join("README.md")).unwrap();
    let rows: Vec<&str> = list.lines().filter(|line| line.starts_with("| [0")).collect();
    let expected: Vec<String> = decisions()
        .into_iter()
        .map(|Decision { file, number, title, date, status }| {
            format!("| [{number}]({file}) | {date} | {title} | {status} |")
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_decision_is_cited_by_the_module_it_explains() {
    let sources: Vec<String> =
        files(&root(), "rs").into_iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let cited = |number: &str| {
        let lines = sources.iter().flat_map(|text| text.lines());
        let mut docs = lines.filter(|line| line.starts_with("//!") && line.contains("decision"));
        docs.any(|line| line.contains(number))
    };
    let missing: Vec<_> = decisions().into_iter().filter(|it| !cited(&it.number)).collect();
    let missing: Vec<_> = missing.iter().map(|decision| &decision.file).collect();
    assert!(
        missing.is_empty(),
        "cited by no module (`//! Rationale: decision NNNN.`): {missing:?}"
    );
}

/// All of them, by number.
fn decisions() -> Vec<Decision> {
    let mut paths: Vec<PathBuf> = files(&root().join(FOLDER), "md");
    paths.retain(|path| !path.ends_with("README.md"));
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// `# TITLE`, an empty line, `Date: DATE. Status: STATUS.`
fn read(path: &Path) -> Decision {
    let text = fs::read_to_string(path).unwrap();
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut lines = text.lines();
    let title = lines.next().and_then(|line| line.strip_prefix("# "));
    let line = lines.nth(1).and_then(|line| line.strip_prefix("Date: ")?.strip_suffix('.'));
    let (date, status) = line.and_then(|line| line.split_once(". Status: ")).unwrap_or_else(|| {
        panic!("{file}: the third line must be `Date: YYYY-MM-DD. Status: accepted.`")
    });
    Decision {
        number: file.chars().take(4).collect(),
        title: title.unwrap_or_default().to_owned(),
        date: date.to_owned(),
        status: status.to_owned(),
        file,
    }
}
