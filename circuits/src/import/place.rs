//! Elements moved to other places of another tensor: what slices, padding and concatenation come down to.

use super::{Activation, Problem};
use crate::float::FloatTerm;

/// The term that adds each element of `operand` where `place` puts its position (one number an axis) in a tensor of `shape`.
pub fn term(
    operand: &Activation,
    shape: &[usize],
    place: impl Fn(usize, usize) -> Option<usize>,
) -> Result<FloatTerm, Problem> {
    let old = operand.shape();
    if old.len() != shape.len() {
        return Err(Problem::malformed(format!("shapes {old:?} and {shape:?} of different ranks")));
    }
    let element = |mut e: usize| {
        let (mut to, mut stride) = (0, 1);
        for (axis, (have, size)) in old.iter().zip(shape).enumerate().rev() {
            to += place(axis, e % have).filter(|position| position < size)? * stride;
            (e, stride) = (e / have, stride * size);
        }
        u32::try_from(to).ok()
    };
    let target = Some((0..operand.view.len()).map(element).collect());
    Ok(FloatTerm { input: operand.view.clone(), factor: 1.0, target })
}
