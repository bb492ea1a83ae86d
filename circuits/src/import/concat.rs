//! `Concat`: of computed tensors, each requantised to the common scale (exact where the scales agree), or of constant lists of
//! integers, as exporters write it into shape computations.

use super::{Activation, Constant, Data, Importer, OnnxNode, Problem, Value, axis, place};
use crate::float::FloatOp;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    if matches!(importer.value(node, 0)?, Value::Activation(_)) {
        return tensors(importer, node);
    }
    let mut all = Vec::new();
    for index in 0..node.proto.input.len() {
        match importer.value(node, index)? {
            Value::Constant(Constant { shape, data: Data::Int(values), .. }) if shape.len() == 1 => {
                all.extend(values)
            }
            _ => return Err(Problem::unsupported("of constants, supported for lists of integers only")),
        }
    }
    let constant =
        Constant { name: node.output().into(), shape: vec![all.len()], data: Data::Int(all), literal: true };
    importer.bind(node.output(), Value::Constant(constant));
    Ok(())
}

fn tensors(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operands = (0..node.proto.input.len()).map(|index| importer.activation(node, index));
    let operands: Vec<Activation> = operands.collect::<Result<_, _>>()?;
    let along = node.int("axis")?.ok_or_else(|| Problem::malformed("axis is missing"))?;
    let along = axis(along, operands[0].shape().len())?;
    let mut shape = operands[0].shape().to_vec();
    shape[along] = 0;
    for operand in &operands {
        let others = |shape: &[usize]| [&shape[..along], &shape[along + 1..]].concat();
        if operand.shape().len() != shape.len() || others(operand.shape()) != others(&shape) {
            let (a, b) = (operands[0].shape(), operand.shape());
            return Err(Problem::malformed(format!("shapes {a:?} and {b:?} do not join on axis {along}")));
        }
        shape[along] += operand.shape()[along];
    }
    importer.fits(&shape)?;
    let mut start = 0;
    let mut terms = Vec::with_capacity(operands.len());
    for operand in &operands {
        let shifted = |axis, position| Some(if axis == along { position + start } else { position });
        terms.push(place::term(operand, &shape, shifted)?);
        start += operand.shape()[along];
    }
    importer.emit(node, FloatOp::Sum { terms, constant: 0.0 }, shape)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int, ints};

    #[test]
    fn of_tensors_of_different_scales_on_every_axis() {
        for (axis, perm) in [(1, [0, 1, 2]), (-1, [0, 1, 2]), (2, [0, 2, 1])] {
            let onnx =
                Onnx::new(&[1, 3, 3]).floats("c", &[], vec![0.4]).node("Mul", &["x", "c"], "a", vec![]);
            let onnx = onnx.node("Transpose", &["a"], "b", vec![ints("perm", &perm)]);
            let onnx = onnx.node("Concat", &["x", "b", "x"], "z", vec![int("axis", axis)]);
            onnx.node("Relu", &["z"], "y", vec![]).check("y");
        }
    }

    #[test]
    fn misfits_are_malformed() {
        let onnx = Onnx::new(&[1, 2, 3]).node("Transpose", &["x"], "t", vec![ints("perm", &[0, 2, 1])]);
        let onnx = onnx.node("Concat", &["x", "t"], "y", vec![int("axis", 1)]);
        assert!(onnx.malformed("y").contains("do not join"));
        let onnx = Onnx::new(&[1, 4]).noise("c", &[1, 4], 1.0);
        let onnx = onnx.node("Concat", &["x", "c"], "y", vec![int("axis", 1)]);
        assert!(onnx.unsupported("y")[0].contains("input 1 is a constant"));
    }
}
