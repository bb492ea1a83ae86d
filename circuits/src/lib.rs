//! ONNX in, quantised integer graph, Plonk circuit and witness out.

pub mod accuracy;
pub mod data;
pub mod float;
pub mod forest;
pub mod graph;
mod import;
pub mod interpret;
pub mod layer_error;
pub mod lower;
pub mod onnx;
pub mod quantise;
#[doc(hidden)]
pub mod samples;
pub mod validate;
pub mod weight_range;

pub use accuracy::{Accuracy, AccuracyError, Comparison, measure, measure_layers};
pub use float::{FloatError, FloatModel};
pub use graph::{IntGraph, WeightValues};
pub use interpret::{Interpreter, NodeTrace, RunError, Trace, run};
pub use layer_error::LayerError;
pub use lower::{
    InputVisibility, LowerError, Lowered, PlanOptions, PlanReport, Rates, Target, Visibility,
    WeightVisibility, lower,
};
pub use onnx::{ImportError, UnsupportedOperator, import};
pub use quantise::{
    Calibration, MixedPhase, MixedReport, MixedStep, NodeReport, PerToken, QuantiseError, QuantiseOptions,
    QuantiseReport, Tolerance, dequantise_output, quantise, quantise_mixed, quantise_record,
};
pub use validate::GraphError;
pub use weight_range::WeightRange;
