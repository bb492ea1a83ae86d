//! `ReduceSum`, `ReduceMean` and `ReduceMax` over any axes. The maximum is exact; the factor of a sum or a mean is rounded to an
//! integer over 2^shift, as for pooling.

use super::{Importer, OnnxNode, Problem, axis};
use crate::float::{FloatOp, FloatTerm};

/// What becomes of the elements that fall together.
#[derive(Clone, Copy)]
enum Reduction {
    Sum,
    Mean,
    Max,
}

pub fn sum(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    import(importer, node, Reduction::Sum)
}

pub fn mean(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    import(importer, node, Reduction::Mean)
}

pub fn max(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    import(importer, node, Reduction::Max)
}

fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>, reduction: Reduction) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let old = operand.shape();
    let axes = match node.ints("axes")? {
        Some(axes) => Some(axes.to_vec()),
        None => importer.integers(node, 1)?,
    };
    let reduced = match axes {
        Some(axes) if !axes.is_empty() => {
            axes.iter().map(|a| axis(*a, old.len())).collect::<Result<Vec<_>, _>>()?
        }
        _ if node.flag("noop_with_empty_axes")? => {
            return Err(Problem::unsupported("no axes, and that to mean nothing"));
        }
        _ => (0..old.len()).collect(),
    };
    let keep = node.int("keepdims")?.unwrap_or(1) != 0;
    let kept: Vec<usize> =
        old.iter().enumerate().map(|(a, size)| if reduced.contains(&a) { 1 } else { *size }).collect();
    let outputs: usize = kept.iter().product();
    let count = operand.view.len() / outputs.max(1);
    let target = targets(old, &kept);
    let sum = |factor| {
        let target = Some(target.iter().copied().map(Some).collect());
        let terms = vec![FloatTerm { input: operand.view.clone(), factor, target }];
        FloatOp::Sum { terms, constant: 0.0 }
    };
    let op = match reduction {
        Reduction::Sum => sum(1.0),
        Reduction::Mean => sum(1.0 / count as f32),
        Reduction::Max => {
            let mut windows = vec![Vec::with_capacity(count); outputs];
            (0u32..).zip(&target).for_each(|(e, output)| windows[*output as usize].push(e));
            FloatOp::Max { input: operand.view.clone(), windows }
        }
    };
    let dims = kept.iter().enumerate().filter(|(a, _)| keep || !reduced.contains(a));
    let shape = dims.map(|(_, size)| *size).collect();
    importer.emit(node, op, shape)
}

/// For each element of a tensor of shape `old`, the element of the one of shape `kept` that it falls on.
fn targets(old: &[usize], kept: &[usize]) -> Vec<u32> {
    let element = |mut e: usize| {
        let (mut to, mut stride) = (0, 1);
        for (size, kept) in old.iter().zip(kept).rev() {
            to += if *kept == 1 { 0 } else { e % size * stride };
            (e, stride) = (e / size, stride * kept);
        }
        to as u32
    };
    (0..old.iter().product()).map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int, ints};

    #[test]
    fn over_every_choice_of_axes() {
        for operator in ["ReduceMean", "ReduceMax"] {
            for axes in [&[1][..], &[-1], &[2, 1], &[3, 1], &[1, 2, 3]] {
                for keep in [0, 1] {
                    let attributes = vec![ints("axes", axes), int("keepdims", keep)];
                    Onnx::new(&[1, 3, 5, 2]).node(operator, &["x"], "y", attributes).check("y");
                }
            }
        }
    }

    #[test]
    fn sums_take_their_axes_as_an_input() {
        for axes in [[1, 2], [-1, 1]] {
            let onnx = Onnx::new(&[1, 3, 5, 2]).ints("a", &axes);
            onnx.node("ReduceSum", &["x", "a"], "y", vec![int("keepdims", 0)]).check("y");
        }
    }

    #[test]
    fn of_a_transposed_view() {
        let onnx = Onnx::new(&[1, 3, 5]).node("Transpose", &["x"], "t", vec![ints("perm", &[0, 2, 1])]);
        onnx.node("ReduceMean", &["t"], "y", vec![ints("axes", &[1])]).check("y");
    }

    #[test]
    fn axes_outside_the_shape_are_malformed() {
        let onnx = Onnx::new(&[1, 3]).node("ReduceMean", &["x"], "y", vec![ints("axes", &[2])]);
        assert!(onnx.malformed("y").contains("axis"));
    }
}
