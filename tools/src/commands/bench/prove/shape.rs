//! The statement that both provers show: sixteen columns of dot products with ranges and copies.

use ark_std::rand::rngs::StdRng;
use ark_std::rand::{Rng, SeedableRng};

/// Groups of four columns a, b, c, d with a·b + c = d.
pub const GROUPS: usize = 4;

/// Advice columns: a, b, c, d of each group.
pub const COLUMNS: usize = 4 * GROUPS;

/// Every a and b is below 2^this, by a lookup.
pub const RANGE_BITS: u32 = 8;

/// Rows at the end that no gate binds: halo2 keeps some of its own for blinding.
pub const IDLE_ROWS: usize = 32;

/// A column of a group.
#[derive(Clone, Copy)]
pub enum Part {
    A,
    B,
    C,
    D,
}

/// Where a column of a group is.
pub fn column(group: usize, part: Part) -> usize {
    4 * group + part as usize
}

/// The columns whose values are looked up in the range table.
pub fn ranged() -> Vec<usize> {
    (0..GROUPS).flat_map(|group| [column(group, Part::A), column(group, Part::B)]).collect()
}

/// The copies of each row that a gate binds: `(column, column, rows on)`, the second cell that many rows further on. Each
/// group's d is the next group's c, and the last b is the next row's first a.
pub fn copies() -> Vec<(usize, usize, usize)> {
    let joined = |group: usize| (column(group, Part::D), column(group + 1, Part::C), 0);
    let mut copies: Vec<_> = (0..GROUPS - 1).map(joined).collect();
    copies.push((column(GROUPS - 1, Part::B), column(0, Part::A), 1));
    copies
}

/// The columns that take part in copies.
pub fn copied() -> Vec<usize> {
    let mut columns: Vec<usize> = copies().iter().flat_map(|(from, to, _)| [*from, *to]).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// The values of all columns, 2^log_rows rows each: random a and b, as the copies have them, and what follows.
pub fn witness(log_rows: u32) -> Vec<Vec<i32>> {
    let rows = 1usize << log_rows;
    let mut rng = StdRng::seed_from_u64(1);
    let mut columns = vec![vec![0; rows]; COLUMNS];
    let mut last_b = 0;
    #[expect(clippy::needless_range_loop, reason = "rows of all columns, not of one")]
    for row in 0..rows - IDLE_ROWS {
        let mut sum = rng.gen_range(0..1 << RANGE_BITS);
        for group in 0..GROUPS {
            let mut draw = || rng.gen_range(0..1 << RANGE_BITS);
            let first = group == 0 && row > 0;
            let a = if first { last_b } else { draw() };
            let b = draw();
            let parts = [(Part::A, a), (Part::B, b), (Part::C, sum), (Part::D, a * b + sum)];
            for (part, value) in parts {
                columns[column(group, part)][row] = value;
            }
            sum += a * b;
            last_b = b;
        }
    }
    columns
}

/// The shape in words.
pub fn description() -> String {
    let (ranged, copied, copies) = (ranged().len(), copied().len(), copies().len());
    format!(
        "{COLUMNS} advice columns, {GROUPS} gates a·b + c = d under a selector, {ranged} lookups in a table of \
         {} values, {copied} columns with {copies} copies a row",
        1 << RANGE_BITS
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_witness_keeps_gates_ranges_and_copies() {
        let columns = witness(8);
        let bound = (1 << 8) - IDLE_ROWS;
        for row in 0..bound {
            for group in 0..GROUPS {
                let [a, b, c, d] =
                    [Part::A, Part::B, Part::C, Part::D].map(|p| columns[column(group, p)][row]);
                assert_eq!(a * b + c, d);
            }
            for (from, to, on) in copies() {
                assert!(row + on >= bound || columns[from][row] == columns[to][row + on]);
            }
            assert!(ranged().iter().all(|column| (0..1 << RANGE_BITS).contains(&columns[*column][row])));
        }
        assert!(columns.iter().all(|column| column[bound..].iter().all(|value| *value == 0)));
    }
}
