//! What the bulk kernels need of a processor's vectors: several elements of Fr side by side, one in each lane.
//!
//! Two kinds of processors have it: those with AVX-512 IFMA ([`Ifma`](super::ifma)), eight lanes, and those with AVX2 and
//! FMA ([`Fma`](super::fma)), four. The kernels are written once, over [`Lanes`], as [`Job`]s; [`Lanes::run`] compiles a
//! job for the instructions. Everything that a job calls is inlined into it for that reason.

use ark_bn254::Fr;

/// A way to compute with several elements of Fr at once. A value of the type is proof that the processor has the
/// instructions.
///
/// Values are kept in memory between operations, as [`Stored`](Lanes::Stored), and reduced as little as possible: what
/// an operation needs and leaves is stated in multiples of r as its *bound*.
pub(super) trait Lanes: Copy + Send + Sync + 'static {
    /// Elements side by side.
    const WIDTH: usize;
    /// The largest bound of a value in a register of a pointwise program.
    const BOUND_MAX: u64;
    /// The bound of an element that [`load_register`](Lanes::load_register) gives.
    const BOUND_LOADED: u64;
    /// As many elements in memory as there are lanes.
    type Run: Copy + Send + Sync;
    /// A value in every lane.
    type Stored: Copy + Send + Sync;
    /// One value that every lane is multiplied by.
    type Factor: Copy + Send + Sync;
    /// Zero in every lane.
    const ZERO: Self::Stored;

    /// Elements by runs, without the rest that fills none.
    fn runs(v: &[Fr]) -> &[Self::Run];
    /// Elements by runs, to be written, without the rest that fills none.
    fn runs_mut(v: &mut [Fr]) -> &mut [Self::Run];
    /// A run's elements.
    fn elements(run: &mut Self::Run) -> &mut [Fr];
    /// A run of one element.
    fn repeat(x: Fr) -> Self::Run;

    /// x as a factor: multiplied by it, a value stays in the form that it has.
    fn factor(x: Fr) -> Self::Factor;
    /// Runs a job, compiled for the instructions.
    fn run<J: Job<Self>>(self, job: J) -> J::Out;

    // For jobs only, and so that they are compiled with them: always inlined.

    /// Elements as they are in memory; bound 1.
    fn load(self, run: &Self::Run, out: &mut Self::Stored);
    /// Elements as factors, each for its lane; bound 1.
    fn load_factors(self, run: &Self::Run, out: &mut Self::Stored);
    /// What [`load`](Lanes::load) loads, after any of the layers of a transform, products and a sum.
    fn store(self, x: &Self::Stored, out: &mut Self::Run);
    /// The same of x·scale.
    fn store_scaled(self, x: &Self::Stored, scale: &Self::Factor, out: &mut Self::Run);
    /// The product of values of bound 1, of bound 1.
    fn product(self, a: &Self::Stored, b: &Self::Stored, out: &mut Self::Stored);
    /// The product of a value of bound 1 and a factor, of bound 1.
    fn scaled(self, a: &Self::Stored, b: &Self::Factor, out: &mut Self::Stored);
    /// The butterfly of a transform's layer `layer`, counted from 0: (low + high·factor, low − high·factor). Layer 0 takes
    /// what [`load`](Lanes::load) gives, every other what the one before it left.
    fn butterfly(self, layer: u32, low: &mut Self::Stored, high: &mut Self::Stored, factor: &Self::Stored);
    /// The same with one factor for all lanes.
    fn butterfly_by(self, layer: u32, low: &mut Self::Stored, high: &mut Self::Stored, factor: &Self::Factor);

    /// Elements in the form of the registers of pointwise programs, of which a product has that form again.
    fn load_register(self, run: &Self::Run, out: &mut Self::Stored);
    /// The inverse, for any register.
    fn store_register(self, x: &Self::Stored, out: &mut Self::Run);
    /// x in the form of the registers.
    fn constant(self, x: Fr) -> Self::Stored;
    /// a + b, of bounds whose sum is at most [`BOUND_MAX`](Lanes::BOUND_MAX), of one form.
    fn add(self, a: &Self::Stored, b: &Self::Stored, out: &mut Self::Stored);
    /// a − b, of bounds whose sum is at most [`BOUND_MAX`](Lanes::BOUND_MAX); `bound` is b's.
    fn sub(self, a: &Self::Stored, b: &Self::Stored, bound: u64, out: &mut Self::Stored);
    /// a·b, for any registers. Where a is what [`load`](Lanes::load) gave, or a product of it, so is a·b: for
    /// [`store`](Lanes::store).
    fn mul(self, a: &Self::Stored, b: &Self::Stored, out: &mut Self::Stored);
    /// The bound of a sum or a difference.
    fn bound_of_sum(a: u64, b: u64) -> u64;
    /// The bound of a product.
    fn bound_of_product(a: u64, b: u64) -> u64;
    /// Makes the bound 2.
    fn reduce(self, x: &mut Self::Stored);
}

/// Work that is compiled anew for each kind of lanes. `run` must be `#[inline(always)]`.
pub(super) trait Job<L> {
    /// What it gives.
    type Out;
    /// Does it.
    fn run(self, lanes: L) -> Self::Out;
}
