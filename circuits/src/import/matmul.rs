//! `MatMul` of a computed tensor and a constant matrix, either way round.

use super::{Activation, Constant, Importer, OnnxNode, Problem, Value};
use crate::float::{FloatOp, FloatWeight};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    match (importer.value(node, 0)?, importer.value(node, 1)?) {
        (Value::Activation(a), Value::Constant(_)) => {
            let a = a.clone();
            let (constant, values) = importer.constant(node, 1)?;
            let b = Matrix::new(constant, values)?;
            let mut shape = a.shape().to_vec();
            match shape.last_mut() {
                Some(last) => *last = b.columns,
                None => return Err(Problem::malformed("the first operand has no dimensions")),
            }
            product(importer, node, &a, b, None, shape)
        }
        (Value::Constant(_), Value::Activation(x)) => {
            // W·x = (xᵀ·Wᵀ)ᵀ
            let x = x.clone();
            let (constant, values) = importer.constant(node, 0)?;
            let w = Matrix::new(constant, values)?.transposed();
            let [.., k, n] = *x.shape() else {
                return Err(Problem::unsupported(
                    "a constant matrix times a vector; give the vector two dimensions",
                ));
            };
            if x.view.len() != k * n {
                return Err(Problem::unsupported(format!(
                    "a constant times a stack of matrices {:?}",
                    x.shape()
                )));
            }
            let flat = Activation { view: x.reshaped(vec![k, n]), ..x.clone() };
            let seen = Activation { view: flat.permuted(&[1, 0]), ..flat };
            let columns = w.columns;
            product(importer, node, &seen, w, None, vec![n, columns])?;
            let Some(Value::Activation(made)) = importer.values.get(node.output()).cloned() else {
                return Err(Problem::Unknown);
            };
            let turned = made.permuted(&[1, 0]);
            let mut shape = x.shape()[..x.shape().len() - 2].to_vec();
            shape.extend([columns, n]);
            let turned = Activation { view: turned, ..made }.reshaped(shape);
            importer.bind_view(node.output(), turned, true);
            Ok(())
        }
        (Value::Activation(_), Value::Activation(_)) => {
            Err(Problem::unsupported("the product of two computed tensors; one factor must be constant"))
        }
        _ => Err(Problem::unsupported("the product of two constants; fold constants before exporting")),
    }
}

/// A constant matrix (K,N).
pub struct Matrix {
    name: String,
    rows: usize,
    pub columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Of a constant of two dimensions, or more when the leading ones are 1.
    pub fn new(constant: Constant, values: Vec<f32>) -> Result<Self, Problem> {
        match constant.shape.as_slice() {
            [lead @ .., rows, columns] if lead.iter().all(|d| *d == 1) && *rows > 0 && *columns > 0 => {
                Ok(Self { name: constant.name, rows: *rows, columns: *columns, values })
            }
            shape => {
                Err(Problem::unsupported(format!("a constant factor of shape {shape:?}, which is no matrix")))
            }
        }
    }

    pub fn transposed(self) -> Self {
        let Self { name, rows, columns, values } = self;
        let element = |e: usize| values[e % rows * columns + e / rows];
        Self { name, rows: columns, columns: rows, values: (0..rows * columns).map(element).collect() }
    }
}

/// Emits `a·b + bias`, where the last dimension of `a` meets the rows of `b`; the result has ONNX shape `shape`.
pub fn product(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    a: &Activation,
    b: Matrix,
    bias: Option<(String, Vec<f32>)>,
    shape: Vec<usize>,
) -> Result<(), Problem> {
    let inner = a.shape().last().copied().unwrap_or(0);
    if inner != b.rows {
        let (a, b) = (a.shape(), [b.rows, b.columns]);
        return Err(Problem::malformed(format!(
            "a tensor of shape {a:?} cannot be multiplied by one of {b:?}"
        )));
    }
    let input = a.reshaped(vec![a.view.len() / inner, inner]);
    let weight = FloatWeight { name: b.name, shape: vec![b.rows, b.columns], values: b.values };
    let bias = bias.map(|(name, values)| FloatWeight { name, shape: vec![values.len()], values });
    importer.emit(node, FloatOp::MatMul { input, weight, bias }, shape)
}

#[cfg(test)]
mod tests {
    use super::super::check::Onnx;

    #[test]
    fn constant_matrix_on_the_right_of_a_stack() {
        Onnx::new(&[2, 3, 5]).noise("w", &[5, 4], 1.0).node("MatMul", &["x", "w"], "y", vec![]).check("y");
    }

    #[test]
    fn constant_matrix_on_the_left() {
        let onnx = Onnx::new(&[1, 5, 3]).noise("w", &[4, 5], 1.0).node("MatMul", &["w", "x"], "a", vec![]);
        onnx.node("Relu", &["a"], "y", vec![]).check("y");
    }

    #[test]
    fn two_computed_factors_are_unsupported() {
        let onnx = Onnx::new(&[3, 3]).node("MatMul", &["x", "x"], "y", vec![]);
        assert!(onnx.unsupported("y")[0].contains("two computed tensors"));
    }
}
