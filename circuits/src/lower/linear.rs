//! What each kind of node asks of chains and identities, one file a kind.

pub(crate) mod batch_matmul;
pub(crate) mod combine;
pub(crate) mod conv;
pub(crate) mod input;
pub(crate) mod lookup;
pub(crate) mod matmul;
pub(crate) mod output;
pub(crate) mod spread;

use crate::graph::{IntGraph, Linear, Node, TensorId, View, WeightId};

use super::chain::{ChainSet, Family, Lanes, Request, RequestId, Weight, distinct};
use super::identity::{Identities, Part, Weighting};
use super::layout::{Packer, Placed, Spot, place_activations, place_weights};
use super::monomial::Exponents;
use super::statement::Visibility;

/// Everything that a graph asks for at given numbers of lanes; rows of the circuit are not given out yet.
pub(crate) struct Plan {
    pub lanes: Lanes,
    pub tensors: Vec<Placed>,
    pub weights: Vec<Placed>,
    /// Per node, where its edge cells lie (convolutions only).
    pub edges: Vec<Option<conv::Edges>>,
    pub rows: SpaceRows,
    pub chains: ChainSet,
    pub identities: Identities,
    pub public_inputs: u32,
}

/// Row counts of the row spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpaceRows {
    pub activations: u32,
    pub weights: u32,
    pub edges: u32,
    pub input: u32,
}

/// A [`Plan`] while nodes are being added to it.
pub(crate) struct Planning<'a> {
    pub graph: &'a IntGraph,
    pub plan: Plan,
    pub edge_packer: Packer,
}

impl Plan {
    pub(crate) fn new(graph: &IntGraph, visibility: Visibility, lanes: Lanes) -> Self {
        let (tensors, activations) = place_activations(graph, lanes.activations);
        let (weights, weight_rows) = place_weights(graph, lanes.weights);
        let mut rows = SpaceRows { activations, weights: weight_rows, ..SpaceRows::default() };
        if visibility.input.commits() {
            rows.input = tensors[graph.input.0].rows;
        }
        let plan = Self {
            lanes,
            tensors,
            weights,
            edges: graph.nodes.iter().map(|_| None).collect(),
            rows,
            chains: ChainSet::new(lanes),
            identities: Identities::default(),
            public_inputs: 0,
        };
        let mut planning = Planning { graph, plan, edge_packer: Packer::new(lanes.edges) };
        for (index, node) in graph.nodes.iter().enumerate() {
            planning.add(index, node, visibility);
        }
        output::add(&mut planning);
        planning.plan.rows.edges = planning.edge_packer.rows();
        planning.plan
    }
}

impl Planning<'_> {
    fn add(&mut self, index: usize, node: &Node, visibility: Visibility) {
        match &node.linear {
            Linear::Input => input::add(self, node.output, visibility.input),
            Linear::Conv { input, weight, bias, geometry, residual, low_bits } => {
                let numbers = conv::Numbers { weight: *weight, bias: *bias, low_bits: *low_bits };
                conv::add(self, index, input, numbers, geometry, residual);
            }
            Linear::MatMul { input, weight, bias } => matmul::add(self, node, input, *weight, *bias),
            Linear::BatchMatMul { left, right, factor } => {
                batch_matmul::add(self, node, left, right, *factor);
            }
            Linear::Lookup { ids, weight } => lookup::add(self, node, ids, *weight),
            Linear::Spread { terms, sums, blocks } => spread::add(self, node, terms, sums, *blocks),
            Linear::Combine { terms, constant } => combine::add(self, node, terms, *constant),
            // Its cells stand in the identity of the node that was divided.
            Linear::Rest { .. } => {}
        }
    }

    /// Asks for `Σ monomial · cell`. Should a cell come twice, the second time goes to a request of its own.
    pub(crate) fn sums(
        &mut self,
        family: Family,
        entries: impl IntoIterator<Item = (Spot, Exponents)>,
    ) -> Vec<RequestId> {
        self.sums_of(family, entries, true)
    }

    /// As [`Self::sums`], over activations and each in one piece, so that a relay can stand beside its end.
    pub(crate) fn whole_sums(
        &mut self,
        entries: impl IntoIterator<Item = (Spot, Exponents)>,
    ) -> Vec<RequestId> {
        self.sums_of(Family::Y, entries, false)
    }

    fn sums_of(
        &mut self,
        family: Family,
        entries: impl IntoIterator<Item = (Spot, Exponents)>,
        breakable: bool,
    ) -> Vec<RequestId> {
        let entries = entries.into_iter().map(|(spot, monomial)| (spot, Weight::unit(monomial)));
        self.weighted_sums(family, entries.collect(), breakable)
    }

    fn weighted_sums(
        &mut self,
        family: Family,
        mut rest: Vec<(Spot, Weight)>,
        breakable: bool,
    ) -> Vec<RequestId> {
        let mut requests = Vec::new();
        rest.sort_by_key(|(spot, _)| *spot);
        while !rest.is_empty() {
            let (entries, again) = distinct(rest);
            requests.push(self.plan.chains.request(Request { family, entries, breakable }));
            rest = again;
        }
        requests
    }

    /// Asks for `Σ weight · cell`; no cell comes twice.
    pub(crate) fn sum(&mut self, family: Family, entries: Vec<(Spot, Weight)>) -> RequestId {
        self.plan.chains.request(Request { family, entries, breakable: true })
    }

    /// Asks for a sum over weights that stays in one piece, so that a relay can stand beside its end.
    pub(crate) fn weight_sum(&mut self, entries: Vec<(Spot, Weight)>) -> RequestId {
        self.plan.chains.request(Request { family: Family::W, entries, breakable: false })
    }

    /// `Σ monomial(e) · z[e]` over a node's output.
    pub(crate) fn accumulators(
        &mut self,
        node: &Node,
        monomial: impl Fn(&Placed, usize) -> Exponents,
    ) -> Vec<RequestId> {
        let placed = &self.plan.tensors[node.output.0];
        let monomials = (0..placed.spots.len()).map(|e| monomial(placed, e)).collect::<Vec<_>>();
        self.digit(node, &monomials)
    }

    fn digit(&mut self, node: &Node, monomials: &[Exponents]) -> Vec<RequestId> {
        let family = if node.shift == 0 { Family::Q } else { Family::Z };
        let spots = self.plan.tensors[node.output.0].spots.iter();
        let entries = spots.zip(monomials).map(|(spot, monomial)| (*spot, *monomial)).collect::<Vec<_>>();
        self.sums(family, entries)
    }

    /// The same of a node that may have a modulus, as parts of an identity, and where that is at home: its digits times what they are worth.
    pub(crate) fn divided(
        &mut self,
        node: &Node,
        monomial: impl Fn(&Placed, usize) -> Exponents,
    ) -> Option<(RequestId, Vec<Part>)> {
        let placed = &self.plan.tensors[node.output.0];
        let monomials = (0..placed.spots.len()).map(|e| monomial(placed, e)).collect::<Vec<_>>();
        let digits = self.digit(node, &monomials);
        let mut parts = add_up(&digits, node.modulus);
        let mut last = node;
        let graph = self.graph;
        let is_rest = |node: &&Node, of| matches!(node.linear, Linear::Rest { of: tensor } if tensor == of);
        while let Some(rest) = graph.nodes.iter().find(|node| last.modulus > 1 && is_rest(node, last.output))
        {
            parts.extend(add_up(&self.digit(rest, &monomials), rest.modulus));
            last = rest;
        }
        digits.first().map(|home| (*home, parts))
    }

    /// The cell of an element of a view.
    pub(crate) fn seen(&self, view: &View, element: usize) -> Spot {
        self.plan.tensors[view.tensor.0].spots[view.element(element)]
    }

    /// The address of an element of a tensor.
    pub(crate) fn address(&self, tensor: TensorId, element: usize) -> Exponents {
        self.plan.tensors[tensor.0].address(element)
    }

    /// The parts `−Σ_o monomial(o)·bias[o]·weight`.
    pub(crate) fn bias(
        &mut self,
        bias: Option<WeightId>,
        monomial: impl Fn(usize) -> Exponents,
        weight: Vec<Weighting>,
    ) -> Vec<Part> {
        self.digits_of_bias(bias, |o| Weight::unit(monomial(o)), weight)
    }

    /// The same where each counts with a number of its own too.
    pub(crate) fn digits_of_bias(
        &mut self,
        bias: Option<WeightId>,
        monomial: impl Fn(usize) -> Weight,
        weight: Vec<Weighting>,
    ) -> Vec<Part> {
        let Some(bias) = bias else { return Vec::new() };
        let spots = &self.plan.weights[bias.0].spots;
        let entries = spots.iter().enumerate().map(|(o, spot)| (*spot, monomial(o))).collect::<Vec<_>>();
        let negative = |w: &Weighting| Weighting { coefficient: -w.coefficient, ..*w };
        let weight = weight.iter().map(negative).collect::<Vec<_>>();
        let requests = self.weighted_sums(Family::W, entries, true).into_iter();
        requests.map(|request| Part::Chain { request, weight: weight.clone() }).collect()
    }
}

/// The parts that add up requests.
pub(crate) fn add_up(requests: &[RequestId], coefficient: i64) -> Vec<Part> {
    requests.iter().map(|request| Part::chain(*request, coefficient)).collect()
}
