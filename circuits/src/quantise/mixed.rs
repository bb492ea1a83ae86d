//! Widths of activations that differ from layer to layer, by a search over accuracy against proving cost.
//!
//! What a proof takes depends on widths by the length of the tables alone: a table of requantised values is as long as the worst case of
//! the layers that share it, every width in use has a table of its own, and so many entries fill so many columns. So a move counts for the
//! entries that it saves, and states are compared by the cost that the planner predicts, which grows in steps. All that is tried is measured on the calibration records:
//!
//! 1. *Uniform*: one width for all layers, from [`BITS_FIRST`] down as long as the tolerance holds, each with its smallest tables. Where not even
//!    the first is within it, wider ones, up to [`BITS_MAX`], until one is; those that no table holds are passed over.
//! 2. *Narrowed*: from the cheapest of these, the move that saves most entries for the squared error that it adds, as long as the
//!    tolerance holds: one layer narrower by a bit or two or as narrow as another, all layers of one width a bit narrower, a shift or a table range
//!    smaller by a bit.
//! 3. *Widened*: from the widest uniform width that breaks the tolerance, the opposite moves, that which takes most error for the
//!    entries that it adds, until the tolerance holds; from there on narrowed again.
//! 4. *Refined*: from the cheapest of all, as long as the predicted cost stays, whatever takes most error.
//!
//! The result is the cheapest state within the tolerance, and of equally cheap ones that of the least error. No move is random, so the same
//! records give the same widths.

use std::collections::BTreeMap;

use super::search::{Observed, Quantised, SHIFTS, Tolerance};
use super::{FloatModel, PerToken, QuantiseError, QuantiseOptions, QuantiseReport, check_options, widths};
use crate::graph::IntGraph;
use crate::lower::{LowerError, Predicted};

/// Widest activations to try, those of [`check_options`].
const BITS_MAX: u32 = widths::BITS_MAX;
/// Activations to begin with: wider ones make tables longer and seldom the outputs better.
const BITS_FIRST: u32 = 12;
/// Narrowest.
const BITS_MIN: u32 = 4;
/// Most integer models that are made and run.
const RUNS_MAX: usize = 600;
/// Multiply–accumulates that the search may take, about, but for [`RUNS_MIN`].
const WORK_MAX: usize = 1 << 37;
/// As many integer models are made whatever they take.
const RUNS_MIN: usize = 40;
/// An error that grows by less than this share of the tolerance, squared, counts as that much.
const GROWTH_MIN: f64 = 1e-3;

/// How the search came to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MixedPhase {
    /// One width for all layers.
    Uniform,
    /// A move that saves table entries.
    Narrowed,
    /// A move that takes error.
    Widened,
    /// A move that takes error and costs nothing.
    Refined,
}

/// A state that the search went through.
#[derive(Clone, Debug, PartialEq)]
pub struct MixedStep {
    /// How it came there.
    pub phase: MixedPhase,
    /// Bits of the layers that have widths, in the order in which they are computed.
    pub bits: Vec<(String, u32)>,
    /// The shift.
    pub shift: u32,
    /// The table range in bits.
    pub q_bits: u32,
    /// Entries of all tables.
    pub table_entries: usize,
    /// What the planner predicts; none if it cannot be laid out.
    pub predicted: Option<Predicted>,
    /// Calibration records compared, and those whose largest output is the same in both models.
    pub agreement: (usize, usize),
    /// Root mean square error of the outputs over their root mean square.
    pub relative_error: f64,
    /// Whether this is within the tolerance.
    pub within: bool,
}

/// What the search went through.
#[derive(Clone, Debug, PartialEq)]
pub struct MixedReport {
    /// What was asked for.
    pub tolerance: Tolerance,
    /// In order.
    pub steps: Vec<MixedStep>,
    /// The step that was chosen.
    pub chosen: usize,
    /// How many integer models were made and run.
    pub runs: usize,
    /// Whether it ended because they were too many.
    pub cut_short: bool,
}

/// Where a search is: bits of each layer, shift and table range.
#[derive(Clone, Debug, PartialEq)]
struct State {
    bits: Vec<u32>,
    shift: u32,
    q_bits: u32,
}

/// A state that was tried.
struct Trial {
    state: State,
    graph: IntGraph,
    report: QuantiseReport,
}

/// Predicts what proving a graph takes.
type Predict<'a> = dyn FnMut(&IntGraph) -> Result<Predicted, LowerError> + 'a;

struct Search<'a, 'b> {
    observed: Observed<'a>,
    tolerance: Tolerance,
    layers: Vec<(String, Vec<usize>)>,
    predict: &'b mut Predict<'b>,
    shown: &'b mut dyn FnMut(&MixedStep, usize),
    /// Predictions by entries: the layout depends on widths by nothing else.
    predicted: BTreeMap<usize, Option<Predicted>>,
    steps: Vec<(State, MixedStep)>,
    runs_max: usize,
}

/// As [`quantise`](super::quantise()), with widths that differ from layer to layer: those of the least predicted proving time within a
/// tolerance. `cost` predicts the time of one thread in milliseconds; `shown` is told every step and how many models were run so far.
/// Widths in the options are not regarded.
///
/// # Errors
/// As `quantise`, [`QuantiseError::Target`] if no width reaches the tolerance, and [`QuantiseError::TokensSearched`] with per-token
/// products.
pub fn quantise_mixed<'b>(
    model: &FloatModel,
    calibration: &[Vec<f32>],
    options: &QuantiseOptions,
    tolerance: Tolerance,
    predict: &'b mut Predict<'b>,
    shown: &'b mut dyn FnMut(&MixedStep, usize),
) -> Result<(Quantised, MixedReport), QuantiseError> {
    let widest = BITS_MAX.min(options.q_bits.unwrap_or(BITS_MAX)).min(options.q_bits_max);
    let options = QuantiseOptions { activation_bits: widest, layer_bits: BTreeMap::new(), ..options.clone() };
    check_options(&options)?;
    if options.per_token != PerToken::None {
        return Err(QuantiseError::TokensSearched);
    }
    let observed = Observed::new(model, calibration, &options, &vec![false; model.graph.nodes.len()])?;
    let runs_max = (WORK_MAX / observed.work().max(1)).clamp(RUNS_MIN, RUNS_MAX);
    let layers = widths::layers(model);
    let (predicted, steps) = (BTreeMap::new(), Vec::new());
    let mut search = Search { observed, tolerance, layers, predict, shown, predicted, steps, runs_max };
    search.all(widest)?;
    search.end()
}

/// What a state costs.
fn cost(predicted: Option<Predicted>) -> f64 {
    predicted.map_or(f64::INFINITY, |predicted| predicted.cost)
}

impl Search<'_, '_> {
    fn all(&mut self, widest: u32) -> Result<(), QuantiseError> {
        let (mut beyond, mut refusal) = (None, None);
        let first = BITS_FIRST.min(widest);
        for bits in (BITS_MIN..=first).rev() {
            if self.is_over() {
                break;
            }
            match self.uniform(bits) {
                Ok(trial) if self.tolerance.allows(&trial.report) => {}
                Ok(trial) => {
                    beyond = Some((bits, trial));
                    break;
                }
                // Tables that are too short for these may hold narrower ones.
                Err(error) => refusal = Some(error),
            }
        }
        if beyond.as_ref().is_some_and(|(bits, _)| *bits == first) {
            for bits in first + 1..=widest {
                if self.is_over() {
                    break;
                }
                match self.uniform(bits) {
                    Ok(trial) if self.tolerance.allows(&trial.report) => break,
                    Ok(trial) => beyond = Some((bits, trial)),
                    Err(_) => {}
                }
            }
        }
        let Some(best) = self.best() else {
            let (expected, bits) = (self.tolerance.relative_error_max, widest);
            let least = self.steps.iter().map(|(_, step)| step.relative_error).reduce(f64::min);
            let target = least.map(|got| QuantiseError::Target { bits, expected, got });
            return Err(target.or(refusal).unwrap_or(QuantiseError::NoCalibration));
        };
        let from = self.steps[best].0.clone();
        self.narrow(from);
        if let Some((_, trial)) = beyond
            && let Some(state) = self.widen(trial)
        {
            self.narrow(state);
        }
        self.refine();
        Ok(())
    }

    /// One width for all, with the smallest tables.
    fn uniform(&mut self, bits: u32) -> Result<Trial, QuantiseError> {
        let layers = vec![bits; self.layers.len()];
        let widths = self.observed.widths(self.nodes(&layers));
        let (graph, _, report) = self.observed.choose(&widths, &self.tolerance)?;
        let state = State { bits: layers, shift: report.shift, q_bits: report.q_bits };
        let trial = Trial { state, graph, report };
        self.went(MixedPhase::Uniform, &trial);
        Ok(trial)
    }

    /// Goes to narrower states within the tolerance, as far as it can.
    fn narrow(&mut self, from: State) {
        let Some(mut at) = self.attempt(&from) else { return };
        loop {
            let (entries, error) = (at.report.table_entries, at.report.relative_error.powi(2));
            let growth_min = GROWTH_MIN * self.tolerance.relative_error_max.powi(2);
            let worth = |trial: &Trial| {
                let saved = entries.saturating_sub(trial.report.table_entries) as f64;
                saved / (trial.report.relative_error.powi(2) - error).max(growth_min.max(f64::MIN_POSITIVE))
            };
            let tolerance = self.tolerance;
            let allowed =
                |trial: &Trial| tolerance.allows(&trial.report) && trial.report.table_entries < entries;
            let moves = self.narrower(&at.state);
            let Some(next) = self.most(moves, allowed, worth) else { return };
            if self.steps.iter().any(|(state, _)| *state == next.state) {
                return;
            }
            self.went(MixedPhase::Narrowed, &next);
            at = next;
        }
    }

    /// Goes to wider states until the tolerance holds.
    fn widen(&mut self, from: Trial) -> Option<State> {
        let mut at = from;
        while !self.tolerance.allows(&at.report) {
            let (entries, error) = (at.report.table_entries, at.report.relative_error.powi(2));
            let worth = |trial: &Trial| {
                let added = trial.report.table_entries.saturating_sub(entries).max(1) as f64;
                (error - trial.report.relative_error.powi(2)) / added
            };
            let moves = self.wider(&at.state);
            let next = self.most(moves, |trial| trial.report.relative_error.powi(2) < error, worth)?;
            self.went(MixedPhase::Widened, &next);
            at = next;
        }
        Some(at.state)
    }

    /// From the cheapest state, takes error as long as the cost stays.
    fn refine(&mut self) {
        while let Some(best) = self.best() {
            let (from, step) = self.steps[best].clone();
            let (moves, tolerance) = (self.wider(&from), self.tolerance);
            let allowed = |trial: &Trial| {
                tolerance.allows(&trial.report) && trial.report.relative_error < step.relative_error
            };
            let mut next: Option<Trial> = None;
            for state in moves {
                let Some(trial) = self.attempt(&state).filter(allowed) else { continue };
                let better =
                    next.as_ref().is_none_or(|n| trial.report.relative_error < n.report.relative_error);
                if better && self.predicted(&trial).is_some_and(|made| made.cost <= cost(step.predicted)) {
                    next = Some(trial);
                }
            }
            let Some(next) = next else { return };
            self.went(MixedPhase::Refined, &next);
        }
    }

    /// Of the allowed ones, the first that is worth most.
    fn most(
        &mut self,
        moves: Vec<State>,
        allowed: impl Fn(&Trial) -> bool,
        worth: impl Fn(&Trial) -> f64,
    ) -> Option<Trial> {
        let mut best: Option<Trial> = None;
        for state in moves {
            let Some(trial) = self.attempt(&state).filter(&allowed) else { continue };
            if best.as_ref().is_none_or(|best| worth(&trial) > worth(best)) {
                best = Some(trial);
            }
        }
        best
    }

    /// Moves to narrower layers and smaller tables.
    fn narrower(&self, from: &State) -> Vec<State> {
        let mut moves = self.of_layers(
            from,
            |bits, other| other < bits && other >= BITS_MIN,
            |bits| [bits - 1, bits - 2],
        );
        let options = self.observed.options;
        let widest = from.bits.iter().copied().max().unwrap_or(BITS_MIN);
        if options.q_bits.is_none() && from.q_bits > widest {
            moves.push(State { q_bits: from.q_bits - 1, ..from.clone() });
        }
        if options.shift.is_none() && from.shift > *SHIFTS.start() {
            moves.push(State { shift: from.shift - 1, ..from.clone() });
        }
        moves
    }

    /// Moves to wider layers and larger tables.
    fn wider(&self, from: &State) -> Vec<State> {
        let options = self.observed.options;
        let (widest, q_bits) = (options.activation_bits, from.q_bits);
        let fits = |bits, other| other > bits && other <= widest.min(q_bits);
        let mut moves = self.of_layers(from, fits, |bits| [bits + 1, bits + 2]);
        if options.q_bits.is_none() && from.q_bits < options.q_bits_max {
            moves.push(State { q_bits: from.q_bits + 1, ..from.clone() });
        }
        if options.shift.is_none() && from.shift < *SHIFTS.end() {
            moves.push(State { shift: from.shift + 1, ..from.clone() });
        }
        moves
    }

    /// One layer at a time gets other bits, near its own or those of another layer, and all layers of one width the nearest.
    fn of_layers(
        &self,
        from: &State,
        fits: impl Fn(u32, u32) -> bool,
        near: impl Fn(u32) -> [u32; 2],
    ) -> Vec<State> {
        let mut in_use = from.bits.clone();
        in_use.sort_unstable();
        in_use.dedup();
        let mut moves: Vec<State> = Vec::new();
        let mut add = |bits: Vec<u32>| {
            let state = State { bits, ..from.clone() };
            if !moves.contains(&state) {
                moves.push(state);
            }
        };
        for (layer, bits) in from.bits.iter().enumerate() {
            for other in near(*bits).into_iter().chain(in_use.iter().copied()).filter(|o| fits(*bits, *o)) {
                let mut moved = from.bits.clone();
                moved[layer] = other;
                add(moved);
            }
        }
        for width in in_use {
            let [next, _] = near(width);
            if fits(width, next) {
                add(from.bits.iter().map(|bits| if *bits == width { next } else { *bits }).collect());
            }
        }
        moves
    }

    fn is_over(&self) -> bool {
        self.observed.runs >= self.runs_max
    }

    /// The bits of every float node.
    fn nodes(&self, layers: &[u32]) -> Vec<u32> {
        let widest = layers.iter().copied().max().unwrap_or(self.observed.options.activation_bits);
        widths::fill(self.observed.model, widest, &self.layers, layers)
    }

    fn attempt(&mut self, state: &State) -> Option<Trial> {
        if self.is_over() {
            return None;
        }
        let widths = self.observed.widths(self.nodes(&state.bits));
        let (graph, _, report) = self.observed.attempt(&widths, (state.shift, state.q_bits)).ok()?;
        Some(Trial { state: state.clone(), graph, report })
    }

    fn predicted(&mut self, trial: &Trial) -> Option<Predicted> {
        let entries = trial.report.table_entries;
        // It grows with the entries, so between two numbers with the same prediction it is that.
        let below = self.predicted.range(..=entries).next_back().map(|(_, predicted)| *predicted);
        let above = self.predicted.range(entries..).next().map(|(_, predicted)| *predicted);
        match (below, above) {
            (Some(below), Some(above)) if below == above => below,
            _ => {
                let predicted = (self.predict)(&trial.graph).ok();
                self.predicted.insert(entries, predicted);
                predicted
            }
        }
    }

    /// Takes a state down.
    fn went(&mut self, phase: MixedPhase, trial: &Trial) {
        let names = self.layers.iter().map(|(name, _)| name.clone());
        let step = MixedStep {
            phase,
            bits: names.zip(trial.state.bits.iter().copied()).collect(),
            shift: trial.report.shift,
            q_bits: trial.report.q_bits,
            table_entries: trial.report.table_entries,
            predicted: self.predicted(trial),
            agreement: trial.report.agreement,
            relative_error: trial.report.relative_error,
            within: self.tolerance.allows(&trial.report),
        };
        (self.shown)(&step, self.observed.runs);
        self.steps.push((trial.state.clone(), step));
    }

    /// The cheapest step within the tolerance, and of several the one of least error.
    fn best(&self) -> Option<usize> {
        let usable = self.steps.iter().enumerate().filter(|(_, (_, step))| step.within);
        let usable = usable.map(|(at, (_, step))| (at, cost(step.predicted), step.relative_error));
        let least = usable.min_by(|a, b| a.1.total_cmp(&b.1).then(a.2.total_cmp(&b.2)));
        least.map(|(at, ..)| at)
    }

    fn end(mut self) -> Result<(Quantised, MixedReport), QuantiseError> {
        let Some(chosen) = self.best() else { return Err(QuantiseError::NoCalibration) };
        let state = self.steps[chosen].0.clone();
        let (runs, cut_short) = (self.observed.runs, self.is_over());
        let widths = self.observed.widths(self.nodes(&state.bits));
        let quantised = self.observed.attempt(&widths, (state.shift, state.q_bits))?;
        let steps = self.steps.into_iter().map(|(_, step)| step).collect();
        Ok((quantised, MixedReport { tolerance: self.tolerance, steps, chosen, runs, cut_short }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::check::{Onnx, ints, noise};
    use crate::interpret::run;
    use crate::quantise::{quantise, quantise_record};

    /// Three layers of different widths; with a maximum of two neighbours behind the first.
    fn model() -> FloatModel {
        let onnx = Onnx::new(&[1, 1, 10]).noise("w", &[3, 1, 3], 1.0).noise("v", &[12, 9], 0.4);
        let onnx = onnx.noise("u", &[9, 4], 0.6);
        let onnx = onnx.node("Conv", &["x", "w"], "c", vec![]).node("Relu", &["c"], "r", vec![]);
        let attributes = vec![ints("kernel_shape", &[2]), ints("strides", &[2])];
        let onnx = onnx.node("MaxPool", &["r"], "m", attributes).node("Flatten", &["m"], "f", vec![]);
        let onnx = onnx.node("MatMul", &["f", "v"], "h", vec![]).node("Tanh", &["h"], "t", vec![]);
        onnx.node("MatMul", &["t", "u"], "y", vec![]).import("y").unwrap()
    }

    fn records() -> Vec<Vec<f32>> {
        (0..24).map(|seed| noise(seed, 10, 2.0)).collect()
    }

    fn search(relative_error_max: f64) -> Result<(Quantised, MixedReport), QuantiseError> {
        search_of(&model(), &records(), relative_error_max)
    }

    fn search_of(
        model: &FloatModel,
        records: &[Vec<f32>],
        relative_error_max: f64,
    ) -> Result<(Quantised, MixedReport), QuantiseError> {
        let tolerance = Tolerance { relative_error_max, agreement_min: 0.9 };
        let mut predict = |graph: &IntGraph| {
            let cost = crate::lower::TableReach::new(graph).entries() as f64;
            Ok(Predicted { cost, milliseconds: cost })
        };
        let options = QuantiseOptions::default();
        quantise_mixed(model, records, &options, tolerance, &mut predict, &mut |_, _| {})
    }

    #[test]
    fn what_is_found_is_within_the_tolerance_and_the_cheapest_of_what_was_tried() {
        for tolerance in [0.01, 0.04, 0.1] {
            let ((graph, weights, quantised), report) = search(tolerance).unwrap();
            let chosen = &report.steps[report.chosen];
            assert!(chosen.within && quantised.relative_error <= tolerance, "{chosen:?}");
            let within = report.steps.iter().filter(|step| step.within);
            assert!(within.clone().all(|step| cost(step.predicted) >= cost(chosen.predicted)));
            assert!(report.steps.iter().all(|step| step.within
                == (step.relative_error <= tolerance
                    && step.agreement.0 as f64 * 0.9 <= step.agreement.1 as f64)));
            // What is told is what was made.
            let told =
                quantised.nodes.iter().filter_map(|node| Some((node.name.clone(), node.activation_bits?)));
            assert_eq!(told.collect::<Vec<_>>(), chosen.bits);
            assert_eq!((quantised.shift, quantised.q_bits), (chosen.shift, chosen.q_bits));
            let record = quantise_record(&graph, &records()[5]).unwrap();
            assert!(run(&graph, &weights, &record).is_ok());
        }
    }

    #[test]
    fn a_layer_that_hardly_counts_gets_fewer_bits_and_tables_become_smaller() {
        let onnx = Onnx::new(&[1, 12]).noise("w", &[12, 9], 1.0).noise("v", &[12, 4], 1.0);
        let onnx = onnx.noise("u", &[9, 4], 0.05).node("MatMul", &["x", "w"], "h", vec![]);
        let onnx = onnx.node("Relu", &["h"], "r", vec![]).node("MatMul", &["r", "u"], "a", vec![]);
        let onnx = onnx.node("MatMul", &["x", "v"], "b", vec![]).node("Add", &["a", "b"], "y", vec![]);
        let model = onnx.import("y").unwrap();
        let records = (0..24).map(|seed| noise(seed, 12, 2.0)).collect::<Vec<_>>();
        let (_, report) = search_of(&model, &records, 0.02).unwrap();
        let uniform = report.steps.iter().filter(|step| step.within && step.phase == MixedPhase::Uniform);
        let uniform = uniform.map(|step| step.table_entries).min().unwrap();
        let chosen = &report.steps[report.chosen];
        assert!(chosen.table_entries < uniform, "{report:#?}");
        let bits = |name: &str| chosen.bits.iter().find(|(layer, _)| layer == name).unwrap().1;
        assert!(bits("h") < bits("b"), "{chosen:?}");
    }

    #[test]
    fn one_more_bit_taken_from_any_layer_breaks_the_tolerance_or_saves_nothing() {
        let (_, report) = search(0.04).unwrap();
        let chosen = report.steps[report.chosen].clone();
        for layer in 0..chosen.bits.len() {
            let mut layer_bits: BTreeMap<String, u32> = chosen.bits.iter().cloned().collect();
            let bits = layer_bits.get_mut(&chosen.bits[layer].0).unwrap();
            *bits -= 1;
            let (shift, q_bits) = (Some(chosen.shift), Some(chosen.q_bits));
            let activation_bits = *layer_bits.values().max().unwrap();
            let options =
                QuantiseOptions { activation_bits, layer_bits, shift, q_bits, ..QuantiseOptions::default() };
            let Ok((_, _, narrower)) = quantise(&model(), &records(), &options) else { continue };
            let within = Tolerance { agreement_min: 0.9, relative_error_max: 0.04 }.allows(&narrower);
            assert!(!within || narrower.table_entries >= chosen.table_entries, "{narrower:?}");
        }
    }

    #[test]
    fn the_same_records_give_the_same_widths_and_these_the_same_model() {
        let ((graph, weights, _), report) = search(0.04).unwrap();
        assert_eq!(search(0.04).unwrap().1, report);
        let chosen = &report.steps[report.chosen];
        let options = QuantiseOptions {
            activation_bits: chosen.bits.iter().map(|(_, bits)| *bits).max().unwrap(),
            layer_bits: chosen.bits.iter().cloned().collect(),
            shift: Some(chosen.shift),
            q_bits: Some(chosen.q_bits),
            ..QuantiseOptions::default()
        };
        let (again, again_weights, _) = quantise(&model(), &records(), &options).unwrap();
        assert_eq!(format!("{graph:?}"), format!("{again:?}"));
        assert_eq!(weights.0, again_weights.0);
    }

    #[test]
    fn a_tolerance_that_no_width_reaches_is_refused_with_the_error_that_is_left() {
        let error = search(1e-6).unwrap_err();
        assert!(matches!(error, QuantiseError::Target { bits: 16, got, .. } if got > 1e-6), "{error}");
    }

    #[test]
    fn widths_by_hand_are_those_of_layers_that_have_them() {
        let with = |name: &str, bits| {
            let layer_bits = BTreeMap::from([(name.to_owned(), bits)]);
            quantise(&model(), &records(), &QuantiseOptions { layer_bits, ..QuantiseOptions::default() })
        };
        let (graph, _, report) = with("c", 6).unwrap();
        let bits = report.nodes.iter().map(|node| node.activation_bits).collect::<Vec<_>>();
        assert_eq!(bits, [Some(8), Some(6), None, Some(8), None], "{report:?}");
        // The maximum keeps the integers of the layer before it.
        let ranges = graph
            .nodes
            .iter()
            .filter(|node| node.operator == "MaxPool")
            .filter_map(|node| node.table.range());
        assert_eq!(ranges.collect::<Vec<_>>(), [(-32, 31)]);
        for name in ["m", "y", "nothing"] {
            let error = with(name, 6).unwrap_err();
            assert!(matches!(&error, QuantiseError::Layer { got, .. } if got == name), "{error}");
            assert!(error.to_string().contains("`c`"), "{error}");
        }
        for bits in [1, 17] {
            assert!(matches!(with("c", bits).unwrap_err(), QuantiseError::Option { .. }));
        }
    }
}
