//! How much memory proving may take: the flags, and what is said before work starts.

use std::fmt;
use std::path::PathBuf;

use kiln_plonk::{Holding, MemoryPlan, ProveError, ProvingKey, Srs, Witness};
use serde::Serialize;

use crate::error::Failure;
use crate::output::{self, bytes};
use crate::progress::Progress;
use crate::resources::memory_in_use;

/// The flags that bound memory.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MemoryArgs {
    /// Keep the memory of the whole process below this, for example `4GiB`; takes longer if it has to
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    /// With --memory: columns may be kept in a file without a name in this directory, encrypted with a key that is never
    /// written
    #[arg(long, value_name = "DIR", requires = "memory")]
    spill_dir: Option<PathBuf>,
    /// Keep multiples of the reference string's points in this directory: large proofs take less time, but the first, which
    /// makes them, takes longer. They are left out where --memory has no room for them
    #[arg(long, value_name = "DIR")]
    multiples: Option<PathBuf>,
}

/// What was decided.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryUse {
    /// What was allowed \[bytes\].
    bound_bytes: u64,
    /// What the process was expected to take at most \[bytes\].
    estimate_bytes: u64,
    /// What was expected to be on disk \[bytes\].
    disk_bytes: u64,
    /// What multiples of the reference string's points take of that \[bytes\].
    multiples_bytes: u64,
    /// In how many parts a coset was evaluated.
    slices: usize,
    /// How columns were held between the rounds.
    way: String,
}

/// The fastest plan within a bound, of a proof in a process that holds `in_use` already; all in memory where there is no bound.
///
/// # Errors
/// No plan fits.
pub fn plan_within(
    (key, srs, witness): (&ProvingKey, &Srs, &dyn Witness),
    in_use: u64,
    bound: Option<u64>,
) -> Result<MemoryPlan, ProveError> {
    let options = MemoryPlan::options(key, srs, witness, in_use, None)?;
    MemoryPlan::choose(&options, bound.unwrap_or(u64::MAX))
}

impl MemoryArgs {
    /// Prints what each way to prove would take, and picks the fastest within the bound. Without a bound, everything is held
    /// and nothing is said.
    pub fn choose(
        &self,
        key: &ProvingKey,
        srs: &Srs,
        witness: &dyn Witness,
    ) -> Result<(MemoryPlan, Option<MemoryUse>), Failure> {
        let Some(bound_bytes) = self.memory else { return Ok((MemoryPlan::default(), None)) };
        let in_use = memory_in_use();
        let options = MemoryPlan::options(key, srs, witness, in_use, self.spill_dir.as_deref())
            .map_err(|e| Failure::refused("estimate the memory", e))?;
        output::note(Estimates { in_use, bound_bytes, options: &options });
        let plan = MemoryPlan::choose(&options, bound_bytes).map_err(|e| self.refusal(e))?;
        let used = MemoryUse {
            bound_bytes,
            estimate_bytes: plan.peak_bytes(),
            disk_bytes: plan.disk_bytes(),
            multiples_bytes: 0,
            slices: plan.slices(),
            way: plan.to_string(),
        };
        Ok((plan, Some(used)))
    }

    /// The reference string with multiples of its points, if these are wanted and the bound has room for them beside the
    /// plan. What they take is added to the estimate.
    pub fn multiples(
        &self,
        srs: &Srs,
        used: Option<&mut MemoryUse>,
        progress: &Progress,
    ) -> Result<Option<Srs>, Failure> {
        let Some(dir) = &self.multiples else { return Ok(None) };
        let expected = srs.multiples_bytes();
        if let Some(used) = used {
            let left = used.bound_bytes.saturating_sub(used.estimate_bytes);
            if expected > left {
                output::note(format_args!(
                    "multiples of the reference string take {}, but only {} is left of --memory: done without",
                    bytes(expected),
                    bytes(left)
                ));
                return Ok(None);
            }
            used.multiples_bytes = expected;
            used.estimate_bytes += expected;
        }
        let kept = progress.phase("open multiples", || srs.with_multiples(dir));
        kept.map(Some).map_err(|e| Failure::refused("keep multiples of the reference string", e))
    }

    fn refusal(&self, error: ProveError) -> Failure {
        match error {
            ProveError::Memory { expected, got } => {
                let advice = if self.spill_dir.is_some() { "" } else { ", or name a --spill-dir" };
                Failure::Input(format!(
                    "the proof cannot be made within {}: the least that it needs is {} ({expected} bytes); allow that{advice}",
                    bytes(got),
                    bytes(expected)
                ))
            }
            other => Failure::refused("estimate the memory", other),
        }
    }
}

impl fmt::Display for MemoryUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, at most {} of {} estimated",
            self.way,
            bytes(self.estimate_bytes),
            bytes(self.bound_bytes)
        )
    }
}

/// The least that each way takes, whole and in slices.
struct Estimates<'a> {
    in_use: u64,
    bound_bytes: u64,
    options: &'a [MemoryPlan],
}

impl fmt::Display for Estimates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "memory: {} in use, {} allowed; estimates of the peak",
            bytes(self.in_use),
            bytes(self.bound_bytes)
        )?;
        for holding in [Holding::Memory, Holding::Disk, Holding::Rows] {
            let peaks =
                || self.options.iter().filter(|plan| plan.holding() == holding).map(MemoryPlan::peak_bytes);
            if let (Some(most), Some(least)) = (peaks().max(), peaks().min()) {
                write!(
                    f,
                    "\n  {:<42}{:>10}, in slices down to {}",
                    holding.to_string(),
                    bytes(most),
                    bytes(least)
                )?;
            }
        }
        Ok(())
    }
}

/// A size with a unit: `4GiB`, `512 MiB`, `6GB`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 6] = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1_000),
    ];
    let expected = || "expected a number and a unit, such as 4GiB or 512MiB".to_owned();
    let found = UNITS.iter().find_map(|(unit, size)| text.strip_suffix(unit).map(|number| (number, *size)));
    let (number, unit) = found.ok_or_else(expected)?;
    let number: u64 = number.trim().parse().map_err(|_| expected())?;
    number.checked_mul(unit).filter(|size| *size > 0).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        for (text, expected) in
            [("4GiB", 4 << 30), ("512 MiB", 512 << 20), ("1KiB", 1024), ("6GB", 6_000_000_000), ("1kB", 1000)]
        {
            assert_eq!(parse_size(text), Ok(expected));
        }
        for text in ["", "4", "GiB", "4gib", "-1GiB", "1.5GiB", "0GiB", "99999999999GiB", "4GiB4GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
