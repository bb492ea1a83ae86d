//! ONNX in, quantised integer graph, Plonk circuit and witness out.

pub mod graph;
pub mod interpret;
pub mod lower;
#[doc(hidden)]
pub mod samples;
pub mod validate;

pub use graph::{IntGraph, WeightValues};
pub use interpret::{Interpreter, NodeTrace, RunError, Trace, run};
pub use validate::GraphError;
