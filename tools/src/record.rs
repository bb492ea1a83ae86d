//! Records and calibration sets: JSON lists of numbers.

use std::path::Path;

use crate::artefact;
use crate::error::Failure;

/// Reads one record, `[0.1, 0.2, …]`, row-major.
pub fn read_record(path: &Path) -> Result<Vec<f32>, Failure> {
    const ACTION: &str = "read the record";
    let record: Vec<f32> = artefact::read_json(ACTION, path)?;
    check(&record).map_err(|reason| Failure::file(ACTION, path, reason))?;
    Ok(record)
}

/// Reads calibration records, `[[0.1, 0.2, …], …]`.
pub fn read_calibration(path: &Path) -> Result<Vec<Vec<f32>>, Failure> {
    const ACTION: &str = "read the calibration records";
    let records: Vec<Vec<f32>> = artefact::read_json(ACTION, path)?;
    for (index, record) in records.iter().enumerate() {
        check(record).map_err(|reason| Failure::file(ACTION, path, format!("record {index}: {reason}")))?;
    }
    Ok(records)
}

/// JSON has no way to write NaN, but it has numbers that are infinite once they are read.
fn check(record: &[f32]) -> Result<(), String> {
    match record.iter().position(|value| !value.is_finite()) {
        Some(position) => Err(format!("value {position} is not a finite number")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Result<Vec<f32>, Failure> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("record.json");
        std::fs::write(&path, text).unwrap();
        read_record(&path)
    }

    #[test]
    fn numbers_are_read_and_nothing_else() {
        assert_eq!(record("[1, -0.5, 2e3]").unwrap(), [1.0, -0.5, 2000.0]);
        for text in
            ["", "[1, NaN]", "[1, 1e39]", "[-1e999]", "[null]", "[\"1\"]", "{}", "[1", "[1] 2", "[[1]]"]
        {
            let failure = record(text).unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{text}");
            assert!(!failure.one_line().contains('\n'), "{text}");
        }
    }
}
