//! Transforms: one command per column of a batch.

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use kiln_abi::io::Direction;
use kiln_driver::Job;

use super::{Call, CardDevice, Made, Results, Span, layout};
use crate::error::KernelFailure;

pub(super) fn submit(
    card: &mut CardDevice,
    call: Call,
    columns: &[Span],
    direction: Direction,
    log_n: u32,
    shift: Fr,
) -> Result<Made, KernelFailure> {
    let n = 1usize << log_n;
    // Room for all of them before the first command, so that a batch that does not fit costs nothing.
    let outputs =
        columns.iter().map(|_| card.allocate(call, n)).collect::<Result<Vec<_>, KernelFailure>>()?;
    for (column, out) in columns.iter().zip(&outputs) {
        let destination = out.span().address;
        let job = if column.len == 0 {
            // The polynomial without coefficients: zero everywhere.
            let (first, ratio) = (layout::element(&Fr::zero()), layout::element(&Fr::one()));
            Job::Powers { destination, length: n as u32, first, ratio }
        } else {
            Job::Ntt {
                source: column.address,
                source_length: column.len as u32,
                destination,
                log_n: log_n as u8,
                direction,
                shift: layout::element(&shift),
            }
        };
        card.send(call, &job)?;
    }
    Ok(Made { outputs, results: Results::None })
}
