//! The values of a transform: radix-2, decimation in time, twiddles from a table.

use ark_bn254::Fr;
use ark_ff::{FftField, Field};

/// Powers of the primitive root of order 2^log_n, the first half of them.
#[derive(Clone, Debug)]
pub struct Twiddles(Vec<Fr>);

impl Twiddles {
    /// The table of a size; `log_n` is at most 28.
    pub fn new(log_n: u32) -> Twiddles {
        let mut root = Fr::TWO_ADIC_ROOT_OF_UNITY;
        for _ in log_n..Fr::TWO_ADICITY {
            root.square_in_place();
        }
        let half = (1usize << log_n) / 2;
        let mut powers = Vec::with_capacity(half.max(1));
        let mut power = Fr::ONE;
        for _ in 0..half.max(1) {
            powers.push(power);
            power *= root;
        }
        Twiddles(powers)
    }
}

/// values\[i\] ← Σ_j values\[j\]·ω^(ij), in natural order. The length is the table's.
pub fn forward(values: &mut [Fr], twiddles: &Twiddles) {
    let length = values.len();
    reverse_bits(values);
    let mut half = 1;
    while half < length {
        let stride = length / (2 * half);
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for ((a, b), twiddle) in low.iter_mut().zip(high).zip(twiddles.0.iter().step_by(stride)) {
                let product = *b * twiddle;
                *b = *a - product;
                *a += product;
            }
        }
        half *= 2;
    }
}

/// The inverse but for the factor 1/n: the forward transform read backwards.
pub fn backward(values: &mut [Fr], twiddles: &Twiddles) {
    forward(values, twiddles);
    if values.len() > 1 {
        values[1..].reverse();
    }
}

/// values\[i\] ← values\[i\]·first·ratio^i.
pub fn scale(values: &mut [Fr], first: Fr, ratio: Fr) {
    let mut factor = first;
    for value in values {
        *value *= factor;
        factor *= ratio;
    }
}

/// `length` elements that are congruent to `source` modulo X^length − `power`.
pub fn fold(source: &[Fr], length: usize, power: Fr) -> Vec<Fr> {
    let mut folded = source[..length.min(source.len())].to_vec();
    folded.resize(length, Fr::default());
    let mut factor = power;
    for part in source.chunks(length).skip(1) {
        for (sum, value) in folded.iter_mut().zip(part) {
            *sum += *value * factor;
        }
        factor *= power;
    }
    folded
}

fn reverse_bits(values: &mut [Fr]) {
    let bits = values.len().trailing_zeros();
    for i in 0..values.len() {
        let j = i.reverse_bits() >> (usize::BITS - bits.max(1));
        if bits > 0 && i < j {
            values.swap(i, j);
        }
    }
}
