//! Inverses by division steps (Bernstein, Yang 2019, "Fast constant-time gcd computation and modular inversion"), 62 at a
//! time on the operands' last bits. Steps that only halve are taken together, and several last bits are cleared by one
//! multiple, so that the time depends on the value.

use ark_ff::{BigInt, MontConfig, One, Zero};

use super::{Element, Limbs};

/// Steps between updates of the long numbers, and bits of their limbs.
const BITS: u32 = 62;
const LOW: u64 = u64::MAX >> (64 - BITS);

/// A number in limbs of 62 bits; the last carries the sign.
type Signed = [i64; 5];

/// What 62 steps do: 2^62·(f, g) become (u·f + v·g, q·f + r·g), where |u| + |v| and |q| + |r| are at most 2^62.
struct Steps {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// 1/x, or none for zero.
pub(in crate::cpu) fn inverse_vartime<C: MontConfig<4>>(x: &Element<C>) -> Option<Element<C>> {
    if x.is_zero() {
        return None;
    }
    let p = signed(&C::MODULUS.0);
    // Always f ≡ d·a/R² and g ≡ e·a/R², where a = x·R is what is stored and R is 2^256. In the end f is ±1, and so d is
    // ±R²/a = ±R/x, which is how 1/x is stored.
    let (mut f, mut g) = (p, signed(&x.0.0));
    let (mut d, mut e) = ([0; 5], signed(&C::R2.0));
    let (mut eta, mut len) = (-1, f.len());
    loop {
        let steps = divide(&mut eta, f[0] as u64, g[0] as u64);
        combine_modulo::<C>(&mut d, &mut e, &steps, &p);
        combine(&mut f[..len], &mut g[..len], &steps);
        if g[..len].iter().all(|&limb| limb == 0) {
            break;
        }
        len = shortened(&mut f, &mut g, len);
    }
    let d = lifted(&d, &p);
    let d = if f[len - 1] < 0 { carried(&d.map(|limb| -limb)) } else { d };
    Some(Element::<C>::new_unchecked(BigInt(unsigned(&lifted(&d, &p)))))
}

/// Inverts all, none of which is zero, with one inversion (Montgomery's trick).
pub(in crate::cpu) fn invert_all_vartime<C: MontConfig<4>, const N: usize>(all: &mut [Element<C>; N]) {
    let mut before = [Element::<C>::one(); N];
    let mut product = Element::<C>::one();
    for (before, x) in before.iter_mut().zip(all.iter()) {
        *before = product;
        product *= x;
    }
    let mut inverse = inverse_vartime::<C>(&product).unwrap_or_else(Element::<C>::zero);
    for (x, before) in all.iter_mut().zip(&before).rev() {
        (*x, inverse) = (inverse * before, inverse * *x);
    }
}

/// 62 division steps on the last bits of f, which is odd, and g. `eta` is −δ.
fn divide(eta: &mut i32, mut f: u64, mut g: u64) -> Steps {
    let [mut u, mut v, mut q, mut r] = [1u64, 0, 0, 1];
    let mut left = BITS;
    loop {
        // Bits beyond those that are left are not known.
        let zeros = (g | u64::MAX << left).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        *eta -= zeros as i32;
        left -= zeros;
        if left == 0 {
            let [u, v, q, r] = [u, v, q, r].map(|factor| factor as i64);
            return Steps { u, v, q, r };
        }
        let swap = *eta < 0;
        if swap {
            *eta = -*eta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
        }
        // So many bits of g can be cleared before f and g change places, with a multiple of f: w ≡ −g/f. The inverse of f
        // is right to four bits, and to six after one step of Newton's.
        let bits = left.min(*eta as u32 + 1).min(if swap { 6 } else { 4 });
        let mask = u64::MAX >> (64 - bits);
        let w = if swap {
            f.wrapping_mul(g).wrapping_mul(f.wrapping_mul(f).wrapping_sub(2))
        } else {
            f.wrapping_add((f.wrapping_add(1) & 4) << 1).wrapping_neg().wrapping_mul(g)
        } & mask;
        g = g.wrapping_add(f.wrapping_mul(w));
        q = q.wrapping_add(u.wrapping_mul(w));
        r = r.wrapping_add(v.wrapping_mul(w));
    }
}

/// Replaces f and g, whose last 62 bits the steps clear.
fn combine(f: &mut [i64], g: &mut [i64], &Steps { u, v, q, r }: &Steps) {
    let [u, v, q, r] = [u, v, q, r].map(i128::from);
    let (mut of_f, mut of_g) = (0i128, 0i128);
    for i in 0..f.len() {
        let (fi, gi) = (i128::from(f[i]), i128::from(g[i]));
        of_f += u * fi + v * gi;
        of_g += q * fi + r * gi;
        if i > 0 {
            (f[i - 1], g[i - 1]) = ((of_f as u64 & LOW) as i64, (of_g as u64 & LOW) as i64);
        }
        of_f >>= BITS;
        of_g >>= BITS;
    }
    let last = f.len() - 1;
    (f[last], g[last]) = (of_f as i64, of_g as i64);
}

/// Replaces d and e, both between −2·p and p, by what the steps give divided by 2^62 modulo p, between the same.
fn combine_modulo<C: MontConfig<4>>(
    d: &mut Signed,
    e: &mut Signed,
    &Steps { u, v, q, r }: &Steps,
    p: &Signed,
) {
    let (d_sign, e_sign) = (d[4] >> 63, e[4] >> 63);
    // What is negative gets p first. Less of it, by up to 2^62, then makes the last bits zero.
    let multiple = |a: i64, b: i64| {
        let lifting = (a & d_sign) + (b & e_sign);
        let last = (a as u64).wrapping_mul(d[0] as u64).wrapping_add((b as u64).wrapping_mul(e[0] as u64));
        // INV is −1/p modulo 2^64.
        let excess = (lifting as u64).wrapping_sub(last.wrapping_mul(C::INV)) & LOW;
        i128::from(lifting - excess as i64)
    };
    let (of_d, of_e) = (multiple(u, v), multiple(q, r));
    let [u, v, q, r] = [u, v, q, r].map(i128::from);
    let (mut sum_d, mut sum_e) = (0i128, 0i128);
    let (mut new_d, mut new_e) = ([0; 5], [0; 5]);
    for i in 0..5 {
        let [di, ei, pi] = [d[i], e[i], p[i]].map(i128::from);
        sum_d += u * di + v * ei + of_d * pi;
        sum_e += q * di + r * ei + of_e * pi;
        if i > 0 {
            (new_d[i - 1], new_e[i - 1]) = ((sum_d as u64 & LOW) as i64, (sum_e as u64 & LOW) as i64);
        }
        sum_d >>= BITS;
        sum_e >>= BITS;
    }
    (new_d[4], new_e[4]) = (sum_d as i64, sum_e as i64);
    (*d, *e) = (new_d, new_e);
}

/// Leaves out the last limbs of f and g where they tell no more than the sign. Returns how many are left.
fn shortened(f: &mut Signed, g: &mut Signed, len: usize) -> usize {
    let sign_only = |limb: i64| limb == limb >> 63;
    if len < 2 || !sign_only(f[len - 1]) || !sign_only(g[len - 1]) {
        return len;
    }
    for x in [f, g] {
        x[len - 2] |= x[len - 1] << BITS;
    }
    len - 1
}

/// x, or x + p if x is negative.
fn lifted(x: &Signed, p: &Signed) -> Signed {
    let mask = x[4] >> 63;
    carried(&[0, 1, 2, 3, 4].map(|i| x[i] + (p[i] & mask)))
}

/// The same number, with all limbs but the last from 0 to 2^62 − 1.
fn carried(x: &Signed) -> Signed {
    let mut carry = 0;
    let mut out = x.map(|limb| {
        let sum = limb + carry;
        carry = sum >> BITS;
        sum & LOW as i64
    });
    out[4] |= carry << BITS;
    out
}

fn signed(x: &Limbs) -> Signed {
    let [a, b, c, d] = *x;
    [a, a >> 62 | b << 2, b >> 60 | c << 4, c >> 58 | d << 6, d >> 56].map(|limb| (limb & LOW) as i64)
}

/// The inverse of [`signed`].
fn unsigned(x: &Signed) -> Limbs {
    let [a, b, c, d, e] = x.map(|limb| limb as u64);
    [a | b << 62, b >> 2 | c << 60, c >> 4 | d << 58, d >> 6 | e << 56]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{Fq, FqConfig};
    use ark_ff::Field;

    #[test]
    fn one_inversion_does_for_all() {
        let all: [Fq; 5] = [1u64, 2, 3, 1 << 40, 7].map(Fq::from);
        let mut inverses = all;
        invert_all_vartime::<FqConfig, 5>(&mut inverses);
        assert_eq!(inverses.map(Some), all.map(|x| x.inverse()));
    }
}
