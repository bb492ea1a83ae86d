//! The verdicts of all arithmetics, which must be one.

use kiln_plonk::{BatchError, BatchItem, ProcessorArithmetic, Statement, VerifyError, VerifyingKey};
use kiln_plonk::{PortableThreads, verify_batch_by, verify_by};

pub fn verify(vk: &VerifyingKey, statement: &Statement, proof: &[u8]) -> Result<(), VerifyError> {
    let portable = kiln_plonk::verify(vk, statement, proof);
    let fast = verify_by(&ProcessorArithmetic::detect(), vk, statement, proof);
    assert_eq!(fast, portable, "the processor's arithmetic and the portable one disagree");
    let threads = verify_by(&PortableThreads, vk, statement, proof);
    assert_eq!(threads, portable, "the portable arithmetic on threads and on one disagree");
    portable
}

pub fn verify_batch(items: &[BatchItem<'_>]) -> Result<(), BatchError> {
    let portable = kiln_plonk::verify_batch(items);
    let fast = verify_batch_by(&ProcessorArithmetic::detect(), items);
    assert_eq!(fast, portable, "the processor's arithmetic and the portable one disagree");
    portable
}
