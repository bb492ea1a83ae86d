//! Selectors as fixed columns: one each, or several that never meet on a row in one column.
//!
//! A column that holds the number of the selector that is on (or zero) replaces s selectors by polynomials of degree s in it.
//! Where every commitment costs a verifier dearly that is worth its degree.

use std::collections::{HashMap, HashSet};

use ark_bn254::Fr;
use ark_ff::{Field, One};
use kiln_plonk::expression::{Column, Expression};

/// Selectors by the rows on which they are on, each in a column.
#[derive(Debug)]
pub(crate) struct Selectors {
    /// The selectors of each column, numbered from one.
    groups: Vec<Vec<Vec<u32>>>,
    /// Column and number of each.
    places: HashMap<Vec<u32>, (usize, usize)>,
}

impl Selectors {
    /// Puts selectors that never meet into one column, each with at most so many as it bears, itself included; equal ones are
    /// one.
    pub fn new<'a>(all: impl Iterator<Item = (&'a Vec<u32>, usize)>) -> Self {
        // Equal ones bear as many as the one that bears fewest. Those that bear fewest find a column first.
        let mut bears: Vec<(&Vec<u32>, usize)> = Vec::new();
        let mut known: HashMap<&Vec<u32>, usize> = HashMap::new();
        for (rows, most) in all {
            let index = *known.entry(rows).or_insert(bears.len());
            match bears.get_mut(index) {
                Some((_, least)) => *least = most.min(*least),
                None => bears.push((rows, most)),
            }
        }
        bears.sort_by_key(|(_, most)| *most);
        let mut selectors = Self { groups: Vec::new(), places: HashMap::new() };
        let mut taken: Vec<(HashSet<u32>, usize)> = Vec::new();
        for (rows, most) in bears {
            let fits = |group: usize| {
                let (rows_taken, least) = &taken[group];
                selectors.groups[group].len() < most.min(*least)
                    && rows.iter().all(|row| !rows_taken.contains(row))
            };
            let group = (0..taken.len()).find(|group| fits(*group)).unwrap_or_else(|| {
                selectors.groups.push(Vec::new());
                taken.push((HashSet::new(), most));
                taken.len() - 1
            });
            taken[group].0.extend(rows);
            selectors.groups[group].push(rows.clone());
            selectors.places.insert(rows.clone(), (group, selectors.groups[group].len()));
        }
        selectors
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.groups.len()
    }

    /// The values of a column.
    pub fn values(&self, column: usize, rows: usize) -> Vec<i32> {
        let mut values = vec![0; rows];
        for (number, selected) in (1..).zip(&self.groups[column]) {
            for row in selected {
                values[*row as usize] = number;
            }
        }
        values
    }

    /// The polynomial that is one where the selector is on and zero elsewhere; `columns` are the fixed columns.
    pub fn expression(&self, rows: &Vec<u32>, columns: &[Column]) -> Option<Expression> {
        let (group, number) = *self.places.get(rows)?;
        let column = columns.get(group)?.here();
        let others = (0..=self.groups[group].len()).filter(|other| *other != number);
        let mut scale = Fr::one();
        let mut factors = Vec::new();
        for other in others {
            scale *= Fr::from(number as i64) - Fr::from(other as i64);
            factors.push(match other {
                0 => column.clone(),
                _ => column.clone() + Expression::integer(-(other as i64)),
            });
        }
        if !scale.is_one() {
            factors.insert(0, Expression::Constant(scale.inverse()?));
        }
        Some(match factors.len() {
            1 => column,
            _ => Expression::Product(factors),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_is_one_on_its_rows_and_zero_elsewhere() {
        let rows = [vec![0, 1], vec![2], vec![1, 3], vec![4, 5], vec![2], vec![0, 7], vec![]];
        for most in 1..=4 {
            let selectors = Selectors::new(rows.iter().map(|rows| (rows, most)));
            let values: Vec<_> = (0..selectors.columns()).map(|column| selectors.values(column, 8)).collect();
            let columns: Vec<_> = (0..values.len() as u32).map(Column::Fixed).collect();
            for selected in &rows {
                let expression = selectors.expression(selected, &columns).unwrap();
                assert!(expression.degree() as usize <= most);
                for row in 0..8u32 {
                    let mut query = |column, _| match column {
                        Column::Fixed(column) => Fr::from(values[column as usize][row as usize]),
                        _ => Fr::one(),
                    };
                    let expected = Fr::from(u64::from(selected.contains(&row)));
                    assert_eq!(expression.evaluate(&[], &mut query), expected, "{selected:?}, row {row}");
                }
            }
        }
    }

    #[test]
    fn selectors_that_meet_are_apart() {
        let rows = [vec![0, 1], vec![1, 2], vec![2, 3]];
        let columns = |most: usize| Selectors::new(rows.iter().map(|rows| (rows, most))).columns();
        assert_eq!((columns(8), columns(1)), (2, 3));
    }

    #[test]
    fn a_selector_that_bears_few_others_keeps_them_out() {
        let rows = [vec![0], vec![1], vec![2], vec![3]];
        let columns = |bears: [usize; 4]| Selectors::new(rows.iter().zip(bears)).columns();
        assert_eq!((columns([4; 4]), columns([4, 1, 4, 4]), columns([4, 2, 4, 2])), (1, 2, 2));
        let twice = rows.iter().chain([&rows[0]]).zip([3, 3, 3, 3, 1]);
        assert_eq!(Selectors::new(twice).columns(), 2, "equal ones bear what the poorest does");
    }
}
