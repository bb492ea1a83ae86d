//! From ONNX nodes to the float graph: one file per operator, one line per operator in [`importer_for`].
//!
//! An importer reads its node's operands from the [`Importer`], says what it computes, and binds the result to the
//! node's output. Reshaping operators bind another view of the same tensor and cost nothing. What an importer cannot do
//! is a [`Problem`]; all unsupported operators of a file are collected and reported together.

mod abs;
mod add;
mod affine;
mod arg_max;
mod attributes;
mod average_pool;
mod batch_normalization;
mod cast;
#[cfg(test)]
pub(crate) mod check;
mod clip;
mod concat;
mod constant;
mod conv;
mod conv_transpose;
mod depth_to_space;
mod div;
mod elu;
mod embedding;
mod erf;
mod exp;
mod expand;
mod flatten;
mod floor;
mod gather;
mod gelu;
mod gemm;
mod global_average_pool;
mod hard_sigmoid;
mod hard_swish;
mod identity;
mod instance_normalization;
mod layer_normalization;
mod leaky_relu;
mod log;
mod matmul;
mod max_pool;
mod mul;
mod neg;
mod pad;
mod place;
mod pow;
mod quantize_linear;
mod reciprocal;
mod reduce;
mod relu;
mod reshape;
mod resize;
pub(crate) mod rewrite;
mod shape;
mod sigmoid;
mod sign;
mod slice;
mod softmax;
mod softplus;
mod split;
mod sqrt;
mod squeeze;
mod sub;
mod swish;
mod tanh;
pub(crate) mod tensor;
mod transpose;
pub(crate) mod tree_ensemble;
mod unsqueeze;
mod where_;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

pub(crate) use attributes::OnnxNode;
pub(crate) use tensor::{Constant, Data};

use crate::float::{FloatGraph, FloatNode, FloatOp, FloatTensor, FloatTerm, Function, WithConstant};
use crate::graph::{TensorId, View};
use crate::onnx::{ImportError, UnsupportedOperator, elements};

/// Imports one node.
type OperatorImporter = fn(&mut Importer<'_>, &OnnxNode<'_>) -> Result<(), Problem>;

/// The registry: an operator is a file and a line.
fn importer_for(operator: &str) -> Option<OperatorImporter> {
    Some(match operator.strip_prefix(rewrite::QLINEAR).unwrap_or(operator) {
        "Abs" => abs::import,
        "Add" => add::import,
        "ArgMax" => arg_max::max,
        "ArgMin" => arg_max::min,
        "AveragePool" => average_pool::import,
        "BatchNormalization" => batch_normalization::import,
        "Cast" => cast::import,
        "Ceil" => floor::ceil,
        "Clip" => clip::import,
        "Concat" => concat::import,
        "Constant" => constant::import,
        "Conv" => conv::import,
        "ConvTranspose" => conv_transpose::import,
        "DepthToSpace" => depth_to_space::import,
        "Div" => div::import,
        "Dropout" | "Identity" => identity::import,
        "Elu" => elu::import,
        "Erf" => erf::import,
        "Exp" => exp::import,
        "Expand" => expand::import,
        "Flatten" => flatten::import,
        "Floor" => floor::floor,
        "Gather" => gather::import,
        "Gelu" => gelu::import,
        "Gemm" => gemm::import,
        "GlobalAveragePool" => global_average_pool::import,
        "HardSigmoid" => hard_sigmoid::import,
        "HardSwish" => hard_swish::import,
        "InstanceNormalization" => instance_normalization::import,
        "LayerNormalization" => layer_normalization::import,
        "LeakyRelu" => leaky_relu::import,
        "Log" => log::import,
        "LogSoftmax" | "Softmax" => softmax::import,
        "MatMul" => matmul::import,
        "ConvInteger" | "MatMulInteger" => quantize_linear::integers,
        "MaxPool" => max_pool::import,
        "Mul" => mul::import,
        "Neg" => neg::import,
        "Pad" => pad::import,
        "Pow" => pow::import,
        "Reciprocal" => reciprocal::import,
        "DynamicQuantizeLinear" => quantize_linear::dynamic,
        "DequantizeLinear" => quantize_linear::dequantize,
        "QuantizeLinear" => quantize_linear::quantize,
        "RMSNormalization" => layer_normalization::rms,
        "ReduceMax" => reduce::max,
        "ReduceMean" => reduce::mean,
        "ReduceProd" => reduce::product,
        "ReduceSum" => reduce::sum,
        "Relu" => relu::import,
        "Reshape" => reshape::import,
        "Resize" => resize::import,
        "Round" => floor::round,
        "Shape" => shape::import,
        "Sigmoid" => sigmoid::import,
        "Sign" => sign::import,
        "Slice" => slice::import,
        "Softplus" => softplus::import,
        "SpaceToDepth" => depth_to_space::inverse,
        "Split" => split::import,
        "Sqrt" => sqrt::import,
        "Squeeze" => squeeze::import,
        "Sub" => sub::import,
        "Swish" => swish::import,
        "Tanh" => tanh::import,
        "TopK" => arg_max::top_k,
        "Transpose" => transpose::import,
        "Unsqueeze" => unsqueeze::import,
        "Where" => where_::import,
        rewrite::EMBEDDING => embedding::import,
        rewrite::MASKED_SOFTMAX => softmax::masked,
        _ => return None,
    })
}

/// Why a node could not be imported.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Valid ONNX that is not supported; the text says what.
    Unsupported(String),
    /// Breaks the ONNX rules; the text says how.
    Malformed(String),
    /// An operand comes from an unsupported node, so nothing can be said about this one.
    Unknown,
    /// A constant is unusable.
    Constant(ImportError),
}

impl Problem {
    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported(reason.into())
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        Self::Constant(error)
    }
}

/// A computed value: a view of a tensor, with all of ONNX's dimensions (the batch too).
#[derive(Clone, Debug)]
pub(crate) struct Activation {
    /// The tensor as ONNX sees it here.
    pub view: View,
    /// The ONNX value of these elements in this order.
    pub name: String,
    /// Whether this is the only reader's only way to the tensor, so that its producer may absorb the reader.
    pub exclusive: bool,
}

impl Activation {
    /// Dimensions with the batch.
    pub fn shape(&self) -> &[usize] {
        &self.view.shape
    }

    /// The view under another shape of as many elements.
    pub fn reshaped(&self, shape: Vec<usize>) -> View {
        View { shape, ..self.view.clone() }
    }

    /// The view with its axes permuted: axis `i` of the result is axis `axes[i]` of this.
    pub fn permuted(&self, axes: &[usize]) -> View {
        let old = self.shape();
        let shape: Vec<usize> = axes.iter().map(|a| old[*a]).collect();
        let moves = |axes: &[usize]| axes.iter().copied().filter(|a| old[*a] != 1).collect::<Vec<_>>();
        if moves(axes).is_sorted() {
            return self.reshaped(shape);
        }
        let mut strides = vec![1; old.len()];
        for axis in (1..old.len()).rev() {
            strides[axis - 1] = strides[axis] * old[axis];
        }
        let order = (0..self.view.len()).map(|mut e| {
            let mut from = 0;
            for (axis, size) in axes.iter().zip(&shape).rev() {
                from += e % size * strides[*axis];
                e /= size;
            }
            self.view.element(from) as u32
        });
        let order = Some(order.collect());
        View { tensor: self.view.tensor, shape, order }
    }
}

/// What an ONNX name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Constant(Constant),
    Activation(Activation),
    /// The result of an unsupported node.
    Unknown,
}

/// The result of an import.
pub(crate) struct Imported {
    pub graph: FloatGraph,
    pub notes: Vec<String>,
    /// The ONNX value that holds the output's elements in the output view's order.
    pub output_value: String,
    /// What the float reference computes besides.
    pub nodes: Vec<NodeProto>,
    /// Constants of these.
    pub constants: Vec<TensorProto>,
}

/// An input of the model.
pub(crate) struct ModelInput<'a> {
    pub name: &'a str,
    /// With the batch.
    pub shape: Vec<usize>,
}

/// Most nodes that a note names.
const PUBLIC_NAMED_MAX: usize = 5;

/// The dimensions without the batch, which is 1.
fn without_batch(shape: &[usize]) -> Vec<usize> {
    match shape {
        [1, rest @ ..] if !rest.is_empty() => rest.to_vec(),
        all => all.to_vec(),
    }
}

/// Walks an ONNX graph.
pub(crate) struct Importer<'a> {
    onnx: &'a GraphProto,
    output: &'a str,
    values: HashMap<String, Value>,
    /// How many nodes (and the graph's output) read each ONNX value.
    readers: HashMap<&'a str, usize>,
    tensors: Vec<FloatTensor>,
    pub(crate) nodes: Vec<FloatNode>,
    notes: Vec<String>,
    /// Nodes that the float reference computes besides, so that values between those of the file have a name.
    pub(crate) extra_nodes: Vec<NodeProto>,
    pub(crate) extra_constants: Vec<TensorProto>,
    /// Scales of weights that the file holds quantised, by name.
    pub(crate) steps: HashMap<String, Vec<f32>>,
    /// Zero points of those with one scale, by name.
    pub(crate) zeros: HashMap<String, i64>,
    pub(crate) constants: HashMap<String, WithConstant>,
    /// Nodes whose constant is one number of the graph, for all to see.
    public: Vec<String>,
    /// Version of the standard operators.
    pub(crate) opset: i64,
}

impl<'a> Importer<'a> {
    /// Reads the initialisers and starts with the inputs.
    pub fn new(
        onnx: &'a GraphProto,
        inputs: &[ModelInput<'a>],
        output: &'a str,
        opset: i64,
    ) -> Result<Self, ImportError> {
        let mut readers = HashMap::from([(output, 1)]);
        for name in onnx.node.iter().flat_map(|n| &n.input) {
            *readers.entry(name.as_str()).or_default() += 1;
        }
        let (values, tensors, nodes) = (HashMap::new(), Vec::new(), Vec::new());
        let (notes, public, extra_nodes, extra_constants) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut importer = Self {
            onnx,
            output,
            values,
            readers,
            tensors,
            nodes,
            notes,
            extra_nodes,
            extra_constants,
            steps: HashMap::new(),
            zeros: HashMap::new(),
            constants: HashMap::new(),
            public,
            opset,
        };
        for tensor in &onnx.initializer {
            importer.values.insert(tensor.name.clone(), Value::Constant(Constant::read(tensor)?));
        }
        importer.take(inputs);
        Ok(importer)
    }

    /// One input is the record itself. Several are its parts, one after the other.
    fn take(&mut self, inputs: &[ModelInput<'a>]) {
        if let [input] = inputs {
            let shape = without_batch(&input.shape);
            let tensor = self.push(input.name.into(), "Input".into(), FloatOp::Input, input.name, shape);
            self.bind_view(input.name, View::plain(tensor, input.shape.clone()), true);
            return;
        }
        let len = |input: &ModelInput<'_>| input.shape.iter().product::<usize>();
        let total = inputs.iter().map(len).sum();
        let record = self.push("record".into(), "Input".into(), FloatOp::Input, "", vec![total]);
        let mut first = 0;
        for input in inputs {
            let part = FloatOp::Part { record: View::plain(record, vec![total]), first };
            let shape = without_batch(&input.shape);
            let tensor = self.push(input.name.into(), "Input".into(), part, input.name, shape);
            self.bind_view(input.name, View::plain(tensor, input.shape.clone()), true);
            first += len(input);
        }
    }

    /// Imports every node.
    pub fn run(mut self) -> Result<Imported, ImportError> {
        let mut unsupported = Vec::new();
        for (position, proto) in self.onnx.node.iter().enumerate() {
            let node = OnnxNode::new(proto, position);
            let operator = match proto.domain.as_str() {
                "" | "ai.onnx" => proto.op_type.clone(),
                domain => format!("{domain}.{}", proto.op_type),
            };
            let result = match importer_for(&operator) {
                Some(import) => import(&mut self, &node),
                None => Err(Problem::unsupported("the operator is not supported")),
            };
            let Err(problem) = result else { continue };
            match problem {
                Problem::Unsupported(reason) => {
                    unsupported.push(UnsupportedOperator { node: node.name, operator, reason });
                }
                Problem::Malformed(reason) => {
                    return Err(ImportError::MalformedNode { node: node.name, operator, reason });
                }
                Problem::Constant(error) => return Err(error),
                Problem::Unknown => {}
            }
            for output in &proto.output {
                self.values.insert(output.clone(), Value::Unknown);
            }
        }
        if !unsupported.is_empty() {
            return Err(ImportError::Unsupported { operators: unsupported });
        }
        self.finish()
    }

    fn finish(mut self) -> Result<Imported, ImportError> {
        if !self.public.is_empty() {
            let first = self.public.iter().take(PUBLIC_NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
            let more = match self.public.len().saturating_sub(PUBLIC_NAMED_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.notes.push(format!(
                "the graph shows the number in {first}{more} to everybody; if it is learned, give it a dimension ([1]) as an initialiser"
            ));
        }
        let Some(Value::Activation(output)) = self.values.get(self.output) else {
            let reason = "the model's output does not depend on its input".into();
            return Err(ImportError::MalformedTensor { tensor: self.output.into(), reason });
        };
        let shape = without_batch(output.shape());
        let (output_value, view) = (output.name.clone(), output.reshaped(shape));
        for (index, tensor) in self.tensors.iter_mut().enumerate() {
            tensor.seen = match self.values.get(&tensor.name) {
                Some(Value::Activation(made)) if made.view.tensor.0 == index => Some(made.view.clone()),
                _ => None,
            };
        }
        let (tensors, nodes, steps, constants) = (self.tensors, self.nodes, self.steps, self.constants);
        let graph = FloatGraph { tensors, nodes, output: view, steps, constants };
        let (nodes, constants) = (self.extra_nodes, self.extra_constants);
        Ok(Imported { graph, notes: self.notes, output_value, nodes, constants })
    }

    /// The value of input `index` of a node.
    pub fn value(&self, node: &OnnxNode<'_>, index: usize) -> Result<&Value, Problem> {
        let name =
            node.input(index).ok_or_else(|| Problem::malformed(format!("input {index} is missing")))?;
        match self.values.get(name) {
            Some(Value::Unknown) => Err(Problem::Unknown),
            Some(value) => Ok(value),
            None => Err(Problem::malformed(format!("input `{name}` is made by no earlier node"))),
        }
    }

    /// Input `index`, which must be computed from the record.
    pub fn activation(&self, node: &OnnxNode<'_>, index: usize) -> Result<Activation, Problem> {
        match self.value(node, index)? {
            Value::Activation(activation) => Ok(activation.clone()),
            _ => Err(Problem::unsupported(format!("input {index} is a constant"))),
        }
    }

    /// Input `index`, which must be a real constant.
    pub fn constant(&self, node: &OnnxNode<'_>, index: usize) -> Result<(Constant, Vec<f32>), Problem> {
        match self.value(node, index)? {
            Value::Constant(constant) => match &constant.data {
                Data::Float(values) => Ok((constant.clone(), values.clone())),
                Data::Int(_) => {
                    Err(Problem::malformed(format!("input {index} should be real, got integers")))
                }
            },
            _ => Err(Problem::unsupported(format!("input {index} is not a constant"))),
        }
    }

    /// The node's first input, if it is a constant: shape computations are done here and now.
    pub fn folded(&self, node: &OnnxNode<'_>) -> Result<Option<Constant>, Problem> {
        match self.value(node, 0)? {
            Value::Constant(constant) => Ok(Some(constant.clone())),
            _ => Ok(None),
        }
    }

    /// Input `index`, which must be a constant list of integers; `None` when it is absent.
    pub fn integers(&self, node: &OnnxNode<'_>, index: usize) -> Result<Option<Vec<i64>>, Problem> {
        if node.input(index).is_none() {
            return Ok(None);
        }
        match self.value(node, index)? {
            Value::Constant(Constant { data: Data::Int(values), .. }) => Ok(Some(values.clone())),
            Value::Constant(_) => Err(Problem::malformed(format!("input {index} should be integers"))),
            _ => Err(Problem::unsupported(format!("input {index} is not a constant"))),
        }
    }

    /// Whether a result of this shape is small enough.
    pub fn fits(&self, shape: &[usize]) -> Result<(), Problem> {
        let too_large = || Problem::unsupported(format!("a result of shape {shape:?} is too large"));
        elements(shape).map(|_| ()).ok_or_else(too_large)
    }

    /// Adds a node that makes a new tensor of `shape` (with the batch), and binds it to the ONNX node's output.
    pub fn emit(&mut self, node: &OnnxNode<'_>, op: FloatOp, shape: Vec<usize>) -> Result<(), Problem> {
        self.emit_as(node, op, shape, node.output())
    }

    /// As [`Self::emit`], for the output called `value`.
    pub fn emit_as(
        &mut self,
        node: &OnnxNode<'_>,
        op: FloatOp,
        shape: Vec<usize>,
        value: &str,
    ) -> Result<(), Problem> {
        self.fits(&shape)?;
        let dropped = without_batch(&shape);
        let tensor = self.push(node.name.clone(), node.proto.op_type.clone(), op, value, dropped);
        self.bind_view(value, View::plain(tensor, shape), true);
        Ok(())
    }

    /// As [`Self::emit`], of a node whose result has its axes in another order: its axis `i` is axis `axes[i]` of the ONNX value.
    pub fn emit_permuted(
        &mut self,
        node: &OnnxNode<'_>,
        op: FloatOp,
        shape: &[usize],
        axes: &[usize],
    ) -> Result<(), Problem> {
        self.emit_permuted_as(node, op, shape, axes, node.output())
    }

    /// As [`Self::emit_permuted`], for the output called `value`.
    pub fn emit_permuted_as(
        &mut self,
        node: &OnnxNode<'_>,
        op: FloatOp,
        shape: &[usize],
        axes: &[usize],
        value: &str,
    ) -> Result<(), Problem> {
        self.emit_as(node, op, axes.iter().map(|axis| shape[*axis]).collect(), value)?;
        let Some(Value::Activation(made)) = self.values.get(value).cloned() else {
            return Err(Problem::Unknown);
        };
        let mut inverse = vec![0; axes.len()];
        axes.iter().enumerate().for_each(|(position, axis)| inverse[*axis] = position);
        self.bind_view(value, made.permuted(&inverse), true);
        Ok(())
    }

    /// Whether the node's result is the model's output.
    pub fn is_output(&self, node: &OnnxNode<'_>) -> bool {
        node.output() == self.output
    }

    /// Whether something reads an ONNX value.
    pub fn is_read(&self, name: &str) -> bool {
        self.readers.contains_key(name)
    }

    /// The activation that a node has just made; its tensor goes on under the ONNX value `name`, because the node goes on.
    pub fn unfinished(&mut self, node: &OnnxNode<'_>, name: &str) -> Result<Activation, Problem> {
        let Some(Value::Activation(made)) = self.values.get(node.output()).cloned() else {
            return Err(Problem::Unknown);
        };
        self.tensors[made.view.tensor.0].name = name.into();
        Ok(Activation { name: name.into(), exclusive: true, ..made })
    }

    /// Notes that the function that a node has just applied compares with 0, if nothing was applied before it.
    pub fn compares(&mut self, node: &OnnxNode<'_>) {
        if let Some(Value::Activation(made)) = self.values.get(node.output())
            && let Some(maker) = self.nodes.get_mut(made.view.tensor.0)
        {
            maker.compares = maker.function.as_ref().is_some_and(|f| f.name == node.proto.op_type);
        }
    }

    /// The element type of an initialiser.
    pub fn element_type(&self, name: &str) -> Option<DataType> {
        let tensor = self.onnx.initializer.iter().find(|tensor| tensor.name == name)?;
        DataType::try_from(tensor.data_type).ok()
    }

    /// What a name stands for so far.
    pub fn made(&self, name: &str) -> Option<Value> {
        self.values.get(name).cloned()
    }

    /// The float reference of the product of some elements of `operand`: for each factor, the output that an element goes to.
    /// Returns the name of that value, of one dimension.
    pub fn gathered_product(
        &mut self,
        node: &OnnxNode<'_>,
        operand: &Activation,
        factors: &[Vec<Option<u32>>],
        outputs: usize,
    ) -> String {
        let base = format!("{}.product{}", node.output(), factors.len());
        let indices = |factor: &Vec<Option<u32>>| {
            let mut indices = vec![0i64; outputs];
            for (element, output) in (0i64..).zip(factor) {
                if let Some(output) = output {
                    indices[*output as usize] = element;
                }
            }
            indices
        };
        let integers = |name: &str, values: Vec<i64>| TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: i32::from(DataType::Int64),
            int64_data: values,
            ..Default::default()
        };
        let flat = format!("{base}.flat");
        let list = format!("{flat}.shape");
        self.extra_constants.push(integers(&list, vec![-1]));
        let reshape = rewrite::node("Reshape", &NodeProto::default(), &[&operand.name, &list], &flat);
        self.extra_nodes.push(reshape);
        let mut product = String::new();
        for (at, factor) in factors.iter().enumerate() {
            let (picked, which) = (format!("{base}.factor{at}"), format!("{base}.index{at}"));
            self.extra_constants.push(integers(&which, indices(factor)));
            self.extra_nodes.push(rewrite::node("Gather", &NodeProto::default(), &[&flat, &which], &picked));
            product = match at {
                0 => picked,
                _ => {
                    let name =
                        if at + 1 == factors.len() { base.clone() } else { format!("{base}.part{at}") };
                    let inputs = [product.as_str(), picked.as_str()];
                    self.extra_nodes.push(rewrite::node("Mul", &NodeProto::default(), &inputs, &name));
                    name
                }
            };
        }
        product
    }

    /// Binds another view of the operand's tensor to the node's output.
    pub fn emit_view(&mut self, node: &OnnxNode<'_>, operand: &Activation, view: View) {
        self.bind_view(node.output(), view, operand.exclusive);
    }

    /// The producer of an operand, if it may absorb the operand's one reader; `result` becomes the name of its tensor.
    pub fn producer_of(&mut self, operand: &Activation) -> Option<&mut FloatNode> {
        let producer = &mut self.nodes[operand.view.tensor.0];
        let absorbs = operand.exclusive
            && !producer.relu
            && producer.function.is_none()
            && producer.grid.is_none()
            && !matches!(producer.op, FloatOp::Input | FloatOp::Part { .. } | FloatOp::Rank { .. });
        absorbs.then_some(producer)
    }

    /// Notes that a node has a constant operand, if the model quantises that with one scale. Returns whether it does.
    pub fn has_constant(
        &mut self,
        node: &OnnxNode<'_>,
        constant: &str,
        multiplies: bool,
        first: bool,
    ) -> bool {
        let (Some([scale]), Some(zero)) =
            (self.steps.get(constant).map(Vec::as_slice), self.zeros.get(constant))
        else {
            return false;
        };
        let with = WithConstant { scale: *scale, zero: *zero, multiplies, first };
        self.constants.insert(node.name.clone(), with);
        true
    }

    /// After the producer of `operand` has absorbed `node`: its tensor now holds the node's result.
    pub fn absorbed(&mut self, node: &OnnxNode<'_>, operand: &Activation) {
        self.tensors[operand.view.tensor.0].name = node.output().into();
        self.emit_view(node, operand, operand.view.clone());
    }

    /// Computes `value` of every element of the node's operand; the operator has no attributes.
    pub fn function(
        &mut self,
        node: &OnnxNode<'_>,
        value: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Result<(), Problem> {
        let (operand, name) = (self.activation(node, 0)?, node.proto.op_type.clone());
        self.apply(node, &operand, Function { name, value: Arc::new(value) })
    }

    /// Computes `function` of every element of `operand`: in the table of the node before it where that is possible, after the
    /// function that it may have, else in a node of its own.
    pub fn apply(
        &mut self,
        node: &OnnxNode<'_>,
        operand: &Activation,
        function: Function,
    ) -> Result<(), Problem> {
        if let Some(producer) = self.producer_of(operand) {
            producer.function = Some(function);
            let tensor = &mut self.tensors[operand.view.tensor.0];
            tensor.before = Some(tensor.name.clone());
            self.absorbed(node, operand);
            return Ok(());
        }
        if operand.exclusive
            && self.nodes[operand.view.tensor.0].grid.is_none()
            && let Some(inner) = self.nodes[operand.view.tensor.0].function.take()
        {
            let name = format!("{} of {}", function.name, inner.name);
            let value = Arc::new(move |x| (function.value)((inner.value)(x)));
            self.nodes[operand.view.tensor.0].function = Some(Function { name, value });
            self.absorbed(node, operand);
            return Ok(());
        }
        let terms = vec![FloatTerm { input: operand.view.clone(), factor: 1.0, target: None }];
        self.emit(node, FloatOp::Sum { terms, constant: 0.0 }, operand.shape().to_vec())?;
        if let (Some(made), Some(tensor)) = (self.nodes.last_mut(), self.tensors.last_mut()) {
            made.function = Some(function);
            tensor.before = Some(operand.name.clone());
        }
        Ok(())
    }

    /// Binds a value to a name.
    pub fn bind(&mut self, name: &str, value: Value) {
        self.values.insert(name.into(), value);
    }

    /// Whether the node's result is the model's output and read by nothing else.
    pub fn is_last(&self, node: &OnnxNode<'_>) -> bool {
        node.output() == self.output && self.readers.get(node.output()) == Some(&1)
    }

    /// A constant of the node is one number of the graph, which everybody sees.
    pub fn is_public(&mut self, node: &OnnxNode<'_>) {
        if node.proto.op_type != "Neg" {
            self.public.push(format!("`{}` ({})", node.name, node.proto.op_type));
        }
    }

    /// Something that a user should know.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn bind_view(&mut self, name: &str, view: View, exclusive: bool) {
        let exclusive = exclusive && self.readers.get(name).is_none_or(|readers| *readers <= 1);
        self.bind(name, Value::Activation(Activation { view, name: name.into(), exclusive }));
    }

    fn push(
        &mut self,
        name: String,
        operator: String,
        op: FloatOp,
        value: &str,
        shape: Vec<usize>,
    ) -> TensorId {
        let output = TensorId(self.tensors.len());
        self.tensors.push(FloatTensor { name: value.into(), before: None, shape, seen: None });
        self.nodes.push(FloatNode {
            name,
            operator,
            op,
            relu: false,
            function: None,
            grid: None,
            compares: false,
            output,
        });
        output
    }
}

/// The shape over which both operands spread, by the ONNX broadcasting rule.
pub(crate) fn common_shape(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Problem> {
    let rank = a.len().max(b.len());
    let common = (0..rank).map(|axis| match (size(a, axis, rank), size(b, axis, rank)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(Problem::malformed(format!("shapes {a:?} and {b:?} do not spread over each other"))),
    });
    common.collect()
}

/// The size of an axis of a shape that is seen with `rank` dimensions.
fn size(shape: &[usize], axis: usize, rank: usize) -> usize {
    (axis + shape.len()).checked_sub(rank).map_or(1, |position| shape[position])
}

/// Axes of `shape` such that those over which an operand of shape `operand` spreads come last, and the size of all the others
/// together: the operand has one element for each block.
pub(crate) fn blocks(operand: &[usize], shape: &[usize]) -> (Vec<usize>, usize) {
    let spreads = |axis: &usize| shape[*axis] > 1 && size(operand, *axis, shape.len()) == 1;
    let (last, first) = (0..shape.len()).partition::<Vec<_>, _>(spreads);
    let blocks = first.iter().map(|axis| shape[*axis]).product();
    ([first, last].concat(), blocks)
}

/// `values` of `shape` repeated over `target` by the ONNX broadcasting rule, row-major.
pub(crate) fn broadcast(shape: &[usize], values: &[f32], target: &[usize]) -> Result<Vec<f32>, Problem> {
    let misfit =
        || Problem::unsupported(format!("a constant of shape {shape:?} does not spread over {target:?}"));
    let lead = target.len().checked_sub(shape.len()).ok_or_else(misfit)?;
    if shape.iter().zip(&target[lead..]).any(|(have, want)| have != want && *have != 1) {
        return Err(misfit());
    }
    let element = |mut e: usize| {
        let (mut from, mut stride) = (0, 1);
        for (axis, size) in target.iter().enumerate().rev() {
            let position = e % size;
            e /= size;
            let Some(have) = axis.checked_sub(lead).map(|a| shape[a]) else { continue };
            from += if have == 1 { 0 } else { position * stride };
            stride *= have;
        }
        values[from]
    };
    Ok((0..target.iter().product()).map(element).collect())
}

/// An axis counted from the front, from one that may be counted from the back.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, Problem> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_front = if axis < 0 { axis.saturating_add(signed) } else { axis };
    let found = usize::try_from(from_front).ok().filter(|a| *a < rank);
    found.ok_or_else(|| Problem::malformed(format!("axis {axis} of {rank} dimensions")))
}
