//! Where every element of every tensor lies: rows × lanes.
//!
//! There are four row spaces: activations (columns `r`, `q`, `y`), weights (the model's columns), edges (`e`) and the
//! committed input (`x`). A tensor is a list of *lines*. A line longer than the lanes starts on a row of its own; shorter
//! ones share a row as long as they fit whole, so that rows look alike and few selectors tell them apart. Groups of lines
//! that a chain reads by itself (a channel, a column of a matrix) start on a new row, so that no two such chains meet.

use crate::graph::{IntGraph, Linear, Node, TensorId, View};

use super::monomial::{Exponents, Variable};

/// A cell of a row space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub row: u32,
    pub lane: u8,
}

/// The element order of a tensor and how it falls into lines.
pub(crate) struct Arrangement {
    /// Elements in the order in which they are laid down.
    pub order: Vec<u32>,
    /// Length of each line, and whether it starts a group.
    pub lines: Vec<(usize, bool)>,
}

impl Arrangement {
    /// `order` cut into groups of `group` elements and lines of `line` elements.
    pub(crate) fn regular(order: Vec<u32>, group: usize, line: usize) -> Self {
        let line = line.max(1);
        let lines =
            (0..order.len()).step_by(line).map(|at| (line.min(order.len() - at), at % group.max(1) == 0));
        Self { lines: lines.collect(), order }
    }
}

/// A tensor's place.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// First row within the row space.
    pub first_row: u32,
    /// Row count.
    pub rows: u32,
    /// Where each element lies.
    pub spots: Vec<Spot>,
    /// The challenge whose powers count this tensor's cells.
    pub variable: Variable,
    lanes: u32,
}

impl Placed {
    /// A monomial per element, all different: the variable to the number of the cell within the tensor.
    pub(crate) fn address(&self, element: usize) -> Exponents {
        let spot = self.spots[element];
        self.variable.power(i64::from((spot.row - self.first_row) * self.lanes) + i64::from(spot.lane))
    }
}

/// Lays tensors down one after the other.
pub(crate) struct Packer {
    lanes: usize,
    next_row: u32,
}

impl Packer {
    pub(crate) fn new(lanes: usize) -> Self {
        Self { lanes, next_row: 0 }
    }

    /// Rows in use so far.
    pub(crate) fn rows(&self) -> u32 {
        self.next_row
    }

    /// Places a tensor of `len` elements on new rows.
    pub(crate) fn place(&mut self, arrangement: &Arrangement, variable: Variable) -> Placed {
        let first_row = self.next_row;
        let mut spots = vec![Spot { row: first_row, lane: 0 }; arrangement.order.len()];
        let (mut row, mut lane, mut at) = (first_row, 0, 0);
        for &(len, starts_group) in &arrangement.lines {
            if lane > 0 && (starts_group || lane + len > self.lanes) {
                (row, lane) = (row + 1, 0);
            }
            for &element in &arrangement.order[at..at + len] {
                if lane == self.lanes {
                    (row, lane) = (row + 1, 0);
                }
                spots[element as usize] = Spot { row, lane: lane as u8 };
                lane += 1;
            }
            at += len;
        }
        self.next_row = row + u32::from(lane > 0);
        let rows = self.next_row - first_row;
        Placed { first_row, rows, spots, variable, lanes: self.lanes as u32 }
    }
}

/// Where each tensor of a graph lies in the activation space, and how many rows that takes.
pub(crate) fn place_activations(graph: &IntGraph, lanes: usize) -> (Vec<Placed>, u32) {
    let mut packer = Packer::new(lanes);
    let tensors = (0..graph.tensors.len()).map(|index| {
        let (arrangement, variable) = arrange_activation(graph, TensorId(index), lanes);
        packer.place(&arrangement, variable)
    });
    let tensors = tensors.collect();
    (tensors, packer.rows())
}

/// Row numbers lie one below the other; else the first reader that needs an order of its own decides; otherwise row-major.
fn arrange_activation(graph: &IntGraph, tensor: TensorId, lanes: usize) -> (Arrangement, Variable) {
    let reads = |view: &View| view.tensor == tensor;
    let numbers_rows = |node: &Node| matches!(&node.linear, Linear::Lookup { ids, .. } if reads(ids));
    if graph.nodes.iter().any(numbers_rows) {
        // One a row, so that one column of inverses does for all of them.
        let len: usize = graph.tensors[tensor.0].shape.iter().product();
        return (Arrangement::regular((0..len as u32).collect(), 1, 1), Variable::Delta);
    }
    for node in &graph.nodes {
        match &node.linear {
            Linear::Conv { input, .. } if reads(input) => return (by_channel(input), Variable::Gamma),
            Linear::MatMul { input, .. } if reads(input) && input.shape[0] > 1 => {
                return (by_matrix_column(input), Variable::Delta);
            }
            Linear::BatchMatMul { left, .. } if reads(left) && left.shape[1] > 1 => {
                return (by_batch_column(left), Variable::Delta);
            }
            Linear::BatchMatMul { right, .. } if reads(right) && right.shape[2] > 1 => {
                return (by_batch_row(right), Variable::Delta);
            }
            _ => {}
        }
    }
    let shape = &graph.tensors[tensor.0].shape;
    let len: usize = shape.iter().product();
    let line = shape.last().copied().unwrap_or(1);
    let order = (0..len as u32).collect();
    if shape.len() < 3 {
        return (Arrangement::regular(order, len, line), Variable::Delta);
    }
    let channel: usize = shape[1..].iter().product();
    let group = if channel >= lanes { channel } else { len };
    (Arrangement::regular(order, group, line), Variable::Gamma)
}

/// A (C,H,W) view: one group a channel, one line an image line.
fn by_channel(view: &View) -> Arrangement {
    let order = (0..view.len()).map(|e| view.element(e) as u32).collect();
    Arrangement::regular(order, view.shape[1] * view.shape[2], view.shape[2])
}

/// An (M,K) view: one group a column of the matrix.
fn by_matrix_column(view: &View) -> Arrangement {
    let (m, k) = (view.shape[0], view.shape[1]);
    let order = (0..k).flat_map(|column| (0..m).map(move |row| row * k + column));
    Arrangement::regular(order.map(|e| view.element(e) as u32).collect(), m, m)
}

/// A (B,M,K) view: one group a column of each matrix.
fn by_batch_column(view: &View) -> Arrangement {
    let (batches, m, k) = (view.shape[0], view.shape[1], view.shape[2]);
    let columns = (0..batches).flat_map(|b| (0..k).map(move |column| (b, column)));
    let order = columns.flat_map(|(b, column)| (0..m).map(move |row| (b * m + row) * k + column));
    Arrangement::regular(order.map(|e| view.element(e) as u32).collect(), m, m)
}

/// A (B,K,N) view: one group a row of each matrix.
fn by_batch_row(view: &View) -> Arrangement {
    let order = (0..view.len()).map(|e| view.element(e) as u32).collect();
    Arrangement::regular(order, view.shape[2], view.shape[2])
}

/// Where each weight lies in the model's columns, and how many rows that takes. The layout depends on the lanes and on
/// how weights are read, not on activations, so a model commitment outlives a change of the rest.
pub(crate) fn place_weights(graph: &IntGraph, lanes: usize) -> (Vec<Placed>, u32) {
    let mut packer = Packer::new(lanes);
    let weights = (0..graph.weights.len()).map(|index| {
        let arrangement = arrange_weight(graph, index, lanes);
        packer.place(&arrangement, Variable::Delta)
    });
    let weights = weights.collect();
    (weights, packer.rows())
}

fn arrange_weight(graph: &IntGraph, index: usize, lanes: usize) -> Arrangement {
    for node in &graph.nodes {
        match &node.linear {
            Linear::Conv { weight, geometry, .. } if weight.0 == index => {
                return super::linear::conv::arrange_kernel(&graph.weights[index].shape, geometry, lanes);
            }
            // Each row on circuit rows of its own, so that no two relays stand on one.
            Linear::Lookup { weight, .. } if weight.0 == index => {
                let (k, n) = (graph.weights[index].shape[0], graph.weights[index].shape[1]);
                return Arrangement::regular((0..(k * n) as u32).collect(), n, n.max(1));
            }
            Linear::MatMul { weight, .. } if weight.0 == index => {
                let (k, n) = (graph.weights[index].shape[0], graph.weights[index].shape[1]);
                return Arrangement::regular((0..(k * n) as u32).collect(), n, n);
            }
            _ => {}
        }
    }
    let len: usize = graph.weights[index].shape.iter().product();
    Arrangement::regular((0..len as u32).collect(), len, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(lines: &[(usize, bool)], lanes: usize) -> Vec<(u32, u8)> {
        let len: usize = lines.iter().map(|line| line.0).sum();
        let arrangement = Arrangement { order: (0..len as u32).collect(), lines: lines.to_vec() };
        let placed = Packer::new(lanes).place(&arrangement, Variable::Delta);
        placed.spots.iter().map(|spot| (spot.row, spot.lane)).collect()
    }

    #[test]
    fn short_lines_share_a_row_only_when_they_fit_whole() {
        let spots = rows_of(&[(3, true), (3, false), (3, false)], 8);
        assert_eq!(spots[3..6], [(0, 3), (0, 4), (0, 5)]);
        assert_eq!(spots[6..], [(1, 0), (1, 1), (1, 2)]);
    }

    #[test]
    fn long_lines_and_groups_start_on_new_rows() {
        let spots = rows_of(&[(5, true), (5, false), (1, true)], 4);
        assert_eq!(spots[4], (1, 0));
        assert_eq!(spots[5], (2, 0));
        assert_eq!(spots[10], (4, 0));
    }

    #[test]
    fn addresses_differ_and_tensors_do_not_share_rows() {
        let mut packer = Packer::new(4);
        let one = packer.place(&Arrangement::regular((0..6).collect(), 6, 6), Variable::Delta);
        let two = packer.place(&Arrangement::regular((0..6).rev().collect(), 3, 3), Variable::Gamma);
        assert_eq!((one.rows, two.first_row, packer.rows()), (2, 2, 4));
        let mut addresses = (0..6).map(|e| two.address(e)).collect::<Vec<_>>();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 6);
    }
}
