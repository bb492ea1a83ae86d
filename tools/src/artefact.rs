//! Files in and out. Reading is bounded; writing is all or nothing.
//!
//! Everything that a command makes is first written to temporary files in the directories where it will live, flushed
//! to disk, and renamed into place only when the whole set is there. A command that fails leaves nothing behind.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tempfile::{NamedTempFile, TempDir};

use crate::error::Failure;

/// The most that a JSON file, a proof or a verifying key may hold \[bytes\].
pub const SMALL_FILE_BYTES_MAX: u64 = 64 << 20;
/// The most that a model, a proving key or an SRS may hold \[bytes\].
pub const LARGE_FILE_BYTES_MAX: u64 = 64 << 30;

/// Who may read a file that Kiln writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever the umask lets.
    Anyone,
    /// The owner alone: weights, blinding.
    Owner,
}

impl Audience {
    fn permissions(self) -> Permissions {
        Permissions::from_mode(match self {
            Self::Anyone => 0o644,
            Self::Owner => 0o600,
        })
    }
}

/// Opens a file for reading. `action` is for messages: `read the record`.
pub fn open(action: &'static str, path: &Path) -> Result<File, Failure> {
    let file = File::open(path).map_err(|e| Failure::file(action, path, e))?;
    let metadata = file.metadata().map_err(|e| Failure::file(action, path, e))?;
    if !metadata.is_file() {
        return Err(Failure::file(action, path, "it is not a regular file"));
    }
    Ok(file)
}

/// Reads a whole file of at most `bytes_max` bytes.
pub fn read(action: &'static str, path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let file = open(action, path)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|e| Failure::file(action, path, e))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::file(action, path, format!("it is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(action: &'static str, path: &Path) -> Result<T, Failure> {
    let bytes = read(action, path, SMALL_FILE_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map_err(|e| Failure::file(action, path, e))
}

/// Finds out before long work whether a file could be written afterwards.
pub fn check_destination(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::file("write", path, "there is a directory of that name"));
    }
    if !parent(path).is_dir() {
        return Err(Failure::file("write", path, "the directory that it should be in does not exist"));
    }
    Ok(())
}

/// Files that appear together or not at all.
#[derive(Default)]
pub struct Staged {
    files: Vec<(NamedTempFile, PathBuf)>,
}

impl Staged {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a file beside its destination.
    pub fn add(&mut self, path: &Path, audience: Audience, bytes: &[u8]) -> Result<(), Failure> {
        check_destination(path)?;
        let failed = |e: std::io::Error| Failure::file("write", path, e);
        let mut file = tempfile::Builder::new()
            .prefix(".kiln-")
            .permissions(audience.permissions())
            .tempfile_in(parent(path))
            .map_err(failed)?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        self.files.push((file, path.to_owned()));
        Ok(())
    }

    /// Moves everything into place.
    pub fn commit(self) -> Result<(), Failure> {
        for (file, path) in self.files {
            file.persist(&path).map_err(|e| Failure::file("write", &path, e.error))?;
        }
        Ok(())
    }
}

/// A directory that appears complete or not at all.
pub struct StagedDirectory {
    staging: TempDir,
    destination: PathBuf,
}

impl StagedDirectory {
    /// Prepares a directory beside its destination, which must not exist yet (or be empty).
    pub fn new(destination: &Path) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::file("make the directory", destination, e);
        match fs::read_dir(destination).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => {
                let reason = "it exists and is not empty; name another or remove it";
                return Err(Failure::file("make the directory", destination, reason));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
        let staging =
            tempfile::Builder::new().prefix(".kiln-").tempdir_in(parent(destination)).map_err(failed)?;
        Ok(Self { staging, destination: destination.to_owned() })
    }

    /// Where to write a file of that name meanwhile.
    pub fn path(&self, name: &str) -> PathBuf {
        self.staging.path().join(name)
    }

    /// Writes a file into it.
    pub fn add(&self, name: &str, audience: Audience, bytes: &[u8]) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::file("write", &self.destination.join(name), e);
        let mut file = self.create(name, audience)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
    }

    /// Starts a file in it, for what is too large to be made in memory first.
    pub fn create(&self, name: &str, audience: Audience) -> Result<File, Failure> {
        let failed = |e: std::io::Error| Failure::file("write", &self.destination.join(name), e);
        let file = File::create_new(self.path(name)).map_err(failed)?;
        file.set_permissions(audience.permissions()).map_err(failed)?;
        Ok(file)
    }

    /// Moves it into place.
    pub fn commit(self) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::file("make the directory", &self.destination, e);
        fs::set_permissions(self.staging.path(), Permissions::from_mode(0o755)).map_err(failed)?;
        fs::rename(self.staging.path(), &self.destination).map_err(failed)?;
        // The name that the guard would remove is gone; forget it rather than let it try.
        let _ = self.staging.keep();
        Ok(())
    }
}

/// The directory in which `path` is, or will be.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_abandoned_set_leaves_nothing_and_keeps_what_was_there() {
        let place = tempfile::tempdir().unwrap();
        let (old, new) = (place.path().join("old"), place.path().join("new"));
        fs::write(&old, "before").unwrap();
        let mut staged = Staged::new();
        staged.add(&old, Audience::Anyone, b"after").unwrap();
        staged.add(&new, Audience::Owner, b"after").unwrap();
        drop(staged);
        assert_eq!(names(place.path()), ["old"]);
        assert_eq!(fs::read(&old).unwrap(), b"before");
    }

    #[test]
    fn a_committed_set_is_complete_and_secrets_are_the_owners() {
        let place = tempfile::tempdir().unwrap();
        let (one, two) = (place.path().join("one"), place.path().join("two"));
        let mut staged = Staged::new();
        staged.add(&one, Audience::Anyone, b"1").unwrap();
        staged.add(&two, Audience::Owner, b"2").unwrap();
        staged.commit().unwrap();
        assert_eq!(names(place.path()), ["one", "two"]);
        assert_eq!(fs::metadata(&two).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn one_unwritable_destination_abandons_the_whole_set() {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::new();
        staged.add(&place.path().join("one"), Audience::Anyone, b"1").unwrap();
        assert!(staged.add(&place.path().join("no/such/two"), Audience::Anyone, b"2").is_err());
        assert!(staged.add(place.path(), Audience::Anyone, b"2").is_err());
        drop(staged);
        assert!(names(place.path()).is_empty());
    }

    #[test]
    fn a_directory_appears_whole_and_never_over_another() {
        let place = tempfile::tempdir().unwrap();
        let destination = place.path().join("compiled");
        let abandoned = StagedDirectory::new(&destination).unwrap();
        abandoned.add("a", Audience::Anyone, b"1").unwrap();
        drop(abandoned);
        assert!(names(place.path()).is_empty());

        let kept = StagedDirectory::new(&destination).unwrap();
        kept.add("a", Audience::Anyone, b"1").unwrap();
        kept.add("b", Audience::Owner, b"2").unwrap();
        kept.commit().unwrap();
        assert_eq!(names(place.path()), ["compiled"]);
        assert_eq!(names(&destination), ["a", "b"]);
        assert!(StagedDirectory::new(&destination).is_err());
    }

    #[test]
    fn reading_is_bounded() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, [0; 10]).unwrap();
        assert_eq!(read("read", &path, 10).unwrap().len(), 10);
        assert!(read("read", &path, 9).is_err());
        assert!(read("read", place.path(), 9).is_err());
    }
}
