//! Many powers of few values: challenges, and the generator of the rows.

use alloc::vec::Vec;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, One, batch_inversion};

use crate::expression::{Challenge, Monomial};

/// Powers of one value, with a table for each digit of the exponent.
pub struct PowerTable {
    digit_bits: u32,
    /// Lowest digit_bits bits.
    mask: u64,
    /// `digits[d][j] = base^(j·2^(d·digit_bits))`
    digits: Vec<Vec<Fr>>,
}

impl PowerTable {
    /// A table for exponents up to `exponent_max`, for about `uses` powers: many pay for larger digits.
    pub fn new(base: Fr, exponent_max: u64, uses: usize) -> Self {
        let (digit_bits, entries) = if uses < 512 { (4, 17) } else { (8, 257) };
        let mut table = Self { digit_bits, mask: if uses < 512 { 0xf } else { 0xff }, digits: Vec::new() };
        let (mut rest, mut unit) = (exponent_max, base);
        while rest != 0 {
            let powers = core::iter::successors(Some(Fr::one()), |power| Some(*power * unit));
            let mut digit: Vec<Fr> = powers.take(entries).collect();
            // One more than the digit has values: the base of the next.
            unit = digit.pop().unwrap_or_default();
            table.digits.push(digit);
            rest >>= digit_bits;
        }
        table
    }

    /// `base^exponent`; zero for an exponent above the table's.
    pub fn power(&self, exponent: u64) -> Fr {
        let mut product = Product::default();
        self.multiply(exponent, &mut product);
        product.value()
    }

    /// Multiplies a product by `base^exponent`, or by zero for an exponent above the table's.
    fn multiply(&self, exponent: u64, product: &mut Product) {
        let mut rest = exponent;
        for digit in &self.digits {
            if rest == 0 {
                return;
            }
            if rest & self.mask != 0 {
                let index = usize::try_from(rest & self.mask).unwrap_or(usize::MAX);
                product.multiply(digit.get(index).copied().unwrap_or_default());
            }
            rest >>= self.digit_bits;
        }
        if rest != 0 {
            product.multiply(Fr::ZERO);
        }
    }
}

/// A product to which the first factor costs no multiplication: most products here have one or two.
#[derive(Default)]
struct Product(Option<Fr>);

impl Product {
    fn multiply(&mut self, factor: Fr) {
        self.0 = Some(self.0.map_or(factor, |product| product * factor));
    }

    fn value(self) -> Fr {
        self.0.unwrap_or(Fr::ONE)
    }
}

/// Powers of challenges, of both signs.
pub struct ChallengePowers {
    /// Of each challenge and of its inverse.
    tables: Vec<[PowerTable; 2]>,
}

impl ChallengePowers {
    /// Tables for all of these monomials. Challenges are never zero but with probability 1/r; negative powers of zero
    /// count as zero.
    pub fn new<'a>(challenges: &[Fr], monomials: impl Iterator<Item = &'a Monomial>) -> Self {
        // Largest exponent, and how many there are, by challenge and sign.
        let mut demand = alloc::vec![[(0u64, 0usize); 2]; challenges.len()];
        for (challenge, exponent) in monomials.flat_map(|monomial| &monomial.0) {
            if let Some((max, uses)) = place(&mut demand, *challenge, *exponent) {
                *max = (*max).max(exponent.unsigned_abs());
                *uses = uses.saturating_add(1);
            }
        }
        let mut inverses = challenges.to_vec();
        if demand.iter().any(|[_, (max, _)]| *max > 0) {
            batch_inversion(&mut inverses);
        }
        let bases = challenges.iter().zip(inverses).map(|(challenge, inverse)| [*challenge, inverse]);
        let tables = bases.zip(demand).map(|([base, inverse], [above, below])| {
            [PowerTable::new(base, above.0, above.1), PowerTable::new(inverse, below.0, below.1)]
        });
        Self { tables: tables.collect() }
    }

    /// The value of one of the monomials that the tables were made for. A challenge that is not there (a validated
    /// circuit names none) counts as zero.
    pub fn monomial(&self, monomial: &Monomial) -> Fr {
        let mut product = Product::default();
        for (Challenge(index), exponent) in &monomial.0 {
            match usize::try_from(*index).ok().and_then(|index| self.tables.get(index)) {
                Some([_, below]) if *exponent < 0 => below.multiply(exponent.unsigned_abs(), &mut product),
                Some([above, _]) => above.multiply(exponent.unsigned_abs(), &mut product),
                None => product.multiply(Fr::ZERO),
            }
        }
        product.value()
    }
}

fn place<T>(by_challenge: &mut [[T; 2]], Challenge(index): Challenge, exponent: i64) -> Option<&mut T> {
    let [above, below] = by_challenge.get_mut(usize::try_from(index).ok()?)?;
    Some(if exponent < 0 { below } else { above })
}

#[cfg(test)]
mod tests {
    use std::vec;

    use ark_ff::Field;

    use super::*;

    #[test]
    fn tables_give_every_power_up_to_their_largest() {
        let base = Fr::from(3);
        for exponent_max in [0, 1, 15, 16, 255, 256, 1 << 20, u64::MAX] {
            for uses in [1, 1000] {
                let table = PowerTable::new(base, exponent_max, uses);
                for exponent in [0, 1, 2, 15, 16, 17, exponent_max / 3, exponent_max] {
                    if exponent <= exponent_max {
                        assert_eq!(
                            table.power(exponent),
                            base.pow([exponent]),
                            "{exponent} of {exponent_max}"
                        );
                    }
                }
            }
        }
        assert_eq!(PowerTable::new(base, 3, 1).power(1 << 10), Fr::ZERO);
    }

    #[test]
    fn monomials_agree_with_their_definition() {
        let challenges = [Fr::from(2), Fr::from(3), Fr::ZERO];
        let monomial = |powers: &[(u32, i64)]| {
            Monomial(powers.iter().map(|(challenge, exponent)| (Challenge(*challenge), *exponent)).collect())
        };
        let monomials = vec![
            monomial(&[]),
            monomial(&[(0, 3), (1, 2)]),
            monomial(&[(0, -3), (1, 1 << 33)]),
            monomial(&[(0, -1), (0, 1)]),
            monomial(&[(1, i64::MIN)]),
            monomial(&[(2, 1)]),
            monomial(&[(2, -1)]),
            monomial(&[(2, 0)]),
            monomial(&[(3, 1)]),
        ];
        for many in [1, 600] {
            let repeated = (0..many).flat_map(|_| &monomials);
            let powers = ChallengePowers::new(&challenges, repeated);
            for monomial in &monomials {
                assert_eq!(powers.monomial(monomial), monomial.evaluate(&challenges), "{monomial:?}");
            }
        }
    }
}
