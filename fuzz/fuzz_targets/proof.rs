//! Bytes of proofs, and other statements.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kiln_fuzz_harness::proof::run(data));
