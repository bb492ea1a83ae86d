//! Exclusive prefix sums and products.

use kiln_abi::io;
use kiln_driver::Job;

use super::{Call, CardDevice, Made, Span};
use crate::error::KernelFailure;
use crate::kernel::ScanKind;

pub(super) fn submit(
    card: &mut CardDevice,
    call: Call,
    v: Span,
    kind: ScanKind,
) -> Result<Made, KernelFailure> {
    let out = card.allocate(call, v.len)?;
    let kind = match kind {
        ScanKind::Sum => io::ScanKind::Sum,
        ScanKind::Product => io::ScanKind::Product,
    };
    if v.len > 0 {
        let (source, destination) = (v.address, out.span().address);
        card.send(call, &Job::Scan { source, destination, length: v.len as u32, kind })?;
    }
    Ok(Made::vector(out))
}
