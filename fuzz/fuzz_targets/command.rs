//! What a host writes into its rings, as the card reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kiln_fuzz_harness::card::command(data));
