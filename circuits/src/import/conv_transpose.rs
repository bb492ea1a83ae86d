//! `ConvTranspose` in one or two dimensions with constant weights, as a convolution of stride 1.
//!
//! Output `y` of an axis with stride `s` takes input `i` by tap `k` where `s·i = y + pad − k·d`. The outputs `≡ φ mod s` are a phase:
//! `y = s·j + φ` takes `i = j + a` by the taps with `k·d ≡ φ + pad mod s`, `a = (φ + pad − k·d)/s`. So each output channel becomes one
//! channel for each phase, a convolution of stride 1 over the input as it is, and the phases are put beside each other by a view,
//! which costs nothing. Weights are as many as before, and zeros where phases have different numbers of taps. Outputs that are no
//! multiple of the stride take a node that leaves the rest out. Nothing is rounded but as in any convolution.

use super::window::Image;
use super::{Activation, Importer, OnnxNode, Problem};
use crate::float::{FloatOp, FloatTerm, FloatWeight};
use crate::graph::{ConvGeometry, View};

/// One axis.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    output: usize,
}

/// The convolution that computes all phases of an axis.
#[derive(Clone, Copy)]
struct Phases {
    /// Positions of a phase.
    positions: usize,
    kernel: usize,
    before: usize,
    after: usize,
}

impl Axis {
    /// The tap and its shift `a`, of a phase.
    fn taps(self, phase: usize) -> impl Iterator<Item = (usize, i64)> {
        let stride = self.stride as i64;
        (0..self.kernel).filter_map(move |k| {
            let t = (phase + self.pad) as i64 - (k * self.dilation) as i64;
            (t.rem_euclid(stride) == 0).then(|| (k, t.div_euclid(stride)))
        })
    }

    fn phases(self) -> Phases {
        let positions = self.output.div_ceil(self.stride);
        let shifts = (0..self.stride).flat_map(|phase| self.taps(phase)).map(|(_, a)| a);
        let (least, most) = shifts.fold((0, 0), |(least, most), a| (least.min(a), most.max(a)));
        let before = least.unsigned_abs() as usize;
        // Position j of the result reads inputs from j − before on.
        let needed = positions + before + most as usize;
        let after = needed.saturating_sub(self.input + before);
        let kernel = self.input + before + after + 1 - positions;
        Phases { positions, kernel, before, after }
    }
}

/// The axes by the attributes, height first.
fn axes(node: &OnnxNode<'_>, image: &Image, kernel: &[usize]) -> Result<[Axis; 2], Problem> {
    let rank = image.rank;
    let list = |name: &str, default: usize, per_axis: usize| -> Result<Vec<usize>, Problem> {
        let list = node.sizes(name)?.unwrap_or_else(|| vec![default; rank * per_axis]);
        if list.len() == rank * per_axis && list.iter().all(|v| *v < 1 << 24) {
            return Ok(list);
        }
        Err(Problem::malformed(format!("{name} {list:?} for {rank} spatial dimensions")))
    };
    if node.ints("output_shape")?.is_some() {
        return Err(Problem::unsupported("output_shape; give pads instead"));
    }
    if !matches!(node.text("auto_pad")?.as_deref(), None | Some("NOTSET" | "VALID")) {
        return Err(Problem::unsupported("automatic padding; give pads instead"));
    }
    let (strides, dilations) = (list("strides", 1, 1)?, list("dilations", 1, 1)?);
    let (pads, extra) = (list("pads", 0, 2)?, list("output_padding", 0, 1)?);
    if [kernel, &strides, &dilations].concat().contains(&0) || kernel.len() != rank {
        let what = format!("kernel {kernel:?}, strides {strides:?}, dilations {dilations:?}");
        return Err(Problem::malformed(format!("{what} for {rank} spatial dimensions")));
    }
    let sizes = if rank == 1 { vec![image.width] } else { vec![image.height, image.width] };
    let axis = |at: usize| -> Result<Axis, Problem> {
        let spread = (sizes[at] - 1).saturating_mul(strides[at]);
        let span = (kernel[at] - 1).saturating_mul(dilations[at]).saturating_add(1);
        let whole = spread.saturating_add(span).saturating_add(extra[at]);
        let output = whole.checked_sub(pads[at] + pads[rank + at]).filter(|output| *output > 0);
        let output = output.ok_or_else(|| Problem::malformed(format!("pads {pads:?} leave nothing")))?;
        let (input, kernel, stride, dilation) = (sizes[at], kernel[at], strides[at], dilations[at]);
        Ok(Axis { input, kernel, stride, dilation, pad: pads[at], output })
    };
    match rank {
        1 => Ok([Axis { input: 1, kernel: 1, stride: 1, dilation: 1, pad: 0, output: 1 }, axis(0)?]),
        _ => Ok([axis(0)?, axis(1)?]),
    }
}

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let image = Image::new(&operand)?;
    let (weight, values) = importer.constant(node, 1)?;
    let [inputs, per_group, ref kernel @ ..] = *weight.shape.as_slice() else {
        return Err(Problem::malformed(format!("weight of shape {:?}", weight.shape)));
    };
    let groups = usize::try_from(node.int("group")?.unwrap_or(1)).unwrap_or(0);
    if groups == 0 || inputs != image.channels || inputs % groups != 0 || per_group == 0 {
        let channels = image.channels;
        let shape = &weight.shape;
        return Err(Problem::malformed(format!(
            "weight {shape:?} and {groups} groups do not fit {channels} input channels"
        )));
    }
    let [y, x] = axes(node, &image, kernel)?;
    let outputs = per_group * groups;
    let (down, across) = (y.phases(), x.phases());
    let phases = y.stride.saturating_mul(x.stride);
    let channels = outputs.saturating_mul(phases);
    importer.fits(&[channels, inputs / groups, down.kernel, across.kernel])?;
    let mut made = vec![0.0; channels * (inputs / groups) * down.kernel * across.kernel];
    let place = |o: usize, c: usize, ky: usize, kx: usize| {
        ((o * (inputs / groups) + c) * down.kernel + ky) * across.kernel + kx
    };
    for (o, c) in (0..outputs).flat_map(|o| (0..inputs / groups).map(move |c| (o, c))) {
        let from = ((o / per_group * (inputs / groups) + c) * per_group + o % per_group) * y.kernel;
        for (py, px) in (0..y.stride).flat_map(|py| (0..x.stride).map(move |px| (py, px))) {
            let channel = o * phases + py * x.stride + px;
            for ((ky, ay), (kx, ax)) in y.taps(py).flat_map(|tap| x.taps(px).map(move |other| (tap, other))) {
                let at = |a: i64, before: usize| (a + before as i64) as usize;
                made[place(channel, c, at(ay, down.before), at(ax, across.before))] =
                    values[(from + ky) * x.kernel + kx];
            }
        }
    }
    let bias = match node.input(2) {
        None => None,
        Some(_) => {
            let (bias, values) = importer.constant(node, 2)?;
            if values.len() != outputs {
                let got = values.len();
                return Err(Problem::malformed(format!("the bias should have {outputs} values, got {got}")));
            }
            let values = values.iter().flat_map(|v| std::iter::repeat_n(*v, phases)).collect();
            Some(FloatWeight { name: bias.name, shape: vec![channels], values })
        }
    };
    let shape = vec![channels, inputs / groups, down.kernel, across.kernel];
    let pads = (down.before, across.before, down.after, across.after);
    let geometry = ConvGeometry { stride: (1, 1), dilation: (1, 1), pads, groups };
    let op = FloatOp::Conv {
        input: image.view(&operand),
        weight: FloatWeight { name: weight.name, shape, values: made },
        bias,
        geometry,
        residual: Vec::new(),
    };
    finish(importer, node, &image, op, outputs, [(y, down), (x, across)])
}

/// Puts the phases beside each other, and leaves out what is beyond the output.
fn finish(
    importer: &mut Importer<'_>,
    node: &OnnxNode<'_>,
    image: &Image,
    op: FloatOp,
    outputs: usize,
    [(y, down), (x, across)]: [(Axis, Phases); 2],
) -> Result<(), Problem> {
    let (rows, columns) = (down.positions, across.positions);
    let interleaved = vec![outputs, rows, y.stride, columns, x.stride];
    importer.emit_permuted(node, op, &interleaved, &[0, 2, 4, 1, 3])?;
    let whole = (rows * y.stride, columns * x.stride);
    let made = importer.unfinished(node, node.output())?;
    let made = Activation { view: made.reshaped(image.result_shape(outputs, whole)), ..made };
    let shape = image.result_shape(outputs, (y.output, x.output));
    if whole == (y.output, x.output) {
        importer.emit_view(node, &made, made.view.clone());
        return Ok(());
    }
    let target = |e: usize| {
        let (o, at, column) = (e / (whole.0 * whole.1), e / whole.1 % whole.0, e % whole.1);
        let inside = at < y.output && column < x.output;
        inside.then_some(((o * y.output + at) * x.output + column) as u32)
    };
    let target = Some((0..made.view.len()).map(target).collect());
    let view = View { shape: vec![made.view.len()], ..made.view };
    let terms = vec![FloatTerm { input: view, factor: 1.0, target }];
    importer.emit(node, FloatOp::Sum { terms, constant: 0.0 }, shape)
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int, ints, text};

    #[test]
    fn strides_pads_dilations_groups_and_extra_rows() {
        for (strides, pads, dilations, extra, group) in [
            ([1, 1], [0, 0, 0, 0], [1, 1], [0, 0], 1),
            ([2, 2], [0, 0, 0, 0], [1, 1], [0, 0], 1),
            ([2, 1], [1, 1, 0, 1], [1, 2], [1, 0], 2),
            ([3, 2], [1, 0, 1, 1], [2, 1], [0, 1], 4),
            ([1, 3], [0, 2, 2, 0], [1, 1], [0, 2], 1),
            ([4, 4], [2, 3, 1, 0], [1, 1], [1, 3], 2),
        ] {
            let onnx = Onnx::new(&[1, 4, 5, 3]).noise("w", &[4, 6 / group, 3, 2], 1.0).noise("b", &[6], 1.0);
            let onnx = if 6 % group == 0 { onnx } else { continue };
            let attributes = vec![
                ints("strides", &strides),
                ints("pads", &pads),
                ints("dilations", &dilations),
                ints("output_padding", &extra),
                int("group", group),
            ];
            onnx.node("ConvTranspose", &["x", "w", "b"], "y", attributes).check("y");
        }
        let onnx = Onnx::new(&[1, 4, 3, 3]).noise("w", &[4, 1, 3, 3], 1.0);
        let attributes = vec![int("group", 4), ints("strides", &[2, 2])];
        onnx.node("ConvTranspose", &["x", "w"], "y", attributes).check("y");
    }

    #[test]
    fn doubling_costs_one_node_and_takes_what_follows_into_it() {
        let onnx = Onnx::new(&[1, 3, 4, 5]).noise("w", &[3, 2, 4, 4], 1.0).noise("s", &[2, 1, 1], 1.0);
        let attributes = vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
        let onnx =
            onnx.node("ConvTranspose", &["x", "w"], "a", attributes).node("Mul", &["a", "s"], "b", vec![]);
        let model = onnx.node("Relu", &["b"], "y", vec![]).check("y");
        assert_eq!((model.graph.nodes.len(), model.graph.output.len()), (2, 2 * 8 * 10));
    }

    #[test]
    fn one_dimension() {
        let onnx = Onnx::new(&[1, 3, 7]).noise("w", &[3, 2, 5], 1.0).noise("b", &[2], 1.0);
        let attributes = vec![ints("strides", &[3]), ints("pads", &[2, 0])];
        onnx.node("ConvTranspose", &["x", "w", "b"], "y", attributes).check("y");
    }

    #[test]
    fn misfits_are_refused() {
        let base = |attributes| {
            let onnx = Onnx::new(&[1, 4, 3, 3]).noise("w", &[4, 2, 3, 3], 1.0).noise("b", &[3], 1.0);
            onnx.node("ConvTranspose", &["x", "w", "b"], "y", attributes)
        };
        assert!(base(vec![]).malformed("y").contains("should have 2 values, got 3"));
        assert!(base(vec![int("group", 3)]).malformed("y").contains("do not fit 4"));
        assert!(base(vec![ints("pads", &[9, 9, 9, 9])]).malformed("y").contains("leave nothing"));
        assert!(base(vec![ints("strides", &[0, 1])]).malformed("y").contains("strides"));
        assert!(base(vec![ints("output_shape", &[5, 5])]).unsupported("y")[0].contains("give pads"));
        assert!(base(vec![text("auto_pad", "SAME_UPPER")]).unsupported("y")[0].contains("give pads"));
        assert!(base(vec![ints("strides", &[1 << 23, 1 << 23])]).unsupported("y")[0].contains("too large"));
    }
}
