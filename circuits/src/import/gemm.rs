//! `Gemm`: `alpha·A·B + beta·C` with B and C constant.

use super::matmul::{Matrix, product};
use super::{Activation, Importer, OnnxNode, Problem, broadcast};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let mut a = importer.activation(node, 0)?;
    let (constant, mut values) = importer.constant(node, 1)?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    values.iter_mut().for_each(|v| *v *= alpha);
    let mut b = Matrix::new(constant, values)?;
    if node.flag("transB")? {
        b = b.transposed();
    }
    if a.shape().len() != 2 {
        return Err(Problem::malformed(format!("A should have 2 dimensions, got shape {:?}", a.shape())));
    }
    if node.flag("transA")? {
        a = Activation { view: a.permuted(&[1, 0]), ..a };
    }
    let rows = a.shape()[0];
    let shape = vec![rows, b.columns];
    let bias = match node.input(2) {
        None => None,
        Some(_) => {
            let (c, values) = importer.constant(node, 2)?;
            let mut spread = broadcast(&c.shape, &values, &shape)?;
            if spread.chunks_exact(b.columns.max(1)).any(|row| *row != spread[..b.columns]) {
                return Err(Problem::unsupported("C differs from row to row"));
            }
            spread.truncate(b.columns);
            spread.iter_mut().for_each(|v| *v *= beta);
            Some((c.name, spread))
        }
    };
    product(importer, node, &a, b, bias, shape)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, float, int};

    #[test]
    fn factors_transposes_and_biases() {
        for (trans, bias) in [(0, &[][..]), (1, &[1]), (0, &[5]), (1, &[1, 5])] {
            let shape: &[i64] = if trans == 0 { &[7, 5] } else { &[5, 7] };
            let onnx = Onnx::new(&[-1, 7]).noise("w", shape, 1.0).noise("c", bias, 2.0);
            let attributes = vec![float("alpha", 0.7), float("beta", -1.5), int("transB", trans)];
            onnx.node("Gemm", &["x", "w", "c"], "y", attributes).check("y");
        }
    }

    #[test]
    fn rows_and_a_transposed_first_operand() {
        let onnx = Onnx::new(&[7, 3]).noise("w", &[7, 5], 1.0).noise("c", &[5], 2.0);
        onnx.node("Gemm", &["x", "w", "c"], "y", vec![int("transA", 1)]).check("y");
    }

    #[test]
    fn misfits_are_refused() {
        let onnx = Onnx::new(&[1, 7]).noise("w", &[6, 5], 1.0).node("Gemm", &["x", "w"], "y", vec![]);
        assert!(onnx.malformed("y").contains("cannot be multiplied"));
        let onnx = Onnx::new(&[3, 7]).noise("w", &[7, 5], 1.0).noise("c", &[3, 1], 1.0);
        assert!(onnx.node("Gemm", &["x", "w", "c"], "y", vec![]).unsupported("y")[0].contains("row to row"));
        let onnx = Onnx::new(&[1, 7]).noise("w", &[1, 7], 1.0).node("Gemm", &["w", "x"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("input 0 is a constant"));
    }
}
