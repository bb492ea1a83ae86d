//! `MatMul` of a computed tensor and a constant matrix, either way round, or of two computed tensors batch by batch.

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
        (Value::Activation(a), Value::Activation(b)) => {
            let (a, b) = (a.clone(), b.clone());
            of_two(importer, node, &a, &b)
        }
        _ => Err(Problem::unsupported("the product of two constants; fold constants before exporting")),
    }
}

/// A stack of matrices: dimensions before the last two (leading ones left out), rows, columns.
type Stack = (Vec<usize>, usize, usize);

fn stack(operand: &Activation) -> Result<Stack, Problem> {
    let [lead @ .., rows, columns] = operand.shape() else {
        return Err(Problem::unsupported("a factor of fewer than two dimensions; give it two"));
    };
    let batches = lead.iter().copied().skip_while(|size| *size == 1).collect();
    Ok((batches, *rows, *columns))
}

/// The product of two computed tensors. A single matrix on the right serves a whole stack on the left.
fn of_two(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    a: &Activation,
    b: &Activation,
) -> Result<(), Problem> {
    let ((lead, m, k), (right_lead, inner, n)) = (stack(a)?, stack(b)?);
    if k != inner {
        let (a, b) = (a.shape(), b.shape());
        return Err(Problem::malformed(format!(
            "a stack of shape {a:?} cannot be multiplied by one of {b:?}"
        )));
    }
    let count: usize = lead.iter().product();
    let (batches, rows) = match (right_lead.is_empty(), lead == right_lead) {
        (true, _) => (1, count * m),
        (_, true) => (count, m),
        _ => {
            let (a, b) = (a.shape(), b.shape());
            return Err(Problem::unsupported(format!(
                "stacks of shapes {a:?} and {b:?} of different numbers"
            )));
        }
    };
    let rank = a.shape().len().max(b.shape().len());
    let mut shape = vec![1; rank - 2 - lead.len()];
    shape.extend(lead.iter().chain([&m, &n]));
    let of = |x: &Activation, shape: [usize; 3]| Activation { view: x.reshaped(shape.into()), ..x.clone() };
    let (left, right) = (of(a, [batches, rows, k]), of(b, [batches, k, n]));
    // Relays stand beside rows of the right factor, so a single column goes to the left: A·b = (bᵀ·Aᵀ)ᵀ.
    let (left, right) = match n == 1 && rows > 1 {
        true => (right.permuted(&[0, 2, 1]), left.permuted(&[0, 2, 1])),
        false => (left.view, right.view),
    };
    importer.emit(node, FloatOp::BatchMatMul { left, right, factor: 1.0 }, shape)
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
    use super::super::check::{Onnx, ints};

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
    fn two_computed_factors_of_one_matrix() {
        Onnx::new(&[3, 3]).node("MatMul", &["x", "x"], "y", vec![]).check("y");
        let onnx = Onnx::new(&[1, 7, 5]).noise("w", &[5, 3], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
        let onnx = onnx.node("Transpose", &["x"], "t", vec![ints("perm", &[0, 2, 1])]);
        onnx.node("MatMul", &["t", "a"], "b", vec![]).node("Relu", &["b"], "y", vec![]).check("y");
    }

    /// Queries times keys, scaled, times values: two heads of three numbers on five tokens.
    #[test]
    fn attention_without_its_softmax() {
        let heads = |onnx: Onnx, name: &str, perm: &[i64]| {
            let (weight, made, split) = (format!("w{name}"), format!("{name}1"), format!("{name}2"));
            let onnx = onnx.noise(&weight, &[6, 6], 0.7).node("MatMul", &["x", &weight], &made, vec![]);
            let onnx = onnx.node("Reshape", &[&made, "split"], &split, vec![]);
            onnx.node("Transpose", &[&split], name, vec![ints("perm", perm)])
        };
        let onnx = Onnx::new(&[1, 5, 6]).ints("split", &[1, 5, 2, 3]).ints("join", &[1, 5, 6]);
        let onnx = heads(onnx, "q", &[0, 2, 1, 3]);
        let onnx = heads(onnx, "k", &[0, 2, 3, 1]);
        let onnx = heads(onnx, "v", &[0, 2, 1, 3]).floats("root", &[], vec![1.732]);
        let onnx = onnx.node("MatMul", &["q", "k"], "s", vec![]).node("Div", &["s", "root"], "d", vec![]);
        let onnx = onnx.node("MatMul", &["d", "v"], "m", vec![]);
        let onnx = onnx.node("Transpose", &["m"], "t", vec![ints("perm", &[0, 2, 1, 3])]);
        let model = onnx.node("Reshape", &["t", "join"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 6, "the division goes into the product");
    }

    #[test]
    fn a_single_column_and_a_stack_times_one_matrix() {
        for axes in [[2], [3]] {
            let onnx = Onnx::new(&[1, 2, 5, 5]).node("ReduceMax", &["x"], "m", vec![ints("axes", &axes)]);
            let order: [&str; 2] = if axes == [2] { ["m", "x"] } else { ["x", "m"] };
            onnx.node("MatMul", &order, "y", vec![]).check("y");
        }
        let onnx = Onnx::new(&[3, 4, 5]).node("ReduceMax", &["x"], "m", vec![ints("axes", &[0])]);
        let onnx = onnx.node("Transpose", &["m"], "t", vec![ints("perm", &[0, 2, 1])]);
        onnx.node("MatMul", &["x", "t"], "y", vec![]).check("y");
    }

    #[test]
    fn factors_that_do_not_meet_are_refused() {
        let onnx = Onnx::new(&[1, 3, 4]).node("MatMul", &["x", "x"], "y", vec![]);
        assert!(onnx.malformed("y").contains("cannot be multiplied"));
        let onnx = Onnx::new(&[3, 4, 4]).ints("s", &[2, 6, 4]).node("Reshape", &["x", "s"], "r", vec![]);
        let onnx = onnx.node("Transpose", &["r"], "t", vec![ints("perm", &[0, 2, 1])]);
        assert!(onnx.node("MatMul", &["x", "t"], "y", vec![]).unsupported("y")[0].contains("different"));
    }
}
