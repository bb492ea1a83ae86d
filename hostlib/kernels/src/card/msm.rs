//! Multi-scalar multiplication, and its bases.

use ark_bn254::G1Affine;
use kiln_abi::{POINT_BYTES, io};
use kiln_driver::Job;

use super::{Call, CardBases, CardDevice, Made, Results, Span, TaskState, layout};
use crate::device::{BasesId, LoadedBases, Ticket};
use crate::error::KernelFailure;
use crate::kernel::ScalarBound;
use crate::values::Values;

/// Points per command of a load: 4 MiB of host memory that the card can reach.
const LOAD_POINTS: usize = 1 << 16;

/// Copies points to the card, which checks that they are on the curve, and waits until all are there.
pub(super) fn load_bases(
    card: &mut CardDevice,
    points: &Values<G1Affine>,
) -> Result<LoadedBases, KernelFailure> {
    let call = Call { task: Ticket(card.next()), kernel: "load_bases" };
    let region = card.region(call.kernel, POINT_BYTES * points.len() as u64)?;
    let bases = CardBases { region, len: points.len() };
    card.tasks.insert(call.task, TaskState::new(call.kernel));
    let first = bases.span().address;
    for (piece, points) in points.chunks(LOAD_POINTS).enumerate() {
        let destination = first + POINT_BYTES * (piece * LOAD_POINTS) as u64;
        let bytes = layout::points_to_bytes(points);
        card.send(call, &Job::LoadBases { destination, points: &bytes })?;
    }
    let (_, record) = card.finish(call.task)?;
    let id = BasesId(card.next());
    card.bases.insert(id, bases);
    Ok(LoadedBases { bases: id, record })
}

pub(super) fn submit(
    card: &mut CardDevice,
    call: Call,
    bases: Span,
    offset: usize,
    v: Span,
    bound: ScalarBound,
) -> Result<Made, KernelFailure> {
    if v.len > 0 {
        let bound = match bound {
            ScalarBound::Full => io::ScalarBound::Full,
            // At most 63, as was checked.
            ScalarBound::Signed { bits } => io::ScalarBound::Signed { bits: bits as u8 },
        };
        let job = Job::Msm {
            bases: bases.address,
            offset: offset as u32,
            scalars: v.address,
            length: v.len as u32,
            bound,
        };
        card.send(call, &job)?;
    }
    Ok(Made::results(Results::Point))
}
