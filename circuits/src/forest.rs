//! Ensembles of decision trees, completed: every tree is made as deep as the deepest, so that the number of trees and the
//! depth are all that a shape tells.
//!
//! The nodes of all trees lie level by level, and within a level tree by tree last. The children of node `j` of a level of
//! `w` nodes are `j` (taken when the feature is at most the threshold) and `j + w` of the next level: a node's path is read
//! off its number, and a level is two copies of the level before it.

use crate::onnx::TENSOR_ELEMENTS_MAX;

/// A comparison of a feature with a threshold.
#[derive(Clone, Copy, PartialEq)]
pub struct Split {
    /// Index of the feature in the record.
    pub feature: u32,
    /// What it is compared with.
    pub threshold: f32,
    /// Whether child `j` is taken when the feature is less than the threshold, rather than at most.
    pub strict: bool,
}

impl Split {
    /// Whether child `j` is taken.
    pub fn holds(&self, record: &[f32]) -> bool {
        let x = record.get(self.feature as usize).copied().unwrap_or(0.0);
        if self.strict { x < self.threshold } else { x <= self.threshold }
    }
}

/// Complete trees of one depth. Its contents are the model's secret.
#[derive(Clone, PartialEq)]
pub struct Forest {
    /// Number of trees.
    pub trees: usize,
    /// Comparisons from root to leaf, at least 1.
    pub depth: u32,
    /// Length of a record.
    pub features: usize,
    /// Length of the output.
    pub outputs: usize,
    /// `(2^depth − 1)·trees` comparisons; node `j` of level `d` of tree `t` is `(2^d − 1 + j)·trees + t`. None: child `j` is taken.
    pub splits: Vec<Option<Split>>,
    /// `outputs·2^depth·trees` values; leaf `j` of tree `t` gives output `o` the value `(o·2^depth + j)·trees + t`.
    pub leaves: Vec<f32>,
    /// What each output begins with.
    pub base: Vec<f32>,
}

impl std::fmt::Debug for Forest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trees, depth, features, outputs, .. } = self;
        write!(f, "Forest({trees} trees of depth {depth}, {features} features, {outputs} outputs, not shown)")
    }
}

impl Forest {
    /// A forest in which every leaf gives 0, or `None` if it is of no use (no tree, no comparison, no output) or too large.
    pub fn new(trees: usize, depth: u32, features: usize, outputs: usize) -> Option<Self> {
        let leaves = 1usize.checked_shl(depth)?.checked_mul(trees)?;
        let largest = leaves.checked_mul(features.max(outputs))?;
        if trees == 0 || depth == 0 || features == 0 || outputs == 0 || largest > TENSOR_ELEMENTS_MAX / 8 {
            return None;
        }
        Some(Self {
            trees,
            depth,
            features,
            outputs,
            splits: vec![None; leaves.saturating_sub(trees)],
            leaves: vec![0.0; leaves.saturating_mul(outputs)],
            base: vec![0.0; outputs],
        })
    }

    /// Leaves of one tree.
    pub fn leaf_count(&self) -> usize {
        1 << self.depth
    }

    /// The position in `splits` of node `j` of level `level` of tree `tree`.
    pub fn split_index(&self, level: u32, j: usize, tree: usize) -> usize {
        ((1 << level) - 1 + j) * self.trees + tree
    }

    /// The position in `leaves` of output `output` of leaf `j` of tree `tree`.
    pub fn leaf_index(&self, output: usize, j: usize, tree: usize) -> usize {
        (output * self.leaf_count() + j) * self.trees + tree
    }

    /// The leaf that a record reaches in a tree.
    pub fn leaf_of(&self, record: &[f32], tree: usize) -> usize {
        (0..self.depth).fold(0, |j, level| {
            let split = self.splits[self.split_index(level, j, tree)];
            if split.is_none_or(|split| split.holds(record)) { j } else { j + (1 << level) }
        })
    }

    /// The outputs for a record: for each, what it begins with and the values of the leaves reached, summed up in double precision.
    pub fn run(&self, record: &[f32]) -> Vec<f32> {
        let mut sums: Vec<f64> = self.base.iter().map(|base| f64::from(*base)).collect();
        for tree in 0..self.trees {
            let leaf = self.leaf_of(record, tree);
            for (output, sum) in sums.iter_mut().enumerate() {
                *sum += f64::from(self.leaves[self.leaf_index(output, leaf, tree)]);
            }
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    /// The smallest and largest value that the trees together can give each output, each leaf's value through `value`.
    pub fn reach<T>(&self, value: impl Fn(f32) -> T) -> Vec<(T, T)>
    where
        T: Copy + PartialOrd + std::ops::Add<Output = T>,
    {
        let of_tree = |output: usize, tree: usize| {
            let first = value(self.leaves[self.leaf_index(output, 0, tree)]);
            (1..self.leaf_count()).fold((first, first), |(lo, hi), leaf| {
                let v = value(self.leaves[self.leaf_index(output, leaf, tree)]);
                (if v < lo { v } else { lo }, if v > hi { v } else { hi })
            })
        };
        let add = |a: (T, T), b: (T, T)| (a.0 + b.0, a.1 + b.1);
        let of_output = |output: usize| {
            let base = value(self.base[output]);
            (0..self.trees).fold((base, base), |sum, tree| add(sum, of_tree(output, tree)))
        };
        (0..self.outputs).map(of_output).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_off_node_numbers() {
        let mut forest = Forest::new(2, 2, 3, 1).unwrap();
        let split = |feature, threshold| Some(Split { feature, threshold, strict: false });
        // Tree 1: feature 0 at the root; below its second child, feature 2.
        let (root, below) = (forest.split_index(0, 0, 1), forest.split_index(1, 1, 1));
        (forest.splits[root], forest.splits[below]) = (split(0, 0.5), split(2, -1.0));
        let leaves = [[0.5, 0.0], [0.5, 0.0 + 1.0], [0.6, -1.0], [0.6, -0.9]];
        let reached = leaves.map(|[a, c]| forest.leaf_of(&[a, 9.0, c], 1));
        assert_eq!(reached, [0, 0, 1, 3]);
        assert_eq!(forest.leaf_of(&[7.0; 3], 0), 0, "a tree without comparisons");
    }

    #[test]
    fn useless_and_huge_forests_are_refused() {
        for (trees, depth, features, outputs) in
            [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0), (1, 64, 1, 1), (1 << 20, 10, 1, 1)]
        {
            assert!(Forest::new(trees, depth, features, outputs).is_none(), "{trees} {depth}");
        }
    }
}
