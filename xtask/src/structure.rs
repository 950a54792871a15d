//! `cargo xtask structure`: the picture in docs/develop/architecture.md of the crates that our programs consist of.
//!
//! It is drawn from what Cargo knows. A crate stands one floor above the highest crate that it depends on, so every
//! arrow leads down. Arrows that follow from others are left out.
#![expect(clippy::arithmetic_side_effects, reason = "places in a picture of a few rooms")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{host, process, workspace::Workspace};

/// Where the picture is, below the workspace.
const PICTURE: &str = "docs/images/structure.svg";

/// Measures, in pixels.
const ROOM: (usize, usize) = (132, 30);
const FLOOR: usize = 84;
const COLUMN: usize = 148;
const MARGIN: usize = 16;
/// How far floors are set off, so that few arrows pass behind a room.
const STAGGER: usize = 30;

/// Crates, each with those that it depends on.
type Crates = BTreeMap<String, BTreeSet<String>>;

/// Draws the picture into the documentation.
///
/// # Errors
/// If cargo does not know the workspace, or the file cannot be written.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let path = workspace.root().join(PICTURE);
    fs::write(&path, draw(workspace)?).with_context(|| format!("cannot write {}", path.display()))
}

fn draw(workspace: &Workspace) -> Result<String> {
    Ok(picture(&of_workspace(workspace)?))
}

fn of_workspace(workspace: &Workspace) -> Result<Crates> {
    let mut metadata = host::cargo(workspace, &["metadata", "--no-deps", "--format-version", "1"]);
    let metadata = process::output(&mut metadata)?;
    crates(&serde_json::from_str(&metadata)?).context("cargo's answer is not as expected")
}

/// The crates of the programs: those in `ruroco-userspace`, and what they depend on.
fn crates(metadata: &Value) -> Option<Crates> {
    let mut all = Crates::new();
    for package in metadata.get("packages")?.as_array()? {
        let dependencies = package.get("dependencies")?.as_array()?.iter().filter(|dependency| {
            let is_ours = dependency.get("path").is_some_and(Value::is_string);
            is_ours && dependency.get("kind").is_some_and(Value::is_null)
        });
        let names = dependencies.filter_map(|dependency| dependency.get("name")?.as_str());
        all.insert(package.get("name")?.as_str()?.to_owned(), names.map(str::to_owned).collect());
    }
    let mut wanted = vec!["ruroco-userspace".to_owned(), "ruroco-ebpf".to_owned()];
    let mut crates = Crates::new();
    while let Some(name) = wanted.pop() {
        if crates.contains_key(&name) {
            continue;
        }
        let dependencies = all.get(&name)?.clone();
        wanted.extend(dependencies.iter().cloned());
        crates.insert(name, dependencies);
    }
    Some(crates)
}

/// All crates that one depends on, directly or not.
fn below<'a>(crates: &'a Crates, name: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut left: Vec<&str> = crates.get(name).into_iter().flatten().map(String::as_str).collect();
    while let Some(one) = left.pop() {
        // Cargo rejects a cycle, but only when it builds.
        if found.insert(one) {
            left.extend(crates.get(one).into_iter().flatten().map(String::as_str));
        }
    }
    found
}

/// The arrows that do not follow from others.
fn arrows(crates: &Crates) -> Vec<(&str, &str)> {
    let of = |(name, direct): (&'_ String, &'_ BTreeSet<String>)| {
        let follows =
            |other: &String| direct.iter().any(|one| below(crates, one).contains(other.as_str()));
        let needed = direct.iter().filter(|other| !follows(other)).cloned().collect::<Vec<_>>();
        (name.clone(), needed)
    };
    let needed: Vec<(String, Vec<String>)> = crates.iter().map(of).collect();
    let known = |name: &String| crates.get_key_value(name).map(|(name, _)| name.as_str());
    let pairs = needed.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    pairs.filter_map(|(from, to)| Some((known(from)?, known(to)?))).collect()
}

fn floor(crates: &Crates, name: &str) -> usize {
    let direct = crates.get(name).into_iter().flatten();
    direct.map(|one| floor(crates, one).saturating_add(1)).max().unwrap_or(0)
}

/// The middle of each crate's room on its floor, in rooms.
fn columns<'a>(
    floors: &mut [Vec<&'a str>],
    arrows: &[(&'a str, &'a str)],
) -> BTreeMap<&'a str, usize> {
    let mut columns = BTreeMap::new();
    for floor in floors {
        // Near what they depend on, so that few arrows cross.
        let place = |name: &str| {
            let below = arrows.iter().filter(|(from, _)| *from == name);
            let below: Vec<usize> = below.filter_map(|(_, to)| columns.get(to).copied()).collect();
            below.iter().sum::<usize>().saturating_mul(100).checked_div(below.len()).unwrap_or(0)
        };
        floor.sort_by_key(|name| (place(name), *name));
        columns.extend(floor.iter().enumerate().map(|(column, name)| (*name, column)));
    }
    columns
}

fn picture(crates: &Crates) -> String {
    let mut floors: Vec<Vec<&str>> = Vec::new();
    for name in crates.keys() {
        let floor = floor(crates, name);
        floors.resize_with(floors.len().max(floor.saturating_add(1)), Vec::new);
        if let Some(rooms) = floors.get_mut(floor) {
            rooms.push(name);
        }
    }
    let arrows = arrows(crates);
    let columns = columns(&mut floors, &arrows);
    let widest = floors.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) = (
        MARGIN * 2 + widest * COLUMN + 2 * STAGGER,
        MARGIN * 2 + (floors.len() - 1) * FLOOR + ROOM.1,
    );
    let place = |name: &str| {
        let floor = floor(crates, name);
        let rooms = floors.get(floor).map_or(0, Vec::len);
        let left = (widest - rooms) * COLUMN / 2 + floor % 3 * STAGGER;
        let column = columns.get(name).copied().unwrap_or(0);
        (MARGIN + left + column * COLUMN, height - MARGIN - floor * FLOOR - ROOM.1)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" fill=\"#567\"/></marker>\n"
    );
    for (from, to) in &arrows {
        let ((x, y), (to_x, to_y)) = (place(from), place(to));
        let _ = writeln!(
            svg,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{to_y}\" stroke=\"#9ab\" marker-end=\"url(#end)\"/>",
            x + ROOM.0 / 2,
            y + ROOM.1,
            to_x + ROOM.0 / 2,
        );
    }
    for name in crates.keys() {
        let (x, y) = place(name);
        let fill = if has_a_program(name) { "#dcebff" } else { "#f2f2f2" };
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"4\" fill=\"{fill}\" stroke=\"#678\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            ROOM.0,
            ROOM.1,
            x + ROOM.0 / 2,
            y + 20,
            name.strip_prefix("ruroco-").unwrap_or(name),
        );
    }
    svg + "</svg>\n"
}

/// Whether a crate is a role, or the programs themselves.
fn has_a_program(name: &str) -> bool {
    let roles =
        ["ebpf", "userspace", "client", "window", "gate", "server", "commander", "operator"];
    name.strip_prefix("ruroco-").is_some_and(|name| roles.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_in_the_documentation_is_the_structure() {
        let workspace = Workspace::of_this_build().unwrap();
        let drawn = fs::read_to_string(workspace.root().join(PICTURE)).unwrap();
        assert!(draw(&workspace).unwrap() == drawn, "run: cargo xtask structure");
    }

    /// What no line in a `Cargo.toml` may connect: a crate, and those that it must not reach.
    const WALLS: [(&str, &[&str]); 9] = [
        ("commander", &["seal", "gate", "server", "operator", "client", "command-line"]),
        ("gate", &["seal", "server", "commander", "operator", "client"]),
        ("server", &["gate", "commander", "operator", "client"]),
        ("ipc", &["config", "commands", "daemon"]),
        ("files", &["config", "daemon", "ipc"]),
        ("keys", &["config", "daemon", "ipc"]),
        ("client", OF_THE_HOST),
        ("window", OF_THE_HOST),
        ("userspace", &["lab"]),
    ];

    /// The crates of the host's side.
    const OF_THE_HOST: &[&str] = &[
        "config",
        "commands",
        "daemon",
        "ipc",
        "trust",
        "gate",
        "server",
        "commander",
        "operator",
    ];

    #[test]
    fn every_wall_stands() {
        let workspace = Workspace::of_this_build().unwrap();
        let crates = of_workspace(&workspace).unwrap();
        for (from, others) in WALLS {
            let reached = below(&crates, &format!("ruroco-{from}"));
            for other in others {
                assert!(
                    !reached.contains(format!("ruroco-{other}").as_str()),
                    "{from} reaches {other}"
                );
            }
        }
        let of_program: Vec<_> = crates["ruroco-ebpf"].iter().collect();
        assert_eq!(of_program, ["ruroco-common"]);
    }

    #[test]
    fn a_crate_stands_above_what_it_depends_on_and_arrows_that_follow_are_left_out() {
        let on = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let crates: Crates = [("a", on(&["b", "c"])), ("b", on(&["c"])), ("c", on(&[]))]
            .into_iter()
            .map(|(name, on)| (name.to_owned(), on))
            .collect();
        assert_eq!(["a", "b", "c"].map(|name| floor(&crates, name)), [2, 1, 0]);
        assert_eq!(arrows(&crates), [("a", "b"), ("b", "c")]);
    }
}
