//! Once for each model: the committed weights are small integers.
//!
//! Proofs of inference read weight columns linearly and reveal nothing of them, so they cannot say that a hidden weight is an
//! integer of a few bits and not some other element of the field. This circuit says it, of every cell of a committed group
//! at once: `w = Σ_i 2^(bits·i)·limb_i − 2^(limbs·bits − 1)` with every limb in a range table. So
//! `−2^(limbs·bits − 1) ≤ w < 2^(limbs·bits − 1)`, and sums of products with 8-bit activations stay far below the field's
//! modulus: what holds in the field holds of integers. The commitment is the one that every proof of the model names.

use ark_bn254::Fr;
use kiln_plonk::circuit::{AdviceColumn, Circuit, CommittedGroup, Gate, Lookup, Table};
use kiln_plonk::expression::{Column, Expression};
use kiln_plonk::{ColumnValues, Witness, WitnessError};
use zeroize::Zeroize;

/// Weights take at most this many bits, sign included, rounded up to whole limbs.
const BITS_MIN: u32 = 30;
/// Bits of a limb: the range table has no more entries than that, and never needs a second segment.
const LIMB_BITS_MAX: u32 = 12;
/// The circuit's degree: a lookup helper carries four limbs.
const DEGREE: u32 = 5;

/// The circuit that says so.
pub struct WeightRange {
    /// The circuit; it has one committed group and no public input.
    pub circuit: Circuit,
    /// Values of its fixed columns.
    pub fixed: Vec<ColumnValues>,
    limb_bits: u32,
    limbs: u32,
}

/// A weight that is no small integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of weight column {column} is not an integer of {bits} bits; compile the model again")]
pub struct OutOfRange {
    /// Which column.
    pub column: usize,
    /// Which row.
    pub row: usize,
    /// How many bits it may take, sign included.
    pub bits: u32,
}

impl WeightRange {
    /// The circuit for a group of this name with so many columns of `2^k` rows.
    pub fn new(k: u32, group: &str, columns: u32) -> Self {
        let limb_bits = k.clamp(1, LIMB_BITS_MAX);
        let limbs = BITS_MIN.div_ceil(limb_bits);
        let mut circuit = Circuit {
            k,
            degree: DEGREE,
            fixed: vec!["range".to_owned()],
            committed: vec![CommittedGroup { name: group.to_owned(), columns }],
            meaning: format!(
                "every cell of {group:?} is an integer of {} bits, sign included",
                limbs * limb_bits
            ),
            ..Circuit::default()
        };
        circuit.tables.push(Table { name: "range".to_owned(), segments: vec![vec![Column::Fixed(0)]] });
        for column in 0..columns {
            add_column(&mut circuit, column, limbs, limb_bits);
        }
        // Rows beyond the table's end repeat zero.
        let range = (0..1i32 << k).map(|row| if row < 1 << limb_bits { row } else { 0 }).collect();
        Self { circuit, fixed: vec![ColumnValues::small(range)], limb_bits, limbs }
    }

    /// The limbs of a group's values.
    ///
    /// # Errors
    /// [`OutOfRange`] naming the first cell that is no such integer.
    pub fn witness(&self, values: &[ColumnValues]) -> Result<LimbColumns, OutOfRange> {
        let mut limbs = LimbColumns { columns: Vec::new() };
        for (index, column) in values.iter().enumerate() {
            let mut parts = vec![Vec::with_capacity(column.len()); self.limbs as usize];
            for row in 0..column.len() {
                let out_of_range = OutOfRange { column: index, row, bits: self.bits() };
                let value = small(column, row).ok_or(out_of_range)?;
                let shifted = value.checked_add(1 << (self.bits() - 1)).ok_or(out_of_range)?;
                let mut rest = u64::try_from(shifted).map_err(|_| out_of_range)?;
                for part in &mut parts {
                    part.push((rest & ((1 << self.limb_bits) - 1)) as i32);
                    rest >>= self.limb_bits;
                }
                if rest != 0 {
                    return Err(out_of_range);
                }
            }
            limbs.columns.extend(parts);
        }
        Ok(limbs)
    }

    /// How many bits a weight may take, sign included.
    pub fn bits(&self) -> u32 {
        self.limb_bits * self.limbs
    }
}

fn add_column(circuit: &mut Circuit, column: u32, limbs: u32, limb_bits: u32) {
    let mut sum = vec![Expression::Constant(-Fr::from(1u64 << (limbs * limb_bits - 1)))];
    for limb in 0..limbs {
        let name = format!("w{column}.limb{limb}");
        let cell = Column::Advice(column * limbs + limb).here();
        sum.push(Expression::Constant(Fr::from(1u64 << (limb * limb_bits))) * cell.clone());
        circuit.lookups.push(Lookup { name: name.clone(), inputs: vec![cell], table: 0 });
        circuit.advice.push(AdviceColumn { name, phase: 0, linear: false });
    }
    let expression = Column::Committed(column).here() - Expression::Sum(sum);
    circuit.gates.push(Gate { name: format!("limbs of w{column}"), expression });
}

/// A cell as an integer, if it is a small one.
fn small(column: &ColumnValues, row: usize) -> Option<i64> {
    match column {
        ColumnValues::Small(values) => values.get(row).map(|value| i64::from(*value)),
        ColumnValues::Full(_) => None,
    }
}

/// The witness: limbs of secret weights, wiped when dropped.
pub struct LimbColumns {
    columns: Vec<Vec<i32>>,
}

impl Witness for LimbColumns {
    fn phase(&self, _: u8, _: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        Ok(self.columns.iter().cloned().map(ColumnValues::small).collect())
    }
}

impl Drop for LimbColumns {
    fn drop(&mut self) {
        self.columns.iter_mut().for_each(Zeroize::zeroize);
    }
}

#[cfg(test)]
mod tests {
    use ark_ff::Field;
    use kiln_kernels::{Engine, cpu};
    use kiln_plonk::{Randomness, Silent, Srs, Statement, commit_group, keygen, mock, prove, verify};

    use super::*;

    fn failures(range: &WeightRange, group: &[ColumnValues], limbs: &LimbColumns) -> Vec<String> {
        let found = mock(&range.circuit, &range.fixed, &[group.to_vec()], &[], limbs).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    fn edges(range: &WeightRange) -> Vec<i32> {
        let limit = 1i64 << (range.bits() - 1).min(31);
        let mut values = vec![0, 1, -1, 127, -128, (limit - 1) as i32, (-limit) as i32];
        values.resize(range.circuit.rows(), 5);
        values
    }

    #[test]
    fn weights_at_the_edges_of_the_range_are_shown_to_be_in_it() {
        for k in [3, 5, 10] {
            let range = WeightRange::new(k, "model", 2);
            let rows = range.circuit.rows();
            let group = [ColumnValues::small(edges(&range)), ColumnValues::small(vec![-7; rows])];
            let limbs = range.witness(&group).unwrap();
            assert_eq!(failures(&range, &group, &limbs), Vec::<String>::new(), "k = {k}");
        }
    }

    #[test]
    fn a_weight_that_is_no_small_integer_is_refused() {
        let range = WeightRange::new(4, "model", 1);
        let half = Fr::from(2u64).inverse().unwrap();
        let group = [ColumnValues::full(vec![half; 16])];
        assert_eq!(range.witness(&group).err(), Some(OutOfRange { column: 0, row: 0, bits: 32 }));
    }

    #[test]
    fn a_cheating_prover_cannot_pass_another_weight_or_a_long_limb() {
        let range = WeightRange::new(4, "model", 1);
        let honest = [ColumnValues::small((0..16).collect())];
        let limbs = range.witness(&honest).unwrap();
        let other = [ColumnValues::small((1..17).collect())];
        assert!(failures(&range, &other, &limbs).iter().any(|failure| failure.contains("limbs of w0")));
        let mut long = range.witness(&honest).unwrap();
        // 16 + 0·16 = 0 + 1·16: the sum is right, the limb is not in the table.
        let (low, high) = (0, 1);
        long.columns[low][0] += 16;
        long.columns[high][0] -= 1;
        let caught = failures(&range, &honest, &long);
        assert!(caught.iter().all(|failure| !failure.contains("limbs of w0")), "{caught:?}");
        assert!(caught.iter().any(|failure| failure.contains("w0.limb0")), "{caught:?}");
    }

    #[test]
    fn one_proof_serves_the_commitment_that_inference_names() {
        let engine = Engine::new(vec![cpu::device()]).unwrap();
        let srs = Srs::insecure_local(5, [3; 32]).unwrap();
        let range = WeightRange::new(5, "model", 2);
        let (key, vk) = keygen(&engine, &srs, range.circuit.clone(), range.fixed.clone()).unwrap();
        let group: Vec<_> = [3, -9].map(|value| ColumnValues::small(vec![value; 32])).to_vec();
        let limbs = range.witness(&group).unwrap();
        let mut seeded = Randomness::insecure_from_seed([1; 32]);
        let (secret, public) = commit_group(&engine, &srs, 5, "model", group, true, &mut seeded).unwrap();
        let statement = Statement { public_inputs: Vec::new(), committed: vec![public] };
        let (proof, _) = prove(&engine, &key, &srs, &statement, &[secret], &limbs, seeded, &Silent).unwrap();
        verify(&vk, &statement, &proof).unwrap();
        let mut other = statement.clone();
        other.committed[0].commitments.swap(0, 1);
        assert!(verify(&vk, &other, &proof).is_err());
    }
}
