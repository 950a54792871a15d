//! What the XDP program was built from, as one number.
//!
//! The gate embeds an object file that another command has built earlier. Whether it is still the
//! program of these sources cannot be seen from the object, so `cargo xtask build-ebpf` writes the
//! sources' digest beside it, and the gate's build script compares. Both must reckon alike, and
//! neither may depend on the other: the build script can depend on nothing that it is part of, and
//! xtask has to build in whatever state the object is. So each includes this file as a module.
//!
//! `Cargo.lock` and the workspace's `Cargo.toml` are not among the sources: nearly all of their
//! changes are about something else, and each would take the program out of the gate. Whoever
//! updates `aya-ebpf` or the release profile runs `cargo xtask build-ebpf` by himself.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Files, and folders with all that is below them, from the workspace's root.
pub(crate) const SOURCES: [&str; 4] =
    ["ruroco-common/Cargo.toml", "ruroco-common/src", "ruroco-ebpf/Cargo.toml", "ruroco-ebpf/src"];

/// How an object was built, as it stands in the file beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Built {
    /// [`digest`] of the sources.
    pub(crate) digest: u64,
    /// Whether it logs every verdict.
    pub(crate) debug_log: bool,
}

impl Built {
    /// The file beside an object.
    pub(crate) fn file(object: &Path) -> PathBuf {
        let mut path = object.as_os_str().to_owned();
        path.push(".sources");
        path.into()
    }

    /// The file's content.
    pub(crate) fn to_text(self) -> String {
        let log = if self.debug_log { " debug-log" } else { "" };
        format!("{:016x}{log}\n", self.digest)
    }
}

/// FNV-1a, 64 bits, over the paths and contents of all [`SOURCES`], in the order of the paths. It
/// tells a change, not an attack: who can change the sources can change the object too.
///
/// # Errors
/// If one of them is not there or cannot be read.
pub(crate) fn digest(root: &Path) -> io::Result<u64> {
    let mut files = BTreeMap::new();
    for source in SOURCES {
        add(&mut files, source.to_owned(), &root.join(source))?;
    }
    let mut digest = 0xcbf2_9ce4_8422_2325;
    for (name, content) in files {
        // With the length no file can pass for two.
        let head = format!("{name}\0{}\0", content.len());
        for byte in head.bytes().chain(content) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(digest)
}

/// Adds a file, or all files below a folder, under names that are the same on every system.
fn add(files: &mut BTreeMap<String, Vec<u8>>, name: String, path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        files.insert(name, fs::read(path)?);
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let last = entry.file_name();
        let last = last.to_string_lossy();
        // What editors leave beside the files that they have open.
        if last.starts_with('.') || last.ends_with('~') {
            continue;
        }
        add(files, format!("{name}/{last}"), &entry.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for member in ["ruroco-common", "ruroco-ebpf"] {
            fs::create_dir_all(root.path().join(member).join("src/deep")).unwrap();
            fs::write(root.path().join(member).join("Cargo.toml"), "[package]").unwrap();
            fs::write(root.path().join(member).join("src/deep/a.rs"), "fn a() {}").unwrap();
        }
        root
    }

    #[test]
    fn the_same_sources_elsewhere_have_the_same_digest() {
        let digests = [workspace(), workspace()].map(|root| digest(root.path()).unwrap());
        assert_eq!(digests[0], digests[1]);
    }

    #[test]
    fn every_change_of_a_source_changes_the_digest() {
        let root = workspace();
        let path = |name: &str| root.path().join(name);
        let mut seen = vec![digest(root.path()).unwrap()];
        let mut must_be_new = || {
            let now = digest(root.path()).unwrap();
            assert!(!seen.contains(&now));
            seen.push(now);
        };
        fs::write(path("ruroco-common/src/deep/a.rs"), "fn a() {} // comment").unwrap();
        must_be_new();
        fs::rename(path("ruroco-ebpf/src/deep/a.rs"), path("ruroco-ebpf/src/a.rs")).unwrap();
        must_be_new();
        fs::write(path("ruroco-ebpf/src/empty.rs"), "").unwrap();
        must_be_new();
        fs::write(path("ruroco-ebpf/Cargo.toml"), "").unwrap();
        must_be_new();
        fs::remove_file(path("ruroco-common/src/deep/a.rs")).unwrap();
        must_be_new();
    }

    #[test]
    fn other_files_do_not_change_it() {
        let root = workspace();
        let before = digest(root.path()).unwrap();
        for name in ["Cargo.lock", "ruroco-common/src/.a.rs.swp", "ruroco-ebpf/src/deep/a.rs~"] {
            fs::write(root.path().join(name), "other").unwrap();
        }
        assert_eq!(digest(root.path()).unwrap(), before);
    }

    #[test]
    fn a_missing_source_is_an_error() {
        let root = workspace();
        fs::remove_file(root.path().join("ruroco-ebpf/Cargo.toml")).unwrap();
        assert_eq!(digest(root.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_text_tells_sources_and_logging_apart() {
        let text = |digest, debug_log| Built { digest, debug_log }.to_text();
        assert_eq!(text(0xab, false), "00000000000000ab\n");
        assert_eq!(text(0xab, true), "00000000000000ab debug-log\n");
    }

    #[test]
    fn the_file_is_called_after_the_object() {
        let file = Built::file(Path::new("target/ebpf/ruroco.bpf.o"));
        assert_eq!(file, Path::new("target/ebpf/ruroco.bpf.o.sources"));
    }
}
