//! Powers, evaluation and division by a linear factor.

use ark_bn254::Fr;
use kiln_abi::Element;
use kiln_abi::io::EVALUATE_POINTS_MAX;
use kiln_driver::Job;

use super::{Call, CardDevice, Made, Results, Span, layout};
use crate::error::KernelFailure;

pub(super) fn powers(
    card: &mut CardDevice,
    call: Call,
    first: Fr,
    ratio: Fr,
    len: usize,
) -> Result<Made, KernelFailure> {
    let out = card.allocate(call, len)?;
    if len > 0 {
        let job = Job::Powers {
            destination: out.span().address,
            length: len as u32,
            first: layout::element(&first),
            ratio: layout::element(&ratio),
        };
        card.send(call, &job)?;
    }
    Ok(Made::vector(out))
}

pub(super) fn divide_linear(
    card: &mut CardDevice,
    call: Call,
    v: Span,
    root: Fr,
) -> Result<Made, KernelFailure> {
    // At least one coefficient was checked; a constant has an empty quotient.
    let out = card.allocate(call, v.len - 1)?;
    if v.len > 1 {
        let job = Job::DivideLinear {
            source: v.address,
            destination: out.span().address,
            length: v.len as u32,
            root: layout::element(&root),
        };
        card.send(call, &job)?;
    }
    Ok(Made::vector(out))
}

pub(super) fn evaluate(
    card: &mut CardDevice,
    call: Call,
    v: Span,
    points: &[Fr],
) -> Result<Made, KernelFailure> {
    if v.len == 0 {
        return Ok(Made::results(Results::Zeros(points.len())));
    }
    let points: Vec<Element> = points.iter().map(layout::element).collect();
    for points in points.chunks(usize::from(EVALUATE_POINTS_MAX)) {
        card.send(call, &Job::Evaluate { source: v.address, length: v.len as u32, points })?;
    }
    Ok(Made::results(Results::Scalars(points.len())))
}
