//! The work graph: kernels with data dependencies, written down before anything runs.

use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::One;

use crate::bases::Bases;
use crate::error::KernelFailure;
use crate::host_data::HostData;
use crate::kernel::{Kernel, ScalarBound, ScanKind};
use crate::program::Program;
use crate::vector::{Operand, Recipe, Vector};

/// The commitment that a graph's [`Graph::msm`] will give; read it from the [`Outcome`](crate::Outcome).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingPoint(pub(crate) usize);

/// The scalars that a graph's [`Graph::evaluate`] or [`Graph::download`] will give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingScalars(pub(crate) usize);

/// One node: a recipe, with handles that keep its inputs alive until it has run.
pub(crate) struct Node {
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) inputs: Vec<Vector>,
}

/// A graph of kernels with data dependencies; nothing runs until [`Engine::run`](crate::Engine::run).
///
/// Vectors of graphs that ran before may be inputs. A shape that does not fit is an `InvariantViolation` of the run,
/// not a panic here; a kernel none of whose outputs has a handle or a reader is not run.
#[derive(Default)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) fault: Option<KernelFailure>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Copies host data to a device.
    pub fn upload(&mut self, data: HostData) -> Vector {
        let len = data.len();
        self.one(Kernel::Upload(data), &[], len)
    }

    /// `out[i] = first · ratio^i`. A constant vector has ratio one.
    pub fn powers(&mut self, first: Fr, ratio: Fr, len: usize) -> Vector {
        self.one(Kernel::Powers { first, ratio, len }, &[], len)
    }

    /// A vector of `len` equal elements.
    pub fn fill(&mut self, value: Fr, len: usize) -> Vector {
        self.powers(value, Fr::one(), len)
    }

    /// Evaluations of the polynomials with these coefficients on `shift·H`, |H| = 2^log_n, in natural order: element i
    /// is the value at `shift·ω^i`. Coefficient vectors have any length: shorter ones are zero-extended, longer ones
    /// folded (X^(2^log_n) = shift^(2^log_n)). `shift` is not zero and `log_n` at most
    /// [`LOG_DOMAIN_MAX`](crate::LOG_DOMAIN_MAX).
    pub fn evaluate_on_coset(&mut self, coefficients: &[&Vector], log_n: u32, shift: Fr) -> Vec<Vector> {
        let lens = vec![1usize.checked_shl(log_n).unwrap_or(0); coefficients.len()];
        self.push(Kernel::EvaluateOnCoset { log_n, shift }, coefficients, lens)
    }

    /// The inverse of [`evaluate_on_coset`](Graph::evaluate_on_coset): 2^log_n coefficients of the polynomials with
    /// these evaluations on `shift·H`. All inputs have the same length, a power of two.
    pub fn interpolate_coset(&mut self, evaluations: &[&Vector], shift: Fr) -> Vec<Vector> {
        let len = evaluations.first().map_or(1, |v| v.len());
        let lens = vec![len; evaluations.len()];
        self.push(Kernel::InterpolateCoset { log_n: len.max(1).ilog2(), shift }, evaluations, lens)
    }

    /// Runs a program on `len` rows; inputs are at most `len` long (see [`Program`] for what reading past the end
    /// gives). One vector of `len` elements per output of the program.
    pub fn pointwise(&mut self, program: Arc<Program>, inputs: &[&Vector], len: usize) -> Vec<Vector> {
        let lens = vec![len; program.outputs];
        self.push(Kernel::Pointwise { program, len }, inputs, lens)
    }

    /// `out[i] = 1/v[i]`, and 0 where `v[i] = 0`.
    pub fn invert(&mut self, v: &Vector) -> Vector {
        self.one(Kernel::Invert, &[v], v.len())
    }

    /// Exclusive prefix sum (from 0) or product (from 1).
    pub fn scan(&mut self, v: &Vector, kind: ScanKind) -> Vector {
        self.one(Kernel::Scan(kind), &[v], v.len())
    }

    /// Coefficients of `(v(X) − v(root)) / (X − root)`: one fewer than v has, which is at least one.
    pub fn divide_linear(&mut self, v: &Vector, root: Fr) -> Vector {
        self.one(Kernel::DivideLinear { root }, &[v], v.len().saturating_sub(1))
    }

    /// `out[i] = v[start + i]`, zero past the end of v.
    pub fn slice(&mut self, v: &Vector, start: usize, len: usize) -> Vector {
        self.one(Kernel::Slice { start, len }, &[v], len)
    }

    /// `len` elements: each v at its offset, zeros elsewhere. `offset + v.len() ≤ len`. Where two overlap, the later is there. There is at
    /// least one.
    pub fn place(&mut self, places: &[(&Vector, usize)], len: usize) -> Vector {
        let (vectors, offsets): (Vec<&Vector>, Vec<usize>) = places.iter().copied().unzip();
        self.one(Kernel::Place { offsets, len }, &vectors, len)
    }

    /// `Σ v[i] · bases[offset + i]`; `offset + v.len() ≤ bases.len()`. `bound` says what the caller promises of v.
    pub fn msm(&mut self, bases: &Bases, offset: usize, v: &Vector, bound: ScalarBound) -> PendingPoint {
        self.push(Kernel::Msm { bases: bases.clone(), offset, bound }, &[v], vec![]);
        PendingPoint(self.nodes.len().wrapping_sub(1))
    }

    /// The polynomial with these coefficients at each of `points`.
    pub fn evaluate(&mut self, coefficients: &Vector, points: &[Fr]) -> PendingScalars {
        self.push(Kernel::Evaluate { points: Arc::new(points.to_vec()) }, &[coefficients], vec![]);
        PendingScalars(self.nodes.len().wrapping_sub(1))
    }

    /// Copies `v[start..start + len]` to the host; the range lies within v.
    pub fn download(&mut self, v: &Vector, start: usize, len: usize) -> PendingScalars {
        self.push(Kernel::Download { start, len }, &[v], vec![]);
        PendingScalars(self.nodes.len().wrapping_sub(1))
    }

    fn one(&mut self, kernel: Kernel, inputs: &[&Vector], len: usize) -> Vector {
        let recipe = self.record(kernel, inputs, vec![len]);
        Recipe::vector(&recipe, 0)
    }

    fn push(&mut self, kernel: Kernel, inputs: &[&Vector], lens: Vec<usize>) -> Vec<Vector> {
        let recipe = self.record(kernel, inputs, lens);
        (0..recipe.output_count()).map(|output| Recipe::vector(&recipe, output)).collect()
    }

    /// Adds a node. `lens` are the lengths of its outputs if its shapes fit; if they do not, the first misfit is kept
    /// and the run refuses, so handles of those lengths do no harm.
    fn record(&mut self, kernel: Kernel, inputs: &[&Vector], lens: Vec<usize>) -> Arc<Recipe> {
        let input_lens: Vec<usize> = inputs.iter().map(|v| v.len()).collect();
        match kernel.output_lens(&input_lens) {
            Ok(checked) => debug_assert_eq!(checked, lens),
            Err(failure) => {
                self.fault.get_or_insert(failure);
            }
        }
        let recipe = Recipe::new(kernel, inputs.iter().map(|v| Operand::of(v)).collect(), lens);
        let inputs = inputs.iter().map(|&v| v.clone()).collect();
        self.nodes.push(Node { recipe: recipe.clone(), inputs });
        recipe
    }
}
