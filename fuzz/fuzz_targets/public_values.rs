//! The text of public values and of their meaning.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kiln_fuzz_harness::public_values::run(data));
