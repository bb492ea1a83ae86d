//! The verdicts of both arithmetics, which must be one.

use kiln_plonk::{BatchError, BatchItem, ProcessorArithmetic, Statement, VerifyError, VerifyingKey};

pub fn verify(vk: &VerifyingKey, statement: &Statement, proof: &[u8]) -> Result<(), VerifyError> {
    let portable = kiln_plonk::verify(vk, statement, proof);
    let fast = kiln_plonk::verify_by(&ProcessorArithmetic::detect(), vk, statement, proof);
    assert_eq!(fast, portable, "the processor's arithmetic and the portable one disagree");
    portable
}

pub fn verify_batch(items: &[BatchItem<'_>]) -> Result<(), BatchError> {
    let portable = kiln_plonk::verify_batch(items);
    let fast = kiln_plonk::verify_batch_by(&ProcessorArithmetic::detect(), items);
    assert_eq!(fast, portable, "the processor's arithmetic and the portable one disagree");
    portable
}
