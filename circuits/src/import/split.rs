//! `Split` along one axis: each output is a copy of its part, exact.

use super::{Importer, OnnxNode, Problem, axis, place};
use crate::float::FloatOp;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let shape = operand.shape().to_vec();
    let along = axis(node.int("axis")?.unwrap_or(0), shape.len())?;
    let count = node.proto.output.len().max(1);
    let sizes = match node.ints("split")?.map(<[i64]>::to_vec) {
        Some(sizes) => Some(sizes),
        None => importer.integers(node, 1)?,
    };
    let sizes: Vec<usize> = match sizes {
        Some(sizes) => sizes.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect(),
        None => {
            let part = shape[along].div_ceil(count);
            (0..count).map(|index| part.min(shape[along].saturating_sub(index * part))).collect()
        }
    };
    if sizes.len() != count || sizes.contains(&0) || sizes.iter().sum::<usize>() != shape[along] {
        let whole = shape[along];
        return Err(Problem::malformed(format!("{whole} elements in {count} parts of {sizes:?}")));
    }
    let mut first = 0;
    for (output, size) in node.proto.output.iter().zip(sizes) {
        let part: Vec<usize> =
            shape.iter().enumerate().map(|(axis, all)| if axis == along { size } else { *all }).collect();
        let start = first;
        let term = place::term(&operand, &part, |axis, position| match axis == along {
            true => position.checked_sub(start).filter(|at| *at < size),
            false => Some(position),
        })?;
        first += size;
        importer.emit_as(node, FloatOp::Sum { terms: vec![term], constant: 0.0 }, part, output)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int};

    #[test]
    fn parts_of_equal_and_of_other_sizes() {
        for axis in [1, 2] {
            let onnx = Onnx::new(&[1, 4, 6]).split("x", &["a", "b"], None, axis);
            onnx.node("Sub", &["a", "b"], "y", vec![]).check("y");
        }
        let onnx = Onnx::new(&[1, 7]).ints("s", &[3, 1, 3]).split("x", &["a", "b", "c"], Some("s"), -1);
        let onnx = onnx.node("Add", &["a", "c"], "d", vec![]);
        onnx.node("Concat", &["b", "d"], "y", vec![int("axis", 1)]).check("y");
        let onnx = Onnx::new(&[1, 7]).ints("s", &[3, 3]).split("x", &["a", "b"], Some("s"), 1);
        assert!(onnx.node("Add", &["a", "b"], "y", vec![]).malformed("y").contains("7 elements"));
    }
}
