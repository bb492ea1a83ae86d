//! From a tree as the file has it to places in a completed forest of inequalities.
//!
//! `x = v` is `x ≤ v` and not `x < v`; whether `x` is one of `v₁ < v₂ < …` is asked of one after the other, going on where `x > vᵢ`. The
//! child for no then comes several times. So a value takes two levels, each further one a level more. Where records are
//! rounded, `x` is equal to what it is rounded to the same integer with.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use super::super::Problem;
use super::{Branch, Tree};
use crate::forest::{Forest, Split};

/// Most nodes of a tree whose comparisons for equality are taken apart.
const APART_MAX: usize = 1 << 16;

/// What stands at a place.
enum Visited {
    Leaf(i64),
    Split(Split),
}

/// What is still to be placed.
enum Open<'a> {
    Node(i64),
    /// Whether a feature is one of some values.
    Among(u32, &'a [f32], [i64; 2]),
    /// Whether a feature that is at most a value is that value.
    Equal(u32, f32, [i64; 2]),
}

/// The comparison with the first value, and what follows it.
fn with_first<'a>(
    feature: u32,
    values: &'a [f32],
    children: [i64; 2],
) -> Result<(Split, [Open<'a>; 2]), Problem> {
    let (value, rest) =
        values.split_first().ok_or_else(|| Problem::malformed("a comparison with no value"))?;
    let [_, no] = children;
    let above = if rest.is_empty() { Open::Node(no) } else { Open::Among(feature, rest, children) };
    let split = Split { feature, threshold: *value, strict: false };
    Ok((split, [Open::Equal(feature, *value, children), above]))
}

impl Tree {
    /// Every node with its level and its number in it, from the root on.
    fn walk(&self, mut visit: impl FnMut(Visited, u32, usize)) -> Result<(), Problem> {
        let apart = self.nodes.values().any(|node| matches!(node, Branch::Among(..)));
        let (mut left, reason) = match apart {
            true => (APART_MAX, "comparisons for equality that take more than 65536 nodes apart"),
            false => (self.nodes.len(), "a node has two parents"),
        };
        let mut open = vec![(Open::Node(self.root), 0u32, 0usize)];
        while let Some((next, level, j)) = open.pop() {
            left = left.checked_sub(1).ok_or_else(|| match apart {
                true => Problem::unsupported(reason),
                false => Problem::malformed(reason),
            })?;
            let (split, [at_most, above]) = match next {
                Open::Node(id) => match self.nodes.get(&id) {
                    Some(Branch::Leaf) => {
                        visit(Visited::Leaf(id), level, j);
                        continue;
                    }
                    Some(Branch::Split(split, children)) => (*split, children.map(Open::Node)),
                    Some(Branch::Among(feature, values, children)) => {
                        with_first(*feature, values, *children)?
                    }
                    None => return Err(Problem::malformed(format!("a tree has no node {id}"))),
                },
                Open::Among(feature, values, children) => with_first(feature, values, children)?,
                Open::Equal(feature, threshold, [yes, no]) => {
                    (Split { feature, threshold, strict: true }, [no, yes].map(Open::Node))
                }
            };
            visit(Visited::Split(split), level, j);
            let deep = || Problem::unsupported("a tree of more than 24 levels; train with a smaller depth");
            let width = 1usize.checked_shl(level).filter(|_| level < 24).ok_or_else(deep)?;
            open.push((at_most, level.saturating_add(1), j));
            open.push((above, level.saturating_add(1), j.saturating_add(width)));
        }
        Ok(())
    }

    pub(super) fn depth(&self) -> Result<u32, Problem> {
        let mut depth = 0;
        self.walk(|_, level, _| depth = depth.max(level))?;
        Ok(depth)
    }

    /// Writes the tree into a forest that is at least as deep.
    pub(super) fn place<'v>(
        &self,
        tree: usize,
        forest: &mut Forest,
        values: impl Fn(i64) -> &'v [(usize, f32)],
    ) -> Result<(), Problem> {
        self.walk(|visited, level, j| match visited {
            Visited::Split(split) => {
                let index = forest.split_index(level, j, tree);
                if let Some(place) = forest.splits.get_mut(index) {
                    *place = Some(split);
                }
            }
            // Below it only first children are taken, and these keep its number.
            Visited::Leaf(id) => {
                for (output, value) in values(id) {
                    let index = forest.leaf_index(*output, j, tree);
                    if let Some(place) = forest.leaves.get_mut(index) {
                        *place += value;
                    }
                }
            }
        })
    }
}
