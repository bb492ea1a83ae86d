//! The integer graph: a model as exactly specified integer arithmetic.
//!
//! Every node is the same two steps. First an integer-linear map gives accumulators `z`; then requantisation gives
//! `q = floor((z + 2^(shift−1)) / 2^shift)` (`q = z` when `shift` is 0) and a table gives `y = table(q)`. Reshape,
//! flatten and transpose are not nodes but views. What the interpreter computes, the circuit proves.
//!
//! Accumulators of more bits than that are divided by a [`Node::modulus`] first, and what is left is a node of its own, [`Linear::Rest`]: so a
//! wide number becomes digits, each with a table.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Index of a tensor in [`IntGraph::tensors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId(pub usize);

/// Index of a weight in [`IntGraph::weights`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WeightId(pub usize);

/// Index of a table in [`IntGraph::tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableId(pub usize);

/// An activation tensor. Element order is row-major over `shape` (batch dimension dropped: it is 1).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tensor {
    /// Its name in the ONNX file, or derived from it.
    pub name: String,
    /// Dimensions without the batch.
    pub shape: Vec<usize>,
    /// Smallest and largest value that it can take, worst case over all inputs.
    pub bound: (i64, i64),
    /// float ≈ integer · scale
    pub scale: f64,
}

/// A weight or bias: the shape is public, the values are the model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Weight {
    /// Its name in the ONNX file.
    pub name: String,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Largest absolute value that the model promises; public, one less than a power of two.
    pub bound: i64,
}

/// A tensor seen with another shape and element order: element `e` of the view is element `order[e]` of the tensor
/// (`None`: the same order).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    /// What is looked at.
    pub tensor: TensorId,
    /// The shape as seen.
    pub shape: Vec<usize>,
    /// The element order as seen.
    pub order: Option<Vec<u32>>,
}

impl View {
    /// The tensor as it is, under `shape`.
    pub fn plain(tensor: TensorId, shape: Vec<usize>) -> Self {
        Self { tensor, shape, order: None }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tensor's element that is seen as element `e`.
    pub fn element(&self, e: usize) -> usize {
        self.order.as_ref().map_or(e, |order| order[e] as usize)
    }
}

/// How a convolution walks (2-D; 1-D is height 1).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConvGeometry {
    /// (height, width)
    pub stride: (usize, usize),
    /// (height, width)
    pub dilation: (usize, usize),
    /// (top, left, bottom, right); padding is zero.
    pub pads: (usize, usize, usize, usize),
    /// Groups: output channel `o` reads input channels of group `o / (outputs/groups)`.
    pub groups: usize,
}

impl ConvGeometry {
    /// Output (height, width) for an input of `input` = (height, width) under a kernel of `kernel` = (height, width),
    /// or `None` when the kernel does not fit once or a stride or dilation is 0.
    pub fn output(&self, input: (usize, usize), kernel: (usize, usize)) -> Option<(usize, usize)> {
        let axis =
            |input: usize, before: usize, after: usize, kernel: usize, dilation: usize, stride: usize| {
                let span = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
                let free = input.checked_add(before)?.checked_add(after)?.checked_sub(span)?;
                if dilation == 0 { None } else { free.checked_div(stride)?.checked_add(1) }
            };
        let (top, left, bottom, right) = self.pads;
        Some((
            axis(input.0, top, bottom, kernel.0, self.dilation.0, self.stride.0)?,
            axis(input.1, left, right, kernel.1, self.dilation.1, self.stride.1)?,
        ))
    }
}

/// One part of a [`Linear::Combine`]: `z[target(i)] += coefficient · x[i]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Term {
    /// What is read.
    pub input: View,
    /// Its integer factor.
    pub coefficient: i64,
    /// For each element of the view, the element of the output that it adds to, or none (`None`: element i to i).
    pub target: Option<Vec<Option<u32>>>,
}

/// One part of a [`Linear::Spread`]: `z[b,p] += coefficient · x[b, first + p]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockTerm {
    /// What is read.
    pub input: View,
    /// Its integer factor.
    pub coefficient: i64,
    /// The element of a block with which the output's block begins.
    pub first: usize,
}

/// One part of a [`Linear::Spread`]: `z[b,p] += coefficient · Σ_i x[b,i]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlockSum {
    /// What is read.
    pub input: View,
    /// Its integer factor.
    pub coefficient: i64,
}

/// The integer-linear step. Every operand is read through a view; `bias` may be absent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // the formulas name the fields
pub enum Linear {
    /// The model's input: `z` is the quantised record.
    Input,
    /// `z[o,y,x] = bias[o] + Σ weight[o,c,ky,kx] · input[g·C/groups + c, y·stride + ky·dilation − pad, …]`; input is
    /// (C,H,W), weight is (O, C/groups, KH, KW). The terms of `residual`, as many elements as the output each and without
    /// targets, are added to `z`: the sum at the end of a residual block needs no tensor of its own before it. Where `low_bits` is not 0,
    /// numbers of more bits than a weight has take two: those of output channel `o` are `2^low_bits` times what stands for channel `2·o` in
    /// weight and bias, plus what stands for `2·o + 1`.
    Conv {
        input: View,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: ConvGeometry,
        #[serde(default)]
        residual: Vec<Term>,
        #[serde(default)]
        low_bits: u32,
    },
    /// `z[m,n] = bias[n] + Σ_k input[m,k] · weight[k,n]`; input is (M,K), weight is (K,N), output is (M,N).
    MatMul { input: View, weight: WeightId, bias: Option<WeightId> },
    /// `z[b,m,n] = factor · Σ_k left[b,m,k] · right[b,k,n]`; left is (B,M,K), right is (B,K,N), output is (B,M,N).
    BatchMatMul { left: View, right: View, factor: i64 },
    /// `z[m,n] = weight[ids[m], n]`: rows of a weight (K,N) by their numbers, which are the model's input, in any shape of M elements.
    Lookup { ids: View, weight: WeightId },
    /// `z[b,p] = Σ_t coefficient_t · x_t[b, first_t + p] + Σ_s coefficient_s · Σ_i x_s[b,i]`: output and inputs are cut into
    /// `blocks` equal blocks, such as rows. An `x_t` that ends before `first_t + p` gives nothing there.
    Spread { terms: Vec<BlockTerm>, sums: Vec<BlockSum>, blocks: usize },
    /// `z[e] = constant + Σ terms`: addition, multiplication by a constant, pooling by sums, steps of a maximum.
    Combine { terms: Vec<Term>, constant: i64 },
    /// What is left of the accumulators of the node that makes `of` once they are divided by its modulus. No other node has the table of
    /// this one, which lists −X..=X: with the shift it holds each remainder, and no other number.
    Rest { of: TensorId },
}

/// What turns `q` into `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)] // the formulas name the fields
pub enum TableKind {
    /// `y = q`
    Identity,
    /// `y = min(max(q, lo), hi)`: an activation of 8 bits has the range −128..=127. Each width in use has a table of its own.
    Clamp { lo: i32, hi: i32 },
    /// `y = min(max(q, 0), hi)`
    ReluClamp { hi: i32 },
    /// `y = max(q, 0)`, for steps of a maximum
    Relu,
    /// `y` is listed in [`IntGraph::tables`].
    Listed(TableId),
}

impl TableKind {
    /// The table that clamps to a range, from 0 on where it is a Relu too. Ends beyond 32 bits are those of 32 bits.
    pub fn clamp((lo, hi): (i64, i64), relu: bool) -> Self {
        let end = |end: i64| end.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        if relu { Self::ReluClamp { hi: end(hi) } } else { Self::Clamp { lo: end(lo), hi: end(hi) } }
    }

    /// The range of `y` of a table that clamps.
    pub fn range(self) -> Option<(i64, i64)> {
        match self {
            Self::Clamp { lo, hi } => Some((lo.into(), hi.into())),
            Self::ReluClamp { hi } => Some((0, hi.into())),
            Self::Identity | Self::Relu | Self::Listed(_) => None,
        }
    }
}

/// A table given entry by entry: a function of one integer, such as a sigmoid at given scales. Public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTable {
    /// What it computes.
    pub name: String,
    /// The `q` of the first entry, at most 0.
    pub first: i64,
    /// The `y` of `first`, `first + 1`, …; there is an entry for 0.
    pub values: Vec<i32>,
}

impl ListedTable {
    /// The `q` of the last entry.
    pub fn last(&self) -> i64 {
        self.first.saturating_add_unsigned(self.values.len() as u64).saturating_sub(1)
    }

    /// The entry for `q`; beyond the ends, the entry at the end.
    pub fn entry(&self, q: i64) -> i64 {
        let last = self.values.len().saturating_sub(1);
        let index = usize::try_from(q.saturating_sub(self.first)).unwrap_or(0).min(last);
        self.values.get(index).copied().map_or(0, i64::from)
    }
}

/// `floor((z + 2^(shift−1)) / 2^shift)`, or `z` when `shift` is 0: rounds to nearest, halves upwards.
pub fn requantise(z: i64, shift: u32) -> i64 {
    if shift == 0 { z } else { z.saturating_add(1 << (shift - 1)) >> shift }
}

/// `floor((z + ⌊modulus/2⌋) / modulus)`: rounds to nearest; what is left is in −⌊modulus/2⌋..modulus − ⌊modulus/2⌋. `modulus` is at least 1.
pub fn quotient(z: i64, modulus: i64) -> i64 {
    z.saturating_add(modulus / 2).div_euclid(modulus.max(1))
}

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Name of the ONNX node that it comes from.
    pub name: String,
    /// ONNX operator type.
    pub operator: String,
    /// The linear step.
    pub linear: Linear,
    /// What accumulators are divided by before they are requantised; 1 if they are not.
    #[serde(default = "one")]
    pub modulus: i64,
    /// 0, or the graph's shift.
    pub shift: u32,
    /// The table.
    pub table: TableKind,
    /// Where `y` goes.
    pub output: TensorId,
    /// Worst-case bound on |z|. Public, and rounded up so that it tells no more of the weights than a number of bits.
    pub accumulator_bound: i64,
}

fn one() -> i64 {
    1
}

impl Node {
    /// `q` of an accumulator.
    pub fn requantise(&self, z: i64) -> i64 {
        requantise(quotient(z, self.modulus), self.shift)
    }
}

/// One input of a model that has several, or that quantises it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its name in the ONNX file.
    pub name: String,
    /// Number of its values in the record.
    pub len: usize,
    /// float ≈ integer · scale
    pub scale: f64,
    /// Where the model itself quantises the input, or it numbers rows: the smallest and largest integer, halves being rounded to even.
    #[serde(default)]
    pub range: Option<(i64, i64)>,
}

/// A model in integers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntGraph {
    /// Activations.
    pub tensors: Vec<Tensor>,
    /// Weights (shapes only; values travel in [`WeightValues`]).
    pub weights: Vec<Weight>,
    /// In an order in which every tensor is made before it is read.
    pub nodes: Vec<Node>,
    /// The input's tensor.
    pub input: TensorId,
    /// The output, as a view.
    pub output: View,
    /// The one requantisation shift, in bits, of nodes whose `shift` is not 0.
    pub shift: u32,
    /// Table range: every `q` of every node satisfies −2^q_bits ≤ q < 2^q_bits, worst case.
    pub q_bits: u32,
    /// Tables given entry by entry.
    pub tables: Vec<ListedTable>,
    /// The inputs, one after the other, where the record holds several or the model quantises it.
    #[serde(default)]
    pub parts: Vec<Part>,
}

impl IntGraph {
    /// A graph of no nodes yet.
    pub(crate) fn empty(shift: u32, q_bits: u32) -> Self {
        Self {
            tensors: Vec::new(),
            weights: Vec::new(),
            nodes: Vec::new(),
            input: TensorId(0),
            output: View::plain(TensorId(0), Vec::new()),
            shift,
            q_bits,
            tables: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// The range of the record's values: that of the input's table; where they number rows, that of the numbers; where some do, that of
    /// the numbers and of what the other parts clamp to.
    pub fn record_range(&self) -> (i64, i64) {
        let of_parts = || {
            let tensors = self.input.0..=self.input.0.saturating_add(self.parts.len());
            let nodes = self.nodes.iter().filter(move |node| tensors.contains(&node.output.0));
            nodes.filter_map(|node| node.table.range()).chain(self.parts.iter().filter_map(|part| part.range))
        };
        let input = || self.nodes.iter().find(|node| matches!(node.linear, Linear::Input));
        match self.row_numbers() {
            None => input().and_then(|node| node.table.range()).unwrap_or((0, 0)),
            Some(rows) if self.parts.is_empty() => rows,
            Some(rows) => of_parts().fold(rows, |all, (lo, hi)| (all.0.min(lo), all.1.max(hi))),
        }
    }

    /// The row numbers that the record may hold, in whichever part, if it holds any.
    pub fn row_numbers(&self) -> Option<(i64, i64)> {
        let ids = self.nodes.iter().filter_map(|node| match &node.linear {
            Linear::Lookup { ids, .. } => self.rows_of(ids.tensor),
            _ => None,
        });
        ids.max()
    }

    /// The row numbers that all tables have that a tensor of such numbers is looked up in; none if it is not.
    pub fn rows_of(&self, numbers: TensorId) -> Option<(i64, i64)> {
        let rows = self.nodes.iter().filter_map(|node| match &node.linear {
            Linear::Lookup { ids, weight } if ids.tensor == numbers => {
                self.weights.get(weight.0)?.shape.first()
            }
            _ => None,
        });
        rows.min().map(|rows| (0, i64::try_from(*rows).unwrap_or(i64::MAX).saturating_sub(1)))
    }

    /// Where in the record row numbers stand, and which: the whole of it, or parts, whose tensors follow the record's.
    pub fn numbered(&self) -> Vec<(std::ops::Range<usize>, (i64, i64))> {
        let whole = self.tensors.get(self.input.0).map_or(0, |tensor| tensor.shape.iter().product());
        let whole = self.rows_of(self.input).map(|rows| (0..whole, rows));
        let mut first = 0usize;
        let parts = self.parts.iter().enumerate().filter_map(|(index, part)| {
            let range = first..first.saturating_add(part.len);
            first = range.end;
            Some((range, self.rows_of(TensorId(self.input.0 + 1 + index))?))
        });
        whole.into_iter().chain(parts).collect()
    }

    /// The entry of a table for `q`.
    pub fn apply(&self, table: TableKind, q: i64) -> i64 {
        match table {
            TableKind::Identity => q,
            TableKind::Clamp { lo, hi } => q.max(lo.into()).min(hi.into()),
            TableKind::ReluClamp { hi } => q.max(0).min(hi.into()),
            TableKind::Relu => q.max(0),
            TableKind::Listed(id) => self.tables.get(id.0).map_or(0, |table| table.entry(q)),
        }
    }

    /// Smallest and largest entry of a table for `q` in `lo..=hi`, `lo ≤ hi`.
    pub fn range_of(&self, table: TableKind, (lo, hi): (i64, i64)) -> (i64, i64) {
        let ends = (self.apply(table, lo), self.apply(table, hi));
        let TableKind::Listed(id) = table else { return ends };
        let Some(listed) = self.tables.get(id.0) else { return ends };
        let inside = (lo.max(listed.first)..=hi.min(listed.last())).map(|q| listed.entry(q));
        inside.chain([ends.1]).fold((ends.0, ends.0), |range, y| (range.0.min(y), range.1.max(y)))
    }
}

/// The secret half of a model: `values[w]` are the integers of weight `w`, row-major. Wiped when dropped.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct WeightValues(pub Vec<Vec<i32>>);

impl std::fmt::Debug for WeightValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WeightValues({} weights, not shown)", self.0.len())
    }
}
