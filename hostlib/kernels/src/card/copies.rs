//! Uploads, downloads, slices and placements.

use kiln_abi::ELEMENT_BYTES;
use kiln_driver::Job;
use zeroize::Zeroize;

use super::{Call, CardDevice, Made, Results, Span, layout, violation};
use crate::error::KernelFailure;
use crate::host_data::HostData;

pub(super) fn upload(card: &mut CardDevice, call: Call, data: &HostData) -> Result<Made, KernelFailure> {
    let out = card.allocate(call, data.len())?;
    let destination = out.span().address;
    match data {
        _ if data.is_empty() => {}
        HostData::Small(values) => card.send(call, &Job::ExpandSmall { destination, values })?,
        HostData::Full(values) => {
            let mut bytes = layout::elements_to_bytes(values);
            let sent = card.send(call, &Job::CopyToCard { destination, data: &bytes });
            // The driver has copied it to where the card can reach it, and this may be a witness.
            bytes.zeroize();
            sent?;
        }
    }
    Ok(Made::vector(out))
}

pub(super) fn download(
    card: &mut CardDevice,
    call: Call,
    v: Span,
    start: usize,
    len: usize,
) -> Result<Made, KernelFailure> {
    if len > 0 {
        card.send(call, &Job::CopyFromCard { source: v.at(start), bytes: ELEMENT_BYTES * len as u64 })?;
    }
    Ok(Made::results(Results::Scalars(len)))
}

pub(super) fn slice(
    card: &mut CardDevice,
    call: Call,
    v: Span,
    start: usize,
    len: usize,
) -> Result<Made, KernelFailure> {
    let held = v.len.saturating_sub(start).min(len);
    // Where nothing is held the start may be past the end, even of the card's memory.
    let source = if held == 0 { v.address } else { v.at(start) };
    surround(card, call, Span { address: source, len: held }, 0, len).map(|(_, made)| made)
}

pub(super) fn place(
    card: &mut CardDevice,
    call: Call,
    vectors: &[Span],
    offsets: &[usize],
    len: usize,
) -> Result<Made, KernelFailure> {
    let (mut vectors, mut offsets) = (vectors.iter(), offsets.iter());
    let first = vectors.next().zip(offsets.next());
    let (v, offset) = first.ok_or_else(|| violation(call.kernel, "there is nothing to place"))?;
    let (out, made) = surround(card, call, *v, *offset, len)?;
    // Commands of one queue run one after the other.
    for (v, offset) in vectors.zip(offsets).filter(|(v, _)| v.len > 0) {
        let job = Job::Place {
            source: v.address,
            length: v.len as u32,
            destination: out.at(*offset),
            before: 0,
            total: v.len as u32,
        };
        card.send(call, &job)?;
    }
    Ok(made)
}

/// `before` zeros, v, zeros up to `total` elements; lengths were checked to fit 32 bits.
fn surround(
    card: &mut CardDevice,
    call: Call,
    v: Span,
    before: usize,
    total: usize,
) -> Result<(Span, Made), KernelFailure> {
    let out = card.allocate(call, total)?;
    let span = out.span();
    if total > 0 {
        let job = Job::Place {
            source: v.address,
            length: v.len as u32,
            destination: span.address,
            before: before as u32,
            total: total as u32,
        };
        card.send(call, &job)?;
    }
    Ok((span, Made::vector(out)))
}
