//! Inverses by the binary greatest common divisor, in steps of 31 on the operands' first and last bits (Pornin 2020,
//! "Optimized binary GCD for modular inversion", algorithm 2). The time does not depend on the value.

use ark_ff::{BigInt, Field, MontConfig, Zero};

use super::{Element, Limbs, add, reduce_once};

/// Steps between updates of the long numbers.
const STEPS: u32 = 31;
/// 2·254 − 1 steps are enough for primes below 2^254; 17·31 is 527.
const ROUNDS: usize = 17;
const LOW: u64 = (1 << STEPS) - 1;

/// What 31 steps do to a pair: (a·f₀ + b·g₀, a·f₁ + b·g₁), where |f| + |g| ≤ 2^31.
struct Steps {
    f: [i64; 2],
    g: [i64; 2],
}

/// 1/x, or none for zero.
pub(in crate::cpu) fn inverse<C: MontConfig<4>>(x: &Element<C>) -> Option<Element<C>> {
    if x.is_zero() {
        return None;
    }
    let p = C::MODULUS.0;
    // Always a ≡ u·x and b ≡ v·x; in the end b is 1.
    let (mut a, mut b) = (x.0.0, p);
    let (mut u, mut v) = ([1, 0, 0, 0], [0; 4]);
    for _ in 0..ROUNDS {
        let (first, second) = leading(&a, &b);
        let mut steps = steps(first, second);
        for (i, value) in [combine(&a, &b, &steps, 0), combine(&a, &b, &steps, 1)].into_iter().enumerate() {
            let (value, negative) = shift(value);
            if negative {
                (steps.f[i], steps.g[i]) = (-steps.f[i], -steps.g[i]);
            }
            *[&mut a, &mut b][i] = value;
        }
        (u, v) = (combine_modulo::<C>(&u, &v, &steps, 0), combine_modulo::<C>(&u, &v, &steps, 1));
    }
    // v is the inverse of x·2^256, of which 1/x in Montgomery form is 2^512 times; a product divides by 2^256.
    let power = Element::<C>::new_unchecked(C::R2).square();
    Some(Element::<C>::new_unchecked(BigInt(v)) * power)
}

/// The first 33 bits of both numbers, counted from where the longer begins, and the last 31.
fn leading(a: &Limbs, b: &Limbs) -> (u64, u64) {
    let mut top = [(a[1], a[0]), (b[1], b[0])];
    let mut any = a[1] | b[1];
    for i in 2..4 {
        if a[i] | b[i] != 0 {
            top = [(a[i], a[i - 1]), (b[i], b[i - 1])];
            any = a[i] | b[i];
        }
    }
    if any == 0 {
        return (a[0], b[0]);
    }
    let shift = any.leading_zeros();
    let bits = |(high, low): (u64, u64), last: u64| {
        let window = high << shift | (low >> 1) >> (63 - shift);
        window & !LOW | last & LOW
    };
    (bits(top[0], a[0]), bits(top[1], b[0]))
}

/// 31 steps on approximations: a odd and less than b: swap; a odd: a −= b; a /= 2.
///
/// Both factors of a number are in one word, f + 2^32·g: each is between −2^31 + 1 and 2^31.
fn steps(mut a: u64, mut b: u64) -> Steps {
    let (mut of_a, mut of_b) = (1u64, 1u64 << 32);
    for _ in 0..STEPS {
        let odd = (a & 1).wrapping_neg();
        let (difference, less) = a.overflowing_sub(b);
        let swap = u64::from(less).wrapping_neg() & odd;
        let of_difference = of_a.wrapping_sub(of_b);
        // Without a branch, which would be guessed wrong every other time.
        b ^= (a ^ b) & swap;
        of_b ^= (of_a ^ of_b) & swap;
        a ^= (a ^ (difference ^ swap).wrapping_sub(swap)) & odd;
        of_a ^= (of_a ^ (of_difference ^ swap).wrapping_sub(swap)) & odd;
        a >>= 1;
        of_b <<= 1;
    }
    const MIDDLE: u64 = 0x7fff_ffff;
    let apart = |both: u64| {
        let both = both.wrapping_add(MIDDLE << 32 | MIDDLE);
        ((both & 0xffff_ffff) as i64 - MIDDLE as i64, (both >> 32) as i64 - MIDDLE as i64)
    };
    let ((f0, g0), (f1, g1)) = (apart(of_a), apart(of_b));
    Steps { f: [f0, f1], g: [g0, g1] }
}

/// a·f + b·g in two's complement.
fn combine(a: &Limbs, b: &Limbs, steps: &Steps, which: usize) -> [u64; 5] {
    let (f, g) = (i128::from(steps.f[which]), i128::from(steps.g[which]));
    let mut out = [0; 5];
    let mut carry = 0i128;
    for i in 0..4 {
        carry += i128::from(a[i]) * f + i128::from(b[i]) * g;
        out[i] = carry as u64;
        carry >>= 64;
    }
    out[4] = carry as u64;
    out
}

/// The magnitude, divided by 2^31, and the sign.
fn shift(x: [u64; 5]) -> (Limbs, bool) {
    let sign = ((x[4] as i64) >> 63) as u64;
    let mut carry = sign & 1 != 0;
    let magnitude = x.map(|limb| {
        let (limb, over) = (limb ^ sign).overflowing_add(u64::from(carry));
        carry = over;
        limb
    });
    (shifted(&magnitude), sign != 0)
}

fn shifted(x: &[u64; 5]) -> Limbs {
    [0, 1, 2, 3].map(|i| x[i] >> STEPS | x[i + 1] << (64 - STEPS))
}

/// (u·f + v·g)/2^31 modulo p, for u and v below p.
fn combine_modulo<C: MontConfig<4>>(u: &Limbs, v: &Limbs, steps: &Steps, which: usize) -> Limbs {
    let p = &C::MODULUS.0;
    let mut sum = combine(u, v, steps, which);
    // A multiple of p below 2^31·p makes the last bits zero. The sum is above −2^31·p and below 2^31·p before.
    let factor = u128::from(sum[0].wrapping_mul(C::INV) & LOW);
    let mut carry = 0u128;
    for i in 0..4 {
        carry += u128::from(p[i]) * factor + u128::from(sum[i]);
        sum[i] = carry as u64;
        carry >>= 64;
    }
    sum[4] = sum[4].wrapping_add(carry as u64);
    let negative = ((sum[4] as i64) >> 63) as u64;
    // The top limb's sign bits beyond are cut off, and so is the carry of the addition.
    let lifted = add(&shifted(&sum), &p.map(|limb| limb & negative));
    reduce_once(&lifted, p)
}

#[cfg(test)]
mod tests {
    use super::super::{inverse_vartime, sub};
    use super::*;
    use ark_bn254::{FqConfig, FrConfig};
    use ark_ff::{One, UniformRand};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn inverts_like_arkworks<C: MontConfig<4>>() {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let one = Element::<C>::one();
        let mut all = vec![one, -one, one + one];
        // Also where what is stored, in Montgomery form, has few bits, or is next to p.
        for bit in 0..253 {
            let mut limbs = [0; 4];
            limbs[bit / 64] = 1 << (bit % 64);
            all.push(Element::<C>::new_unchecked(BigInt(limbs)));
            all.push(Element::<C>::new_unchecked(BigInt(sub(&C::MODULUS.0, &limbs).0)));
        }
        all.extend((0..2000).map(|_| Element::<C>::rand(&mut rng)));
        for x in all {
            assert_eq!(inverse::<C>(&x), x.inverse());
            assert_eq!(inverse_vartime::<C>(&x), x.inverse());
        }
        assert_eq!(inverse::<C>(&Element::<C>::zero()), None);
        assert_eq!(inverse_vartime::<C>(&Element::<C>::zero()), None);
    }

    #[test]
    fn both_ways_invert_like_arkworks() {
        inverts_like_arkworks::<FqConfig>();
        inverts_like_arkworks::<FrConfig>();
    }
}
