//! The points of the opening and the polynomials that vanish on them.

use alloc::vec::Vec;

use ark_bn254::Fr;
use ark_ff::{Zero, batch_inversion};

use crate::linearisation::rotated;
use crate::plan::Plan;

/// The points `ζ·ω^rotation` of all point sets of a plan.
pub struct OpeningPoints {
    /// All points that occur: T.
    all: Vec<Fr>,
    /// The points of each set: S_i.
    sets: Vec<Vec<Fr>>,
    /// For each point of each set, the inverse of the product of its differences from the others; zero if it is among them.
    weights: Vec<Vec<Fr>>,
}

impl OpeningPoints {
    /// Works the points out. Rotations of one plan name distinct rows, so the points of a set are distinct.
    pub fn new(plan: &Plan, zeta: Fr) -> Self {
        let mut rotations: Vec<i32> =
            plan.point_sets.iter().flat_map(|set| set.rotations.iter().copied()).collect();
        rotations.sort_unstable();
        rotations.dedup();
        let all: Vec<Fr> = rotations.iter().map(|rotation| rotated(plan, zeta, *rotation)).collect();
        let point = |rotation: &i32| {
            let index = rotations.binary_search(rotation).ok();
            index.and_then(|index| all.get(index)).copied().unwrap_or_default()
        };
        let sets: Vec<Vec<Fr>> =
            plan.point_sets.iter().map(|set| set.rotations.iter().map(point).collect()).collect();
        // One inversion for all sets.
        let mut inverses: Vec<Fr> =
            sets.iter().flat_map(|set| set.iter().enumerate().map(|(i, p)| without(set, i, *p))).collect();
        batch_inversion(&mut inverses);
        let mut inverses = inverses.into_iter();
        let weights = sets.iter().map(|set| inverses.by_ref().take(set.len()).collect()).collect();
        Self { all, sets, weights }
    }

    /// The points of a set.
    pub fn set(&self, set: usize) -> &[Fr] {
        self.sets.get(set).map_or(&[], Vec::as_slice)
    }

    /// `Z_T(u)`
    pub fn all_at(&self, u: Fr) -> Fr {
        self.all.iter().map(|point| u - point).product()
    }

    /// `Z_{T∖S}(u)` of a set S.
    pub fn others_at(&self, set: usize, u: Fr) -> Fr {
        let mine = self.set(set);
        self.all.iter().filter(|point| !mine.contains(point)).map(|point| u - point).product()
    }

    /// The Lagrange polynomials of a set at u; `None` if two of its points coincide.
    pub fn lagrange_at(&self, set: usize, u: Fr) -> Option<Vec<Fr>> {
        let points = self.set(set);
        let basis = |(i, weight): (usize, &Fr)| (!weight.is_zero()).then(|| without(points, i, u) * weight);
        self.weights.get(set)?.iter().enumerate().map(basis).collect()
    }
}

/// `Π_{j ≠ i} (x − p_j)`
fn without(points: &[Fr], i: usize, x: Fr) -> Fr {
    points.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, point)| x - point).product()
}
