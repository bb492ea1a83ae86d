//! What a card writes into host memory, as the driver reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kiln_fuzz_harness::card::completion(data));
