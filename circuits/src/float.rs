//! The float graph: what an ONNX file says, in the few shapes of node that the integer graph has.
//!
//! It carries no values of its own while running: [`FloatModel`] runs the ONNX file itself with tract, with every tensor
//! of this graph as an output, and that is the reference for calibration and for accuracy.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::prelude::{Datum, InferenceModelExt, IntoRunnable, Tensor, TypedRunnableModel, tvec};
use tract_onnx::tract_hir::infer::InferenceFact;

use crate::forest::Forest;
use crate::graph::{ConvGeometry, TensorId, View};

/// An activation.
#[derive(Clone, Debug)]
pub struct FloatTensor {
    /// The ONNX value that holds its elements, in the same number though perhaps in another order.
    pub name: String,
    /// The ONNX value that holds them before the node's function, if it has one that is not `Relu`.
    pub before: Option<String>,
    /// Dimensions without the batch.
    pub shape: Vec<usize>,
    /// The tensor as the value called `name` holds it; none where that value only has about the tensor's range.
    pub seen: Option<View>,
}

/// A weight or bias.
#[derive(Clone)]
pub struct FloatWeight {
    /// Its name in the ONNX file, or derived from it.
    pub name: String,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Row-major, finite.
    pub values: Vec<f32>,
}

impl std::fmt::Debug for FloatWeight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FloatWeight({} {:?}, values not shown)", self.name, self.shape)
    }
}

/// One part of a [`FloatOp::Sum`]; as [`crate::graph::Term`], with a real factor.
#[derive(Clone, Debug)]
pub struct FloatTerm {
    /// What is read.
    pub input: View,
    /// Its factor.
    pub factor: f32,
    /// For each element of the view, the element of the output that it adds to (`None`: element i to i).
    pub target: Option<Vec<Option<u32>>>,
}

/// One part of a [`FloatOp::Spread`], with a real factor.
#[derive(Clone, Debug)]
pub struct FloatPart {
    /// What is read.
    pub input: View,
    /// Its factor.
    pub factor: f32,
}

/// A function of one number that becomes a table. Its constants are public with the table: no learned value may be one.
#[derive(Clone)]
pub struct Function {
    /// What it computes, with its constants.
    pub name: String,
    /// Defined on all numbers: an operator that is not says in its file how it goes on. May be infinite, not NaN.
    pub value: Arc<dyn Fn(f64) -> f64 + Send + Sync>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Function({})", self.name)
    }
}

/// Which scores of a softmax count.
#[derive(Clone, Debug)]
pub struct Mask {
    /// The scores as (blocks, size), one element of the mask for each block; or in any order.
    pub scores: View,
    /// The mask itself, each element 0 or 1.
    pub values: MaskValues,
    /// Whether a score counts where the mask is 0, instead of 1.
    pub drops: bool,
    /// For each element of the (rows, columns) of the softmax, its place in `scores` (`None`: the same).
    pub order: Option<Vec<u32>>,
}

/// Where a mask comes from.
#[derive(Clone, Debug)]
pub enum MaskValues {
    /// A (blocks, 1) view.
    Computed(View),
    /// Public, one for each element of `scores`.
    Constant(Vec<bool>),
}

/// The integers to which the model itself quantises a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// float = integer · scale
    pub scale: f32,
    /// What ONNX adds to the integers.
    pub zero: i64,
    /// The least of them, before it is added.
    pub lo: i64,
    /// The largest of them.
    pub hi: i64,
    /// Whether they are the model's output as ONNX stores them, with the zero point.
    pub raw: bool,
}

impl Grid {
    /// The integer of a number: halves to even, as `QuantizeLinear` says.
    pub fn nearest(&self, x: f32) -> i64 {
        ((x / self.scale).round_ties_even() as i64).clamp(self.lo, self.hi)
    }

    /// The least and the largest integer, of a Relu's result if it is one.
    pub fn saturated(&self, relu: bool) -> (i64, i64) {
        if relu { (self.lo.max(0), self.hi.max(0)) } else { (self.lo, self.hi) }
    }

    /// The integer as the tensor holds it.
    pub fn shown(&self, v: i64) -> i64 {
        if self.raw { v + self.zero } else { v }
    }

    /// The tensor's scale.
    pub fn shown_scale(&self) -> f64 {
        if self.raw { 1.0 } else { f64::from(self.scale) }
    }
}

/// What is told of the largest elements of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Their values.
    Values,
    /// Their positions.
    Indices,
}

/// What a node computes, before the optional Relu or another function.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the fields are those of `crate::graph::Linear`
pub enum FloatOp {
    /// The record.
    Input,
    /// One input of several: the record from element `first` on.
    Part { record: View, first: usize },
    /// Convolution of a (C,H,W) view, and terms without targets that are added to it.
    Conv {
        input: View,
        weight: FloatWeight,
        bias: Option<FloatWeight>,
        geometry: ConvGeometry,
        residual: Vec<FloatTerm>,
    },
    /// (M,K) view times (K,N) weight.
    MatMul { input: View, weight: FloatWeight, bias: Option<FloatWeight> },
    /// (B,M,K) view times (B,K,N) view, times a factor.
    BatchMatMul { left: View, right: View, factor: f32 },
    /// Sum of terms, element by element, and of sums over blocks that come back to each element of their block; a runtime's arithmetic takes the
    /// sums before the terms if `sums_first`.
    Spread { terms: Vec<FloatPart>, sums: Vec<FloatPart>, blocks: usize, sums_first: bool },
    /// `e^x / Σ e^x` over the rows of a (rows, columns) view, or its logarithm. With a mask, `input` is the masked scores' shape and
    /// order only.
    Softmax { input: View, mask: Option<Mask>, log: bool },
    /// The `count` largest elements of each row of a (rows, columns) view, or with `sign` −1 the smallest, in order; of equal ones
    /// the first, or with `last` the last. Output is (rows, count).
    Rank { input: View, count: usize, sign: i64, last: bool, told: Told },
    /// `(x − mean) / √(variance + epsilon)` over the rows of a (rows, columns) view; without `centred`, the mean is taken as 0.
    Normalise { input: View, epsilon: f64, centred: bool },
    /// Sum of terms and a constant.
    Sum { terms: Vec<FloatTerm>, constant: f32 },
    /// Product, element by element, of two factors; a factor is the sum of its terms, of factor 1.
    Product { factors: [Vec<FloatTerm>; 2] },
    /// Maximum over windows: for each output element, the elements of the view in its window (at least one).
    Max { input: View, windows: Vec<Vec<u32>> },
    /// The row of a (rows, width) table for each element of a view, which is its number.
    Embedding { input: View, table: FloatWeight },
    /// Sums of the leaves that a record reaches in an ensemble of trees.
    Trees { input: View, forest: Arc<Forest> },
}

impl FloatOp {
    /// The views that it reads.
    pub fn inputs(&self) -> Vec<&View> {
        fn of(terms: &[FloatTerm]) -> impl Iterator<Item = &View> {
            terms.iter().map(|term| &term.input)
        }
        match self {
            Self::Input => Vec::new(),
            Self::Conv { input, residual, .. } => of(residual).chain([input]).collect(),
            Self::MatMul { input, .. }
            | Self::Max { input, .. }
            | Self::Trees { input, .. }
            | Self::Embedding { input, .. }
            | Self::Rank { input, .. }
            | Self::Part { record: input, .. }
            | Self::Softmax { input, mask: None, .. }
            | Self::Normalise { input, .. } => vec![input],
            Self::Softmax { mask: Some(mask), .. } => match &mask.values {
                MaskValues::Computed(values) => vec![&mask.scores, values],
                MaskValues::Constant(_) => vec![&mask.scores],
            },
            Self::BatchMatMul { left, right, .. } => vec![left, right],
            Self::Spread { terms, sums, .. } => terms.iter().chain(sums).map(|part| &part.input).collect(),
            Self::Sum { terms, .. } => of(terms).collect(),
            Self::Product { factors } => factors.iter().flat_map(|terms| of(terms)).collect(),
        }
    }
}

/// A node.
#[derive(Clone, Debug)]
pub struct FloatNode {
    /// Name of the ONNX node.
    pub name: String,
    /// ONNX operator type.
    pub operator: String,
    /// What it computes.
    pub op: FloatOp,
    /// Whether negative results become 0.
    pub relu: bool,
    /// A function of each element, instead of Relu.
    pub function: Option<Function>,
    /// The integers to which the model quantises the result, after Relu or function.
    pub grid: Option<Grid>,
    /// Whether the function tells 0 from its neighbours: then a constant that is added is rounded as the operand's values are, so
    /// that equal numbers stay equal.
    pub compares: bool,
    /// Where the result goes.
    pub output: TensorId,
}

/// Nodes in order; node i makes tensor i.
#[derive(Clone, Debug)]
pub struct FloatGraph {
    /// Activations.
    pub tensors: Vec<FloatTensor>,
    /// Nodes; the first is the input.
    pub nodes: Vec<FloatNode>,
    /// The output, as a view.
    pub output: View,
    /// Of weights that the model quantises, their scale, or one for each channel, by the weight's name.
    pub steps: HashMap<String, Vec<f32>>,
    /// Of constants that the model quantises and adds to a tensor, or multiplies one with, by the node's name.
    pub constants: HashMap<String, WithConstant>,
}

/// A constant that the model quantises beside a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WithConstant {
    /// Its scale.
    pub scale: f32,
    /// Its zero point.
    pub zero: i64,
    /// Whether the tensor is multiplied with it.
    pub multiplies: bool,
    /// Whether it is the first of both.
    pub first: bool,
}

/// Why the float model could not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum FloatError {
    /// Wrong number of values.
    #[error("the record has {got} values, the model takes {expected}")]
    RecordLength { expected: usize, got: usize },
    /// A value is NaN or infinite.
    #[error("value {position} of the record is {got}; every value must be a finite number")]
    RecordNotFinite { position: usize, got: String },
    /// A value that should number a row of a table.
    #[error(
        "value {position} of the record is {got}; this model takes row numbers, integers from 0 to {last}"
    )]
    RecordRow { position: usize, last: i64, got: String },
    /// A tensor of the float model became NaN or infinite.
    #[error("tensor `{tensor}` of the float model is {got} at position {position} for this record")]
    NotFinite { tensor: String, position: usize, got: String },
    /// tract failed.
    #[error("the float reference failed: {reason}")]
    Reference { reason: String },
}

/// One record's float values.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatTrace {
    /// For each tensor of the graph, its elements (in the order of the ONNX value of that name).
    pub tensors: Vec<Vec<f32>>,
    /// For each tensor, its elements before the node's function, where the node has one.
    pub before: Vec<Option<Vec<f32>>>,
    /// The output in the order of the graph's output view.
    pub output: Vec<f32>,
}

/// What computes the float values.
enum Reference {
    /// The ONNX file in tract.
    Onnx(Arc<TypedRunnableModel>),
    /// An ensemble of trees that reads the record and gives the output, before the last node's function.
    Forest(Arc<Forest>),
}

/// An imported model: the float graph, and the ONNX file ready to run.
pub struct FloatModel {
    /// The graph.
    pub graph: FloatGraph,
    /// What the importer did that a user should know, one sentence each.
    pub notes: Vec<String>,
    reference: Reference,
    /// The inputs' dimensions as ONNX has them, with the batch.
    input_shapes: Vec<Vec<usize>>,
}

impl std::fmt::Debug for FloatModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FloatModel")
            .field("graph", &self.graph)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

impl FloatModel {
    /// Loads the ONNX model into tract with all of the graph's tensors but the record, and `output_value`, as outputs.
    pub(crate) fn new(
        proto: &tract_onnx::pb::ModelProto,
        graph: FloatGraph,
        notes: Vec<String>,
        input_shapes: Vec<Vec<usize>>,
        output_value: &str,
    ) -> Result<Self, FloatError> {
        let before = graph.tensors.iter().filter_map(|t| t.before.as_deref());
        let names = graph.tensors.iter().skip(1).map(|t| t.name.as_str()).chain(before).chain([output_value]);
        let reference = Reference::Onnx(guarded(|| load(proto, &input_shapes, names))?);
        Ok(Self { graph, notes, reference, input_shapes })
    }

    /// A model that is an ensemble of trees: the graph's tensors are the record and the output.
    pub(crate) fn of_forest(
        graph: FloatGraph,
        notes: Vec<String>,
        input_shape: Vec<usize>,
        forest: Arc<Forest>,
    ) -> Self {
        Self { graph, notes, reference: Reference::Forest(forest), input_shapes: vec![input_shape] }
    }

    /// Number of values of a record: all inputs, one after the other.
    pub fn record_len(&self) -> usize {
        self.input_shapes.iter().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Checks length and finiteness of a record.
    pub fn check_record(&self, record: &[f32]) -> Result<(), FloatError> {
        check_record(record, self.record_len())
    }

    /// Runs one record (row-major over the input's shape; of several inputs, one after the other).
    pub fn run(&self, record: &[f32]) -> Result<FloatTrace, FloatError> {
        self.check_record(record)?;
        let results = match &self.reference {
            Reference::Onnx(onnx) => self.run_onnx(onnx, record)?,
            Reference::Forest(forest) => self.run_forest(forest, record),
        };
        let mut tensors = [vec![record.to_vec()], results].concat();
        let output = tensors.pop().unwrap_or_default();
        let mut before = tensors.split_off(self.graph.tensors.len().min(tensors.len())).into_iter();
        let before: Vec<_> =
            self.graph.tensors.iter().map(|t| t.before.as_ref().and_then(|_| before.next())).collect();
        for (tensor, values) in self.graph.tensors.iter().zip(&tensors) {
            if let Some(position) = values.iter().position(|v| !v.is_finite()) {
                let got = values[position].to_string();
                return Err(FloatError::NotFinite { tensor: tensor.name.clone(), position, got });
            }
        }
        Ok(FloatTrace { tensors, before, output })
    }

    /// The output as a tensor; before its function, if it has one; and as the output.
    fn run_forest(&self, forest: &Forest, record: &[f32]) -> Vec<Vec<f32>> {
        let sums = forest.run(record);
        let Some(function) = self.graph.nodes.last().and_then(|node| node.function.as_ref()) else {
            return vec![sums; 2];
        };
        let output: Vec<f32> = sums.iter().map(|v| (function.value)(f64::from(*v)) as f32).collect();
        vec![output.clone(), sums, output]
    }

    fn run_onnx(&self, onnx: &Arc<TypedRunnableModel>, record: &[f32]) -> Result<Vec<Vec<f32>>, FloatError> {
        guarded(|| {
            let (mut inputs, mut rest) = (tvec!(), record);
            for shape in &self.input_shapes {
                let (part, after) = rest.split_at(shape.iter().product::<usize>().min(rest.len()));
                inputs.push(Tensor::from_shape(shape, part)?.into());
                rest = after;
            }
            let outputs = onnx.run(inputs)?;
            let read = |t: &tract_onnx::prelude::TValue| {
                let real = t.cast_to::<f32>()?;
                Ok(real.to_plain_array_view::<f32>()?.iter().copied().collect())
            };
            outputs.iter().map(read).collect()
        })
    }
}

/// Checks length and finiteness of a record for a model that takes `expected` values.
pub fn check_record(record: &[f32], expected: usize) -> Result<(), FloatError> {
    if record.len() != expected {
        return Err(FloatError::RecordLength { expected, got: record.len() });
    }
    match record.iter().position(|v| !v.is_finite()) {
        Some(position) => Err(FloatError::RecordNotFinite { position, got: record[position].to_string() }),
        None => Ok(()),
    }
}

fn load<'a>(
    proto: &tract_onnx::pb::ModelProto,
    input_shapes: &[Vec<usize>],
    names: impl Iterator<Item = &'a str>,
) -> tract_onnx::prelude::TractResult<Arc<TypedRunnableModel>> {
    let onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_types(true);
    let parsed = onnx.parse(proto, None)?;
    let missing = |name: &str| tract_onnx::tract_core::internal::anyhow!("no value is called {name}");
    let outlets = names.map(|name| parsed.outlets_by_name.get(name).copied().ok_or_else(|| missing(name)));
    let outlets = outlets.collect::<tract_onnx::prelude::TractResult<Vec<_>>>()?;
    let mut model = parsed.model;
    model.select_output_outlets(&outlets)?;
    for (index, shape) in input_shapes.iter().enumerate() {
        model.set_input_fact(index, InferenceFact::dt_shape(f32::datum_type(), shape))?;
    }
    model.into_optimized()?.into_runnable()
}

/// Runs tract so that neither an error nor a panic inside it leaves this crate as anything but a typed error.
fn guarded<T>(work: impl FnOnce() -> tract_onnx::prelude::TractResult<T>) -> Result<T, FloatError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(FloatError::Reference { reason: format!("{error:#}") }),
        Err(_) => Err(FloatError::Reference { reason: "tract could not handle this model".into() }),
    }
}
