//! `ReduceSum`, `ReduceMean`, `ReduceMax` and `ReduceProd` over any axes. The maximum is exact; the factor of a sum or a mean is rounded
//! to an integer over 2^shift, as for pooling. A product is taken factor by factor, each requantised: with n factors its error is at
//! most that of n − 1 products, each passed on by the factors after it.

use super::{Activation, Importer, OnnxNode, Problem, Value, axis};
use crate::float::{FloatOp, FloatTerm};

/// What becomes of the elements that fall together.
#[derive(Clone, Copy)]
enum Reduction {
    Sum,
    Mean,
    Max,
    Product,
}

/// Most factors of a product: each takes a product of its own.
const FACTORS_MAX: usize = 64;

pub fn sum(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    import(importer, node, Reduction::Sum)
}

pub fn mean(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    import(importer, node, Reduction::Mean)
}

pub fn max(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    import(importer, node, Reduction::Max)
}

pub fn product(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    import(importer, node, Reduction::Product)
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
    let dims = kept.iter().enumerate().filter(|(a, _)| keep || !reduced.contains(a));
    let shape: Vec<usize> = dims.map(|(_, size)| *size).collect();
    let op = match reduction {
        Reduction::Product => return factors(importer, node, &operand, &target, outputs, &shape),
        Reduction::Sum => sum(1.0),
        Reduction::Mean => sum(1.0 / count as f32),
        Reduction::Max => {
            let mut windows = vec![Vec::with_capacity(count); outputs];
            (0u32..).zip(&target).for_each(|(e, output)| windows[*output as usize].push(e));
            FloatOp::Max { input: operand.view.clone(), windows }
        }
    };
    importer.emit(node, op, shape)
}

/// The product of the elements that `target` sends to the same output, one after the other.
fn factors(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    operand: &Activation,
    target: &[u32],
    outputs: usize,
    shape: &[usize],
) -> Result<(), Problem> {
    let count = operand.view.len() / outputs.max(1);
    if count > FACTORS_MAX {
        return Err(Problem::unsupported(format!("{count} factors, at most {FACTORS_MAX} are supported")));
    }
    if count == 1 {
        importer.emit_view(node, operand, operand.reshaped(shape.to_vec()));
        return Ok(());
    }
    let mut seen = vec![0usize; outputs];
    let mut chosen = vec![vec![None; target.len()]; count];
    for (element, output) in target.iter().enumerate() {
        chosen[seen[*output as usize]][element] = Some(*output);
        seen[*output as usize] += 1;
    }
    let element = |at: usize| {
        vec![FloatTerm { input: operand.view.clone(), factor: 1.0, target: Some(chosen[at].clone()) }]
    };
    let mut product = element(0);
    for at in 1..count {
        let name = match at + 1 == count {
            true => node.output().to_owned(),
            false => importer.gathered_product(node, operand, &chosen[..=at], outputs),
        };
        let op = FloatOp::Product { factors: [product, element(at)] };
        importer.emit_as(node, op, shape.to_vec(), &name)?;
        let Some(Value::Activation(made)) = importer.made(&name) else { return Err(Problem::Unknown) };
        product = vec![FloatTerm { input: made.view, factor: 1.0, target: None }];
    }
    Ok(())
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
    fn products_over_every_choice_of_axes() {
        for axes in [&[1][..], &[-1], &[2, 1]] {
            for keep in [0, 1] {
                let attributes = vec![ints("axes", axes), int("keepdims", keep)];
                Onnx::new(&[1, 3, 2, 2]).node("ReduceProd", &["x"], "y", attributes).check("y");
            }
        }
        let onnx = Onnx::new(&[1, 3, 1]).node("ReduceProd", &["x"], "y", vec![ints("axes", &[2])]);
        onnx.check("y");
        let onnx = Onnx::new(&[1, 65]).node("ReduceProd", &["x"], "y", vec![ints("axes", &[1])]);
        assert!(onnx.unsupported("y")[0].contains("65 factors"));
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
