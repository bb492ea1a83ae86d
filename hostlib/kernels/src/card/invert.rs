//! Batch inversion.

use kiln_driver::Job;

use super::{Call, CardDevice, Made, Span};
use crate::error::KernelFailure;

pub(super) fn submit(card: &mut CardDevice, call: Call, v: Span) -> Result<Made, KernelFailure> {
    let out = card.allocate(call, v.len)?;
    if v.len > 0 {
        let (source, destination) = (v.address, out.span().address);
        card.send(call, &Job::Invert { source, destination, length: v.len as u32 })?;
    }
    Ok(Made::vector(out))
}
