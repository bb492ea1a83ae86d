//! What can be wrong with a key file.

use std::io;

use kiln_verify::FileError;
use thiserror::Error;

/// Why a key cannot be read or written.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("cannot read or write the {what}; check the path and the disk")]
    Io { what: &'static str, source: io::Error },
    /// What is in the file is not the key that is asked for.
    #[error(transparent)]
    File(#[from] FileError),
}
