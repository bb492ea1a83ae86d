//! The permutation behind the copy constraints: cells that must be equal form cycles.

use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ff::One;

use crate::circuit::{Cell, Circuit};
use crate::domain::{coset_shift, root_of_unity};
use crate::expression::Column;
use crate::witness::ColumnValues;

/// The columns σ, one per copy column: the name κ_i·ω^j of the next cell in the cycle. A copy joins the cycles of its two
/// cells by swapping their successors, if they are not in one cycle already.
pub(crate) fn sigma_columns(circuit: &Circuit) -> Vec<ColumnValues> {
    let rows = circuit.rows();
    let places: HashMap<Column, usize> =
        circuit.copy_columns.iter().enumerate().map(|(i, column)| (*column, i)).collect();
    let cell_index = |cell: &Cell| places.get(&cell.column).map(|place| place * rows + cell.row as usize);
    let mut successor: Vec<usize> = (0..circuit.copy_columns.len() * rows).collect();
    let mut classes = Classes::new(successor.len());
    for (a, b) in &circuit.copies {
        if let (Some(a), Some(b)) = (cell_index(a), cell_index(b))
            && classes.join(a, b)
        {
            successor.swap(a, b);
        }
    }
    let powers = row_names(circuit.k);
    let shifts: Vec<Fr> =
        (0..circuit.copy_columns.len()).map(|i| coset_shift(crate::plan::index(i))).collect();
    successor
        .chunks(rows)
        .map(|column| {
            let names = column.iter().map(|&next| shifts[next / rows] * powers[next % rows]).collect();
            ColumnValues::full(names)
        })
        .collect()
}

/// ω^j for all rows j.
fn row_names(k: u32) -> Vec<Fr> {
    let omega = root_of_unity(k);
    std::iter::successors(Some(Fr::one()), |name| Some(*name * omega)).take(1 << k).collect()
}

/// Union–find with path halving.
struct Classes {
    parent: Vec<usize>,
}

impl Classes {
    fn new(count: usize) -> Self {
        Self { parent: (0..count).collect() }
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.parent[i] != i {
            self.parent[i] = self.parent[self.parent[i]];
            i = self.parent[i];
        }
        i
    }

    /// True if the two were in different classes.
    fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a] = b;
        a != b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuit(copies: &[(u32, u32)]) -> Circuit {
        let cell = |i: u32| Cell { column: Column::Advice(i / 4), row: i % 4 };
        Circuit {
            k: 2,
            copy_columns: vec![Column::Advice(0), Column::Advice(1)],
            copies: copies.iter().map(|&(a, b)| (cell(a), cell(b))).collect(),
            ..Circuit::default()
        }
    }

    fn names(circuit: &Circuit) -> Vec<Fr> {
        sigma_columns(circuit).iter().flat_map(|column| (0..4).map(|row| column.get(row))).collect()
    }

    #[test]
    fn without_copies_every_cell_is_its_own_successor() {
        let identity = names(&circuit(&[]));
        let distinct: std::collections::HashSet<_> = identity.iter().collect();
        assert_eq!(distinct.len(), 8);
        assert_eq!(identity[0], Fr::one());
        assert_eq!(identity[5], coset_shift(1) * root_of_unity(2));
    }

    #[test]
    fn a_chain_of_copies_with_repeats_and_loops_makes_one_cycle() {
        let identity = names(&circuit(&[]));
        let sigma = names(&circuit(&[(0, 5), (5, 7), (7, 0), (0, 5), (2, 2)]));
        let mut at = 0;
        let mut cycle = Vec::new();
        loop {
            cycle.push(at);
            at = identity.iter().position(|name| *name == sigma[at]).unwrap();
            if at == 0 {
                break;
            }
        }
        cycle.sort_unstable();
        assert_eq!(cycle, [0, 5, 7]);
        for fixed in [1, 2, 3, 4, 6] {
            assert_eq!(sigma[fixed], identity[fixed]);
        }
    }
}
