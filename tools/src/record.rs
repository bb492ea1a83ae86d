//! Records and calibration sets: JSON lists of numbers.

use std::path::Path;

use kiln_circuits::data::{self, TestSet};
use zeroize::Zeroizing;

use crate::artefact::{self, SMALL_FILE_BYTES_MAX};
use crate::error::Failure;

/// Reads one record, `[0.1, 0.2, …]`, row-major. Its length and values are checked where it meets a model.
/// A secret: wiped after use.
pub fn read_record(path: &Path) -> Result<Zeroizing<Vec<f32>>, Failure> {
    const ACTION: &str = "read the record";
    let bytes = Zeroizing::new(artefact::read(ACTION, path, SMALL_FILE_BYTES_MAX)?);
    data::read_record(&bytes).map(Zeroizing::new).map_err(|e| Failure::file(ACTION, path, e))
}

/// Reads calibration records, `[[0.1, 0.2, …], …]`.
pub fn read_calibration(path: &Path) -> Result<Vec<Vec<f32>>, Failure> {
    const ACTION: &str = "read the calibration records";
    let bytes = artefact::read(ACTION, path, SMALL_FILE_BYTES_MAX)?;
    data::read_records(&bytes).map_err(|e| Failure::file(ACTION, path, e))
}

/// Reads labelled records, `{"records": [[…], …], "labels": […]}`.
pub fn read_held_out(path: &Path) -> Result<TestSet, Failure> {
    const ACTION: &str = "read the held-out records";
    let bytes = artefact::read(ACTION, path, SMALL_FILE_BYTES_MAX)?;
    data::read_test_set(&bytes).map_err(|e| Failure::file(ACTION, path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("record.json");
        let record = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_record(&path)
        };
        assert_eq!(record("[1, -0.5, 2e3]").unwrap().as_slice(), [1.0, -0.5, 2000.0]);
        for text in ["", "[1, NaN]", "[-1e999]", "[null]", "[\"1\"]", "{}", "[1", "[1] 2", "[[1]]"] {
            let failure = record(text).unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{text}");
            assert!(!failure.one_line().contains('\n'), "{text}");
        }
    }
}
