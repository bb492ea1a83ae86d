//! Reference strings: our own format and ceremony files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kiln_fuzz_harness::srs::run(data));
