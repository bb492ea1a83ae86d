//! What proving takes on this machine, as `kiln tune` measured it: a file that the planner and `kiln prove` read.

use std::env;
use std::path::{Path, PathBuf};

use kiln_circuits::lower::{Rate, Rates};
use serde::{Deserialize, Serialize};

use crate::artefact::{self, SMALL_FILE_BYTES_MAX};
use crate::error::{Failure, Source};

/// Version of the file.
const SCHEMA: &str = "kiln.rates/2";
/// What stands for the rates that the program brings along.
const DEFAULT: &str = "default";
/// Most sizes.
const SIZES_MAX: usize = 32;

/// The flag that chooses rates.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RatesArgs {
    /// The rates that predictions and layouts go by, a file of `kiln tune`, or `default`: those of the program, which give the same
    /// layout everywhere. Left out, ~/.config/kiln/rates.json if it exists
    #[arg(long, value_name = "FILE")]
    rates: Option<PathBuf>,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RatesFile {
    schema: String,
    machine: String,
    rates: Vec<Rate>,
}

impl RatesArgs {
    /// The rates that it says.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds no rates.
    pub fn read(&self) -> Result<Rates, Failure> {
        match &self.rates {
            Some(name) if name.as_os_str() == DEFAULT => Ok(Rates::default()),
            Some(path) => read(path),
            None => match usual_place().filter(|path| path.exists()) {
                Some(path) => read(&path),
                None => Ok(Rates::default()),
            },
        }
    }
}

/// Where the rates of this machine are: in `$XDG_CONFIG_HOME`, or `~/.config` (XDG Base Directory Specification).
pub fn usual_place() -> Option<PathBuf> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(config.join("kiln").join("rates.json"))
}

/// As a file.
pub fn to_text(rates: &Rates, machine: &str) -> String {
    let file = RatesFile { schema: SCHEMA.into(), machine: machine.into(), rates: rates.sizes().to_vec() };
    // Plain data: it always has a JSON form.
    serde_json::to_string_pretty(&file).map(|text| text + "\n").unwrap_or_default()
}

fn read(path: &Path) -> Result<Rates, Failure> {
    const ACTION: &str = "read the rates";
    let bytes = artefact::read(ACTION, path, SMALL_FILE_BYTES_MAX)?;
    parse(&bytes).map_err(|e| Failure::file(ACTION, path, e))
}

fn parse(bytes: &[u8]) -> Result<Rates, Source> {
    let file: RatesFile = serde_json::from_slice(bytes)?;
    if file.schema != SCHEMA {
        return Err(
            format!("its schema is {:?}, expected {SCHEMA:?}; run kiln tune again", file.schema).into()
        );
    }
    let few = Some(file.rates).filter(|rates| rates.len() <= SIZES_MAX);
    few.and_then(Rates::new)
        .ok_or_else(|| "expected positive rates for circuits of growing size; run kiln tune again".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let rates = Rates::new(vec![Rate::LARGE]).unwrap();
        let text = to_text(&rates, "a \"machine\"");
        assert_eq!(parse(text.as_bytes()).unwrap(), rates);
        for (from, to) in
            [("rates/2", "rates/1"), ("100.0", "-1.0"), ("100.0", "null"), ("100.0", "1e999"), ("20", "-20")]
        {
            assert!(text.contains(from), "{from}");
            assert!(parse(text.replace(from, to).as_bytes()).is_err(), "{from} {to}");
        }
        assert!(parse(b"").is_err());
        assert!(parse(b"{\"schema\":\"kiln.rates/2\",\"machine\":\"\",\"rates\":[]}").is_err());
    }
}
