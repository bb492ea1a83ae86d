//! The guest's initial files: a cpio archive in the kernel's "newc" form.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{Failure, at};

/// An archive under construction.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// Adds a folder, and those above it.
    pub fn folder(&mut self, name: &str) {
        let name = name.trim_matches('/');
        if name.is_empty() || !self.folders.insert(name.to_owned()) {
            return;
        }
        if let Some((above, _)) = name.rsplit_once('/') {
            self.folder(above);
        }
        self.entry(name, 0o040_755, &[]);
    }

    /// Adds a file that may be run.
    pub fn program(&mut self, name: &str, contents: &[u8]) {
        let name = name.trim_start_matches('/');
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.folder(folder);
        }
        self.entry(name, 0o100_755, contents);
    }

    /// Adds a file of this machine.
    pub fn file_from(&mut self, name: &str, path: &Path) -> Result<(), Failure> {
        let contents = std::fs::read(path).map_err(at(path))?;
        self.program(name, &contents);
        Ok(())
    }

    /// Writes the archive.
    pub fn write_to(mut self, path: &Path) -> Result<(), Failure> {
        self.entry("TRAILER!!!", 0, &[]);
        std::fs::write(path, self.bytes).map_err(at(path))
    }

    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) {
        self.entries += 1;
        let (size, name_size) = (contents.len() as u32, name.len() as u32 + 1);
        // Number, mode, owner, group, links, time, size, device and its like four times, length of the name, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_their_files_and_once() {
        let mut archive = Archive::default();
        archive.program("/a/b/one", b"1");
        archive.program("a/b/two", b"22222");
        let text = String::from_utf8_lossy(&archive.bytes).into_owned();
        let places: Vec<usize> =
            ["a\0", "a/b\0", "a/b/one\0", "a/b/two\0"].iter().filter_map(|n| text.find(n)).collect();
        assert_eq!(places.len(), 4);
        assert!(places.is_sorted());
        assert_eq!(text.matches("070701").count(), 4);
        assert_eq!(archive.bytes.len() % 4, 0);
    }
}
