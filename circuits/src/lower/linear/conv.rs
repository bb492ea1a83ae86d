//! Convolutions as polynomial products.
//!
//! Along an axis with stride `s`, tap `k` reads input `y·s + t`, `t = k·dilation − pad`. Write `t = s·a + φ` with 0 ≤ φ < s: the
//! input is at position `j = y + a` of phase `φ` (the inputs ≡ φ mod s). So with one polynomial a channel and phase,
//! `P_{c,φ} = Σ_j x[c, s·j + φ]·β^{j_y}·γ^{j_x}` and `K_{c,φ} = Σ_{o,taps} δ^o·β^{−a_y}·γ^{−a_x}·w[o,c,k]`,
//!
//! `Σ_o δ^o·Y_o = Σ_{c,φ} P_{c,φ}·K_{c,φ} + Σ_o δ^o·bias[o]·Σ_valid β^y·γ^x + Σ_t a_t·Σ_{o,y,x} δ^o·β^y·γ^x·t[o,y,x]`,
//!
//! where `Y_o` runs over every position at which the product can be non-zero. Those inside the output are its accumulators;
//! the others, the *edges*, are cells of their own, and this identity alone fixes them. The last sum is that of residual
//! terms: each output adds `a_t` times the term's element at the same place. The identity's degree is at most that of the
//! padded output plus the number of output channels. Where numbers have two digits, `w` and `bias` are `2^low_bits` times the cell of the
//! high one plus that of the low one.

use crate::graph::{ConvGeometry, IntGraph, Linear, Term, View, WeightId};
use crate::lower::chain::{Family, Weight};
use crate::lower::identity::{Part, Source, Weighting};
use crate::lower::layout::{Arrangement, Placed};
use crate::lower::monomial::Variable::{Beta, Delta, Gamma};
use crate::lower::monomial::{Exponents, Variable};

use super::{Planning, add_up};

/// One axis of a convolution.
#[derive(Clone, Copy, Debug)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
}

impl Axis {
    /// The taps of a phase, each with its shift `a`.
    fn taps(&self, phase: usize) -> Vec<(usize, i64)> {
        let shifts = (0..self.kernel).map(|k| ((k * self.dilation) as i64 - self.pad as i64, k));
        let stride = self.stride as i64;
        let of_phase = shifts.filter(|(t, _)| t.rem_euclid(stride) == phase as i64);
        of_phase.map(|(t, k)| (k, t.div_euclid(stride))).collect()
    }

    /// The inputs of a phase, each with its position `j`.
    fn inputs(&self, phase: usize) -> impl Iterator<Item = (usize, i64)> + Clone {
        (phase..self.input).step_by(self.stride).zip(0..)
    }

    /// All positions at which the product can be non-zero, ascending.
    fn reach(&self) -> Vec<i64> {
        let phases = (0..self.stride).flat_map(|phase| {
            let taps = self.taps(phase);
            self.inputs(phase).flat_map(move |(_, j)| taps.clone().into_iter().map(move |(_, a)| j - a))
        });
        let mut positions = phases.collect::<Vec<_>>();
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    fn is_output(&self, position: i64) -> bool {
        (0..self.output as i64).contains(&position)
    }
}

/// (height, width)
fn axes(shape: &[usize], kernel: &[usize], geometry: &ConvGeometry) -> (Axis, Axis) {
    let (input, taps) = ((shape[1], shape[2]), (kernel[2], kernel[3]));
    let output = geometry.output(input, taps).unwrap_or((0, 0));
    let (stride, dilation, pads) = (geometry.stride, geometry.dilation, geometry.pads);
    let axis =
        |input, output, kernel, stride, dilation, pad| Axis { input, output, kernel, stride, dilation, pad };
    (
        axis(input.0, output.0, taps.0, stride.0, dilation.0, pads.0),
        axis(input.1, output.1, taps.1, stride.1, dilation.1, pads.1),
    )
}

/// Phases in the order in which kernels are laid out.
fn phases(stride: (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    (0..stride.0).flat_map(move |y| (0..stride.1).map(move |x| (y, x)))
}

/// An upper bound on the number of edge cells.
pub(crate) fn edges_max(input: &[usize], kernel: &[usize], geometry: &ConvGeometry) -> u64 {
    let reach = |input: usize, kernel: usize, dilation: usize, stride: usize| {
        let span =
            (kernel as u64).saturating_sub(1).saturating_mul(dilation as u64).saturating_add(input as u64);
        (span / (stride as u64).max(1) + 2).min((input as u64).saturating_mul(kernel as u64))
    };
    let rows = reach(input[1], kernel[2], geometry.dilation.0, geometry.stride.0);
    let columns = reach(input[2], kernel[3], geometry.dilation.1, geometry.stride.1);
    rows.saturating_mul(columns).saturating_mul(kernel[0] as u64)
}

/// The edges of a convolution.
#[derive(Clone, Debug)]
pub(crate) struct Edges {
    /// (y, x) in output coordinates.
    pub positions: Vec<(i64, i64)>,
    /// Element `o·positions + p`.
    pub placed: Placed,
}

/// Edge positions in runs of neighbours: whole lines above and below the output, then columns beside it.
fn edge_runs(y: &Axis, x: &Axis) -> Vec<Vec<(i64, i64)>> {
    let (rows, columns) = (y.reach(), x.reach());
    let outside = rows.iter().filter(|row| !y.is_output(**row));
    let lines = outside.map(|row| columns.iter().map(|column| (*row, *column)).collect());
    let inside = rows.iter().copied().filter(|row| y.is_output(*row)).collect::<Vec<_>>();
    let beside = columns.iter().filter(|column| !x.is_output(**column));
    let sides = beside.map(|column| inside.iter().map(|row| (*row, *column)).collect());
    lines.chain(sides).filter(|run: &Vec<_>| !run.is_empty()).collect()
}

/// The numbers of a convolution's kernel and bias.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    pub weight: WeightId,
    pub bias: Option<WeightId>,
    /// Where it is not 0, numbers have two digits.
    pub low_bits: u32,
}

impl Numbers {
    fn digits(self) -> usize {
        if self.low_bits == 0 { 1 } else { 2 }
    }

    /// What the cell of output channel `index / digits` that stands for `index` is worth.
    fn worth(self, index: usize) -> i64 {
        if self.digits() == 2 && index.is_multiple_of(2) { 1 << self.low_bits } else { 1 }
    }
}

fn place_edges(planning: &mut Planning<'_>, outputs: usize, y: &Axis, x: &Axis) -> Option<Edges> {
    let runs = edge_runs(y, x);
    let positions = runs.concat();
    if positions.is_empty() {
        return None;
    }
    let (mut order, mut lines) = (Vec::new(), Vec::new());
    let channels = (0..outputs).collect::<Vec<_>>();
    for block in channels.chunks(planning.plan.lanes.edges) {
        let mut position = 0;
        for run in &runs {
            for index in 0..run.len() {
                order.extend(block.iter().map(|o| (o * positions.len() + position) as u32));
                lines.push((block.len(), index == 0));
                position += 1;
            }
        }
    }
    let placed = planning.edge_packer.place(&Arrangement { order, lines }, Variable::Delta);
    Some(Edges { positions, placed })
}

/// About how many rows the edges of all convolutions take.
pub(crate) fn edge_rows(graph: &IntGraph, lanes: usize) -> u32 {
    let rows = graph.nodes.iter().map(|node| match &node.linear {
        Linear::Conv { input, weight, geometry, low_bits, .. } => {
            let kernel = &graph.weights[weight.0].shape;
            let (y, x) = axes(&input.shape, kernel, geometry);
            let positions = edge_runs(&y, &x).concat().len();
            let outputs = if *low_bits == 0 { kernel[0] } else { kernel[0] / 2 };
            let (whole, rest) = (outputs / lanes, outputs % lanes);
            positions * whole + lanes.checked_div(rest).map_or(0, |lines| positions.div_ceil(lines))
        }
        _ => 0,
    });
    u32::try_from(rows.sum::<usize>()).unwrap_or(u32::MAX)
}

/// The order of a (O, C/groups, KH, KW) kernel: a group for each input channel and phase, that chains read by
/// themselves; in it, blocks of output channels as wide as the lanes, a line a tap.
pub(crate) fn arrange_kernel(kernel: &[usize], geometry: &ConvGeometry, lanes: usize) -> Arrangement {
    // Taps and phases do not depend on the input's size.
    let (y, x) = axes(&[0, 0, 0], kernel, geometry);
    let outputs = kernel[0] / geometry.groups;
    let (mut order, mut lines) = (Vec::new(), Vec::new());
    for channel in 0..kernel[1] * geometry.groups {
        let group = (channel / kernel[1]) * outputs..(channel / kernel[1] + 1) * outputs;
        let members = group.collect::<Vec<_>>();
        for (phase_y, phase_x) in phases(geometry.stride) {
            let (taps_y, taps_x) = (y.taps(phase_y), x.taps(phase_x));
            let mut starts_group = true;
            for block in members.chunks(lanes) {
                for (ky, kx) in taps_y.iter().flat_map(|(ky, _)| taps_x.iter().map(move |(kx, _)| (ky, kx))) {
                    let element =
                        |o: &usize| kernel_element(kernel, *o, channel % kernel[1], *ky, *kx) as u32;
                    order.extend(block.iter().map(element));
                    lines.push((block.len(), starts_group));
                    starts_group = false;
                }
            }
        }
    }
    Arrangement { order, lines }
}

fn kernel_element(kernel: &[usize], o: usize, c: usize, ky: usize, kx: usize) -> usize {
    ((o * kernel[1] + c) * kernel[2] + ky) * kernel[3] + kx
}

/// The polynomial's monomial at an output position.
fn at(o: usize, y: i64, x: i64) -> Exponents {
    Delta.power(o as i64).times(Beta.power(y)).times(Gamma.power(x))
}

pub(crate) fn add(
    planning: &mut Planning<'_>,
    index: usize,
    input: &View,
    numbers: Numbers,
    geometry: &ConvGeometry,
    residual: &[Term],
) {
    let kernel = planning.graph.weights[numbers.weight.0].shape.clone();
    let digits = numbers.digits();
    let (y, x) = axes(&input.shape, &kernel, geometry);
    let (plane, width) = (y.output * x.output, x.output);
    let node = &planning.graph.nodes[index];
    let position = |e: usize| at(e / plane, (e % plane / width) as i64, (e % width) as i64);
    let Some((home, mut parts)) = planning.divided(node, |_, e| position(e)) else { return };
    if let Some(edges) = place_edges(planning, kernel[0] / digits, &y, &x) {
        let count = edges.positions.len();
        let monomial = |e: usize| at(e / count, edges.positions[e % count].0, edges.positions[e % count].1);
        let entries = edges.placed.spots.iter().enumerate().map(|(e, spot)| (*spot, monomial(e)));
        let entries = entries.collect::<Vec<_>>();
        parts.extend(add_up(&planning.sums(Family::E, entries), 1));
        planning.plan.edges[index] = Some(edges);
    }
    for channel in 0..input.shape[0] {
        for phase in phases(geometry.stride) {
            parts.extend(products(planning, input, numbers, geometry, (&y, &x), channel, phase));
        }
    }
    let lines = (0..y.output).map(|row| Weighting {
        coefficient: 1,
        public: None,
        len: width as u32,
        first: at(0, row as i64, 0),
        step: at(0, 0, 1),
    });
    let worth = |o: usize| Weight { coefficient: numbers.worth(o), monomial: at(o / digits, 0, 0) };
    parts.extend(planning.digits_of_bias(numbers.bias, worth, lines.collect()));
    for term in residual.iter().filter(|term| term.coefficient != 0) {
        let cells = (0..term.input.len()).map(|e| (planning.seen(&term.input, e), position(e)));
        let cells = cells.collect::<Vec<_>>();
        parts.extend(add_up(&planning.sums(Family::Y, cells), -term.coefficient));
    }
    planning.plan.identities.push(home, parts);
}

/// The parts `−P·K` of an input channel and phase.
fn products(
    planning: &mut Planning<'_>,
    input: &View,
    numbers: Numbers,
    geometry: &ConvGeometry,
    (y, x): (&Axis, &Axis),
    channel: usize,
    phase: (usize, usize),
) -> Vec<Part> {
    let kernel = &planning.graph.weights[numbers.weight.0].shape;
    let (taps_y, taps_x) = (y.taps(phase.0), x.taps(phase.1));
    let outputs = kernel[0] / geometry.groups;
    let (group, member) = (channel / kernel[1], channel % kernel[1]);
    let spots = &planning.plan.weights[numbers.weight.0].spots;
    let mut taps = Vec::new();
    for o in group * outputs..(group + 1) * outputs {
        for (ky, ay) in &taps_y {
            let worth = |ax: i64| Weight {
                coefficient: numbers.worth(o),
                monomial: at(o / numbers.digits(), -ay, -ax),
            };
            let spot = |kx: usize| spots[kernel_element(kernel, o, member, *ky, kx)];
            taps.extend(taps_x.iter().map(|(kx, ax)| (spot(*kx), worth(*ax))));
        }
    }
    let cells = y
        .inputs(phase.0)
        .flat_map(|(row, jy)| x.inputs(phase.1).map(move |(column, jx)| (row, column, jy, jx)));
    let element = |row: usize, column: usize| (channel * y.input + row) * x.input + column;
    let cells =
        cells.map(|(row, column, jy, jx)| (planning.seen(input, element(row, column)), at(0, jy, jx)));
    let cells = cells.collect::<Vec<_>>();
    if taps.is_empty() || cells.is_empty() {
        return Vec::new();
    }
    let beside = planning.weight_sum(taps);
    let mut parts = Vec::new();
    for source in planning.sums(Family::Y, cells) {
        let relay = planning.plan.identities.relay(Source::Chain(source), beside);
        parts.push(Part::Product { relay, coefficient: -1 });
    }
    parts
}

impl Edges {
    /// The values of the edge cells, in the order of `placed`; `image` is the input view (C,H,W), `values` the kernel, `low_bits` as in
    /// [`Linear::Conv`].
    pub(crate) fn values(
        &self,
        image: &[i32],
        input: &[usize],
        values: &[i32],
        kernel: &[usize],
        geometry: &ConvGeometry,
        low_bits: u32,
    ) -> Vec<i64> {
        let (height, width) = (input[1], input[2]);
        let reads = |position: i64, tap: usize, stride: usize, dilation: usize, pad: usize, len: usize| {
            let at = position * stride as i64 + (tap * dilation) as i64 - pad as i64;
            usize::try_from(at).ok().filter(|at| *at < len)
        };
        let outputs = kernel[0] / geometry.groups;
        let mut sums = Vec::with_capacity(kernel[0] * self.positions.len());
        for o in 0..kernel[0] {
            for (y, x) in &self.positions {
                let mut sum = 0i64;
                for (ky, kx) in (0..kernel[2]).flat_map(|ky| (0..kernel[3]).map(move |kx| (ky, kx))) {
                    let row = reads(*y, ky, geometry.stride.0, geometry.dilation.0, geometry.pads.0, height);
                    let column =
                        reads(*x, kx, geometry.stride.1, geometry.dilation.1, geometry.pads.1, width);
                    let Some((row, column)) = row.zip(column) else { continue };
                    for c in 0..kernel[1] {
                        let channel = o / outputs * kernel[1] + c;
                        let pixel = image[(channel * height + row) * width + column];
                        sum += i64::from(pixel) * i64::from(values[kernel_element(kernel, o, c, ky, kx)]);
                    }
                }
                sums.push(sum);
            }
        }
        if low_bits == 0 {
            return sums;
        }
        let pairs =
            sums.chunks_exact(2 * self.positions.len()).map(|pair| pair.split_at(self.positions.len()));
        pairs
            .flat_map(|(high, low)| high.iter().zip(low).map(|(high, low)| (high << low_bits) + low))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: usize, kernel: usize, stride: usize, dilation: usize, pad: usize, output: usize) -> Axis {
        Axis { input, output, kernel, stride, dilation, pad }
    }

    #[test]
    fn every_tap_is_in_one_phase() {
        for (stride, dilation, pad) in [(1, 1, 0), (2, 1, 1), (3, 2, 2), (2, 3, 4)] {
            let axis = axis(9, 5, stride, dilation, pad, 4);
            let mut taps =
                (0..stride).flat_map(|phase| axis.taps(phase)).map(|tap| tap.0).collect::<Vec<_>>();
            taps.sort_unstable();
            assert_eq!(taps, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn reach_covers_the_output_and_its_ring() {
        assert_eq!(axis(4, 3, 1, 1, 1, 4).reach(), [-1, 0, 1, 2, 3, 4]);
        assert_eq!(axis(4, 3, 1, 1, 0, 2).reach(), [-2, -1, 0, 1, 2, 3]);
        assert_eq!(axis(4, 1, 1, 1, 0, 4).reach(), [0, 1, 2, 3]);
    }

    #[test]
    fn the_bound_on_edges_holds() {
        for (stride, dilation, pad) in [(1, 1, 0), (2, 1, 1), (3, 2, 2), (2, 7, 4)] {
            let geometry = ConvGeometry {
                stride: (stride, stride),
                dilation: (dilation, dilation),
                pads: (pad, pad, pad, pad),
                groups: 1,
            };
            let (y, x) = axes(&[1, 9, 15], &[2, 1, 3, 2], &geometry);
            let got = 2 * (y.reach().len() * x.reach().len()) as u64;
            assert!(got <= edges_max(&[1, 9, 15], &[2, 1, 3, 2], &geometry), "{geometry:?}");
        }
    }

    #[test]
    fn edges_are_all_positions_outside_the_output() {
        let (y, x) = (axis(4, 3, 1, 1, 1, 4), axis(5, 2, 1, 1, 0, 4));
        let runs = edge_runs(&y, &x);
        assert_eq!(runs.concat().len(), 6 * 6 - 4 * 4);
    }
}
