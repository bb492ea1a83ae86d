//! `Conv` in one or two dimensions with constant weights.

use super::window::{Image, Walk};
use super::{Importer, OnnxNode, Problem};
use crate::float::{FloatOp, FloatWeight};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let image = Image::new(&operand)?;
    let (weight, values) = importer.constant(node, 1)?;
    let [outputs, per_group, ref kernel @ ..] = *weight.shape.as_slice() else {
        return Err(Problem::malformed(format!("weight of shape {:?}", weight.shape)));
    };
    let groups = usize::try_from(node.int("group")?.unwrap_or(1)).unwrap_or(0);
    let fits = groups > 0
        && outputs > 0
        && outputs % groups == 0
        && per_group.checked_mul(groups) == Some(image.channels);
    if !fits {
        let channels = image.channels;
        let reason =
            format!("weight {:?} and {groups} groups do not fit {channels} input channels", weight.shape);
        return Err(Problem::malformed(reason));
    }
    if node.sizes("kernel_shape")?.is_some_and(|k| k != kernel) {
        return Err(Problem::malformed(format!(
            "kernel_shape differs from the weight's shape {:?}",
            weight.shape
        )));
    }
    let mut walk = Walk::new(node, &image, kernel)?;
    walk.geometry.groups = groups;
    let bias = match node.input(2) {
        None => None,
        Some(_) => {
            let (bias, values) = importer.constant(node, 2)?;
            if values.len() != outputs {
                let got = values.len();
                return Err(Problem::malformed(format!("the bias should have {outputs} values, got {got}")));
            }
            Some(FloatWeight { name: bias.name, shape: vec![outputs], values })
        }
    };
    let shape = vec![outputs, per_group, walk.kernel.0, walk.kernel.1];
    let weight = FloatWeight { name: weight.name, shape, values };
    let op = FloatOp::Conv { input: image.view(&operand), weight, bias, geometry: walk.geometry };
    importer.emit(node, op, image.result_shape(outputs, walk.output))
}
