//! What `/proc` tells about a running program: whose it is, what it may do and what it holds.

use std::{collections::BTreeMap, fs, os::unix::fs::FileExt, path::PathBuf};

/// A process, looked at from outside.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

/// The capability sets of a process, as bit masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// CapInh
    pub inheritable: u64,
    /// CapPrm
    pub permitted: u64,
    /// CapEff
    pub effective: u64,
    /// CapBnd
    pub bounding: u64,
    /// CapAmb
    pub ambient: u64,
}

impl Process {
    /// Its `status`, field by field.
    ///
    /// # Panics
    /// If it is gone.
    pub fn status(self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.path("status")).expect("read the status of a process");
        fields(&text)
    }

    /// The status of each of its threads: capabilities are a thread's.
    ///
    /// # Panics
    /// If it is gone.
    pub fn threads(self) -> Vec<Self> {
        let tasks = fs::read_dir(self.path("task")).expect("list the threads of a process");
        let names = tasks.map(|task| task.expect("list the threads of a process").file_name());
        names.map(|name| Self(name.to_str().unwrap().parse().unwrap())).collect()
    }

    /// Its capabilities.
    ///
    /// # Panics
    /// If it is gone.
    pub fn capabilities(self) -> Capabilities {
        let status = self.status();
        let set = |name| u64::from_str_radix(&status[name], 16).expect("a mask of capabilities");
        Capabilities {
            inheritable: set("CapInh"),
            permitted: set("CapPrm"),
            effective: set("CapEff"),
            bounding: set("CapBnd"),
            ambient: set("CapAmb"),
        }
    }

    /// What its open file descriptors are, as `/proc` names them.
    ///
    /// # Panics
    /// If it is gone.
    pub fn descriptors(self) -> Vec<String> {
        let entries = fs::read_dir(self.path("fd")).expect("list the descriptors of a process");
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }

    /// What the kernel tells of each of its open file descriptors, field by field.
    ///
    /// # Panics
    /// If it is gone.
    pub fn descriptor_infos(self) -> Vec<BTreeMap<String, String>> {
        let entries = fs::read_dir(self.path("fdinfo")).expect("list the descriptors of a process");
        let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        texts.map(|text| fields(&text)).collect()
    }

    /// The inodes of its sockets.
    ///
    /// # Panics
    /// If it is gone.
    pub fn sockets(self) -> Vec<u64> {
        let inode = |name: &String| name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
        self.descriptors().iter().filter_map(inode).collect()
    }

    /// The inodes of the sockets in its network namespace that are of a kind listed in
    /// `/proc/net`, such as `unix`, `udp6` or `packet`.
    ///
    /// # Panics
    /// If the kernel does not list this kind.
    pub fn sockets_of_kind(self, kind: &str) -> Vec<u64> {
        let table = fs::read_to_string(self.path(&format!("net/{kind}")))
            .unwrap_or_else(|e| panic!("read the list of {kind} sockets: {e}"));
        let mut lines = table.lines();
        let Some(head) = lines.next() else { return Vec::new() };
        // The heading of udp and its like has two words for some of the columns.
        let column = match kind {
            "unix" | "netlink" | "packet" => {
                head.split_whitespace().position(|word| word.eq_ignore_ascii_case("inode"))
            }
            _ => Some(9),
        };
        let column = column.unwrap_or_else(|| panic!("no inodes in the list of {kind} sockets"));
        lines.map(|line| line.split_whitespace().nth(column).unwrap().parse().unwrap()).collect()
    }

    /// How often these bytes are in its memory.
    ///
    /// # Panics
    /// If it is gone, or nothing of its memory can be read.
    pub fn count_in_memory(self, bytes: &[u8]) -> usize {
        let memory = fs::File::open(self.path("mem")).expect("open the memory of a process");
        let maps = fs::read_to_string(self.path("maps")).expect("list the memory of a process");
        let areas = maps.lines().filter_map(|line| {
            let (range, _) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let address = |text| u64::from_str_radix(text, 16).expect("an address");
            let (start, end) = (address(start), address(end));
            let mut area = vec![0; usize::try_from(end - start).ok()?];
            // Some areas are the kernel's own and cannot be read.
            memory.read_exact_at(&mut area, start).ok().map(|()| area)
        });
        let mut read = 0;
        let found = areas.map(|area| {
            read += area.len();
            area.windows(bytes.len()).filter(|window| *window == bytes).count()
        });
        let found = found.sum();
        assert!(read > 1 << 20, "only {read} bytes of the process could be read");
        found
    }

    fn path(self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.0).into()
    }
}

/// Lines of a name, a colon and a value.
fn fields(text: &str) -> BTreeMap<String, String> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}
