//! Runs the integer model that would be proven, without proving anything, and prints its outputs next to the float model's.
//!
//! ```console
//! $ kiln run --model m.onnx --calibration c.json --input input_0.pb --compare
//! $ kiln run --model m.onnx --input x.npy --input y.npy --compare --json
//! ```
//! An input is one record, row-major, in a file of JSON (`[0.1, 0.2, …]`, any other ending), of NumPy (`.npy`) or of ONNX (`.pb`, a
//! TensorProto, as ONNX's own test suites have them); a file of several NumPy arrays (`.npz`) holds a record each. Without
//! `--calibration` the inputs themselves set the scales.
//!
//! With `--compare` every output is printed with the float model's value and the difference, and the errors are summed up: the cosine of
//! the two output vectors, the largest difference, and whether the largest output is the same; of several records, also the least cosine
//! and how many keep their largest output.
//!
//! With `--layers` the two models are compared layer by layer too, on the labelled records of `--held-out` or else on the inputs, and the
//! circuit is laid out to tell what each layer would cost; `kiln compile --help` says what the columns are. That way calibration and
//! bits can be chosen before any key is made.

use std::fmt;
use std::path::{Path, PathBuf};

use kiln_circuits::accuracy::{argmax, cosine};
use kiln_circuits::data;
use kiln_circuits::lower::predict;
use kiln_circuits::{
    FloatModel, InputVisibility, IntGraph, Interpreter, PlanOptions, QuantiseReport, Rates, Visibility,
    WeightValues, WeightVisibility, dequantise_output, import, lower, measure_layers, quantise_record,
};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::artefact::{self, LARGE_FILE_BYTES_MAX, SMALL_FILE_BYTES_MAX};
use crate::compiled::Accuracy;
use crate::error::{Failure, Source};
use crate::fidelity::{Fidelity, MeasuredOn, Table};
use crate::mixed::MixedSearch;
use crate::output::{Format, Report};
use crate::progress::Progress;
use crate::quantisation::{QuantiseArgs, Quantised};
use crate::record;
use crate::resources::{Snapshot, Used};

/// Arguments of `kiln run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model, an ONNX file
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Typical inputs, a JSON list of lists; without it the inputs are taken
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// A record: JSON, .npy or .pb, or several in an .npz; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    input: Vec<PathBuf>,
    /// Print the float model's outputs beside the integer model's
    #[arg(long)]
    compare: bool,
    /// Labelled records to measure accuracy on: JSON, `{"records": [[…], …], "labels": […]}`
    #[arg(long, value_name = "FILE")]
    held_out: Option<PathBuf>,
    /// Print every layer's error against the float model (always part of --json) and what it would cost to prove
    #[arg(long)]
    layers: bool,
    #[command(flatten)]
    quantise: QuantiseArgs,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// What the models answer.
#[derive(Debug, Serialize)]
pub struct Answers {
    /// What one unit of the integer outputs is worth.
    output_scale: f64,
    shift: u32,
    table_bits: u32,
    records: Vec<Answer>,
    accuracy: Option<Accuracy>,
    fidelity: Option<Fidelity>,
    /// The search for widths, if there was one.
    mixed: Option<MixedSearch>,
    #[serde(skip)]
    layers: bool,
    used: Used,
}

/// What they answer on one record.
#[derive(Debug, Serialize)]
struct Answer {
    input: PathBuf,
    output: Vec<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Compared>,
}

/// The float model's side.
#[derive(Debug, Serialize)]
struct Compared {
    float: Vec<f32>,
    cosine: f64,
    error_max: f64,
    same_largest: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Answers, Failure> {
    let start = Snapshot::now();
    let progress = Progress::new(args.format.json);
    let onnx = artefact::read("read the model", &args.model, LARGE_FILE_BYTES_MAX)?;
    let inputs = args.input.iter().map(|path| read_inputs(path)).collect::<Result<Vec<_>, _>>()?;
    let inputs = inputs.into_iter().flatten().collect::<Vec<_>>();
    let calibration = match &args.calibration {
        Some(path) => record::read_calibration(path)?,
        None => inputs.iter().map(|(_, input)| input.to_vec()).collect(),
    };
    let model = progress.phase("read the model", || import(&onnx));
    let model = model.map_err(|e| Failure::refused("read the model", e))?;
    let mut predicted =
        |graph: &IntGraph| predict(graph, VISIBILITY, &PlanOptions::default(), &Rates::default());
    let quantised = args.quantise.quantisation().quantise(&model, &calibration, &mut predicted, &progress)?;
    let Quantised { graph, weights, report, mixed } = quantised;
    let interpreter = Interpreter::new(&graph, &weights).map_err(|e| Failure::refused("run the model", e))?;
    let mut records = Vec::with_capacity(inputs.len());
    for (path, input) in &inputs {
        let refused = |e: Source| Failure::file("use the record", path, e);
        let integers = quantise_record(&graph, input).map_err(|e| refused(e.into()))?;
        let output = interpreter.run(&integers).map_err(|e| refused(e.into()))?.output.clone();
        let comparison = match args.compare {
            true => {
                let float = model.run(input).map_err(|e| refused(e.into()))?.output;
                Some(Compared::new(&dequantise_output(&graph, &output), float))
            }
            false => None,
        };
        records.push(Answer { input: path.clone(), output, comparison });
    }
    let output_scale = graph.tensors.get(graph.output.tensor.0).map_or(1.0, |tensor| tensor.scale);
    let measure = || fidelity(args, &model, (&graph, &weights), &report, &inputs);
    let (accuracy, fidelity) = match args.layers || args.format.json || args.held_out.is_some() {
        true => progress.phase("compare layer by layer", measure)?,
        false => (None, None),
    };
    let (shift, table_bits, layers) = (report.shift, report.q_bits, args.layers);
    let used = start.used();
    Ok(Answers { output_scale, shift, table_bits, records, accuracy, fidelity, mixed, layers, used })
}

/// Compares the two models on labelled records, or on the inputs, and lays a circuit out if layers were asked for.
fn fidelity(
    args: &Args,
    model: &FloatModel,
    (graph, weights): (&IntGraph, &WeightValues),
    report: &QuantiseReport,
    inputs: &[Input],
) -> Result<(Option<Accuracy>, Option<Fidelity>), Failure> {
    let held_out = args.held_out.as_deref().map(record::read_held_out).transpose()?;
    let (on, records, labels) = match held_out {
        Some(set) => (MeasuredOn::HeldOut, set.records, Some(set.labels)),
        None => (MeasuredOn::Inputs, inputs.iter().map(|(_, input)| input.to_vec()).collect(), None),
    };
    let records = Zeroizing::new(records);
    let measured = measure_layers(model, graph, weights, &report.nodes, &records, labels.as_deref());
    let (measured, errors) = measured.map_err(|e| Failure::refused("measure the accuracy", e))?;
    let lowered = args.layers.then(|| lower(graph, VISIBILITY, &PlanOptions::default())).transpose();
    let plan = lowered.map_err(|e| Failure::refused("lay out the model as a circuit", e))?;
    let plan = plan.map(|lowered| lowered.report);
    let fidelity = Fidelity::new(on, &measured, &errors, plan.as_ref());
    Ok((labels.map(|_| Accuracy::new(&measured)), Some(fidelity)))
}

/// What the layout is predicted for.
const VISIBILITY: Visibility =
    Visibility { input: InputVisibility::Private, weights: WeightVisibility::Hidden };

/// How much the arrays of an `.npz` file may take.
const UNPACKED_BYTES_MAX: usize = 256 << 20;

/// A record and where it comes from.
type Input = (PathBuf, Zeroizing<Vec<f32>>);

/// The records of a file, in the format that its name tells.
fn read_inputs(path: &Path) -> Result<Vec<Input>, Failure> {
    const ACTION: &str = "read the input";
    let bytes = Zeroizing::new(artefact::read(ACTION, path, SMALL_FILE_BYTES_MAX)?);
    let refused = |e: Source| Failure::file(ACTION, path, e);
    let one = |values| vec![(path.to_owned(), Zeroizing::new(values))];
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => one(data::read_npy(&bytes).map_err(|e| refused(e.into()))?),
        Some("pb") => one(data::read_tensor_proto(&bytes).map_err(|e| refused(e.into()))?),
        Some("npz") => {
            let arrays = data::read_npz(&bytes, UNPACKED_BYTES_MAX).map_err(|e| refused(e.into()))?;
            let named = |name: String| PathBuf::from(format!("{}:{name}", path.display()));
            arrays.into_iter().map(|(name, values)| (named(name), Zeroizing::new(values))).collect()
        }
        _ => one(data::read_record(&bytes).map_err(|e| refused(e.into()))?),
    })
}

impl Compared {
    fn new(integer: &[f64], float: Vec<f32>) -> Self {
        let differences = integer.iter().zip(&float).map(|(a, b)| (a - f64::from(*b)).abs());
        let error_max = differences.fold(0.0, f64::max);
        let same_largest = argmax(integer) == argmax(&float);
        let cosine = cosine(integer, &float);
        Self { float, cosine, error_max, same_largest }
    }
}

impl Report for Answers {
    const SCHEMA: &'static str = "kiln.run/1";
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Answer { input, output, comparison } in &self.records {
            writeln!(f, "{}", input.display())?;
            let Some(compared) = comparison else {
                writeln!(f, "  output    {output:?} × {}", self.output_scale)?;
                continue;
            };
            writeln!(
                f,
                "  {:>6} {:>10} {:>14} {:>14} {:>12}",
                "output", "integer", "its value", "float", "difference"
            )?;
            for (index, (integer, float)) in output.iter().zip(&compared.float).enumerate() {
                let value = f64::from(*integer) * self.output_scale;
                let difference = value - f64::from(*float);
                writeln!(f, "  {index:>6} {integer:>10} {value:>14.6} {float:>14.6} {difference:>12.6}")?;
            }
            writeln!(
                f,
                "  cosine {:.6}, largest difference {:.6}, largest output {}",
                compared.cosine,
                compared.error_max,
                if compared.same_largest { "the same" } else { "another" }
            )?;
        }
        let compared = || self.records.iter().filter_map(|answer| answer.comparison.as_ref());
        if compared().count() > 1 {
            let least = compared().map(|compared| compared.cosine).fold(f64::INFINITY, f64::min);
            let same = compared().filter(|compared| compared.same_largest).count();
            let records = compared().count();
            writeln!(f, "{records} records: cosine at least {least:.6}, largest output the same in {same}")?;
        }
        if let Some(accuracy) = &self.accuracy {
            writeln!(f, "accuracy {accuracy}")?;
        }
        if let Some(fidelity) = self.fidelity.as_ref().filter(|_| self.layers || self.accuracy.is_some()) {
            writeln!(f, "{fidelity}")?;
        }
        if let Some(fidelity) = self.fidelity.as_ref().filter(|_| self.layers) {
            write!(f, "{}", Table(fidelity))?;
        }
        if let Some(mixed) = &self.mixed {
            write!(f, "{mixed}")?;
        }
        writeln!(f, "shift of {} bits, tables of 2^{} entries a side", self.shift, self.table_bits)?;
        write!(f, "used {}", self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_compared_by_direction_size_and_largest() {
        let compared = Compared::new(&[3.0, 4.0], vec![6.0, 8.0]);
        assert!((compared.cosine - 1.0).abs() < 1e-12 && compared.same_largest);
        assert_eq!(compared.error_max, 4.0);
        let compared = Compared::new(&[1.0, 0.0], vec![0.0, 1.0]);
        assert!(compared.cosine == 0.0 && !compared.same_largest);
        assert_eq!(Compared::new(&[0.0], vec![0.0]).cosine, 1.0);
    }
}
