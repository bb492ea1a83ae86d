//! The kernel vocabulary: what can be asked of a device, and the shapes that it takes and gives.

use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{FftField, PrimeField, Zero};

use crate::bases::Bases;
use crate::error::KernelFailure;
use crate::host_data::HostData;
use crate::program::Program;

/// The longest domain that the field has: 2^28 points.
pub const LOG_DOMAIN_MAX: u32 = Fr::TWO_ADICITY;

/// What the caller of an MSM promises of its scalars. A broken promise is an
/// [`InvariantViolation`](KernelFailure::InvariantViolation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarBound {
    /// Any field element.
    Full,
    /// Each scalar is an integer s with |s| < 2^bits, as the field element s or r − |s|. 1 ≤ bits ≤ 63.
    Signed {
        /// Magnitude bits.
        bits: u32,
    },
}

/// Which exclusive prefix a scan makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanKind {
    /// `out[i] = Σ_{j<i} v[j]`
    Sum,
    /// `out[i] = Π_{j<i} v[j]`
    Product,
}

/// One kernel with its parameters. Vectors are named apart from it (as buffers of a device), so one kernel value can
/// be replayed anywhere.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// () → v: copy host data in.
    Upload(HostData),
    /// () → v: `v[i] = first · ratio^i`, `len` long.
    Powers {
        /// `v[0]`
        first: Fr,
        /// `v[i+1] / v[i]`
        ratio: Fr,
        /// Length.
        len: usize,
    },
    /// (c₀, …) → (v₀, …): evaluations on shift·H, |H| = 2^log_n, natural order; shorter coefficient vectors are
    /// zero-extended and longer ones folded modulo X^(2^log_n) − shift^(2^log_n).
    EvaluateOnCoset {
        /// log₂ of the domain's size.
        log_n: u32,
        /// Not zero.
        shift: Fr,
    },
    /// (v₀, …) → (c₀, …): the inverse, each input 2^log_n long.
    InterpolateCoset {
        /// log₂ of the domain's size.
        log_n: u32,
        /// Not zero.
        shift: Fr,
    },
    /// (inputs …) → (outputs …): run a program on `len` rows.
    Pointwise {
        /// What to run.
        program: Arc<Program>,
        /// Rows.
        len: usize,
    },
    /// v → w: `w[i] = 1/v[i]`, and 0 where `v[i] = 0`.
    Invert,
    /// v → w: exclusive prefix.
    Scan(ScanKind),
    /// v → w: coefficients of `(v(X) − v(root)) / (X − root)`, one fewer.
    DivideLinear {
        /// The root.
        root: Fr,
    },
    /// v → w: `w[i] = v[start + i]`, zero past the end of v.
    Slice {
        /// First element taken.
        start: usize,
        /// Length.
        len: usize,
    },
    /// v… → w: `len` long, each v at its offset, zeros elsewhere. Where two overlap, the later is there. At least one v.
    Place {
        /// Where each goes.
        offsets: Vec<usize>,
        /// Length.
        len: usize,
    },
    /// v → point: `Σ v[i] · bases[offset + i]`.
    Msm {
        /// The points.
        bases: Bases,
        /// The point of `v[0]`.
        offset: usize,
        /// What is promised of v.
        bound: ScalarBound,
    },
    /// v → scalars: v, as coefficients, evaluated at each point.
    Evaluate {
        /// Where.
        points: Arc<Vec<Fr>>,
    },
    /// v → scalars: copy `v[start..start + len]` out.
    Download {
        /// First element taken.
        start: usize,
        /// Length.
        len: usize,
    },
}

impl Kernel {
    /// The kernel's name, as reports and errors give it.
    pub fn name(&self) -> &'static str {
        match self {
            Kernel::Upload(_) => "upload",
            Kernel::Powers { .. } => "powers",
            Kernel::EvaluateOnCoset { .. } => "evaluate_on_coset",
            Kernel::InterpolateCoset { .. } => "interpolate_coset",
            Kernel::Pointwise { .. } => "pointwise",
            Kernel::Invert => "invert",
            Kernel::Scan(_) => "scan",
            Kernel::DivideLinear { .. } => "divide_linear",
            Kernel::Slice { .. } => "slice",
            Kernel::Place { .. } => "place",
            Kernel::Msm { .. } => "msm",
            Kernel::Evaluate { .. } => "evaluate",
            Kernel::Download { .. } => "download",
        }
    }

    /// Whether the kernel needs no vector, so that it is cheaper to run it again than to move what it made.
    pub(crate) fn is_source(&self) -> bool {
        matches!(self, Kernel::Upload(_) | Kernel::Powers { .. })
    }

    /// Checks the kernel against its inputs' lengths and gives its outputs' lengths.
    ///
    /// # Errors
    /// `InvariantViolation` when they do not fit: a bug of the caller.
    pub fn output_lens(&self, inputs: &[usize]) -> Result<Vec<usize>, KernelFailure> {
        self.shapes(inputs)
            .map_err(|detail| KernelFailure::InvariantViolation { kernel: self.name(), detail })
    }

    fn shapes(&self, inputs: &[usize]) -> Result<Vec<usize>, String> {
        match self {
            Kernel::Upload(data) => arity(inputs, 0).map(|()| vec![data.len()]),
            Kernel::Powers { len, .. } => arity(inputs, 0).map(|()| vec![*len]),
            Kernel::EvaluateOnCoset { log_n, shift } => {
                check_coset(*log_n, shift)?;
                Ok(vec![1 << log_n; inputs.len()])
            }
            Kernel::InterpolateCoset { log_n, shift } => {
                check_coset(*log_n, shift)?;
                match inputs.iter().find(|&&len| len != 1 << log_n) {
                    Some(got) => Err(format!("expected inputs of length {}, got {got}", 1usize << log_n)),
                    None => Ok(inputs.to_vec()),
                }
            }
            Kernel::Pointwise { program, len } => {
                program.check(inputs, *len)?;
                Ok(vec![*len; program.outputs])
            }
            Kernel::Invert | Kernel::Scan(_) => arity(inputs, 1).map(|()| vec![inputs[0]]),
            Kernel::DivideLinear { .. } => {
                arity(inputs, 1)?;
                let len = inputs[0].checked_sub(1).ok_or("expected at least one coefficient, got none")?;
                Ok(vec![len])
            }
            Kernel::Slice { len, .. } => arity(inputs, 1).map(|()| vec![*len]),
            Kernel::Place { offsets, len } => {
                arity(inputs, offsets.len().max(1))?;
                let mut places = inputs.iter().zip(offsets);
                places.try_for_each(|(input, offset)| check_range("place", *offset, *input, *len))?;
                Ok(vec![*len])
            }
            Kernel::Msm { bases, offset, bound } => {
                arity(inputs, 1)?;
                if let ScalarBound::Signed { bits } = bound
                    && !(1..=63).contains(bits)
                {
                    return Err(format!("expected a bound of 1 to 63 bits, got {bits}"));
                }
                check_range("bases", *offset, inputs[0], bases.len()).map(|()| vec![])
            }
            Kernel::Evaluate { .. } => arity(inputs, 1).map(|()| vec![]),
            Kernel::Download { start, len } => {
                arity(inputs, 1)?;
                check_range("download", *start, *len, inputs[0]).map(|()| vec![])
            }
        }
    }

    /// How many elements the kernel works on: its measure in reports and in balancing load.
    pub fn elements(&self, inputs: &[usize]) -> u64 {
        let work: usize = match self {
            Kernel::Upload(data) => data.len(),
            Kernel::Powers { len, .. } | Kernel::Slice { len, .. } | Kernel::Place { len, .. } => *len,
            Kernel::Download { len, .. } => *len,
            Kernel::EvaluateOnCoset { log_n, .. } => inputs.len() << log_n,
            Kernel::Pointwise { len, .. } => *len,
            Kernel::Evaluate { points } => inputs.iter().sum::<usize>() * points.len(),
            _ => inputs.iter().sum(),
        };
        work as u64
    }
}

fn arity(inputs: &[usize], expected: usize) -> Result<(), String> {
    if inputs.len() == expected {
        Ok(())
    } else {
        Err(format!("expected {expected} input vectors, got {}", inputs.len()))
    }
}

fn check_coset(log_n: u32, shift: &Fr) -> Result<(), String> {
    if log_n > LOG_DOMAIN_MAX {
        return Err(format!("expected a domain of at most 2^{LOG_DOMAIN_MAX} points, got 2^{log_n}"));
    }
    if shift.is_zero() {
        return Err("expected a coset shift other than zero".into());
    }
    Ok(())
}

fn check_range(what: &str, start: usize, len: usize, available: usize) -> Result<(), String> {
    match start.checked_add(len) {
        Some(end) if end <= available => Ok(()),
        _ => {
            Err(format!("{what}: expected room for {len} elements from {start}, got a length of {available}"))
        }
    }
}

/// The magnitude and sign of a scalar that is small by promise: `Some((|s|, s < 0))` if |s| < 2^bits, bits ≤ 63.
/// Takes time that depends on the scalar.
pub(crate) fn small_magnitude_vartime(scalar: &Fr, bits: u32) -> Option<(u64, bool)> {
    let positive = scalar.into_bigint().0;
    if positive[1] | positive[2] | positive[3] == 0 {
        return (positive[0] >> bits == 0).then_some((positive[0], false));
    }
    let negative = (-*scalar).into_bigint().0;
    let small = negative[1] | negative[2] | negative[3] == 0 && negative[0] >> bits == 0;
    small.then_some((negative[0], true))
}

/// The violation of a promised scalar bound, by position only: the value may be secret.
pub(crate) fn bound_violated(index: usize, bits: u32) -> KernelFailure {
    KernelFailure::InvariantViolation {
        kernel: "msm",
        detail: format!("scalar {index} was promised to be below 2^{bits} in magnitude and is not"),
    }
}
