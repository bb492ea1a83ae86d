//! What can go wrong at the command line, and the exit code that says so to a script.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An error from a library below.
pub type Source = Box<dyn Error + Send + Sync>;

/// Why a command did not do what was asked.
#[derive(Debug, Error)]
pub enum Failure {
    /// A well-formed proof that does not show what it is said to show.
    #[error("INVALID: {0}")]
    Invalid(String),
    /// A file cannot be used as what it was given for.
    #[error("cannot {action} {path}", path = .path.display())]
    File {
        /// What was attempted: `read the record`.
        action: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: Source,
    },
    /// The request cannot be carried out as given.
    #[error("{0}")]
    Input(String),
    /// The request cannot be carried out as given, for a reason found by a library below.
    #[error("cannot {action}")]
    Refused {
        /// What was attempted.
        action: &'static str,
        /// Why it cannot be.
        source: Source,
    },
    /// A device, or the library above it, did not do its part; the input is not to blame.
    #[error("cannot {action}")]
    Device {
        /// What was attempted.
        action: &'static str,
        /// What happened.
        source: Source,
    },
}

impl Failure {
    /// A file that cannot be used.
    pub fn file(action: &'static str, path: &Path, source: impl Into<Source>) -> Self {
        Self::File { action, path: path.to_owned(), source: source.into() }
    }

    /// A request that a library below refused.
    pub fn refused(action: &'static str, source: impl Into<Source>) -> Self {
        Self::Refused { action, source: source.into() }
    }

    /// A device that did not do its part.
    pub fn device(action: &'static str, source: impl Into<Source>) -> Self {
        Self::Device { action, source: source.into() }
    }

    /// 0 is success; 1 an invalid proof; 2 bad input or usage; 3 a device that failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) => 1,
            Self::File { .. } | Self::Input(_) | Self::Refused { .. } => 2,
            Self::Device { .. } => 3,
        }
    }

    /// A name of the exit code, for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid-proof",
            Self::File { .. } | Self::Input(_) | Self::Refused { .. } => "bad-input",
            Self::Device { .. } => "device-failure",
        }
    }

    /// The failure and all its causes on one line, whatever the causes contain.
    pub fn one_line(&self) -> String {
        let mut line = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !line.ends_with(&text) {
                let _ = write!(line, ": {text}");
            }
            source = cause.source();
        }
        line.split(|c: char| c.is_control())
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_on_one_line_whatever_they_contain() {
        let cause = std::io::Error::other("first\nsecond\u{1b}[31m");
        let failure = Failure::file("read the record", Path::new("r.json"), cause);
        assert_eq!(failure.one_line(), "cannot read the record r.json: first second [31m");
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn a_repeated_cause_is_said_once() {
        let failure = Failure::device("prove", "the card is gone");
        assert_eq!(failure.one_line(), "cannot prove: the card is gone");
        assert_eq!(failure.exit_code(), 3);
    }
}
