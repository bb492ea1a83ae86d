//! What a search for widths went through, to print.

use std::collections::BTreeMap;
use std::fmt;

use kiln_circuits::{MixedPhase, MixedReport, MixedStep};
use serde::Serialize;

use crate::output;

/// A search for widths of activations.
#[derive(Clone, Debug, Serialize)]
pub struct MixedSearch {
    /// Most relative error of the outputs that was asked for.
    relative_error_max: f64,
    /// Least share of records that keep their largest output.
    agreement_min: f64,
    /// Integer models that were made and run on the calibration records.
    models_tried: usize,
    /// Whether it ended because they were too many.
    cut_short: bool,
    /// The layers that have widths, in the order in which they are computed.
    layers: Vec<String>,
    /// Flags that give the result again.
    flags: String,
    /// The chosen step.
    chosen: usize,
    /// Every state that it went through.
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Serialize)]
struct Step {
    phase: &'static str,
    bits: BTreeMap<String, u32>,
    shift: u32,
    table_bits: u32,
    table_entries: usize,
    predicted_ms: Option<f64>,
    /// What steps are compared by: milliseconds with a supplement for the proof's bytes, or gas.
    predicted_cost: Option<f64>,
    records: usize,
    same_largest: usize,
    relative_error: f64,
    within: bool,
    /// In the order of the layers.
    #[serde(skip)]
    widths: Vec<u32>,
}

impl From<MixedStep> for Step {
    fn from(step: MixedStep) -> Self {
        let phase = match step.phase {
            MixedPhase::Uniform => "uniform",
            MixedPhase::Narrowed => "narrowed",
            MixedPhase::Widened => "widened",
            MixedPhase::Refined => "refined",
        };
        let (records, same_largest) = step.agreement;
        Self {
            phase,
            widths: step.bits.iter().map(|(_, bits)| *bits).collect(),
            bits: step.bits.into_iter().collect(),
            shift: step.shift,
            table_bits: step.q_bits,
            table_entries: step.table_entries,
            predicted_ms: step.predicted.map(|predicted| predicted.milliseconds),
            predicted_cost: step.predicted.map(|predicted| predicted.cost),
            records,
            same_largest,
            relative_error: step.relative_error,
            within: step.within,
        }
    }
}

impl From<MixedReport> for MixedSearch {
    fn from(report: MixedReport) -> Self {
        let chosen = report.steps.get(report.chosen);
        let flags = chosen.map(flags).unwrap_or_default();
        let names = |step: &MixedStep| step.bits.iter().map(|(name, _)| name.clone()).collect();
        let layers = chosen.map(names).unwrap_or_default();
        Self {
            relative_error_max: report.tolerance.relative_error_max,
            agreement_min: report.tolerance.agreement_min,
            models_tried: report.runs,
            cut_short: report.cut_short,
            layers,
            flags,
            chosen: report.chosen,
            steps: report.steps.into_iter().map(Step::from).collect(),
        }
    }
}

/// What gives this step's integers again, from the same records and the other flags as they were.
fn flags(step: &MixedStep) -> String {
    let widest = step.bits.iter().map(|(_, bits)| *bits).max().unwrap_or(8);
    let other = step.bits.iter().filter(|(_, bits)| *bits != widest);
    let layers = other.map(|(name, bits)| format!(",{name}={bits}")).collect::<String>();
    let widths = format!("{widest}{layers}");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_,=/.:-".contains(c);
    let widths =
        if widths.chars().all(plain) { widths } else { format!("'{}'", widths.replace('\'', "'\\''")) };
    format!("--activation-bits {widths} --shift {} --table-bits {}", step.shift, step.q_bits)
}

impl fmt::Display for MixedSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  widths    {} integer models tried{}, error at most {:.2} % and the same largest output in {:.1} % of the records asked for",
            self.models_tried,
            if self.cut_short { " (no more are)" } else { "" },
            100.0 * self.relative_error_max,
            100.0 * self.agreement_min,
        )?;
        let layers = self.layers.join(", ");
        let layers = if layers.len() > 80 { format!("{} layers", self.layers.len()) } else { layers };
        writeln!(
            f,
            "    {:<9} {:>8} {:>10} {:>9} {:>5} {:>6}  bits of {layers}",
            "step", "entries", "predicted", "error", "shift", "tables"
        )?;
        for (index, step) in self.steps.iter().enumerate() {
            let mark = match (index == self.chosen, step.within) {
                (true, _) => "  <- chosen",
                (false, true) => "",
                (false, false) => "  beyond",
            };
            let widths = step.widths.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
            writeln!(
                f,
                "    {:<9} {:>8} {:>10} {:>7.2} % {:>5} {:>6}  {widths}{mark}",
                step.phase,
                step.table_entries,
                step.predicted_ms.map_or("-".into(), |ms| output::seconds(ms * 1e-3)),
                100.0 * step.relative_error,
                step.shift,
                step.table_bits,
            )?;
        }
        writeln!(f, "    again with {}", self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_quoted_where_a_shell_would_take_names_apart() {
        let step = |name: &str| MixedStep {
            phase: MixedPhase::Narrowed,
            bits: vec![("x".into(), 8), (name.into(), 6)],
            shift: 7,
            q_bits: 9,
            table_entries: 1,
            predicted: None,
            agreement: (1, 1),
            relative_error: 0.0,
            within: true,
        };
        assert_eq!(flags(&step("/a/Conv")), "--activation-bits 8,/a/Conv=6 --shift 7 --table-bits 9");
        assert_eq!(flags(&step("it's")), r"--activation-bits '8,it'\''s=6' --shift 7 --table-bits 9");
    }
}
