//! BN254 points as the adders hold them: affine bases and XYZZ buckets.
//!
//! Formulas: Explicit-Formulas Database, short Weierstrass, XYZZ coordinates (`madd-2008-s`, `add-2008-s`,
//! `mdbl-2008-s-1`, `dbl-2008-s-1`), with a = 0. They are not complete: equal, opposite and infinite operands are told
//! apart here, as the exception path of the hardware does.

use ark_bn254::Fq;
use ark_ff::{AdditiveGroup, Field, Zero};

/// An affine point; both coordinates zero stand for infinity, which is not on the curve y² = x³ + 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// First coordinate.
    pub x: Fq,
    /// Second coordinate.
    pub y: Fq,
}

impl Base {
    /// The point at infinity.
    pub const INFINITY: Base = Base { x: Fq::ZERO, y: Fq::ZERO };

    /// Whether it is the point at infinity.
    pub fn is_infinity(&self) -> bool {
        self.x.is_zero() && self.y.is_zero()
    }

    /// Whether it is a point of the curve, infinity included. BN254's G1 has cofactor one, so no more is to be checked.
    pub fn is_on_curve(&self) -> bool {
        self.is_infinity() || self.y.square() == self.x.square() * self.x + Fq::from(3u64)
    }

    fn doubled(&self) -> Xyzz {
        if self.is_infinity() {
            return Xyzz::INFINITY;
        }
        let u = self.y.double();
        let v = u.square();
        Xyzz::double_from(self.x, self.y, u, v, v, u * v)
    }
}

/// How an addition went through the hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Through the pipeline; infinity is a multiplexer at its end.
    Pipeline,
    /// Equal points: through the doubling unit.
    Doubling,
}

/// A point (X/ZZ, Y/ZZZ) with ZZ³ = ZZZ²; ZZ = 0 stands for infinity.
#[derive(Clone, Copy, Debug)]
pub struct Xyzz {
    x: Fq,
    y: Fq,
    zz: Fq,
    zzz: Fq,
}

impl Xyzz {
    /// The point at infinity.
    pub const INFINITY: Xyzz = Xyzz { x: Fq::ZERO, y: Fq::ZERO, zz: Fq::ZERO, zzz: Fq::ZERO };

    /// Whether it is the point at infinity.
    pub fn is_infinity(&self) -> bool {
        self.zz.is_zero()
    }

    /// Adds `base`, or its opposite.
    pub fn add_base(&mut self, base: &Base, negative: bool) -> Path {
        if base.is_infinity() {
            return Path::Pipeline;
        }
        let y = if negative { -base.y } else { base.y };
        if self.is_infinity() {
            *self = Xyzz { x: base.x, y, zz: Fq::ONE, zzz: Fq::ONE };
            return Path::Pipeline;
        }
        let p = base.x * self.zz - self.x;
        let r = y * self.zzz - self.y;
        if p.is_zero() {
            if r.is_zero() {
                *self = Base { x: base.x, y }.doubled();
                return Path::Doubling;
            }
            *self = Xyzz::INFINITY;
            return Path::Pipeline;
        }
        let (pp, x1, y1) = (p.square(), self.x, self.y);
        self.finish(p, pp, r, x1, y1);
        Path::Pipeline
    }

    /// Adds another accumulated point.
    pub fn add(&mut self, other: &Xyzz) {
        if other.is_infinity() {
            return;
        }
        if self.is_infinity() {
            *self = *other;
            return;
        }
        let u1 = self.x * other.zz;
        let s1 = self.y * other.zzz;
        let p = other.x * self.zz - u1;
        let r = other.y * self.zzz - s1;
        if p.is_zero() {
            *self = if r.is_zero() { self.doubled() } else { Xyzz::INFINITY };
            return;
        }
        self.zz *= other.zz;
        self.zzz *= other.zzz;
        self.finish(p, p.square(), r, u1, s1);
    }

    /// The part that mixed and full addition share.
    fn finish(&mut self, p: Fq, pp: Fq, r: Fq, x1: Fq, y1: Fq) {
        let ppp = p * pp;
        let q = x1 * pp;
        self.x = r.square() - ppp - q.double();
        self.y = r * (q - self.x) - y1 * ppp;
        self.zz *= pp;
        self.zzz *= ppp;
    }

    /// Twice the point. No point of the curve has order two, so Y is never zero.
    pub fn doubled(&self) -> Xyzz {
        if self.is_infinity() {
            return *self;
        }
        let u = self.y.double();
        let v = u.square();
        Xyzz::double_from(self.x, self.y, u, v, v * self.zz, u * v * self.zzz)
    }

    fn double_from(x: Fq, y: Fq, u: Fq, v: Fq, zz: Fq, zzz: Fq) -> Xyzz {
        let s = x * v;
        let square = x.square();
        let m = square.double() + square;
        let x3 = m.square() - s.double();
        Xyzz { x: x3, y: m * (s - x3) - u * v * y, zz, zzz }
    }

    /// The affine point.
    pub fn to_affine(&self) -> Base {
        // ZZ = Z², ZZZ = Z³: 1/ZZ = (ZZ/ZZZ)².
        let Some(inverse) = self.zzz.inverse() else { return Base::INFINITY };
        let z_inverse = inverse * self.zz;
        Base { x: self.x * z_inverse.square(), y: self.y * inverse }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{Fr, G1Affine, G1Projective};
    use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};

    fn base(k: i64) -> Base {
        let point = (G1Projective::generator() * Fr::from(k)).into_affine();
        point.xy().map_or(Base::INFINITY, |(x, y)| Base { x, y })
    }

    fn accumulated(k: i64) -> Xyzz {
        // Through two additions, so that ZZ is not one.
        let mut point = Xyzz::INFINITY;
        point.add_base(&base(k - 7), false);
        point.add_base(&base(7), false);
        point
    }

    #[test]
    fn additions_agree_with_the_group_in_every_case() {
        for a in [-3i64, 0, 1, 2, 5, 14] {
            for b in [-14i64, -5, -1, 0, 1, 2, 5, 14] {
                let mut mixed = accumulated(a);
                let path = mixed.add_base(&base(b), false);
                assert_eq!(mixed.to_affine(), base(a + b), "{a} + {b}");
                assert_eq!(path == Path::Doubling, a == b && a != 0, "{a} + {b}");
                let mut negative = accumulated(a);
                negative.add_base(&base(b), true);
                assert_eq!(negative.to_affine(), base(a - b), "{a} - {b}");
                let mut full = accumulated(a);
                full.add(&accumulated(b));
                assert_eq!(full.to_affine(), base(a + b), "{a} + {b}");
            }
            assert_eq!(accumulated(a).doubled().to_affine(), base(2 * a));
        }
    }

    #[test]
    fn curve_membership_is_decided() {
        assert!(base(5).is_on_curve() && Base::INFINITY.is_on_curve());
        let generator = G1Affine::generator();
        assert!(!Base { x: generator.x, y: generator.y + Fq::ONE }.is_on_curve());
        assert!(!Base { x: Fq::ZERO, y: Fq::ONE }.is_on_curve());
    }
}
