//! Dishonest provers: one value is wrong, everything that follows from it is computed as a clever prover would.

use super::*;
use crate::graph::requantise;
use crate::interpret::Trace;
use crate::lower::chain::Family;
use crate::lower::identity::Source;
use kiln_kernels::Values;
use zeroize::Zeroize;

/// The sample with its layout and run.
pub(super) struct Case {
    pub(super) sample: Sample,
    pub(super) lowered: Lowered,
    pub(super) trace: Trace,
}

/// Changes one value of a column.
fn alter<T: Zeroize + Copy>(column: &mut Values<T>, row: usize, to: impl FnOnce(T) -> T) {
    let mut values = column.to_vec();
    values[row] = to(values[row]);
    *column = values.into();
}

/// Gives a column one value.
pub(super) fn put<T: Zeroize + Copy>(column: &mut Values<T>, row: usize, value: T) {
    alter(column, row, |_| value);
}

impl Case {
    pub(super) fn new(sample: Sample, visibility: Visibility) -> Self {
        let lowered = lower(&sample.0, visibility, &lanes(4)).unwrap();
        let trace = run(&sample.0, &sample.1, &sample.2).unwrap();
        Self { sample, lowered, trace }
    }

    pub(super) fn witness(&self) -> ModelWitness<'_> {
        self.lowered.witness(&self.trace, &self.sample.1).unwrap()
    }

    pub(super) fn failures(&self, witness: &ModelWitness<'_>) -> Vec<MockFailure> {
        failures(&self.lowered, witness, &self.lowered.public_inputs(&self.trace).unwrap())
    }

    /// Column and row of an element of a node's output.
    pub(super) fn spot(&self, node: usize, element: usize) -> (usize, usize) {
        let placed = &self.lowered.choice.plan.tensors[self.sample.0.nodes[node].output.0];
        let spot = placed.spots[element];
        (spot.lane as usize, (spot.row + self.lowered.choice.offsets.activations) as usize)
    }

    /// What the table of a row's node says of `q`; rows without a node have the input's table.
    fn table_entry(&self, row: usize, q: i64) -> i32 {
        let graph = &self.sample.0;
        let holds = |node: &&crate::graph::Node| {
            let placed = &self.lowered.choice.plan.tensors[node.output.0];
            let first = (placed.first_row + self.lowered.choice.offsets.activations) as usize;
            (first..first + placed.rows as usize).contains(&row)
        };
        let table = graph.nodes.iter().find(holds).map_or(graph.nodes[0].table, |node| node.table);
        graph.apply(table, q) as i32
    }

    /// Sets one accumulator to `z` as an honest prover would.
    fn set(&self, witness: &mut ModelWitness<'_>, node: usize, element: usize, z: i64) {
        let (lane, row) = self.spot(node, element);
        let operator = &self.sample.0.nodes[node];
        let q = requantise(z, operator.shift);
        put(&mut witness.cells.q[lane], row, q as i32);
        put(&mut witness.cells.y[lane], row, self.sample.0.apply(operator.table, q) as i32);
        if operator.shift > 0 {
            let half = 1i64 << (operator.shift - 1);
            put(&mut witness.cells.r[lane], row, (z + half - (q << operator.shift)) as i32);
        }
    }
}

pub(super) fn place_of(failures: &[MockFailure]) -> String {
    let place = failures.iter().find_map(|failure| match failure {
        MockFailure::Gate { place, .. } | MockFailure::Lookup { place, .. } => place.clone(),
        MockFailure::Copy { .. } => None,
    });
    place.map(|place| place.operator).unwrap_or_default()
}

#[test]
fn a_wrong_accumulator_is_caught_and_its_operator_named() {
    let mut samples = graphs::all();
    samples.push(("transformer", graphs::transformer().0));
    samples.push(("channels", graphs::channels()));
    for (_, sample) in samples {
        every_accumulator_counts(sample);
    }
}

/// Changes accumulators of every node one at a time.
pub(super) fn every_accumulator_counts(sample: Sample) {
    let case = Case::new(sample, PRIVATE);
    for (index, node) in case.sample.0.nodes.iter().enumerate().skip(1) {
        let values = &case.trace.nodes[index].z;
        for element in [0, values.len() / 2, values.len() - 1] {
            let mut witness = case.witness();
            // Changed by one, in the direction that stays inside the worst case.
            let z = values[element] - values[element].signum().max(0) * 2 + 1;
            case.set(&mut witness, index, element, z);
            let place = place_of(&case.failures(&witness));
            // What is left of a division stands in the identity of what was divided.
            let mut home = node;
            while let Linear::Rest { of } = home.linear {
                home = case.sample.0.nodes.iter().find(|node| node.output == of).unwrap();
            }
            assert!(place.contains(&format!("\"{}\"", home.name)), "{}: got `{place}`", node.name);
        }
    }
}

#[test]
fn a_quotient_that_leaves_more_than_its_modulus_is_caught_by_the_table_of_what_is_left() {
    let case = Case::new(graphs::channels(), PRIVATE);
    let graph = &case.sample.0;
    let mut tried = 0;
    for (index, node) in graph.nodes.iter().enumerate().filter(|(_, node)| node.modulus > 1) {
        let rest = &graph.nodes[index + 1];
        let values = (&case.trace.nodes[index].z, &case.trace.nodes[index + 1].z);
        for (element, step) in [(0, 1), (7, -1), (values.0.len() - 1, 1)] {
            let mut witness = case.witness();
            // The sum stays what it is: one more of the modulus, and so much less that is left.
            let left = node.modulus / rest.modulus;
            case.set(&mut witness, index, element, values.0[element] + step);
            case.set(&mut witness, index + 1, element, values.1[element] - step * left);
            let told = case.failures(&witness);
            let caught = |failure: &&MockFailure| {
                matches!(failure, MockFailure::Lookup { .. })
                    && place_of(std::slice::from_ref(*failure)).contains(&format!("\"{}\"", rest.name))
            };
            assert!(told.iter().any(|failure| caught(&failure)), "{}", node.name);
            tried += 1;
        }
    }
    assert!(tried >= 6, "{tried}");
}

#[test]
fn the_high_digit_of_a_number_counts_for_as_much_as_it_says() {
    let case = Case::new(graphs::channels(), PRIVATE);
    let index = 1;
    // The same run with another worth of high digits: cells agree with each other and with their tables, and only the identity can tell.
    let mut other = case.sample.0.clone();
    let Linear::Conv { low_bits, .. } = &mut other.nodes[index].linear else { panic!("the convolution") };
    assert!(*low_bits > 1, "numbers of two digits");
    *low_bits -= 1;
    let trace = run(&other, &case.sample.1, &case.sample.2).unwrap();
    assert_ne!(trace.nodes[index].z, case.trace.nodes[index].z);
    let witness = case.lowered.witness(&trace, &case.sample.1).unwrap();
    let told = failures(&case.lowered, &witness, &case.lowered.public_inputs(&trace).unwrap());
    let name = &case.sample.0.nodes[index].name;
    assert!(place_of(&told).contains(&format!("\"{name}\"")), "{}", place_of(&told));
}

#[test]
fn errors_of_a_product_that_cancel_each_other_in_any_sum_are_caught() {
    let case = Case::new(graphs::heads(), PRIVATE);
    let product = |node: &crate::graph::Node| matches!(node.linear, Linear::BatchMatMul { .. });
    for node in (0..case.sample.0.nodes.len()).filter(|node| product(&case.sample.0.nodes[*node])) {
        let z = &case.trace.nodes[node].z;
        // In one row, in one column, in two batches, and two values in each other's place.
        for (one, other) in [(0, 1), (0, z.len() / 6), (0, z.len() - 1), (1, z.len() / 2)] {
            let mut witness = case.witness();
            case.set(&mut witness, node, one, z[one] + 1);
            case.set(&mut witness, node, other, z[other] - 1);
            let place = place_of(&case.failures(&witness));
            assert!(place.contains(&case.sample.0.nodes[node].name), "got `{place}`");
        }
    }
}

#[test]
fn a_wrong_entry_of_a_listed_table_is_caught() {
    let case = Case::new(graphs::gated(), PRIVATE);
    let listed = |node: &crate::graph::Node| matches!(node.table, TableKind::Listed(_));
    let nodes = (0..case.sample.0.nodes.len()).filter(|node| listed(&case.sample.0.nodes[*node]));
    for node in nodes {
        let (lane, row) = case.spot(node, 3);
        let other = case.sample.0.nodes.len() - 1;
        // Another entry of the same table, the entry of another table, and no entry at all.
        let q = i64::from(case.trace.nodes[node].q[3]);
        let entries = [
            case.sample.0.apply(case.sample.0.nodes[node].table, q / 2 + 40),
            case.sample.0.apply(case.sample.0.nodes[other].table, q),
            -1,
        ];
        for y in entries {
            let mut witness = case.witness();
            assert_ne!(i64::from(witness.cells.y[lane][row]), y, "a wrong entry is another one");
            put(&mut witness.cells.y[lane], row, y as i32);
            let told = case.failures(&witness);
            assert!(told.iter().any(|failure| matches!(failure, MockFailure::Lookup { .. })), "node {node}");
        }
    }
}

#[test]
fn a_wrong_activation_is_not_in_the_table() {
    let case = Case::new(graphs::cnn(), PRIVATE);
    for index in 0..case.sample.0.nodes.len() {
        let (lane, row) = case.spot(index, 0);
        let mut witness = case.witness();
        alter(&mut witness.cells.y[lane], row, |value| value + 1);
        assert!(case.failures(&witness).iter().any(|failure| matches!(failure, MockFailure::Lookup { .. })));
    }
    let (lane, row) = case.spot(1, 0);
    for change in [64, -64] {
        let mut witness = case.witness();
        alter(&mut witness.cells.r[lane], row, |value| value + change);
        assert!(!case.failures(&witness).is_empty());
        // The same sum in other limbs.
        alter(&mut witness.cells.q[lane], row, |value| value - change / 64);
        assert!(!case.failures(&witness).is_empty());
    }
}

#[test]
fn what_is_beyond_a_narrow_layers_range_is_not_in_its_table() {
    let case = Case::new(graphs::widths(), PRIVATE);
    let mut beyond = 0;
    for (index, node) in case.sample.0.nodes.iter().enumerate() {
        let Some((lo, hi)) = node.table.range() else { continue };
        for element in 0..case.trace.nodes[index].q.len() {
            let (lane, row) = case.spot(index, element);
            let q = i64::from(case.trace.nodes[index].q[element]);
            // As a wider layer's table has it, which holds more of q than this layer's does.
            let wider = q.max(2 * lo).min(2 * hi + 1);
            for y in [wider, lo - 1, hi + 1] {
                let mut witness = case.witness();
                if y == i64::from(witness.cells.y[lane][row]) {
                    continue;
                }
                beyond += usize::from(y == wider && y != q.clamp(lo, hi));
                put(&mut witness.cells.y[lane], row, y as i32);
                let told = case.failures(&witness);
                let refused = |failure: &MockFailure| matches!(failure, MockFailure::Lookup { .. });
                assert!(told.iter().any(refused), "{}, {q} as {y}", node.name);
            }
        }
    }
    assert!(beyond >= 5, "only {beyond} values are clamped by the narrow layers");
}

#[test]
fn a_tokens_scale_is_its_own_and_of_its_largest_element() {
    let case = Case::new(graphs::tokens(), PRIVATE);
    let named = |end: &str| case.sample.0.nodes.iter().position(|node| node.name.ends_with(end)).unwrap();
    // The same run but with one token divided by the largest element of a larger one, multiplied by that of a smaller one, or with an
    // element of another token taken for its own: the cells agree with each other and with their tables, and only the identity of
    // that step can tell.
    for end in ["a.token", "a.product", "a.maximum"] {
        let (mut other, index) = (case.sample.0.clone(), named(end));
        match &mut other.nodes[index].linear {
            Linear::BatchMatMul { left, .. } if end == "a.token" => left.order = Some(vec![0, 1, 3, 3, 4]),
            Linear::BatchMatMul { left, .. } => left.order = Some(vec![0, 1, 2, 2, 4]),
            Linear::Spread { terms, .. } => {
                let input = &mut terms[0].input;
                let (columns, len) = (input.shape[1], input.len());
                let order = (0..len).map(|e| if e == 0 { len - columns } else { e } as u32);
                input.order = Some(order.collect());
            }
            _ => panic!("{end}"),
        }
        let trace = run(&other, &case.sample.1, &case.sample.2).unwrap();
        assert_ne!(trace.nodes[index].z, case.trace.nodes[index].z, "{end}: a lie that changes something");
        let witness = case.lowered.witness(&trace, &case.sample.1).unwrap();
        let told = failures(&case.lowered, &witness, &case.lowered.public_inputs(&trace).unwrap());
        assert!(place_of(&told).contains(&format!("{end}\"")), "{end}: {}", place_of(&told));
    }
}

#[test]
fn a_wrong_edge_is_caught() {
    for sample in [graphs::cnn(), graphs::all().swap_remove(4).1] {
        let case = Case::new(sample, PRIVATE);
        let edges = case.lowered.choice.plan.edges.iter().flatten();
        for (edges, element) in edges.flat_map(|edges| [(edges, 0), (edges, edges.placed.spots.len() - 1)]) {
            let spot = edges.placed.spots[element];
            let mut witness = case.witness();
            witness.cells.e[spot.lane as usize][(spot.row + case.lowered.choice.offsets.edges) as usize] += 1;
            assert!(!case.failures(&witness).is_empty());
        }
    }
}

#[test]
fn what_a_convolution_adds_is_the_tensor_that_it_names() {
    let sample = graphs::residual_block();
    let case = Case::new(sample, PRIVATE);
    // The same run but with the skip connection left out, doubled, or taken in another order: the last layer's cells agree
    // with each other and with their tables, and only the identity can tell.
    for change in [0, 1, 2] {
        let mut other = case.sample.0.clone();
        let Linear::Conv { residual, .. } = &mut other.nodes[3].linear else { panic!("the last node") };
        match change {
            0 => residual[0].coefficient = 0,
            1 => residual[0].coefficient = 38,
            _ => residual[0].input.order = None,
        }
        let trace = run(&other, &case.sample.1, &case.sample.2).unwrap();
        assert_ne!(trace.nodes[3].z, case.trace.nodes[3].z);
        let witness = case.lowered.witness(&trace, &case.sample.1).unwrap();
        let told = failures(&case.lowered, &witness, &case.lowered.public_inputs(&trace).unwrap());
        assert!(place_of(&told).contains("\"last\""), "change {change}: {}", place_of(&told));
    }
}

#[test]
fn a_wrong_relay_is_caught() {
    let (mut cells, mut chains) = (0, 0);
    for (_, sample) in graphs::all() {
        let case = Case::new(sample, PRIVATE);
        let relays = &case.lowered.choice.plan.identities.relays;
        for (relay, place) in relays.iter().zip(&case.lowered.choice.ledger.relays) {
            let mut witness = case.witness();
            let row = place.row as usize;
            match (relay.source, place.column) {
                (Source::Cell(_), ledger::RelayColumn::Cell(column)) => {
                    alter(&mut witness.cells.v[column], row, |value| value + 1);
                    cells += 1;
                }
                (Source::Chain(_) | Source::Indicator { .. }, ledger::RelayColumn::Chain(column)) => {
                    spoil_chain_relay(&case, &mut witness, column, row);
                    chains += 1;
                }
                _ => panic!("a relay in a column of the other kind"),
            }
            assert!(!case.failures(&witness).is_empty());
        }
    }
    assert!(cells > 30 && chains > 20, "{cells} cell relays, {chains} chain relays");
}

/// Changes one cell of the columns of a later phase, after the honest witness has made them.
pub(super) struct Forged<'a> {
    pub(super) honest: ModelWitness<'a>,
    pub(super) phase: u8,
    pub(super) column: usize,
    pub(super) row: usize,
}

impl kiln_plonk::Witness for Forged<'_> {
    fn phase(
        &self,
        phase: u8,
        challenges: &[ark_bn254::Fr],
    ) -> Result<Vec<kiln_plonk::ColumnValues>, kiln_plonk::WitnessError> {
        let mut columns = kiln_plonk::Witness::phase(&self.honest, phase, challenges)?;
        if phase == self.phase {
            let mut values = columns[self.column].to_full();
            values[self.row] += ark_bn254::Fr::from(1);
            columns[self.column] = kiln_plonk::ColumnValues::full(values);
        }
        Ok(columns)
    }
}

#[test]
fn a_wrong_sum_of_chain_ends_is_caught_by_its_own_gate() {
    let options = PlanOptions { fold: Some(true), lanes: Some(4), ..PlanOptions::default() };
    let mut caught = 0;
    for (name, (graph, weights, record)) in graphs::all() {
        let lowered = lower(&graph, PRIVATE, &options).unwrap();
        let trace = run(&graph, &weights, &record).unwrap();
        let public = lowered.public_inputs(&trace).unwrap();
        let phase = lowered.circuit.advice.iter().map(|column| column.phase).max().unwrap();
        for (column, fold) in lowered.choice.fold.colouring.columns.iter().enumerate() {
            let rows = fold.patterns.values().flatten();
            let (first, last) = (*rows.clone().min().unwrap(), *rows.max().unwrap());
            // Rows of a chain, and one on which nothing is selected.
            let free = (0..1 << lowered.choice.k).find(|row| *row > last);
            for row in [Some(first), Some(last), free].into_iter().flatten() {
                let honest = lowered.witness(&trace, &weights).unwrap();
                let committed = honest.committed();
                let of_phase = lowered.circuit.advice.iter().filter(|column| column.phase == phase);
                let gate = format!("f{column}");
                let column = of_phase.map(|column| &column.name).position(|name| *name == gate).unwrap();
                let forged = Forged { honest, phase, column, row: row as usize };
                let told = mock(&lowered.circuit, &lowered.fixed, &committed, &public, &forged).unwrap();
                let gate = format!("ends {gate}");
                let by_gate = |failure: &MockFailure| matches!(failure, MockFailure::Gate { name, .. } if *name == gate);
                assert!(told.iter().any(by_gate), "{name}: {told:?}");
                caught += 1;
            }
        }
    }
    assert!(caught > 20, "{caught} forgeries");
}

/// The challenges that the mock draws, by asking it.
pub(super) fn mock_challenges(case: &Case) -> Vec<ark_bn254::Fr> {
    let witness = case.witness();
    case.failures(&witness);
    witness.chains.lock().unwrap().as_ref().map(|(challenges, _)| challenges.clone()).unwrap()
}

pub(super) fn spoil_chain_relay(case: &Case, witness: &mut ModelWitness<'_>, column: usize, row: usize) {
    let challenges = mock_challenges(case);
    kiln_plonk::Witness::phase(witness, 1, &challenges).unwrap();
    if let Some((_, chains)) = witness.chains.get_mut().unwrap() {
        alter(&mut std::sync::Arc::make_mut(chains).t[column], row, |value| value + ark_bn254::Fr::from(1));
    }
}

#[test]
fn a_wrong_output_is_caught() {
    let case = Case::new(graphs::cnn(), PRIVATE);
    let mut public = case.lowered.public_inputs(&case.trace).unwrap();
    public[2] += ark_bn254::Fr::from(1);
    let told = failures(&case.lowered, &case.witness(), &public);
    assert!(place_of(&told).contains("\"fc\""), "only the public value is wrong");
    let mut witness = case.witness();
    let last = case.sample.0.nodes.len() - 1;
    case.set(&mut witness, last, 2, case.trace.nodes[last].z[2] + 64);
    assert!(
        !failures(&case.lowered, &witness, &public).is_empty(),
        "the last layer agrees with the public value"
    );
}

#[test]
fn a_wrong_public_or_committed_input_is_caught() {
    for input in [InputVisibility::Public, InputVisibility::Committed] {
        let visibility = Visibility { input, weights: WeightVisibility::Hidden };
        let case = Case::new(samples::mlp(&[9, 4]), visibility);
        let mut other = case.sample.2.clone();
        other[8] = if other[8] == 0 { 1 } else { 0 };
        let trace = run(&case.sample.0, &case.sample.1, &other).unwrap();
        let mut public = case.lowered.public_inputs(&case.trace).unwrap();
        let outputs = case.lowered.public_inputs(&trace).unwrap();
        let at = public.len() - 4;
        public[at..].copy_from_slice(&outputs[at..]);
        let mut witness = case.lowered.witness(&trace, &case.sample.1).unwrap();
        witness.cells.x = case.witness().cells.x.clone();
        assert!(!failures(&case.lowered, &witness, &public).is_empty());
    }
}

#[test]
fn a_wrong_part_of_the_input_is_caught_where_it_is_public_or_committed_and_only_there() {
    let (public, committed, private) =
        (InputVisibility::Public, InputVisibility::Committed, InputVisibility::Private);
    for (parts, bound) in [
        ([private, public, private], [false, true, false]),
        ([committed, private, public], [true, false, true]),
        ([committed, committed, private], [true, true, false]),
        ([public, public, committed], [true, true, true]),
    ] {
        let input = InputVisibility::by_part(parts).unwrap();
        let case = Case::new(graphs::in_parts(), Visibility { input, weights: WeightVisibility::Hidden });
        assert!(case.failures(&case.witness()).is_empty());
        let statement = case.lowered.public_inputs(&case.trace).unwrap();
        let shown = |visibility| {
            (0..3).filter(move |part| parts[*part] == visibility).map(|part| graphs::PARTS[part])
        };
        assert_eq!(statement.len(), shown(public).sum::<usize>() + case.trace.output.len());
        let kept: i64 =
            case.witness().cells.x.iter().flat_map(|lane| lane.iter()).map(|x| i64::from(*x != 0)).sum();
        assert_eq!(kept, shown(committed).sum::<usize>() as i64, "nothing else is in the commitment");
        let mut first = 0;
        for (len, bound) in graphs::PARTS.into_iter().zip(bound) {
            for element in [first, first + len - 1] {
                let mut other = case.sample.2.clone();
                other[element] -= 1;
                let trace = run(&case.sample.0, &case.sample.1, &other).unwrap();
                let mut witness = case.lowered.witness(&trace, &case.sample.1).unwrap();
                witness.cells.x = case.witness().cells.x.clone();
                // The statement is the first run's, but for what the model answers to the other.
                let mut told = case.lowered.public_inputs(&trace).unwrap();
                let inputs = told.len() - trace.output.len();
                told[..inputs].copy_from_slice(&statement[..inputs]);
                assert_eq!(
                    !failures(&case.lowered, &witness, &told).is_empty(),
                    bound,
                    "{parts:?}, {element}"
                );
            }
            first += len;
        }
    }
}

#[test]
fn weights_other_than_the_committed_are_caught() {
    let case = Case::new(graphs::cnn(), PRIVATE);
    for (index, weight) in case.sample.0.weights.iter().enumerate() {
        let mut others = case.sample.1.clone();
        let bound = weight.bound as i32;
        others.0[index][0] = if others.0[index][0] == bound { -bound } else { bound };
        let trace = run(&case.sample.0, &others, &case.sample.2).unwrap();
        let witness = case.lowered.witness(&trace, &others).unwrap();
        let public = case.lowered.public_inputs(&trace).unwrap();
        let committed = case.witness().committed();
        let told = mock(&case.lowered.circuit, &case.lowered.fixed, &committed, &public, &witness).unwrap();
        assert!(!told.is_empty(), "chains over other weights");
        let mut witness = case.lowered.witness(&trace, &others).unwrap();
        witness.cells.w = case.witness().cells.w.clone();
        assert!(!failures(&case.lowered, &witness, &public).is_empty(), "values of other weights");
    }
}

/// Cells that no tensor occupies, per family, as (lane, row).
fn free_cells(case: &Case, family: Family) -> Vec<(usize, usize)> {
    let choice = &case.lowered.choice;
    let (placed, offset): (Vec<_>, u32) = match family {
        Family::W => (choice.plan.weights.iter().collect(), 0),
        Family::E => {
            (choice.plan.edges.iter().flatten().map(|edges| &edges.placed).collect(), choice.offsets.edges)
        }
        _ => (choice.plan.tensors.iter().collect(), choice.offsets.activations),
    };
    let mut used = std::collections::HashSet::new();
    for spot in placed.iter().flat_map(|placed| &placed.spots) {
        used.insert((spot.lane as usize, (spot.row + offset) as usize));
    }
    let all = (0..choice.plan.lanes.of(family.space()))
        .flat_map(|lane| (0..1 << choice.k).map(move |row| (lane, row)));
    all.filter(|cell| !used.contains(cell)).collect()
}

#[test]
fn garbage_in_unused_cells_changes_nothing() {
    for (name, sample) in graphs::all() {
        let case = Case::new(sample, PRIVATE);
        let mut witness = case.witness();
        for (lane, row) in free_cells(&case, Family::Y) {
            // Every table has an entry for 2.
            put(&mut witness.cells.q[lane], row, 2);
            put(&mut witness.cells.y[lane], row, case.table_entry(row, 2));
            if let Some(r) = witness.cells.r.get_mut(lane) {
                put(r, row, 3);
            }
        }
        for (lane, row) in free_cells(&case, Family::W) {
            if let Some(w) = witness.cells.w.get_mut(lane) {
                put(w, row, 77);
            }
        }
        for (lane, row) in free_cells(&case, Family::E) {
            if let Some(e) = witness.cells.e.get_mut(lane) {
                e[row] = -77;
            }
        }
        assert_eq!(case.failures(&witness).first(), None, "{name}");
        let mut public = case.lowered.public_inputs(&case.trace).unwrap();
        public[0] += ark_bn254::Fr::from(1);
        assert!(!failures(&case.lowered, &witness, &public).is_empty(), "{name}");
    }
}

#[test]
fn a_run_with_other_comparisons_or_leaves_than_the_committed_forests_is_caught() {
    let (graph, weights, record) = graphs::forest();
    let lowered = lower(&graph, PRIVATE, &lanes(4)).unwrap();
    let honest = run(&graph, &weights, &record).unwrap();
    for (weight, operator) in ["trees.compare", "trees.compare", "trees", "trees"].into_iter().enumerate() {
        // Everything after the lie is computed as the lie demands, and its output is what is claimed.
        let mut other = weights.clone();
        other.0[weight].fill(0);
        let trace = run(&graph, &other, &record).unwrap();
        assert_ne!(trace.output, honest.output, "{operator}: a lie that changes something");
        let witness = lowered.witness(&trace, &weights).unwrap();
        let failures = failures(&lowered, &witness, &lowered.public_inputs(&trace).unwrap());
        let place = place_of(&failures);
        assert!(place.contains(&format!("\"{operator}\"")), "{operator}: got `{place}`");
    }
}

#[test]
fn no_tree_reaches_two_leaves_or_none() {
    let case = Case::new(graphs::forest(), PRIVATE);
    let last = case.sample.0.nodes.iter().position(|node| node.name == "trees.level3").unwrap();
    for element in 0..40 {
        let mut witness = case.witness();
        let (lane, row) = case.spot(last, element);
        alter(&mut witness.cells.y[lane], row, |value| 1 - value);
        assert!(!case.failures(&witness).is_empty(), "leaf {element}");
    }
}
