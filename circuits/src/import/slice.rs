//! `Slice` with constant ends and steps, exact; of constant lists too, as exporters write it into shape computations.

use super::{Constant, Data, Importer, OnnxNode, Problem, Value, axis, place};
use crate::float::FloatOp;

/// Which positions of an axis are kept: `first`, `first + step`, …, `len` of them.
#[derive(Clone, Copy)]
struct Cut {
    first: i64,
    step: i64,
    len: usize,
}

impl Cut {
    /// By the ONNX rules: ends count from behind when negative, and are clamped to the axis.
    fn new(size: usize, start: i64, end: i64, step: i64) -> Result<Self, Problem> {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let from_front = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (start, end) = (from_front(start), from_front(end));
        let (first, span) = match step {
            1.. => (start.clamp(0, size), end.clamp(0, size) - start.clamp(0, size)),
            0 => return Err(Problem::malformed("a step of 0")),
            _ => (start.clamp(-1, size - 1), start.clamp(-1, size - 1) - end.clamp(-1, size - 1)),
        };
        let count = u64::try_from(span).unwrap_or(0).div_ceil(step.unsigned_abs());
        Ok(Self { first, step, len: usize::try_from(count).unwrap_or(0) })
    }

    /// Where a position goes, if it is kept.
    fn place(self, position: usize) -> Option<usize> {
        let offset = i64::try_from(position).ok()?.checked_sub(self.first)?;
        let kept = offset.checked_rem(self.step)? == 0;
        let index = usize::try_from(offset.checked_div(self.step)?).ok()?;
        (kept && index < self.len).then_some(index)
    }
}

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    if node.proto.input.len() < 3 {
        return Err(Problem::unsupported(
            "its ends are attributes, as before opset 10; export with a newer opset",
        ));
    }
    let list = |index| importer.integers(node, index);
    let missing = || Problem::malformed("starts or ends are missing");
    let (starts, ends) = (list(1)?.ok_or_else(missing)?, list(2)?.ok_or_else(missing)?);
    let axes = list(3)?.unwrap_or_else(|| (0i64..).take(starts.len()).collect());
    let steps = list(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|len| *len != starts.len()) {
        return Err(Problem::malformed("starts, ends, axes and steps of different lengths"));
    }
    let cuts = |shape: &[usize]| {
        let whole = |size: &usize| Cut { first: 0, step: 1, len: *size };
        let mut cuts: Vec<Cut> = shape.iter().map(whole).collect();
        for (index, along) in axes.iter().enumerate() {
            let along = axis(*along, shape.len())?;
            cuts[along] = Cut::new(shape[along], starts[index], ends[index], steps[index])?;
        }
        Ok::<_, Problem>(cuts)
    };
    if let Some(constant) = importer.folded(node)? {
        let (Data::Int(values), [_]) = (&constant.data, constant.shape.as_slice()) else {
            return Err(Problem::unsupported("of constants, supported on lists of integers only"));
        };
        let cut = cuts(&constant.shape)?[0];
        let mut kept: Vec<(usize, i64)> =
            values.iter().enumerate().filter_map(|(at, value)| Some((cut.place(at)?, *value))).collect();
        kept.sort_unstable();
        let data = Data::Int(kept.into_iter().map(|(_, value)| value).collect());
        let constant = Constant { name: node.output().into(), shape: vec![cut.len], data, literal: true };
        importer.bind(node.output(), Value::Constant(constant));
        return Ok(());
    }
    let operand = importer.activation(node, 0)?;
    let cuts = cuts(operand.shape())?;
    let shape: Vec<usize> = cuts.iter().map(|cut| cut.len).collect();
    if shape.contains(&0) {
        return Err(Problem::unsupported(format!("a result of shape {shape:?}")));
    }
    let term = place::term(&operand, &shape, |axis, position| cuts[axis].place(position))?;
    importer.emit(node, FloatOp::Sum { terms: vec![term], constant: 0.0 }, shape)
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    fn slice(starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]) -> Onnx {
        let onnx = Onnx::new(&[1, 4, 7]).ints("s", starts).ints("e", ends).ints("a", axes).ints("t", steps);
        onnx.node("Slice", &["x", "s", "e", "a", "t"], "y", vec![])
    }

    #[test]
    fn ends_from_either_side_beyond_the_axis_and_steps() {
        slice(&[1], &[3], &[1], &[1]).check("y");
        slice(&[-5], &[-1], &[2], &[1]).check("y");
        slice(&[1, 2], &[i64::MAX, 100], &[-2, 2], &[2, 3]).check("y");
        slice(&[6], &[1], &[2], &[-2]).check("y");
    }

    #[test]
    fn nothing_and_no_step_are_refused() {
        assert!(slice(&[3], &[3], &[1], &[1]).unsupported("y")[0].contains("[1, 0, 7]"));
        assert!(slice(&[3], &[4], &[1], &[0]).malformed("y").contains("step of 0"));
        assert!(slice(&[3], &[4], &[3], &[1]).malformed("y").contains("axis"));
        assert!(slice(&[3, 1], &[4], &[1], &[1]).malformed("y").contains("lengths"));
    }

    #[test]
    fn shape_computations_are_folded() {
        let onnx = Onnx::new(&[1, 4, 3]).node("Shape", &["x"], "s", vec![]).ints("f", &[0]).ints("t", &[2]);
        let onnx = onnx.node("Slice", &["s", "f", "t"], "head", vec![]).ints("one", &[3, 1]);
        let onnx = onnx.node("Concat", &["head", "one"], "n", vec![super::super::check::int("axis", 0)]);
        let model = onnx.node("Reshape", &["x", "n"], "y", vec![]).check("y");
        assert_eq!(model.graph.output.shape, [4, 3, 1]);
    }
}
