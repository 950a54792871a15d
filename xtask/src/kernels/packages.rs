//! Debian's kernels, as packages that are unpacked and never installed.
//!
//! apt gets its own folders and its own list of sources here, so that it neither reads nor changes how this machine gets its
//! packages, except for the keys.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::process;

/// A kernel to test on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// Its name in `--kernels`.
    pub(super) name: &'static str,
    /// Where it comes from.
    pub(super) origin: &'static str,
    /// The packages, as regular expressions; of several versions, the last is taken. From 7.2 on, there are two.
    packages: &'static [&'static str],
}

/// All of them, the oldest first. The first has the oldest verifier.
const KERNELS: [Kernel; 6] = [
    Kernel {
        name: "5.10.218",
        origin: "Debian 11, of June 2024",
        packages: &["linux-image-5[.]10[.]0-30-amd64"],
    },
    Kernel {
        name: "5.10",
        origin: "Debian 11",
        packages: &["linux-image-5[.]10[.]0-[0-9]+-amd64"],
    },
    Kernel { name: "6.1", origin: "Debian 12", packages: &["linux-image-6[.]1[.]0-[0-9]+-amd64"] },
    Kernel {
        name: "6.12",
        origin: "Debian 13",
        packages: &["linux-image-6[.]12[.][0-9]+[+]deb13-amd64"],
    },
    Kernel {
        name: "6.18",
        origin: "trixie-backports",
        packages: &["linux-image-6[.]18[.][0-9]+[+]deb13-amd64"],
    },
    Kernel {
        name: "7.3",
        origin: "trixie-backports",
        packages: &[
            "linux-binary-7[.]3[.][0-9]+[+]deb13-amd64",
            "linux-modules-7[.]3[.][0-9]+[+]deb13-amd64",
        ],
    },
];

const SOURCES: [&str; 7] = [
    "debian bullseye",
    "debian-security bullseye-security",
    "debian bookworm",
    "debian-security bookworm-security",
    "debian trixie",
    "debian-security trixie-security",
    "debian trixie-backports",
];

const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The kernels with these names, or all kernels if `names` is empty.
///
/// # Errors
/// If one is unknown.
pub(super) fn named(names: &[String]) -> Result<Vec<&'static Kernel>> {
    if names.is_empty() {
        return Ok(KERNELS.iter().collect());
    }
    let find = |name: &String| {
        KERNELS.iter().find(|kernel| kernel.name == name).with_context(|| {
            let known = KERNELS.iter().map(|kernel| kernel.name).collect::<Vec<_>>().join(", ");
            format!("--kernels {name}: unknown kernel; known are {known}")
        })
    };
    names.iter().map(find).collect()
}

/// The folder with the unpacked kernel; downloads it if it is not there.
///
/// # Errors
/// If it cannot be downloaded.
pub(super) fn ensure(folder: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let unpacked = folder.join("unpacked").join(kernel.name);
    if unpacked.is_dir() {
        return Ok(unpacked);
    }
    let (apt, unfinished) = (folder.join("apt"), unpacked.with_extension("unfinished"));
    let downloads = apt.join("downloads");
    update(&apt)?;
    for names in kernel.packages {
        let package = newest(&apt, names)?;
        println!("downloading           {package}");
        process::output(
            command(&apt, "apt-get").args(["download", &package]).current_dir(&downloads),
        )?;
    }
    for file in fs::read_dir(&downloads).context("cannot list the downloads")? {
        let file = file.context("cannot list the downloads")?.path();
        process::output(process::command("dpkg").arg("-x").arg(&file).arg(&unfinished))?;
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    fs::rename(&unfinished, &unpacked).context("cannot rename an unpacked kernel")?;
    Ok(unpacked)
}

fn update(apt: &Path) -> Result<()> {
    for part in ["lists/partial", "cache/archives/partial", "downloads"] {
        fs::create_dir_all(apt.join(part)).context("cannot make apt's folders")?;
    }
    let line = |source| format!("deb [signed-by={KEYS}] http://deb.debian.org/{source} main\n");
    fs::write(apt.join("sources.list"), SOURCES.map(line).concat())
        .context("cannot write apt's sources")?;
    process::output(command(apt, "apt-get").arg("update")).map(drop)
}

/// The name of the newest package that has a name like this.
fn newest(apt: &Path, names: &str) -> Result<String> {
    let mut search = command(apt, "apt-cache");
    let found = process::output(search.args(["search", "--names-only", &format!("^{names}$")]))?;
    let names_found = found.lines().filter_map(|line| line.split_whitespace().next());
    match names_found.max_by_key(|name| numbers(name)) {
        Some(name) => Ok(name.to_owned()),
        None => bail!("Debian has no package like {names}; change xtask/src/kernels/packages.rs"),
    }
}

/// The numbers in a name, in their order.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

fn command(apt: &Path, program: &str) -> Command {
    let mut command = process::command(program);
    for (name, value) in [
        ("Dir::State::lists", "lists"),
        ("Dir::Cache", "cache"),
        ("Dir::Etc::sourcelist", "sources.list"),
    ] {
        command.arg("-o").arg(format!("{name}={}", apt.join(value).display()));
    }
    // Debian no longer renews the signatures of old releases. If root runs apt, apt downloads as a user who cannot enter this
    // folder.
    for option in [
        "Dir::Etc::sourceparts=-",
        "Dir::State::status=/dev/null",
        "Acquire::Check-Valid-Until=false",
        "APT::Sandbox::User=root",
        "APT::Architecture=amd64",
    ] {
        command.args(["-o", option]);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_all_kernels_are_meant_and_an_unknown_one_is_refused_with_those_known() {
        assert_eq!(named(&[]).unwrap().len(), KERNELS.len());
        let two = ["7.3".to_owned(), "5.10".to_owned()];
        let names: Vec<&str> = named(&two).unwrap().iter().map(|kernel| kernel.name).collect();
        assert_eq!(names, ["7.3", "5.10"]);
        let error = named(&["2.6".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("2.6") && error.contains("6.12"), "{error}");
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(numbers("linux-image-6.1.0-9-amd64") < numbers("linux-image-6.1.0-57-amd64"));
    }
}
