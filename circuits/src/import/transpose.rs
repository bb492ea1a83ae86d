//! `Transpose`: another order of the same elements.

use super::{Importer, OnnxNode, Problem};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let rank = operand.shape().len();
    let axes = match node.ints("perm")? {
        Some(axes) => axes.iter().map(|a| super::axis(*a, rank)).collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(Problem::malformed(format!("{axes:?} is no permutation of {rank} axes")));
    }
    let view = operand.permuted(&axes);
    importer.emit_view(node, &operand, view);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, ints};

    #[test]
    fn any_permutation_before_and_after_a_product() {
        for perm in [[0, 1, 2, 3], [0, 2, 3, 1], [0, 3, 1, 2], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let sizes = [1, 2, 3, 4];
            let last = sizes[perm[3] as usize];
            let onnx = Onnx::new(&sizes).noise("w", &[last, 3], 1.0);
            let onnx = onnx.node("Transpose", &["x"], "t", vec![ints("perm", &perm)]);
            let onnx = onnx.node("MatMul", &["t", "w"], "m", vec![]);
            onnx.node("Transpose", &["m"], "y", vec![ints("perm", &perm)]).check("y");
        }
    }

    #[test]
    fn reverses_by_default_and_meets_other_orders_in_a_sum() {
        let onnx =
            Onnx::new(&[3, 3]).node("Transpose", &["x"], "t", vec![]).node("Add", &["x", "t"], "y", vec![]);
        onnx.check("y");
    }

    #[test]
    fn what_is_no_permutation_is_refused() {
        let onnx = Onnx::new(&[3, 3]).node("Transpose", &["x"], "y", vec![ints("perm", &[0, 0])]);
        assert!(onnx.malformed("y").contains("no permutation"));
    }
}
