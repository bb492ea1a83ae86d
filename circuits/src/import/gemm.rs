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
