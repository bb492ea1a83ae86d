//! How `Conv` and the pools walk over an image: strides, dilations, padding, and which elements lie under each window.

use super::{Activation, OnnxNode, Problem};
use crate::float::FloatTerm;
use crate::graph::{ConvGeometry, View};

/// A (1,C,H,W) operand, or (1,C,L) seen with height 1.
pub struct Image {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Number of spatial dimensions in ONNX: 1 or 2.
    pub rank: usize,
}

impl Image {
    pub fn new(operand: &Activation) -> Result<Self, Problem> {
        match *operand.shape() {
            [1, channels, width] => Ok(Self { channels, height: 1, width, rank: 1 }),
            [1, channels, height, width] => Ok(Self { channels, height, width, rank: 2 }),
            ref shape => Err(Problem::unsupported(format!(
                "input of shape {shape:?}; it must be one image (1,channels,height,width) or (1,channels,length)"
            ))),
        }
    }

    /// The operand as (C,H,W).
    pub fn view(&self, operand: &Activation) -> View {
        operand.reshaped(vec![self.channels, self.height, self.width])
    }

    /// The ONNX shape of a result with these channels and this size.
    pub fn result_shape(&self, channels: usize, size: (usize, usize)) -> Vec<usize> {
        if self.rank == 1 { vec![1, channels, size.1] } else { vec![1, channels, size.0, size.1] }
    }
}

/// A window and its walk.
pub struct Walk {
    pub geometry: ConvGeometry,
    pub kernel: (usize, usize),
    /// Output (height, width).
    pub output: (usize, usize),
}

impl Walk {
    /// From the attributes of a `Conv` or a pool. `kernel` has one entry per spatial dimension.
    pub fn new(node: &OnnxNode<'_>, image: &Image, kernel: &[usize]) -> Result<Self, Problem> {
        let list = |name: &str, default: usize, per_axis: usize| -> Result<Vec<usize>, Problem> {
            let list = node.sizes(name)?.unwrap_or_else(|| vec![default; image.rank * per_axis]);
            if list.len() == image.rank * per_axis && list.iter().all(|v| *v < 1 << 24) {
                return Ok(list);
            }
            let (want, rank) = (image.rank * per_axis, image.rank);
            Err(Problem::malformed(format!(
                "{name} {list:?} should be {want} sizes for {rank} spatial dimensions"
            )))
        };
        let (strides, dilations) = (list("strides", 1, 1)?, list("dilations", 1, 1)?);
        if kernel.len() != image.rank || [kernel, &strides, &dilations].concat().contains(&0) {
            let what = format!("kernel {kernel:?}, strides {strides:?}, dilations {dilations:?}");
            return Err(Problem::malformed(format!("{what} for {} spatial dimensions", image.rank)));
        }
        let mut pads = list("pads", 0, 2)?;
        let sizes = if image.rank == 1 { vec![image.width] } else { vec![image.height, image.width] };
        let span = |axis: usize| (kernel[axis] - 1).saturating_mul(dilations[axis]).saturating_add(1);
        let auto_pad = node.text("auto_pad")?.unwrap_or_default();
        for axis in 0..image.rank {
            let (begin, end) = match auto_pad.as_str() {
                "" | "NOTSET" => continue,
                "VALID" => (0, 0),
                same @ ("SAME_UPPER" | "SAME_LOWER") => {
                    let steps = sizes[axis].div_ceil(strides[axis]).saturating_sub(1);
                    let total =
                        (steps * strides[axis]).saturating_add(span(axis)).saturating_sub(sizes[axis]);
                    let small = total / 2;
                    if same == "SAME_UPPER" { (small, total - small) } else { (total - small, small) }
                }
                other => return Err(Problem::malformed(format!("auto_pad `{other}`"))),
            };
            (pads[axis], pads[image.rank + axis]) = (begin, end);
        }
        let ceil = node.flag("ceil_mode")?;
        let mut output = Vec::with_capacity(image.rank);
        for axis in 0..image.rank {
            let padded = sizes[axis] + pads[axis] + pads[image.rank + axis];
            let free = padded.checked_sub(span(axis)).ok_or_else(|| {
                Problem::malformed(format!(
                    "a window of {} does not fit the padded size {padded}",
                    span(axis)
                ))
            })?;
            let steps = if ceil { free.div_ceil(strides[axis]) } else { free / strides[axis] };
            // A last window that starts in the padding behind the image is left out.
            let inside = steps * strides[axis] < sizes[axis] + pads[axis];
            output.push(if ceil && !inside { steps } else { steps + 1 });
        }
        let pair = |list: &[usize], one| if image.rank == 1 { (one, list[0]) } else { (list[0], list[1]) };
        let pads = match *pads.as_slice() {
            [left, right] => (0, left, 0, right),
            [top, left, bottom, right] => (top, left, bottom, right),
            _ => (0, 0, 0, 0),
        };
        let geometry =
            ConvGeometry { stride: pair(&strides, 1), dilation: pair(&dilations, 1), pads, groups: 1 };
        Ok(Self { geometry, kernel: pair(kernel, 1), output: pair(&output, 1) })
    }

    /// Elements of one channel's plane under the window of output (oy, ox), and how many window elements lie inside the
    /// padded image.
    pub fn window(&self, image: &Image, oy: usize, ox: usize) -> (Vec<usize>, usize) {
        let g = &self.geometry;
        let (mut under, mut inside_padding) = (Vec::new(), 0);
        for (ky, kx) in (0..self.kernel.0).flat_map(|ky| (0..self.kernel.1).map(move |kx| (ky, kx))) {
            let (y, x) = (oy * g.stride.0 + ky * g.dilation.0, ox * g.stride.1 + kx * g.dilation.1);
            if y < image.height + g.pads.0 + g.pads.2 && x < image.width + g.pads.1 + g.pads.3 {
                inside_padding += 1;
            }
            let (y, x) = (y.wrapping_sub(g.pads.0), x.wrapping_sub(g.pads.1));
            if y < image.height && x < image.width {
                under.push(y * image.width + x);
            }
        }
        (under, inside_padding)
    }

    /// Work of going through every window of every channel.
    pub fn taps(&self, channels: usize) -> usize {
        let window = self.kernel.0.saturating_mul(self.kernel.1);
        let outputs = self.output.0.saturating_mul(self.output.1);
        window.saturating_mul(outputs).saturating_mul(channels)
    }
}

/// One contribution of an input element to an output element.
#[derive(Clone, Copy, Debug)]
pub struct Contribution {
    pub input: usize,
    pub output: usize,
    pub factor: f32,
}

/// Sorts contributions into as few terms as a greedy choice finds; in a term all factors are equal and an input element
/// goes to one output element at most.
pub fn terms(input: &View, contributions: &[Contribution]) -> Vec<FloatTerm> {
    let mut terms: Vec<(f32, Vec<Option<u32>>)> = Vec::new();
    for c in contributions {
        let free = |(factor, target): &&mut (f32, Vec<Option<u32>>)| {
            *factor == c.factor && target[c.input].is_none()
        };
        match terms.iter_mut().find(free) {
            Some((_, target)) => target[c.input] = Some(c.output as u32),
            None => {
                let mut target = vec![None; input.len()];
                target[c.input] = Some(c.output as u32);
                terms.push((c.factor, target));
            }
        }
    }
    let term = |(factor, target)| FloatTerm { input: input.clone(), factor, target: Some(target) };
    terms.into_iter().map(term).collect()
}
