//! Maxima in steps: `m ← m + max(x − m, 0)` for one more element of each window at a time.
//!
//! The running maximum is never a tensor of its own: it is the sum of the windows' first elements and the steps so far,
//! and only the end is written down. All of it is exact.

use super::{Builder, QuantiseError};
use crate::graph::{Linear, TableKind, TensorId, Term, View};

impl Builder<'_> {
    /// A maximum over windows: float node `index`.
    pub(super) fn max_pool(
        &mut self,
        index: usize,
        input: &View,
        windows: &[Vec<u32>],
    ) -> Result<(), QuantiseError> {
        let (bound, scale) = (self.bound_of(input), self.scale_of(input));
        let shape = self.model.graph.tensors[index].shape.clone();
        let input = self.view(input);
        let deepest = windows.iter().map(Vec::len).max().unwrap_or(0);
        let mut steps: Vec<TensorId> = Vec::new();
        for depth in 1..deepest {
            let mut terms = maximum(&input, windows, &steps, &shape, depth, -1);
            terms.extend(element_terms(&input, windows, depth, depth, 1));
            let (linear, name) = (Linear::Combine { terms, constant: 0 }, format!("step{depth}"));
            let (table, span) = (TableKind::Relu, bound.1 - bound.0);
            steps.push(self.push_step(index, &name, linear, 0, table, shape.clone(), span, scale)?);
        }
        let terms = maximum(&input, windows, &steps, &shape, 0, 1);
        let linear = Linear::Combine { terms, constant: 0 };
        let z = (bound.0.min(0), bound.1.max(0));
        self.push(index, linear, 0, self.keeping_table(index, z), (scale, 1.0), z, 0)
    }
}

/// `coefficient` times the maximum so far, for the outputs whose window has more than `depth` elements.
fn maximum(
    input: &View,
    windows: &[Vec<u32>],
    steps: &[TensorId],
    shape: &[usize],
    depth: usize,
    coefficient: i64,
) -> Vec<Term> {
    let mut terms = element_terms(input, windows, 0, depth, coefficient);
    let all = windows.iter().all(|w| w.len() > depth);
    let target = || {
        let output = |(o, w): (usize, &Vec<u32>)| (w.len() > depth).then_some(o as u32);
        windows.iter().enumerate().map(output).collect::<Vec<_>>()
    };
    terms.extend(steps.iter().map(|step| {
        let target = if all { None } else { Some(target()) };
        Term { input: View::plain(*step, shape.to_vec()), coefficient, target }
    }));
    terms
}

/// Element `which` of every window that has more than `depth` elements. An input element that is wanted by several windows
/// (they overlap) goes to one of them per term.
fn element_terms(
    input: &View,
    windows: &[Vec<u32>],
    which: usize,
    depth: usize,
    coefficient: i64,
) -> Vec<Term> {
    let mut targets: Vec<Vec<Option<u32>>> = Vec::new();
    for (output, window) in windows.iter().enumerate().filter(|(_, w)| w.len() > depth) {
        let element = window[which] as usize;
        match targets.iter_mut().find(|target| target[element].is_none()) {
            Some(target) => target[element] = Some(output as u32),
            None => {
                let mut target = vec![None; input.len()];
                target[element] = Some(output as u32);
                targets.push(target);
            }
        }
    }
    let term = |target| Term { input: input.clone(), coefficient, target: Some(target) };
    targets.into_iter().map(term).collect()
}

#[cfg(test)]
mod tests {
    use crate::import::check::{Onnx, int, ints};
    use crate::{QuantiseOptions, quantise, quantise_record, run};

    /// A normalised row whose largest element stands out, and which of its elements are no smaller than the maximum (or no larger than the minimum).
    #[test]
    fn maxima_of_a_normalisation_keep_integers_beyond_the_activations() {
        for (operator, compared, sign) in
            [("ReduceMax", "GreaterOrEqual", 1.0), ("ReduceMin", "LessOrEqual", -1.0)]
        {
            let onnx = Onnx::new(&[1, 2, 9]).floats("g", &[9], vec![1.0; 9]);
            let onnx = onnx.node("LayerNormalization", &["x", "g"], "n", vec![]);
            let onnx = onnx.node(operator, &["n"], "m", vec![ints("axes", &[2]), int("keepdims", 1)]);
            let model = onnx.node(compared, &["n", "m"], "y", vec![]).import("y").unwrap();
            // In units of the deviation the two largest of a row are beyond 1, where activations of 8 bits end, and differ.
            let row = [0.1, 0.0, 1.6, 0.2, 1.9, 0.1, 0.0, 0.1, 0.2];
            let record: Vec<f32> = row.iter().chain(row.iter().rev()).map(|v| v * sign).collect();
            let options = QuantiseOptions { q_bits: Some(12), shift: Some(10), ..QuantiseOptions::default() };
            let (graph, weights, _) = quantise(&model, std::slice::from_ref(&record), &options).unwrap();
            let trace = run(&graph, &weights, &quantise_record(&graph, &record).unwrap()).unwrap();
            let of = |name: &str| {
                let made = graph.tensors.iter().position(|tensor| tensor.name == name).unwrap();
                trace.nodes[made].y.iter().map(|y| *y as f32 * sign).collect::<Vec<_>>()
            };
            let (normal, most) = (of("n"), of("m"));
            for (row, most) in normal.chunks(9).zip(most) {
                assert_eq!(row.iter().copied().fold(f32::MIN, f32::max), most, "{operator}");
                assert!(most > 127.0 && row.iter().filter(|v| **v >= 127.0).count() == 2, "{row:?}");
            }
            let places: Vec<usize> = (0..18).filter(|at| trace.output[*at] != 0).collect();
            assert_eq!(places, [4, 9 + 4], "{operator}: {:?}", trace.output);
        }
    }
}
