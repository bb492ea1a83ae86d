//! Points of G1 in 32 bytes each.

use alloc::vec::Vec;

use ark_bn254::{Fq, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField};

use super::{DecodeError, WORD_BYTES, integer_from_bytes, integer_to_bytes};
use crate::arithmetic::{Arithmetic, Portable};
use crate::check::Check;

/// Bit of the first byte of a compressed point: the y coordinate is odd.
const Y_IS_ODD: u8 = 0x80;
/// Bit of the first byte of a compressed point: the point at infinity; all other bits are zero.
const INFINITY: u8 = 0x40;

/// A G1 point in 32 bytes: x big-endian, with the highest bit set if y is odd. Infinity is the byte 0x40 and zeros.
/// (The modulus has 254 bits, so both bits are free.)
pub fn g1_to_bytes(point: &G1Affine) -> [u8; WORD_BYTES] {
    let Some((x, y)) = point.xy() else {
        let mut bytes = [0; WORD_BYTES];
        bytes[0] = INFINITY;
        return bytes;
    };
    let mut bytes = integer_to_bytes(x);
    if y.into_bigint().is_odd() {
        bytes[0] |= Y_IS_ODD;
    }
    bytes
}

/// The G1 point with this compressed form, infinity included.
///
/// # Errors
/// [`DecodeError::NonCanonicalPoint`] or [`DecodeError::NotOnCurve`].
pub fn g1_from_bytes(bytes: &[u8; WORD_BYTES]) -> Result<G1Affine, DecodeError> {
    let read = Abscissa::read(bytes)?;
    let mut y = [read.y_squared()];
    Portable.roots(&mut y);
    let [y] = y;
    read.point(y)
}

/// Many points at once: the same, with another library's square roots.
pub fn g1s_from_bytes<'a>(
    arithmetic: &dyn Arithmetic,
    words: impl Iterator<Item = &'a [u8; WORD_BYTES]>,
) -> Vec<Result<G1Affine, DecodeError>> {
    let read: Vec<_> = words.map(Abscissa::read).collect();
    let mut roots: Vec<Fq> = read.iter().flatten().map(Abscissa::y_squared).collect();
    arithmetic.roots(&mut roots);
    let mut roots = roots.into_iter();
    read.into_iter().map(|read| read?.point(roots.next().unwrap_or_default())).collect()
}

/// What 32 bytes say of a point.
enum Abscissa {
    /// The point at infinity.
    Infinity,
    /// x, and whether y is odd.
    Of { x: Fq, y_is_odd: bool },
}

impl Abscissa {
    fn read(bytes: &[u8; WORD_BYTES]) -> Result<Self, DecodeError> {
        if bytes[0] & INFINITY != 0 {
            let canonical = bytes[0] == INFINITY && bytes[1..].iter().all(|byte| *byte == 0);
            return if canonical { Ok(Self::Infinity) } else { Err(DecodeError::NonCanonicalPoint) };
        }
        let mut x_bytes = *bytes;
        x_bytes[0] &= !Y_IS_ODD;
        let x = integer_from_bytes(Check::CanonicalPoint, &x_bytes).ok_or(DecodeError::NonCanonicalPoint)?;
        Ok(Self::Of { x, y_is_odd: bytes[0] & Y_IS_ODD != 0 })
    }

    /// y² = x³ + 3; zero for infinity.
    fn y_squared(&self) -> Fq {
        match self {
            Self::Infinity => Fq::ZERO,
            Self::Of { x, .. } => *x * x.square() + Fq::from(3u8),
        }
    }

    /// The point, given what should be a root of [`y_squared`](Self::y_squared).
    fn point(self, root: Fq) -> Result<G1Affine, DecodeError> {
        let square = self.y_squared();
        let Self::Of { x, y_is_odd } = self else { return Ok(G1Affine::identity()) };
        if root.square() != square {
            return Err(DecodeError::NotOnCurve);
        }
        // y is never zero: the group order is odd, so there is no point of order 2.
        let y = if root.into_bigint().is_odd() == y_is_odd { root } else { -root };
        Ok(G1Affine::new_unchecked(x, y))
    }
}
