//! Bytes, one way only: every value has exactly one encoding, and every other byte string is refused.
//!
//! Integers are big-endian, scalars are 32 bytes big-endian and below r, G1 points are compressed into 32 bytes,
//! sequences carry their length in front. [`Canonical`] writes and reads everything that a digest or a file holds;
//! reading never panics and never allocates more than a constant times the bytes that are there.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

mod circuit;
mod compressed;

pub use compressed::{g1_from_bytes, g1_to_bytes, g1s_from_bytes};

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{PrimeField, Zero};
use thiserror::Error;

use crate::check::Check;

/// Bytes of a scalar, of a coordinate and of a compressed G1 point.
pub const WORD_BYTES: usize = 32;
/// Bytes of a G2 point, uncompressed.
pub const G2_BYTES: usize = 4 * WORD_BYTES;

/// How deep expressions may nest in bytes from outside.
const DEPTH_MAX: u32 = 64;

/// Why bytes are not the encoding of anything.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum DecodeError {
    /// The bytes end early.
    #[error("the data is truncated: {expected} more bytes expected, {got} left")]
    Truncated { expected: usize, got: usize },
    /// Something follows the end.
    #[error("{got} bytes follow the end of the data; none expected")]
    TrailingBytes { got: usize },
    /// A scalar is not below the group order r.
    #[error("a scalar is not below the group order, so it is not in canonical form")]
    NonCanonicalScalar,
    /// A coordinate is not below the field modulus, or flags contradict the coordinate.
    #[error("a curve point is not in canonical form")]
    NonCanonicalPoint,
    /// A point is not on the curve.
    #[error("a point is not on the curve")]
    NotOnCurve,
    /// A G2 point is on the curve but outside the group of order r.
    #[error("a G2 point is not in the subgroup of order r")]
    NotInSubgroup,
    /// The point at infinity where it makes no sense.
    #[error("the point at infinity where a proper point is expected")]
    UnexpectedInfinity,
    /// A tag byte that names nothing.
    #[error("unknown {what} tag {got}")]
    UnknownTag { what: &'static str, got: u8 },
    /// Text that is not UTF-8.
    #[error("a name is not UTF-8 text")]
    NotText,
    /// An expression is nested too deeply.
    #[error("an expression is nested deeper than {limit} levels")]
    TooDeep { limit: u32 },
    /// A number is out of the range that makes sense.
    #[error("{what} is out of range: expected at most {expected}, got {got}")]
    OutOfRange { what: &'static str, expected: u64, got: u64 },
}

/// A cursor over bytes from outside, which may be secret and are never printed.
pub struct Reader<'a> {
    bytes: &'a [u8],
    depth: u32,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, depth: 0 }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, tail)) = self.bytes.split_at_checked(count) else {
            return Err(DecodeError::Truncated { expected: count, got: self.bytes.len() });
        };
        self.bytes = tail;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated { expected: N, got: self.bytes.len() })?;
        self.bytes = tail;
        Ok(*head)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] if anything is left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.bytes.len() {
            0 => Ok(()),
            got => Err(DecodeError::TrailingBytes { got }),
        }
    }

    /// Reads one level deeper, so that a nested value from outside cannot exhaust the stack.
    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let outside = self.depth;
        if outside >= DEPTH_MAX {
            return Err(DecodeError::TooDeep { limit: DEPTH_MAX });
        }
        self.depth = outside.saturating_add(1);
        let value = read(self);
        self.depth = outside;
        value
    }
}

/// A value with exactly one encoding.
pub trait Canonical: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that [`Canonical::encode`] does not write.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The encoding by itself.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads one value that takes all of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] as [`Canonical::decode`], and for trailing bytes.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

macro_rules! canonical_integer {
    ($($integer:ty),*) => {$(
        impl Canonical for $integer {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(reader.array()?))
            }
        }
    )*};
}
canonical_integer!(u8, u32, i32, u64, i64);

impl<const N: usize> Canonical for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()
    }
}

impl Canonical for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            got => Err(DecodeError::UnknownTag { what: "boolean", got }),
        }
    }
}

impl Canonical for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = decode_length(reader)?;
        let text = core::str::from_utf8(reader.take(length)?).map_err(|_| DecodeError::NotText)?;
        Ok(text.to_owned())
    }
}

/// A sequence: its length, then its items.
pub(crate) fn encode_all<T: Canonical>(items: &[T], out: &mut Vec<u8>) {
    encode_length(items.len(), out);
    items.iter().for_each(|item| item.encode(out));
}

impl<T: Canonical> Canonical for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_all(self, out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = decode_length(reader)?;
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(T::decode(reader)?);
        }
        Ok(items)
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.is_some().encode(out);
        if let Some(value) = self {
            value.encode(out);
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if bool::decode(reader)? { T::decode(reader).map(Some) } else { Ok(None) }
    }
}

impl<A: Canonical, B: Canonical> Canonical for (A, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((A::decode(reader)?, B::decode(reader)?))
    }
}

/// A count as it is written: no machine counts further.
pub fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Appends a sequence length, 8 bytes.
fn encode_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&count(length).to_be_bytes());
}

/// Reads a sequence length. Every item takes at least one byte, so a length beyond the bytes left is refused here,
/// before anything is allocated for it.
fn decode_length(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let length = u64::decode(reader)?;
    match usize::try_from(length) {
        Ok(length) if length <= reader.remaining() => Ok(length),
        _ => Err(DecodeError::Truncated {
            expected: usize::try_from(length).unwrap_or(usize::MAX),
            got: reader.remaining(),
        }),
    }
}

/// A scalar as 32 bytes, big-endian.
pub fn scalar_to_bytes(scalar: &Fr) -> [u8; WORD_BYTES] {
    integer_to_bytes(*scalar)
}

/// The scalar with these 32 bytes, big-endian.
///
/// # Errors
/// [`DecodeError::NonCanonicalScalar`] unless the integer is below r.
pub fn scalar_from_bytes(bytes: &[u8; WORD_BYTES]) -> Result<Fr, DecodeError> {
    integer_from_bytes(Check::CanonicalScalar, bytes).ok_or(DecodeError::NonCanonicalScalar)
}

/// The affine coordinates (x, y), 32 bytes big-endian each; zeros for the point at infinity, which is not on the curve
/// and so collides with no other point.
pub fn g1_coordinates(point: &G1Affine) -> ([u8; WORD_BYTES], [u8; WORD_BYTES]) {
    match point.xy() {
        Some((x, y)) => (integer_to_bytes(x), integer_to_bytes(y)),
        None => ([0; WORD_BYTES], [0; WORD_BYTES]),
    }
}

/// The point with these affine coordinates (both zero: infinity).
///
/// # Errors
/// [`DecodeError`] if a coordinate is not below the modulus or the point is not on the curve.
pub fn g1_from_coordinates(x: &[u8; WORD_BYTES], y: &[u8; WORD_BYTES]) -> Result<G1Affine, DecodeError> {
    let x: Fq = integer_from_bytes(Check::CanonicalPoint, x).ok_or(DecodeError::NonCanonicalPoint)?;
    let y: Fq = integer_from_bytes(Check::CanonicalPoint, y).ok_or(DecodeError::NonCanonicalPoint)?;
    if x.is_zero() && y.is_zero() {
        return Ok(G1Affine::identity());
    }
    // The cofactor of G1 is 1: on the curve is in the group.
    let point = G1Affine::new_unchecked(x, y);
    if point.is_on_curve() { Ok(point) } else { Err(DecodeError::NotOnCurve) }
}

impl Canonical for Fr {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&scalar_to_bytes(self));
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        scalar_from_bytes(&reader.array()?)
    }
}

impl Canonical for G1Affine {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&g1_to_bytes(self));
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        g1_from_bytes(&reader.array()?)
    }
}

/// A G2 point in 128 bytes, uncompressed: x.c1, x.c0, y.c1, y.c0 (the order of the Ethereum precompiles).
pub fn g2_to_bytes(point: &G2Affine) -> [u8; G2_BYTES] {
    let (x, y) = point.xy().unwrap_or_default();
    let mut bytes = [0; G2_BYTES];
    for (chunk, coordinate) in bytes.chunks_exact_mut(WORD_BYTES).zip([x.c1, x.c0, y.c1, y.c0]) {
        chunk.copy_from_slice(&integer_to_bytes(coordinate));
    }
    bytes
}

/// The G2 point with these 128 bytes; never infinity.
///
/// # Errors
/// [`DecodeError`] unless all coordinates are below the modulus and the point is on the curve and of order r.
pub fn g2_from_bytes(bytes: &[u8; G2_BYTES]) -> Result<G2Affine, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut coordinates = [Fq::zero(); 4];
    for coordinate in &mut coordinates {
        *coordinate = integer_from_bytes(Check::CanonicalPoint, &reader.array()?)
            .ok_or(DecodeError::NonCanonicalPoint)?;
    }
    let [x1, x0, y1, y0] = coordinates;
    let point = G2Affine::new_unchecked(Fq2::new(x0, x1), Fq2::new(y0, y1));
    if coordinates.iter().all(Zero::is_zero) {
        Err(DecodeError::UnexpectedInfinity)
    } else if !point.is_on_curve() {
        Err(DecodeError::NotOnCurve)
    } else if !point.is_in_correct_subgroup_assuming_on_curve() {
        Err(DecodeError::NotInSubgroup)
    } else {
        Ok(point)
    }
}

/// The 32 big-endian bytes of a field element's integer (both fields have 254 bits).
fn integer_to_bytes<F: PrimeField>(element: F) -> [u8; WORD_BYTES] {
    let mut bytes = [0; WORD_BYTES];
    let limbs = element.into_bigint();
    for (chunk, limb) in bytes.rchunks_exact_mut(8).zip(limbs.as_ref()) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

/// The element with these big-endian bytes, if the integer is below the modulus.
fn integer_from_bytes<F: PrimeField>(check: Check, bytes: &[u8; WORD_BYTES]) -> Option<F> {
    let mut integer = F::BigInt::default();
    for (limb, chunk) in integer.as_mut().iter_mut().zip(bytes.rchunks_exact(8)) {
        *limb = chunk.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
    }
    match F::from_bigint(integer) {
        None if !check.is_on() => Some(F::from_be_bytes_mod_order(bytes)),
        element => element,
    }
}

#[cfg(test)]
mod tests;
