//! The points of the opening and the polynomials that vanish on them.

use alloc::vec::Vec;

use ark_bn254::Fr;
use ark_ff::{Field, One};

use crate::linearisation::rotated;
use crate::plan::Plan;

/// The points `ζ·ω^rotation` of all point sets of a plan.
pub struct OpeningPoints {
    /// All points that occur: T.
    all: Vec<Fr>,
    /// The points of each set: S_i.
    sets: Vec<Vec<Fr>>,
}

impl OpeningPoints {
    /// Works the points out. Rotations of one plan name distinct rows, so the points of a set are distinct.
    pub fn new(plan: &Plan, zeta: Fr) -> Self {
        let mut rotations: Vec<i32> =
            plan.point_sets.iter().flat_map(|set| set.rotations.iter().copied()).collect();
        rotations.sort_unstable();
        rotations.dedup();
        let points =
            |rotations: &[i32]| rotations.iter().map(|rotation| rotated(plan, zeta, *rotation)).collect();
        Self {
            all: points(&rotations),
            sets: plan.point_sets.iter().map(|set| points(&set.rotations)).collect(),
        }
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
        let basis = |(i, mine): (usize, &Fr)| {
            let (mut top, mut bottom) = (Fr::one(), Fr::one());
            for (j, point) in points.iter().enumerate() {
                if j != i {
                    top *= u - point;
                    bottom *= *mine - point;
                }
            }
            Some(top * bottom.inverse()?)
        };
        points.iter().enumerate().map(basis).collect()
    }
}
