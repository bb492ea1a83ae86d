//! `DepthToSpace` and `SpaceToDepth`: the same elements in another order, which costs nothing.

use super::{Activation, Importer, OnnxNode, Problem};

fn block(node: &OnnxNode<'_>) -> Result<usize, Problem> {
    let size = node.int("blocksize")?.ok_or_else(|| Problem::malformed("blocksize is missing"))?;
    usize::try_from(size)
        .ok()
        .filter(|size| (1..1 << 12).contains(size))
        .ok_or_else(|| Problem::malformed(format!("a block of {size}")))
}

fn image(operand: &Activation) -> Result<[usize; 3], Problem> {
    match *operand.shape() {
        [1, channels, height, width] => Ok([channels, height, width]),
        ref shape => Err(Problem::unsupported(format!("input of shape {shape:?}; it must be one image"))),
    }
}

/// `operand` as `parts`, its axes permuted, as `shape`.
fn rearrange(operand: &Activation, parts: Vec<usize>, axes: &[usize], shape: Vec<usize>) -> Activation {
    let split = Activation { view: operand.reshaped(parts), ..operand.clone() };
    let turned = Activation { view: split.permuted(axes), ..split };
    Activation { view: turned.reshaped(shape), ..turned }
}

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let ([channels, height, width], b) = (image(&operand)?, block(node)?);
    if channels % (b * b) != 0 {
        return Err(Problem::malformed(format!("{channels} channels in blocks of {b} by {b}")));
    }
    let c = channels / (b * b);
    let shape = vec![1, c, height * b, width * b];
    let made = match node.text("mode")?.as_deref() {
        None | Some("DCR") => rearrange(&operand, vec![b, b, c, height, width], &[2, 3, 0, 4, 1], shape),
        Some("CRD") => rearrange(&operand, vec![c, b, b, height, width], &[0, 3, 1, 4, 2], shape),
        Some(other) => return Err(Problem::malformed(format!("mode `{other}`"))),
    };
    importer.emit_view(node, &operand, made.view);
    Ok(())
}

pub fn inverse(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let operand = importer.activation(node, 0)?;
    let ([channels, height, width], b) = (image(&operand)?, block(node)?);
    if height % b != 0 || width % b != 0 {
        return Err(Problem::malformed(format!("{height} by {width} in blocks of {b} by {b}")));
    }
    let shape = vec![1, channels * b * b, height / b, width / b];
    let parts = vec![channels, height / b, b, width / b, b];
    let made = rearrange(&operand, parts, &[2, 4, 0, 1, 3], shape);
    importer.emit_view(node, &operand, made.view);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int, text};

    #[test]
    fn both_ways_and_in_both_modes() {
        for mode in ["DCR", "CRD"] {
            let attributes = vec![int("blocksize", 2), text("mode", mode)];
            let model = Onnx::new(&[1, 12, 3, 5]).node("DepthToSpace", &["x"], "y", attributes).check("y");
            assert_eq!((model.graph.nodes.len(), &model.graph.output.shape[..]), (1, &[3, 6, 10][..]));
        }
        let model = Onnx::new(&[1, 2, 6, 9]).node("SpaceToDepth", &["x"], "y", vec![int("blocksize", 3)]);
        assert_eq!(model.check("y").graph.output.shape, [18, 2, 3]);
    }

    #[test]
    fn misfits_are_refused() {
        let onnx = |operator: &str, b| {
            Onnx::new(&[1, 6, 4, 6]).node(operator, &["x"], "y", vec![int("blocksize", b)])
        };
        assert!(onnx("DepthToSpace", 2).malformed("y").contains("6 channels"));
        assert!(onnx("SpaceToDepth", 3).malformed("y").contains("4 by 6"));
        assert!(onnx("SpaceToDepth", 0).malformed("y").contains("block of 0"));
    }
}
