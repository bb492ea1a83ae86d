//! `Resize` to the nearest element by any constant scales: copies, exact. Where every element is repeated a whole number of times, which
//! is usual, they cost one node of the result's size; else as many terms as an element has copies.

use super::window::{Contribution, terms};
use super::{Activation, Constant, Data, Importer, OnnxNode, Problem, Value, blocks};
use crate::float::{FloatOp, FloatPart};
use crate::onnx::TENSOR_ELEMENTS_MAX;

/// For each output position of an axis, the input position.
type Source = Vec<usize>;

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let mode = node.text("mode")?.unwrap_or_else(|| "nearest".into());
    if mode != "nearest" {
        return Err(Problem::unsupported(format!("mode `{mode}`; only `nearest` is supported")));
    }
    let old = operand.shape().to_vec();
    let targets = targets(importer, node, &old)?;
    let shape: Vec<usize> = targets.iter().map(|(size, _)| *size).collect();
    importer.fits(&shape)?;
    let axes = old.iter().zip(&targets).map(|(from, (to, scale))| source(node, *from, *to, *scale));
    let axes: Vec<Source> = axes.collect::<Result<_, _>>()?;
    let repeats = |(from, of): (&usize, &Source)| {
        let times = of.len() / from;
        (of.len() % from == 0 && of.iter().enumerate().all(|(to, at)| to / times.max(1) == *at))
            .then_some(times)
    };
    match old.iter().zip(&axes).map(repeats).collect::<Option<Vec<usize>>>() {
        Some(times) => repeat(importer, node, &operand, &times, &shape),
        None => pick(importer, node, &operand, &axes, shape),
    }
}

/// Size and scale of every axis of the result.
fn targets(
    importer: &Importer<'_>,
    node: &OnnxNode<'_>,
    old: &[usize],
) -> Result<Vec<(usize, f64)>, Problem> {
    if node.ints("axes")?.is_some() {
        return Err(Problem::unsupported("axes; give a scale for every axis"));
    }
    let at = if importer.opset < 11 { 1 } else { 2 };
    let given = |index: usize| match node.input(index) {
        None => Ok(None),
        Some(_) => match importer.value(node, index)? {
            Value::Constant(Constant { data: Data::Float(values), .. }) if values.is_empty() => Ok(None),
            Value::Constant(Constant { data, .. }) => Ok(Some(data.clone())),
            _ => Err(Problem::unsupported("scales or sizes that are computed")),
        },
    };
    let misfit = || Problem::malformed(format!("scales or sizes that do not fit a shape of {old:?}"));
    let all: Vec<(usize, f64)> = match (given(at)?, given(3)?) {
        (Some(Data::Float(scales)), _) => {
            let scaled = |(size, scale): (&usize, &f32)| {
                let new = (*size as f64 * f64::from(*scale)).floor();
                (new.clamp(0.0, 1e9) as usize, f64::from(*scale))
            };
            if scales.len() != old.len() {
                return Err(misfit());
            }
            old.iter().zip(&scales).map(scaled).collect()
        }
        (None, Some(Data::Int(sizes))) if sizes.len() == old.len() => {
            let size = |(old, new): (&usize, &i64)| {
                let new = usize::try_from(*new).unwrap_or(0);
                (new, new as f64 / *old as f64)
            };
            old.iter().zip(&sizes).map(size).collect()
        }
        _ => return Err(misfit()),
    };
    match all.iter().all(|(size, scale)| *size > 0 && scale.is_finite()) {
        true => Ok(all),
        false => Err(misfit()),
    }
}

/// Where each output position of an axis comes from, by ONNX's formulas.
fn source(node: &OnnxNode<'_>, from: usize, to: usize, scale: f64) -> Result<Source, Problem> {
    if from == to && scale == 1.0 {
        return Ok((0..from).collect());
    }
    if to > TENSOR_ELEMENTS_MAX {
        return Err(Problem::unsupported(format!("an axis of {to} elements is too large")));
    }
    let transform = node.text("coordinate_transformation_mode")?.unwrap_or_else(|| "half_pixel".into());
    let nearest = node.text("nearest_mode")?.unwrap_or_else(|| "round_prefer_floor".into());
    let place = |to_at: usize| -> Result<f64, Problem> {
        let x = to_at as f64;
        Ok(match transform.as_str() {
            "asymmetric" => x / scale,
            "half_pixel" => (x + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if to == 1 => 0.0,
            "pytorch_half_pixel" => (x + 0.5) / scale - 0.5,
            "align_corners" if to == 1 => 0.0,
            "align_corners" => x * (from - 1) as f64 / (to - 1) as f64,
            other => return Err(Problem::unsupported(format!("coordinate_transformation_mode `{other}`"))),
        })
    };
    let round = |x: f64| -> Result<f64, Problem> {
        Ok(match nearest.as_str() {
            "floor" => x.floor(),
            "ceil" => x.ceil(),
            "round_prefer_floor" => (x - 0.5).ceil(),
            "round_prefer_ceil" => (x + 0.5).floor(),
            other => return Err(Problem::malformed(format!("nearest_mode `{other}`"))),
        })
    };
    (0..to).map(|at| Ok(round(place(at)?)?.clamp(0.0, (from - 1) as f64) as usize)).collect()
}

/// Every element `times` often along each axis.
fn repeat(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    operand: &Activation,
    times: &[usize],
    shape: &[usize],
) -> Result<(), Problem> {
    if times.iter().all(|times| *times == 1) {
        importer.emit_view(node, operand, operand.view.clone());
        return Ok(());
    }
    // (C,H,W) as (C,1,H,1,W,1) spreads over (C,c,H,h,W,w).
    let apart = |times: usize, size: &usize| [*size, times];
    let one: Vec<usize> = operand.shape().iter().flat_map(|size| apart(1, size)).collect();
    let all: Vec<usize> =
        operand.shape().iter().zip(times).flat_map(|(size, times)| apart(*times, size)).collect();
    let (axes, blocks) = blocks(&one, &all);
    let sums = vec![FloatPart { input: operand.reshaped(vec![blocks, 1]), factor: 1.0 }];
    importer.emit_permuted(
        node,
        FloatOp::Spread { terms: Vec::new(), sums, blocks, sums_first: false },
        &all,
        &axes,
    )?;
    let Some(Value::Activation(made)) = importer.made(node.output()) else { return Err(Problem::Unknown) };
    importer.emit_view(node, &made, made.reshaped(shape.to_vec()));
    Ok(())
}

/// Every element of the result from the one that the axes name.
fn pick(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    operand: &Activation,
    axes: &[Source],
    shape: Vec<usize>,
) -> Result<(), Problem> {
    let contribution = |output: usize| {
        let (mut e, mut input, mut stride) = (output, 0, 1);
        for ((of, size), old) in axes.iter().zip(&shape).zip(operand.shape()).rev() {
            input += of[e % size] * stride;
            (e, stride) = (e / size, stride * old);
        }
        Contribution { input, output, factor: 1.0 }
    };
    let contributions: Vec<Contribution> = (0..shape.iter().product()).map(contribution).collect();
    let terms = terms(&operand.view, &contributions);
    importer.emit(node, FloatOp::Sum { terms, constant: 0.0 }, shape)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, text};

    #[test]
    fn whole_scales_in_every_mode_that_repeats() {
        for (transform, nearest) in [
            ("asymmetric", "floor"),
            ("half_pixel", "round_prefer_floor"),
            ("half_pixel", "round_prefer_ceil"),
        ] {
            let attributes =
                || vec![text("coordinate_transformation_mode", transform), text("nearest_mode", nearest)];
            let onnx = Onnx::new(&[1, 2, 3, 5]).floats("s", &[4], vec![1.0, 1.0, 2.0, 3.0]);
            let model =
                onnx.node("Resize", &["x", "", "s"], "a", attributes()).node("Relu", &["a"], "y", vec![]);
            let model = model.check("y");
            assert_eq!((model.graph.nodes.len(), &model.graph.output.shape[..]), (2, &[2, 6, 15][..]));
        }
    }

    #[test]
    fn by_sizes_down_and_by_scales_that_are_not_whole() {
        let floor =
            || vec![text("coordinate_transformation_mode", "asymmetric"), text("nearest_mode", "floor")];
        let onnx = Onnx::new(&[1, 2, 4, 6]).ints("s", &[1, 2, 8, 3]);
        onnx.node("Resize", &["x", "", "", "s"], "y", floor()).check("y");
        let onnx = Onnx::new(&[1, 2, 4, 6]).floats("s", &[4], vec![1.0, 1.0, 1.5, 0.5]);
        onnx.node("Resize", &["x", "", "s"], "y", floor()).check("y");
        let onnx = Onnx::new(&[1, 2, 3]).floats("s", &[3], vec![1.0; 3]).node(
            "Resize",
            &["x", "", "s"],
            "y",
            floor(),
        );
        assert_eq!(onnx.check("y").graph.nodes.len(), 1);
    }

    #[test]
    fn other_modes_are_refused() {
        let base = |attributes| {
            let onnx = Onnx::new(&[1, 2, 4]).floats("s", &[3], vec![1.0, 1.0, 2.0]);
            onnx.node("Resize", &["x", "", "s"], "y", attributes)
        };
        assert!(base(vec![text("mode", "linear")]).unsupported("y")[0].contains("`linear`"));
        let crop = vec![text("coordinate_transformation_mode", "tf_crop_and_resize")];
        assert!(base(crop).unsupported("y")[0].contains("tf_crop"));
        let onnx = Onnx::new(&[1, 2, 4]).floats("s", &[2], vec![1.0, 2.0]).node(
            "Resize",
            &["x", "", "s"],
            "y",
            vec![],
        );
        assert!(onnx.malformed("y").contains("do not fit"));
    }
}
