//! Proving keys and secret halves of committed groups.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kiln_fuzz_harness::keys::proving(data));
